"""What a test must not leave behind, taken before and after it: processes, mounts, control groups, temporary files.

A network or other namespace lives only as long as a process in it, a descriptor of it or a mount of it; descriptors die
with their process: so processes and mounts stand for namespaces, too. The machine may be shared with other runs: only
what is below us, or can be told to be ours, counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from . import paths, processes

# Where a sandbox mounts while it is built; in the host's own mount namespace none of it may ever show.
SANDBOX_PLACES = ("/", "/proc", "/tmp", "/dev/shm")


@dataclass(frozen=True)
class Census:
    mounts: frozenset[str]
    groups: frozenset[str]


def take() -> Census:
    return Census(_mounts(), _groups())


def _mounts() -> frozenset[str]:
    """Mounts at places of sandboxes or of this run, and namespaces that are kept by a mount."""
    found = set()
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        place, kind = fields[4], fields[fields.index("-") + 1]
        if place in SANDBOX_PLACES or place.startswith(str(paths.SPACE)) or kind == "nsfs":
            found.add(f"{place} ({kind}, mount {fields[0]})")
    return frozenset(found)


def _groups() -> frozenset[str]:
    """Control groups below our own: a launcher makes its leaves beside the daemon that we started."""
    own = [line.removeprefix("0::") for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
           if line.startswith("0::")]
    found = set()
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if not own or not os.path.exists(f"{mount}/cgroup.procs"):
            continue
        folder = f"{mount}{own[0]}"
        found |= {entry.path for entry in os.scandir(folder) if entry.is_dir() and entry.name.startswith("plugin-")}
    return frozenset(found)


def left_since(before: Census) -> list[str]:
    """In words, each thing that is there now and was not; empty when all is gone."""
    after = take()
    left = [f"process {process}" for process in processes.orphans()]
    left += [f"mount {mount}" for mount in sorted(after.mounts - before.mounts)]
    left += [f"control group {group}" for group in sorted(after.groups - before.groups)]
    return left + [f"temporary file {path.name}" for path in sorted(paths.TMPDIR.iterdir())]


def open_files(pid: int) -> int:
    """Descriptors of a process, for tests that hold a number against an earlier one."""
    return len(os.listdir(f"/proc/{pid}/fd"))
