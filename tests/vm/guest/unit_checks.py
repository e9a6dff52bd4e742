"""The unit starts, tells systemd how it is, and the daemon in it holds nothing that it does not need."""

import os
import pwd
import stat

from harness import (SOCKET, active, check, ctl, ctl_ok, main_pid, ok, one_line, read, require, run, show, wait_for)


def status_of(pid):
    return dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":" in line)


def launcher_pid():
    """The launcher that serves the present daemon."""
    found = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_launcher(pid)]
    require(len(found) == 1, f"launchers: {found}")
    return found[0]


def is_launcher(pid):
    try:
        # A sandbox's pid 1 is a copy of the launcher in a pid namespace of its own.
        return (read(f"/proc/{pid}/comm").strip().startswith("liongate-launch")
                and os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/1/ns/pid"))
    except OSError:
        return False


@check("U1", "`systemctl start liongated` waits for READY=1", "active, Type=notify, a status text, the socket is there",
       needs_sandbox=False)
def starts():
    ok("systemctl", "start", "liongated")
    require(active(), run("systemctl", "status", "--no-pager", "liongated").out)
    require(show("liongated", "Type") == "notify", show("liongated", "Type"))
    text = show("liongated", "StatusText")
    require("Serving" in text, f"StatusText={text}")
    mode = os.stat(SOCKET)
    require(stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o600, oct(mode.st_mode))
    return f"active, StatusText={text}, socket 0600"


@check("U2", "the daemon is user liongate and nothing more", "no capability in any set, NoNewPrivs, a filter",
       needs_sandbox=False)
def daemon_is_nobody():
    status = status_of(main_pid())
    uid = pwd.getpwnam("liongate").pw_uid
    require(set(status["Uid"].split()) == {str(uid)}, f"Uid {status['Uid']}")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        require(int(status[name], 16) == 0, f"{name} {status[name]}")
    require(status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", "no filter")
    return f"uid {uid}; capability sets all 0; NoNewPrivs 1; Seccomp 2"


@check("U3", "what it is started from alone keeps rights", "the launcher: root with the bounded set of its unit",
       needs_sandbox=False)
def launcher_is_bounded():
    status = status_of(launcher_pid())
    allowed = int(status["CapBnd"], 16)
    require(bin(allowed).count("1") <= 10, f"CapBnd {status['CapBnd']}")
    require(int(status["CapPrm"], 16) & ~allowed == 0 and status["NoNewPrivs"].strip() == "1", str(status))
    return f"CapPrm {status['CapPrm'].strip()}, CapBnd {status['CapBnd'].strip()}, NoNewPrivs 1"


@check("U4", "root speaks to it, another user does not", "get-status answers; alice is refused, exit 3 or 6",
       needs_sandbox=False)
def who_may_speak():
    status = ctl_ok("get-status", "-o", "json").json
    refused = ctl("get-status", user="alice")
    require(refused.code in (3, 6), str(refused))
    return f"pid {status['pid']}, {status['environment']}; alice: {one_line(refused.err)}"


@check("U5", "`systemctl reload` reads the configuration again", "RELOAD answered, the event ConfigChanged",
       needs_sandbox=False)
def reloads():
    pid = main_pid()
    with open("/etc/liongate/liongated.yaml", "w", encoding="utf-8") as file:
        file.write("environment: production\nlog_level: debug\n")
    ok("systemctl", "restart", "liongated")
    pid = main_pid()
    with open("/etc/liongate/liongated.yaml", "w", encoding="utf-8") as file:
        # The test plugins ask for more than production grants by itself.
        file.write("environment: production\nlog_level: info\n"
                   "policy:\n  - {plugin: 'fork-bomb', permission: 'process', allow: true}\n"
                   "  - {plugin: 'hello-command', permission: '*', allow: true}\n"
                   "  - {plugin: 'asker', permission: 'network:host-loopback:8080', allow: true}\n")
    ok("systemctl", "reload", "liongated")
    wait_for("ConfigChanged", lambda: "ConfigChanged" in ctl("replay-log").out)
    require(main_pid() == pid, "the daemon was restarted by it")
    return "the same process, ConfigChanged in the log"


@check("U6", "a broken configuration is told and not tried again", "exit 7, file:line in the journal, no restart",
       needs_sandbox=False)
def broken_configuration():
    path = "/etc/liongate/liongated.yaml"
    whole = read(path)
    with open(path, "a", encoding="utf-8") as file:
        file.write("no_such_key: 1\n")
    run("systemctl", "restart", "liongated")
    result, restarts, code = (show("liongated", name) for name in ("Result", "NRestarts", "ExecMainStatus"))
    said = run("journalctl", "--no-pager", "--output=cat", "--unit=liongated", "--lines=8").out
    with open(path, "w", encoding="utf-8") as file:
        file.write(whole)
    run("systemctl", "reset-failed", "liongated")
    ok("systemctl", "start", "liongated")
    require((result, restarts, code) == ("exit-code", "0", "7"), f"Result={result} NRestarts={restarts} code={code}")
    line = next((line for line in said.splitlines() if "no_such_key" in line), "")
    require(f"{path}:" in line, f"journal: {one_line(said)}")
    return f"exit 7, NRestarts=0; journal: {one_line(line, 160)}"
