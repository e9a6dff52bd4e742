"""Which processes came from us, however often their parents died in between.

This process is made a subreaper: an orphan anywhere below becomes our child instead of init's, so that the walk from
here finds everything that a killed daemon left behind. Nothing is ever looked up by name: other daemons may run here.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36

# Processes that a test owns and waits for itself; whoever else becomes our child is an orphan.
owned_pids: set[int] = set()


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    state: str
    name: str

    def __str__(self) -> str:
        return f"{self.pid} {self.name} ({self.state}, child of {self.parent})"


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def process_of(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    return Process(pid, int(parent), state, name)


SYMBOLIZER = "llvm-symbolizer"  # ThreadSanitizer's own helper, which looks up what its suppressions name


def descendants(root: int) -> list[Process]:
    """Everything below `root`, itself and a sanitizer's helper not included; nor are zombies: they run nothing."""
    children: dict[int, list[Process]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (process := process_of(int(entry))) is not None:
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    todo = [root]
    while todo:
        for process in children.get(todo.pop(), []):
            todo.append(process.pid)
            if process.state not in "ZX" and process.name != SYMBOLIZER:
                found.append(process)
    return found


def orphans() -> list[Process]:
    """What runs below this process and below none of the processes that a test owns."""
    excused = set(owned_pids)
    for pid in owned_pids:
        excused |= {process.pid for process in descendants(pid)}
    _reap_strangers()
    return [process for process in descendants(os.getpid()) if process.pid not in excused]


def _reap_strangers() -> None:
    me = os.getpid()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in owned_pids:
            continue
        process = process_of(int(entry))
        if process is None or process.parent != me or process.state != "Z":
            continue
        try:
            os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            pass
