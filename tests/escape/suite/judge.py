"""Makes the attempts, one check after another, and says of each what it was: contained or not, and what was left."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from harness import command_line, paths

from . import control
from .check import Check
from .confined import HAS_DENIAL_EVENTS, Census, ConfinedScene, summary
from .neighbour import Neighbour, p99
from .stage import Stage
from .table import Row, Table


class Judge:
    def __init__(self, stage: Stage, table: Table, neighbour: Neighbour) -> None:
        self._stage = stage
        self._neighbour = neighbour
        self._table = table
        self._census = Census(stage)
        self._user = "root" if stage.is_root else "rootless"

    def judge(self, check: Check) -> None:
        if check.root_only and not self._stage.is_root:
            self._table.add(self._row(check, "", "empty", "", "skip", check.root_only))
            return
        for variant in check.variants:
            if check.no_control:
                self._table.add(self._row(check, variant, "none", "", "note", f"no control: {check.no_control}"))
            elif check.act is None and check.id[0] != "M" and variant != "python":
                self._control(check, variant)
            self._confined(check, variant, is_granted=False)
            self._confined(check, variant, is_granted=True)

    def _row(self, check: Check, variant: str, manifest: str, seen: str, verdict: str, detail: str = "") -> Row:
        attempt = f"{check.attempt} ({variant})" if variant else check.attempt
        return Row(check.id, self._user, manifest, check.kind, attempt, check.expected_words(), seen, verdict, detail)

    def _control(self, check: Check, variant: str) -> None:
        seen = control.run(self._stage, check, variant)
        contained = [name for name, outcome in seen.items() if check.expected(name).holds(outcome)]
        if "control" in seen:
            verdict, detail = "FAIL", seen["control"]
        elif len(contained) < len(seen):
            verdict, detail = "ok", ""
        else:
            # As root it must show something; an unprivileged user is refused much by the host itself.
            detail = check.control_note or "the host refuses this user as well: the control shows nothing here"
            verdict = "note" if check.control_note or not self._stage.is_root else "FAIL"
        row = self._row(check, variant, "none", summary(seen), verdict, detail)
        row.expected = "anything else"
        self._table.add(row)

    def _confined(self, check: Check, variant: str, is_granted: bool) -> None:
        self._neighbour.take("")
        scene = ConfinedScene(self._stage, check, variant, is_granted)
        try:
            seen, denials = scene.run()
        finally:
            scene.close()
        neighbour_ms = self._neighbour.take(check.id)
        faults = [f"{name}: {outcome}" for name, outcome in seen.items() if not check.expected(name).holds(outcome)]
        if not seen:
            faults.append("nothing was seen")
        if HAS_DENIAL_EVENTS and check.kind == "D" and check.has_event and check.act is None and denials == 0:
            faults.append("denied, no event")
        faults += self._census.faults()
        faults += [f"next door: {failure}" for failure in self._neighbour.failures]
        self._neighbour.failures.clear()
        text = summary(seen) + (f"; {denials} events" if denials else "")
        row = self._row(check, variant, "granted" if is_granted else "empty", text, "FAIL" if faults else "ok",
                        "; ".join(faults))
        row.neighbour_p99_ms = round(p99(neighbour_ms), 2)
        self._table.add(row)


def _cannot_confine() -> str:
    outcome = command_line.run(paths.LIONGATED, "--check-host", "-o", "json")
    report: Mapping[str, object] = outcome.json()
    return "" if report["can_confine"] else "this host cannot confine plugins: liongatectl check-host says why"


def run(checks: list[Check], is_json: bool) -> int:
    refused = _cannot_confine()
    if refused:
        print(refused)
        return 77
    table = Table(is_json)
    stage = Stage()
    try:
        with Neighbour(stage) as neighbour:
            judge = Judge(stage, table, neighbour)
            for check in checks:
                judge.judge(check)
    finally:
        stage.close()
    counts = table.counts()
    if is_json:
        print(json.dumps({"user": "root" if os.geteuid() == 0 else "rootless", "counts": counts,
                          "neighbour_baseline_p99_ms": round(neighbour.baseline_ms, 2),
                          "neighbour_p99_ms": round(p99(neighbour.all_times_ms), 2)}))
    else:
        print(f"{len({row.id for row in table.rows})} checks: {counts['ok']} rows as expected, {counts['FAIL']} not, "
              f"{counts['note']} controls that show nothing here, {counts['skip']} skipped")
        print(neighbour.in_words())
        if not HAS_DENIAL_EVENTS:
            print("class D is denied, and not yet an event: this daemon does not record denied system calls")
    return 1 if counts["FAIL"] else 0
