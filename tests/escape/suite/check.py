"""What a check is: an attempt in words, its class, and for each of its steps what may be seen where it is contained."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CLASSES = {
    "D": "denied, and an event says so",
    "d": "denied by what is mounted or by the user's own rights, where no event arises",
    "N": "not visible",
    "B": "bounded",
    "R": "protocol error, the plugin is stopped",
    "Z": "nothing left",
    "K": "killed",
    "U": "unchanged, or exactly as promised",
}


@dataclass(frozen=True)
class Expect:
    """What counts as contained: `said` in words for the table, `holds` for the judgement."""

    said: str
    holds: Callable[[str], bool]


def one_of(*outcomes: str) -> Expect:
    return Expect(" or ".join(outcomes), lambda seen: seen in outcomes)


def matches(pattern: str, said: str = "") -> Expect:
    return Expect(said or pattern, lambda seen: re.fullmatch(pattern, seen) is not None)


def only(allowed: Sequence[str]) -> Expect:
    """A list, separated by commas, with nothing in it but these."""
    return Expect("only " + ",".join(allowed), lambda seen: set(seen.split(",")) <= set(allowed))


def fewer(maximum: int, *errors: str) -> Expect:
    """'COUNT: ERROR' or 'COUNT MiB: ERROR', stopped at `maximum` at the latest and by one of these errors."""

    def holds(seen: str) -> bool:
        match = re.fullmatch(r"(?:refused at )?(\d+)(?: MiB)?: (.*)", seen)
        return match is not None and int(match[1]) <= maximum and match[2] in errors

    return Expect(f"at most {maximum}, then {' or '.join(errors)}", holds)


# What no check named, such as a load that failed.
UNEXPECTED = Expect("nothing else", lambda seen: False)
EPERM = one_of("EPERM")
ENOSYS = one_of("ENOSYS")
NOT_THERE = one_of("ENOENT")
# A process directory that belongs to another user namespace, a path whose first part is there and whose rest is not.
INVISIBLE = one_of("ENOENT", "EACCES", "ENOTDIR")
NO_FAMILY = one_of("EAFNOSUPPORT")

# Everything a manifest can ask for that the kernel keeps; what a check is about is withheld from it.
GRANTS = ("process", "jit", "fs_read", "fs_write", "env", "network")
# A control gets namespaces of its own wherever an attempt that works would be felt outside.
ALONE = ("mount", "pid", "ipc", "uts", "net")
BESIDE = ()


@dataclass(frozen=True)
class Check:
    id: str
    attempt: str
    kind: str
    # By the attempt's own words; "*" is for all that are not named.
    expect: Mapping[str, Expect]
    withhold: tuple[str, ...] = ()
    variants: tuple[str, ...] = ("",)
    # Where the control runs: namespaces of its own, or beside the daemon on scratch files.
    control: tuple[str, ...] = ALONE
    # Why an attempt shows nothing even without a sandbox; such a control is not a failure.
    control_note: str = ""
    # Why there is none at all.
    no_control: str = ""
    # "answers", "killed" (SIGSYS), "protocol error", "fails" or "deadline": how the call ends.
    ends: str = "answers"
    limits: str = ""
    scene: Mapping[str, object] = field(default_factory=dict)
    control_scene: Mapping[str, object] = field(default_factory=dict)
    timeout_s: float = 10.0
    # Asked after the call while the plugin is still loaded: more outcomes, judged by the same `expect`.
    afterwards: Callable[[Any], Mapping[str, str]] | None = None
    # The driver itself makes the attempt in place of the program.
    act: Callable[[Any], Mapping[str, str]] | None = None
    # Another plugin than the native one, by variant.
    plugin: str = ""
    # Does a class D denial come from the filter, which makes events?
    has_event: bool = True
    # Needs the daemon to be root.
    root_only: str = ""
    short: bool = False

    def expected(self, attempt: str) -> Expect:
        return self.expect.get(attempt) or self.expect.get("*") or UNEXPECTED

    def expected_words(self) -> str:
        words: list[str] = []
        for expect in self.expect.values():
            if expect.said not in words:
                words.append(expect.said)
        return "; ".join(words)


def check(id: str, attempt: str, kind: str, expect: Expect | Mapping[str, Expect], **more: Any) -> Check:
    assert kind in CLASSES, kind
    return Check(id, attempt, kind, {"*": expect} if isinstance(expect, Expect) else expect, **more)
