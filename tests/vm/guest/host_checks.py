"""What `liongatectl check-host` says must be what this kernel can do, as found out here by other means."""

import ctypes
import os

from harness import KERNEL, check, ctl, ctl_ok, ok, one_line, require

VERSION = tuple(int(part) for part in KERNEL.split("-")[0].split(".")[:2])
LIBC = ctypes.CDLL(None, use_errno=True)
LANDLOCK_CREATE_RULESET = 444
MOUNT_SETATTR = 442
PR_SET_MDWE = 65
ENOSYS = 38


def landlock_abi():
    return max(LIBC.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1), 0)


def has_mdwe():
    """Asked in a child: what is denied once stays denied."""
    child = os.fork()
    if child == 0:
        os._exit(0 if LIBC.prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


def has_mount_setattr():
    LIBC.syscall(MOUNT_SETATTR, -1, None, 0, None, 0)
    return ctypes.get_errno() != ENOSYS


def mechanisms():
    report = ctl("check-host", "-o", "json").json
    return report, {mechanism["name"]: mechanism for mechanism in report["mechanisms"]}


@check("H1", "check-host can be asked without a daemon", "a line for each mechanism, a verdict", needs_sandbox=False)
def check_host_runs():
    outcome = ctl("check-host")
    verdict = outcome.text.splitlines()[-1]
    require(outcome.code == (0 if "can confine" in verdict else 9), f"exit {outcome.code}: {verdict}")
    return f"exit {outcome.code}, {len(outcome.text.splitlines()) - 2} lines: {verdict}"


@check("H2", "its verdict is the kernel's truth", "it can confine where there is mount_setattr (Linux 5.12), else not",
       needs_sandbox=False)
def verdict_is_true():
    report, found = mechanisms()
    require(report["can_confine"] == has_mount_setattr(), f"can_confine {report['can_confine']} on Linux {KERNEL}")
    lacking = [name for name, one in found.items() if one["mandatory"] and one["state"] != "available"]
    require(bool(lacking) != report["can_confine"], f"lacking {lacking}")
    return f"can_confine {report['can_confine']}" + (f", lacks {', '.join(lacking)}" if lacking else "")


@check("H3", "it tells the Landlock ABI", "the ABI that the kernel gives, none before Linux 5.13", needs_sandbox=False)
def landlock_is_true():
    abi = landlock_abi()
    landlock = mechanisms()[1]["landlock"]
    require((landlock["state"] == "available") == (abi > 0), f"ABI {abi}, told: {landlock}")
    require(abi == 0 or f"ABI {abi}" in landlock["reason"], f"ABI {abi}, told: {landlock['reason']}")
    return f"kernel: ABI {abi}; told: {landlock['state']}, {one_line(landlock['reason'])}"


@check("H4", "it tells about deny write-execute", "missing before Linux 6.3, with the remedy", needs_sandbox=False)
def mdwe_is_true():
    mdwe = mechanisms()[1]["deny write-execute"]
    require((mdwe["state"] == "available") == has_mdwe() == (VERSION >= (6, 3)), str(mdwe))
    require(mdwe["state"] == "available" or mdwe["remedy"], "no remedy")
    return f"{mdwe['state']}; {mdwe['reason']}; remedy: {mdwe['remedy'] or '-'}"


@check("H5", "everything missing has a reason and a remedy", "a line of each", needs_sandbox=False)
def all_have_remedies():
    missing = [mechanism for mechanism in mechanisms()[1].values() if mechanism["state"] != "available"]
    bare = [mechanism["name"] for mechanism in missing if not mechanism["reason"] or not mechanism["remedy"]]
    require(not bare, f"without: {bare}")
    return f"missing: {', '.join(mechanism['name'] for mechanism in missing) or 'nothing'}"


@check("H6", "where it cannot confine, nothing is loaded", "SANDBOX_UNAVAILABLE, exit 9, the mechanism and a remedy",
       needs_sandbox=False)
def refuses_where_it_cannot():
    if mechanisms()[0]["can_confine"]:
        return "it can: the checks below load plugins"
    ok("systemctl", "start", "liongated")
    refused = ctl("load-plugin", "--manifest", "/usr/lib/liongate/plugins/hello/manifest.toml")
    require(refused.code == 9 and "SANDBOX_UNAVAILABLE" in refused.err and "hint:" in refused.err, str(refused))
    require(ctl_ok("list-plugins", "-o", "json").json.get("plugins", []) == [], "something is loaded")
    ok("systemctl", "stop", "liongated")
    return one_line(refused.err)
