"""M01 to M12: what a plugin can send, names and manifests that reach outside, and the daemon's own door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .check import BESIDE, INVISIBLE, NO_FAMILY, Check, check, one_of

STOPPED = one_of("protocol error")
RESIDENT_GROWTH_MAX = 64 * 1024 * 1024


def _memory(scene: Any) -> Mapping[str, str]:
    grown = scene.daemon_memory_growth()
    return {"daemon's memory": "bounded" if grown < RESIDENT_GROWTH_MAX else f"{grown >> 20} MiB more"}


def _identities(scene: Any) -> Mapping[str, str]:
    """Names that are another's, or paths."""
    seen = {}
    for name in ("echo", "../echo", "a/b", "..", "Echo\\u0000", "123e4567-e89b-42d3-a456-426614174000"):
        seen[f"plugin named {name}"] = scene.try_to_load_manifest(name=name)
    for name in ("../../../etc/passwd", "echo/../echo", "%2e%2e", "/proc/self"):
        outcome = scene.stage.ctl("invoke-plugin", name, "--input", "x")
        seen[f"call of {name}"] = "refused" if outcome.exit_code in (4, 7) else f"exit code {outcome.exit_code}"
    return seen


def _manifests(scene: Any) -> Mapping[str, str]:
    scratch = scene.stage.scratch
    seen = {}
    # The policy grants these plugins whatever can be granted at all.
    for permission in ("fs_read:/", "fs_write:/", "fs_read:/proc", "fs_read:/proc/1/root", "fs_read:/sys",
                       "fs_read:/dev", "fs_read:/dev/null", "fs_write:/dev/shm/..", "fs_read:../../../../proc",
                       f"fs_read:{scene.stage.daemon.state_dir}", f"fs_write:{scene.stage.daemon.folder}",
                       f"fs_read:{scene.stage.daemon.socket}", "env:LD_PRELOAD", "env:LD_LIBRARY_PATH",
                       "env:GLIBC_TUNABLES", "fs_write:.", "fs_write:./manifest.toml", "fs_write:./escape",
                       f"fs_write:{scratch}/plugins", "forbidden"):
        seen[permission.replace(str(scratch), "…")] = scene.try_to_load_with(permission, "greedy")
    # These are judged by where they lead.
    for permission in (f"fs_read:{scratch}/grants/ro/../../secrets", f"fs_read:{scratch}/grants/ro/../..",
                       "fs_read:../../secrets", f"fs_read:{scratch}/grants", f"fs_read://{scratch}//secrets/"):
        seen[permission.replace(str(scratch), "…")] = scene.try_to_load_with(permission)
    for entry in ("/bin/sh", "../escape", "./../../escape", "/proc/self/exe"):
        seen[f"entry point {entry}"] = scene.try_to_load_manifest(entry_point=entry)
    return seen


CHECKS: list[Check] = [
    check("M01", "frames of impossible length, bad varints", "R", {"*": STOPPED, "daemon's memory": one_of("bounded")},
          variants=("huge", "zero", "varint", "inner length"), ends="protocol error", afterwards=_memory, short=True),
    check("M02", "a frame of one byte at a time", "R", one_of("deadline, then gone"), ends="deadline", timeout_s=1.0),
    check("M03", "a truncated frame, a closed pipe", "R", STOPPED, variants=("truncated", "half close"),
          ends="protocol error", short=True),
    check("M04", "flooding stdout, stderr and the log", "B",
          {"*": one_of("sent"), "daemon's memory": one_of("bounded")}, variants=("stdout", "stderr", "log frames"),
          afterwards=_memory, timeout_s=30, control_note="a flood is one anywhere: the bound is the daemon's memory"),
    check("M05", "never reading", "B", one_of("deadline, then gone"), ends="deadline", timeout_s=1.0),
    check("M07", "answers to unknown calls, a second Ready, the daemon's own frames", "R", STOPPED,
          variants=("unknown", "second ready", "daemon's frame", "ack", "no kind"), ends="protocol error", short=True),
    check("M09", "another plugin's name, paths as names", "R", one_of("refused"), act=_identities, short=True),
    check("M10", "manifests that ask for /, .., /proc, LD_PRELOAD, the daemon's folders", "R", one_of("refused"),
          act=_manifests, short=True),
    check("M12", "the daemon's control socket", "N",
          {"look": INVISIBLE, "connect": NO_FAMILY, "*": one_of("ENOTSOCK")}, control=BESIDE, short=True),
]
