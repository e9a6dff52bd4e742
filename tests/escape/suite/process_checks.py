"""P01 to P10: signals, other processes' queues, bombs, and outliving the end."""

from __future__ import annotations

from .check import ENOSYS, EPERM, INVISIBLE, Check, Expect, check, fewer, one_of

PROCESSES = "[limits]\nprocesses_max = 32\n"
# Without `process` there is nobody to signal and the call is refused; with it only its own are there.
NOBODY = one_of("EPERM", "ESRCH", "EINVAL")


def _own_processes() -> Expect:
    return Expect("EPERM, or its own child alone", lambda seen: seen in ("EPERM", "own child killed, ok"))


CHECKS: list[Check] = [
    check("P01", "signals to everybody, its parent, a sibling", "D",
          {"*": NOBODY, "everybody": _own_processes(), "init": one_of("EPERM", "ok"), "parent": one_of("EPERM", "ok")},
          has_event=False, short=True),
    check("P02", "System V and POSIX queues and memory of a sibling", "U", {"*": ENOSYS, "shared folder": INVISIBLE},
          short=True),
    check("P03", "fork bomb", "B", fewer(32, "EAGAIN", "EPERM"), limits=PROCESSES,
          control_scene={"forks_max": 200}, short=True),
    check("P04", "thread bomb", "B", fewer(32, "EAGAIN", "EPERM"), limits=PROCESSES,
          control_scene={"forks_max": 200}, short=True),
    check("P05", "two forks, a session of its own, then the unload", "Z", one_of("EPERM", "left running"),
          control_note="what it is to leave behind is left: the driver's census is the check", short=True),
    check("P06", "stops itself, deaf to every signal, then the unload", "Z",
          one_of("deadline, then gone", "crashed, then gone"), ends="deadline", timeout_s=0.5, short=True),
    check("P07", "taking all descriptors", "B",
          {"raise the limit": EPERM, "descriptors": fewer(64, "EMFILE")}, limits="[limits]\nopen_files_max = 64\n",
          control_scene={"descriptors_max": 512}, short=True),
    check("P08", "taking all memory", "B", fewer(64, "ENOMEM"), limits="[limits]\nmemory_bytes_max = 67108864\n",
          variants=("private", "shared"), withhold=("jit",), control_scene={"mebibytes_max": 96}, short=True),
    check("P10", "real-time priority, nice, spinning", "U",
          {"*": EPERM, "DEADLINE": ENOSYS, "nice -20": one_of("EPERM", "EACCES"), "spin": one_of("spun")}),
]
