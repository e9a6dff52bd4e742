"""X01 and on: what is not on the list: thought of since, or found by attacking. Each says what it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .check import BESIDE, ENOSYS, EPERM, Check, Expect, check, fewer, one_of

READ_ONLY = one_of("EROFS", "EACCES", "EPERM", "ENOENT")
REFUSED = one_of("EPERM", "EACCES", "EROFS", "EXDEV", "EBUSY", "ENOENT", "EINVAL", "ENOTDIR", "EISDIR", "EEXIST",
                 "EOPNOTSUPP")
NOTTY = one_of("ENOTTY")
DENIAL_EVENTS_MAX = 4  # the first, and what was counted meanwhile


def _swaps(scene: Any) -> Mapping[str, str]:
    from . import swap  # what needs the harness is not needed by who only reads the catalogue

    return swap.outcomes(scene)


def _few_events(scene: Any) -> Mapping[str, str]:
    count = scene.denial_events()
    return {"events": "few" if count <= DENIAL_EVENTS_MAX else str(count)}


def _set_id() -> dict[str, Expect]:
    return {"*": EPERM, "fchmodat2": ENOSYS, "mode": one_of("plain"),
            "trusted attribute": one_of("EPERM", "EOPNOTSUPP"), "another owner": one_of("EPERM", "EINVAL"),
            "capability attribute": one_of("EPERM", "EOPNOTSUPP")}


CHECKS: list[Check] = [
    check("X01", "socket filters, which are programs in the kernel, on its own sockets", "D", EPERM),
    check("X02", "out-of-band bytes on its own UNIX sockets (CVE-2025-38236)", "D",
          {"*": EPERM, "recvfrom": one_of("EPERM", "EINVAL")}, short=True),
    check("X03", "notification pipes, huge pages, devices by whiteout", "D",
          {"*": EPERM, "huge pages": one_of("EPERM", "EACCES")}, control=BESIDE),
    check("X04", "writing its own memory and settings by /proc", "d", READ_ONLY, short=True,
          control_note="as root a control's own /proc is read-only too, so that nothing of the host can be changed"),
    check("X05", "prctl and seccomp that would weaken the walls", "D", EPERM),
    check("X06", "set-id bits and capabilities on its own files, by every call", "D", _set_id(), control=BESIDE,
          short=True),
    check("X07", "renaming, removing and exchanging mount points", "d", REFUSED, short=True,
          no_control="the places are the sandbox's own; outside they would be the host's"),
    check("X08", "timers, queued signals, descriptors in flight", "B",
          {"timers": fewer(1024, "EAGAIN"), "queued signals": fewer(1024, "EAGAIN"),
           "descriptors in flight": fewer(64, "ETOOMANYREFS", "EAGAIN")}, control_scene={"objects_max": 2000}),
    check("X09", "leases and notifications on a read-only grant, which make the host wait", "D",
          {"*": EPERM, "flock": one_of("ok")}, control=BESIDE),
    check("X10", "ioctls of file systems and of the random device", "U", NOTTY, control=BESIDE),
    check("X12", "memory of the kernel: socket buffers as large as can be had, pipes", "B", fewer(72, "EMFILE"),
          limits="[limits]\nopen_files_max = 128\n", control_scene={"mebibytes_max": 128}),
    check("X13", "a granted folder exchanged for a link to secrets while it is being granted", "N",
          one_of("plain", "refused"), act=_swaps, short=True),
    check("X14", "failures of 15 MiB, full of control characters, with 100,000 warnings", "R",
          {"*": one_of("PLUGIN_ERROR, nothing for the terminal"),
           "warnings": one_of("PLUGIN_PROTOCOL_ERROR, nothing for the terminal")},
          variants=("control characters", "message", "warnings"), ends="fails",
          no_control="what the daemon makes of it is the check"),
    check("X15", "a flood of denied calls", "B", {"calls": EPERM, "events": one_of("few")}, afterwards=_few_events),
    check("X16", "locks that hand priority on (CVE-2014-3153)", "D", {"*": ENOSYS, "wake": one_of("ok")}, short=True),
    check("X11", "numbers that newer kernels gave out", "U", one_of("ENOSYS", "EPERM")),
]

