"""K01 to K30: doors into the kernel, the host's state, and gaining privilege."""

from __future__ import annotations

import os

from .check import BESIDE, ENOSYS, EPERM, INVISIBLE, NOT_THERE, Check, Expect, check, matches, one_of

ZERO = one_of("0000000000000000")
NOTTY = one_of("ENOTTY")


def _groups() -> Expect:
    if os.geteuid() == 0:
        return Expect("none", lambda seen: seen.strip() == "")
    # The kernel forbids an unprivileged user to drop groups; they show as unmapped, and nobody has none.
    return Expect("none, or unmapped", lambda seen: set(seen.split()) <= {"65534"})


CHECKS: list[Check] = [
    check("K01", "unshare and clone into new namespaces, a user's above all", "D", {"*": EPERM, "clone3 user": ENOSYS},
          short=True),
    check("K03", "setns into the namespaces of pid 1", "D",
          {"*": INVISIBLE, "setns by file": EPERM, "setns by pidfd": EPERM}, short=True),
    check("K04", "mount, remount and unmount, by the old calls and the new", "D", EPERM, short=True),
    check("K06", "chroot, pivot_root", "D", EPERM, short=True),
    check("K07", "bpf: a map, a program", "D", EPERM, short=True),
    check("K08", "io_uring", "U", ENOSYS, short=True),
    check("K09", "userfaultfd, /dev/userfaultfd", "U", {"*": ENOSYS, "device": NOT_THERE}, short=True),
    check("K10", "perf_event_open", "D", EPERM),
    check("K11", "add_key, keyctl, request_key", "D", EPERM, short=True),
    check("K12", "ptrace of parent, init and a child", "D", EPERM, short=True),
    check("K13", "process_vm_readv and its kin", "U", {"*": ENOSYS, "kcmp": EPERM, "pidfd_getfd": EPERM}),
    check("K15", "kexec, reboot, modules", "D", EPERM, short=True),
    check("K16", "swapon, quotactl, acct, syslog", "D", EPERM),
    check("K17", "open_by_handle_at", "D", EPERM, control=BESIDE, short=True),
    check("K19", "setting clocks and the host's name", "D", EPERM),
    check("K20", "personality flags, modify_ldt, I/O ports", "D", EPERM),
    check("K21", "calls of the i386 and x32 tables", "K", one_of("killed by SIGSYS"), variants=("i386", "x32"),
          ends="killed", short=True),
    check("K24", "splice and vmsplice into a read-only page", "U",
          {"splice": one_of("unchanged"), "vmsplice": ENOSYS}, control=BESIDE),
    check("K25", "typing into a terminal: TIOCSTI, TIOCLINUX", "U", {"*": NOTTY, "another terminal": NOT_THERE}),
    check("K29", "set-user-id program, capset, ambient capabilities", "D",
          {"*": EPERM, "set-user-id program": matches(r"uid 1000|EPERM|uid not executed", "no other user")},
          short=True),
    check("K30", "what the kernel says of the process", "U",
          {"CapInh": ZERO, "CapPrm": ZERO, "CapEff": ZERO, "CapBnd": ZERO, "CapAmb": ZERO, "NoNewPrivs": one_of("1"),
           "Seccomp": one_of("2"), "Uid": one_of("1000 1000 1000 1000"), "Gid": one_of("1000 1000 1000 1000"),
           "Groups": _groups(), "NSpid": one_of("2"), "TracerPid": one_of("0")}, control=BESIDE, short=True),
]
