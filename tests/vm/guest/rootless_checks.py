"""The same without any privilege: user alice with the user unit, and with a daemon of her own making."""

import json
import os
import pwd
import subprocess

from harness import check, ok, one_line, read, require, run, wait_for
from unit_checks import status_of

ALICE = "alice"
HELLO = "/usr/lib/liongate/plugins/hello/manifest.toml"


def environment():
    user = pwd.getpwnam(ALICE)
    return {"PATH": "/usr/bin:/bin", "HOME": user.pw_dir, "USER": ALICE, "XDG_RUNTIME_DIR": f"/run/user/{user.pw_uid}",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{user.pw_uid}/bus", "LANG": "C.UTF-8"}


def as_alice(*words):
    return run(*words, user=ALICE, env=environment(), cwd="/home/alice")


def alice_ok(*words):
    outcome = as_alice(*words)
    require(outcome.code == 0, f"{' '.join(words)}: {outcome}")
    return outcome


def get(name):
    answer = json.loads(alice_ok("liongatectl", "get-plugin", name, "-o", "json").out)
    return answer.get("plugin", answer)


@check("R1", "alice's own daemon by the user unit", "systemctl --user start: active, the story, no privilege anywhere")
def user_unit():
    ok("loginctl", "enable-linger", ALICE)
    wait_for("alice's manager",
             lambda: as_alice("systemctl", "--user", "is-system-running").text in ("running", "degraded"))
    alice_ok("systemctl", "--user", "start", "liongated")
    plugin = alice_ok("liongatectl", "load-plugin", "--manifest", HELLO).text
    answer = alice_ok("liongatectl", "invoke-plugin", "hello", "--input", "alice").text
    alice_ok("liongatectl", "replay-log", "--plugin", "hello")
    alice_ok("liongatectl", "verify-log")
    status = status_of(int(get("hello")["pid"]))
    uid = str(pwd.getpwnam(ALICE).pw_uid)
    require(set(status["Uid"].split()) == {uid} and int(status["CapBnd"], 16) == 0, str(status))
    require(status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1", "no filter")
    return f"id {plugin}; {answer}; plugin's uid {uid}, no capability"


@check("R2", "its posture says what rootless lacks", 
       "own host user: absent, in words; cgroup limits active, as the unit delegates")
def user_posture():
    plugin = get("hello")
    found = {mechanism["name"]: mechanism for mechanism in plugin["posture"]["mechanisms"]}
    require(found["own host user"]["state"] == "absent" and "rootless" in found["own host user"]["detail"], str(found))
    group = read(f"/proc/{plugin['pid']}/cgroup").strip().split("::")[1]
    require("user@" in group, group)
    marks = [name for name in os.listxattr("/sys/fs/cgroup" + os.path.dirname(group)) if "delegate" in name]
    marks += [name for name in os.listxattr("/sys/fs/cgroup" + group) if "delegate" in name]
    require(found["cgroup limits"]["state"] == "active", str(found["cgroup limits"]))
    lines = [f"{name}: {found[name]['state']} ({found[name]['detail']})" for name in ("own host user", "cgroup limits")
             if name in found]
    return one_line("; ".join(lines) + f"; systemd's marks of delegation: {marks or 'none'}")


@check("R3", "alice stops it", "inactive, nothing of it left")
def user_stop():
    alice_ok("liongatectl", "unload-plugin", "hello")
    alice_ok("systemctl", "--user", "stop", "liongated")
    wait_for("nothing left", lambda: not run("pgrep", "--uid", ALICE, "liongate").text)
    return "no process of it"


@check("R4", "a daemon that alice starts by hand, without any service manager",
       "the story; cgroup limits absent, with the reason")
def by_hand():
    user = pwd.getpwnam(ALICE)
    with open("/tmp/alice.log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen(["setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--init-groups", "liongated",
                                   "--environment", "development"], env=environment(), cwd=user.pw_dir,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for("it answers", lambda: as_alice("liongatectl", "get-status").code == 0)
        alice_ok("liongatectl", "load-plugin", "--manifest", HELLO)
        answer = alice_ok("liongatectl", "invoke-plugin", "hello", "--input", "by hand").text
        found = {mechanism["name"]: mechanism for mechanism in get("hello")["posture"]["mechanisms"]}
        limits = found["cgroup limits"]
        require(limits["state"] == "absent" and limits["detail"], str(limits))
    finally:
        daemon.terminate()
        code = daemon.wait(timeout=30)
    require(code == 0, f"exit {code}: {one_line(read('/tmp/alice.log'))}")
    require(not os.path.exists(f"/run/user/{user.pw_uid}/liongate/control.sock"), "its socket is left")
    return f"{answer}; cgroup limits: {limits['state']} ({limits['detail']})"
