"""The table of a run: one line for each check, user and manifest; colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass

COLOURS = {"ok": "32", "FAIL": "31", "note": "33", "skip": "33"}
HEADINGS = ("id", "user", "manifest", "class", "attempt", "expected", "seen", "")
WIDTHS = (4, 8, 8, 5, 44, 34, 44)


@dataclass
class Row:
    id: str
    user: str
    manifest: str  # "none" is the control
    kind: str
    attempt: str
    expected: str
    seen: str
    verdict: str  # "ok", "FAIL", "note" (a control that shows nothing here), "skip"
    detail: str = ""
    neighbour_p99_ms: float = 0.0  # of the calls next door meanwhile; told, never judged


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _line(cells: Iterable[str], verdict: str = "") -> str:
    padded = [_cut(cell, width).ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)]
    return "  ".join(padded) + f"  {verdict}"


class Table:
    def __init__(self, is_json: bool) -> None:
        self.rows: list[Row] = []
        self._is_json = is_json
        self._has_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        if not is_json:
            print(_line(HEADINGS), flush=True)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        if self._is_json:
            print(json.dumps(asdict(row)), flush=True)
            return
        verdict = f"\x1b[{COLOURS[row.verdict]}m{row.verdict}\x1b[0m" if self._has_colour else row.verdict
        print(_line((row.id, row.user, row.manifest, row.kind, row.attempt, row.expected, row.seen), verdict),
              flush=True)
        if row.detail and row.verdict != "ok":
            print(f"      {row.detail}", flush=True)

    def counts(self) -> dict[str, int]:
        return {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in COLOURS}
