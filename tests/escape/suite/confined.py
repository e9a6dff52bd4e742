"""An attempt made within Liongate: the plugin loaded, called and unloaded by liongatectl, and what was seen."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from harness import paths, wire
from harness.waiting import eventually

from .check import GRANTS, Check
from .stage import PROGRAM, SUITE, Stage

GONE_WITHIN_S = 3.0
SIGSYS = 31
_numbers = itertools.count(1)

# What the filter's denials are recorded as. A daemon that does not know them yet is found out by its own messages.
DENIAL_EVENT = "PermissionDenied"
GATE_ACTIONS = ("connect", "send", "resolve")
HAS_DENIAL_EVENTS = "system_call" in (wire.event_service.ReplayEventsResponse.DESCRIPTOR.fields_by_name["events"]
                                      .message_type.fields_by_name["permission_denied"].message_type.fields_by_name)


class ConfinedScene:
    """One plugin of one check: it is gone when `close` returns."""

    def __init__(self, stage: Stage, check: Check, variant: str, is_granted: bool) -> None:
        self.stage = stage
        self.check = check
        self.variant = variant
        self.is_granted = is_granted
        self.name = f"escape-{next(_numbers)}"
        self.folder = stage.scratch / "plugins" / self.name
        self.grants = stage.scratch / "grants" if is_granted else None
        self._resident_before = self._resident()
        self._after_seq = 0
        self._write_plugin(self.folder, self.name, self._permissions())

    def _permissions(self) -> list[str]:
        if not self.is_granted or self.grants is None:
            return []
        every = {"process": ["process"], "jit": ["jit"], "env": ["env:LIONGATE_ESCAPE_GRANTED"],
                 "fs_read": [f"fs_read:{self.grants / 'ro'}"], "fs_write": [f"fs_write:{self.grants / 'rw'}"],
                 "network": self.stage.network_permissions()}
        return [one for kind in GRANTS if kind not in self.check.withhold for one in every[kind]]

    def _write_plugin(self, folder: Path, name: str, permissions: list[str], entry_point: str = "") -> None:
        folder.mkdir(mode=0o755)
        is_python = self.variant == "python"
        program = SUITE / "programs" / "start_programs.py" if is_python else PROGRAM
        shutil.copy(program, folder / ("main.py" if is_python else "escape"))
        (folder / ("main.py" if is_python else "escape")).chmod(0o755)
        entry = entry_point or ("./main.py" if is_python else "./escape")
        manifest = [f'name = "{name}"', 'version = "0.1.0"', f'entry_point = "{entry}"',
                    f'runtime = "{"python" if is_python else "native"}"', f"permissions = {json.dumps(permissions)}",
                    self.check.limits]
        (folder / "manifest.toml").write_text("\n".join(manifest), encoding="utf-8")
        (folder / "manifest.toml").chmod(0o644)

    def _resident(self) -> int:
        status = Path(f"/proc/{self.stage.daemon.pid}/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024

    # --- what checks ask afterwards ---

    def daemon_memory_growth(self) -> int:
        return self._resident() - self._resident_before

    def writable_on_host(self) -> Path | None:
        return self.grants / "rw" if self.grants else None

    def _try_to_load(self, folder: Path) -> str:
        outcome = self.stage.ctl("load-plugin", "--manifest", folder / "manifest.toml")
        if outcome.exit_code != 0:
            return "refused"
        self.stage.ctl.ok("unload-plugin", outcome.text.strip())
        return "loaded"

    def try_to_load_with(self, permission: str, kind: str = "escape") -> str:
        folder = self.stage.scratch / "plugins" / f"{kind}-{next(_numbers)}"
        self._write_plugin(folder, folder.name, [permission])
        try:
            return self._try_to_load(folder)
        finally:
            shutil.rmtree(folder)

    def try_to_load_manifest(self, name: str = "", entry_point: str = "") -> str:
        folder = self.stage.scratch / "plugins" / f"{self.name}-{next(_numbers)}"
        self._write_plugin(folder, name or folder.name, [], entry_point)
        try:
            return self._try_to_load(folder)
        finally:
            shutil.rmtree(folder)

    def read_as_new_plugin(self, permission: str, file: Path) -> str:
        """What a plugin with that grant reads there; "refused" where it could not be started."""
        folder = self.stage.scratch / "plugins" / f"escape-{next(_numbers)}"
        self._write_plugin(folder, folder.name, [permission])
        try:
            if self.stage.ctl("load-plugin", "--manifest", folder / "manifest.toml").exit_code != 0:
                return "refused"
            outcome = self.stage.ctl("invoke-plugin", folder.name, "--operation", "X13", "--input", f"file={file}\n")
            self.stage.ctl.ok("unload-plugin", folder.name)
            return outcome.text.removeprefix("file=").strip() or outcome.err
        finally:
            shutil.rmtree(folder)

    def narrow_while_it_flows(self) -> Mapping[str, str]:
        """A plugin with a flow is reloaded with a manifest that no longer names the host."""
        stage = self.stage
        folder = stage.scratch / "plugins" / f"escape-{next(_numbers)}"
        self._write_plugin(folder, folder.name, stage.network_permissions())
        try:
            stage.ctl.ok("load-plugin", "--manifest", folder / "manifest.toml")
            held_before = stage.held_open()
            scene = stage.scene(self.grants) | {"granted_port": stage.holding_port}
            stage.daemon.invoke_later(folder.name, "".join(f"{key}={value}\n" for key, value in scene.items()),
                                      operation="N17", timeout_ms=20_000)
            eventually(lambda: stage.held_open() > held_before, "the flow is open", GONE_WITHIN_S)
            manifest = (folder / "manifest.toml").read_text(encoding="utf-8")
            lines = ["permissions = []" if line.startswith("permissions") else line for line in manifest.splitlines()]
            (folder / "manifest.toml").write_text("\n".join(lines), encoding="utf-8")
            begin = time.monotonic()
            stage.ctl("reload-plugin", folder.name)
            eventually(lambda: stage.held_open() == held_before, "the flow is cut", GONE_WITHIN_S)
            took = time.monotonic() - begin
            stage.ctl("unload-plugin", folder.name)
            return {"flow": "cut within 1 s" if took < 1 + stage.GRACE_S else f"cut after {took:.1f} s"}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def denial_events(self) -> int:
        return self._denials(self._after_seq)

    # --- the attempt ---

    def run(self) -> tuple[dict[str, str], int]:
        """What was seen, by attempt, and how many denials the log holds of it."""
        if self.check.act is not None:
            return dict(self.check.act(self)), 0
        self._after_seq = self.stage.daemon.status().last_seq
        self.stage.resolver.asked.clear()
        reached_before = self.stage.reached()
        loaded = self.stage.ctl("load-plugin", "--manifest", self.folder / "manifest.toml")
        if loaded.exit_code != 0:
            return {"load": f"refused: {loaded.err.splitlines()[0]}"}, 0
        seen: dict[str, str] = {}
        try:
            seen |= self._call()
            if self.check.afterwards is not None:
                seen |= self.check.afterwards(self)
        finally:
            begin = time.monotonic()
            unloaded = self.stage.ctl("unload-plugin", self.name)
            if unloaded.exit_code != 0:
                seen["unload"] = unloaded.err
        took = time.monotonic() - begin
        if self.stage.reached() != reached_before:
            seen["listeners of the host"] = "reached"
        if took > GONE_WITHIN_S:
            seen["unload"] = f"took {took:.1f} s"
        return seen, self._denials(self._after_seq)

    def _denials(self, after_seq: int) -> int:
        if not HAS_DENIAL_EVENTS:
            return 0
        return sum(bool(event.permission_denied.system_call) or event.permission_denied.action in GATE_ACTIONS
                   for event in self.stage.daemon.events(after_seq=after_seq, types=[DENIAL_EVENT], plugin=self.name))

    def _call(self) -> dict[str, str]:
        scene = self.stage.scene(self.grants) | dict(self.check.scene) | {"variant": self.variant}
        if self.grants is None:
            scene["setuid_program"] = "/plugin/escape"
        outcome = self.stage.ctl(
            "invoke-plugin", self.name, "--operation", self.check.id, "--timeout", f"{self.check.timeout_s}s",
            "--input", "".join(f"{key}={value}\n" for key, value in scene.items()))
        if outcome.exit_code == 0:
            return dict(line.split("=", 1) for line in outcome.text.splitlines() if "=" in line)
        reason = outcome.error().reason
        # The daemon may see the pipe's end before it hears why; how the process ended is told either way.
        if self.check.ends == "killed" and reason in ("PLUGIN_CRASHED", "PLUGIN_PROTOCOL_ERROR"):
            crash = self.stage.daemon.wait_event("InstanceCrashed", plugin=self.name)
            signal = crash.instance_crashed.exit.signal
            return {self.variant or "call": "killed by SIGSYS" if signal == SIGSYS else f"killed by signal {signal}"}
        if reason == "PLUGIN_PROTOCOL_ERROR" and self.check.ends == "protocol error":
            return {self.variant or "call": "protocol error"}
        if self.check.ends == "fails" and reason in ("PLUGIN_ERROR", "PLUGIN_PROTOCOL_ERROR"):
            is_clean = all(letter >= " " or letter == "\n" for letter in outcome.err)
            return {self.variant: f"{reason}, {'nothing' if is_clean else 'control characters'} for the terminal"}
        if reason == "DEADLINE_EXCEEDED" and self.check.ends == "deadline":
            return {"call": "deadline, then gone"}
        return {self.variant or "call": f"{reason}: {outcome.err.splitlines()[0]}"}

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        rw = self.stage.scratch / "grants" / "rw"
        for path in rw.iterdir():
            if path.name != "docker.sock":
                path.unlink()


class Census:
    """What the daemon and the host hold when no attempt is under way; `faults` names what changed."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._launcher = stage.launcher_pid()
        self._before = self._count()

    def _count(self) -> dict[str, object]:
        stage = self._stage
        return {
            "processes": frozenset(stage.processes()),
            "launcher's descriptors": len(os.listdir(f"/proc/{self._launcher}/fd")),
            "mounts": _mounts_of(self._launcher) | _mounts_of(os.getpid()),
            "secrets": stage.canary.read_text(encoding="utf-8"),
            "granted file": (stage.scratch / "grants" / "ro" / "file").read_bytes(),
            "names in the read-only grant": tuple(sorted(os.listdir(stage.scratch / "grants" / "ro"))),
            "temporary files": tuple(os.listdir(paths.TMPDIR)),
        }

    def faults(self) -> list[str]:
        stage = self._stage
        if not stage.daemon.is_running:
            return ["the daemon died"]
        answer = stage.ctl("invoke-plugin", "echo", "--input", "still there", "--timeout", "2s")
        found = [] if answer.text == "still there" else [f"the sibling does not answer: {answer.err}"]
        if stage.daemon.get("echo").instance_id != stage.sibling.instance_id:
            found.append("the sibling was restarted")
        try:
            eventually(lambda: self._changed() == [], "the census is as before", GONE_WITHIN_S)
        except AssertionError:
            found += self._changed()
        return found

    def _changed(self) -> list[str]:
        now = self._count()
        return [f"{name}: {_difference(self._before[name], now[name])}" for name in now
                if now[name] != self._before[name]]


def _mounts_of(pid: int) -> frozenset[str]:
    """Those below the suite's folders: elsewhere others mount and unmount what they like."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    return frozenset(line.split()[4] for line in lines if line.split()[4].startswith(str(paths.SPACE)))


def _difference(before: object, now: object) -> str:
    if isinstance(before, frozenset) and isinstance(now, frozenset):
        return f"more {sorted(now - before)}, fewer {sorted(before - now)}"
    return f"{before!r} became {now!r}"[:200]


def summary(seen: Mapping[str, str]) -> str:
    """Outcomes with how often each was seen, most first."""
    counts: dict[str, int] = {}
    for outcome in seen.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{outcome} x{count}" if count > 1 else outcome for outcome, count in ordered)
