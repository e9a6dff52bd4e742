"""N01 to N17: no network without a permission, and with one the hosts that it names and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .check import BESIDE, EPERM, NO_FAMILY, Check, check, one_of, only

# Without a permission there is no socket; with one the gate resets, or no door is there.
AWAY = one_of("ECONNRESET", "ECONNREFUSED", "EAFNOSUPPORT", "ENETUNREACH")
NO_NAME = one_of("NXDOMAIN", "EAFNOSUPPORT")


def _nothing_was_asked(scene: Any) -> Mapping[str, str]:
    told = [name for name, _ in scene.stage.resolver.asked if "dddd" in name]
    return {"the host's resolver": "heard nothing" if not told else f"heard {told}"}


def _narrowed(scene: Any) -> Mapping[str, str]:
    return scene.narrow_while_it_flows()


CHECKS: list[Check] = [
    check("N01", "connecting anywhere", "D", {"*": NO_FAMILY, "connect of a pair": EPERM}, control=BESIDE,
          withhold=("network",), short=True),
    check("N02", "a granted host, another port", "D", AWAY, control=BESIDE, short=True),
    check("N03", "another name than the granted", "D", NO_NAME, control=BESIDE, short=True),
    check("N04", "another raw address", "D", AWAY, control=BESIDE, short=True),
    check("N05", "services of the host on loopback", "D", NO_FAMILY, control=BESIDE, withhold=("network",), short=True),
    check("N06", "metadata services of clouds", "D", NO_FAMILY, withhold=("network",), short=True),
    check("N07", "a granted name that leads to a private address", "D", NO_NAME, control=BESIDE, short=True),
    check("N09", "data in DNS questions", "D",
          {"TXT of the granted name": one_of("no record", "EAFNOSUPPORT"),
           "the host's resolver": one_of("heard nothing"), "*": NO_NAME},
          afterwards=_nothing_was_asked, control=BESIDE, short=True,
          control_note="the answers are the same; that the question leaves is what the host's resolver hears"),
    check("N10", "link-local, NAT64, 6to4 and v4-mapped addresses", "D", AWAY, control=BESIDE, short=True),
    check("N11", "datagrams by sendto, sendmsg, sendmmsg, fast open", "D",
          {"socket": NO_FAMILY, "*": NO_FAMILY}, control=BESIDE, withhold=("network",), short=True),
    check("N13", "RAW, PACKET, NETLINK, VSOCK, ALG, TIPC, KEY, XDP and more", "D", NO_FAMILY, short=True),
    check("N14", "SCTP, DCCP, MPTCP", "D", NO_FAMILY),
    check("N15", "listening", "D", {"bind and listen": NO_FAMILY, "*": EPERM, "interfaces": only(["lo"])},
          withhold=("network",),
          short=True),
    check("N17", "narrowing a grant by a reload cuts what flows", "D", one_of("cut within 1 s"), act=_narrowed,
          short=True),
]
