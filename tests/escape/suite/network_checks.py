"""N01 to N15 as far as they are about having no network. Those of named hosts come with the network gateway."""

from __future__ import annotations

from .check import BESIDE, EPERM, NO_FAMILY, Check, check, only

CHECKS: list[Check] = [
    check("N01", "connecting anywhere", "D", {"*": NO_FAMILY, "connect of a pair": EPERM}, control=BESIDE, short=True),
    check("N05", "services of the host on loopback", "D", NO_FAMILY, control=BESIDE, short=True),
    check("N06", "metadata services of clouds", "D", NO_FAMILY, short=True),
    check("N11", "datagrams by sendto, sendmsg, sendmmsg, fast open", "D",
          {"socket": NO_FAMILY, "*": NO_FAMILY}, control=BESIDE, short=True),
    check("N13", "RAW, PACKET, NETLINK, VSOCK, ALG, TIPC, KEY, XDP and more", "D", NO_FAMILY, short=True),
    check("N14", "SCTP, DCCP, MPTCP", "D", NO_FAMILY),
    check("N15", "listening", "D", {"bind and listen": NO_FAMILY, "*": EPERM, "interfaces": only(["lo"])}, short=True),
]

# Named in docs/security.md and printed with every run, never counted as passed.
COMES_WITH_THE_GATEWAY = {
    "N02": "a granted host, another port",
    "N03": "another name than the granted",
    "N04": "another raw address",
    "N07": "a granted name that resolves to a private address",
    "N09": "data in DNS questions",
    "N10": "link-local, NAT64, 6to4 and v4-mapped addresses",
    "N17": "narrowing a grant by a reload cuts what flows",
}
