"""What happens when something dies or hangs: it is restarted, nothing is lost or left, the journal says why."""

import os
import signal
import subprocess
import time

from harness import (WAIT_SECONDS, active, check, ctl, ctl_ok, drop_in, journal, journal_now, main_pid, ok, one_line,
                     read, require, run, show, wait_for)
from story_checks import invoke, listed, running
from unit_checks import launcher_pid

PLUGIN_UID_FIRST = 2147000000
# What systemd writes of a daemon that was killed, and of one whose watchdog was not fed.
KILLED = "result 'signal'"
HANGED = "result 'watchdog'"


def plugin_processes():
    """Every process that belongs to a plugin's uid, and every copy of the launcher in a sandbox."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid >= PLUGIN_UID_FIRST or int(
                    read(f"/proc/{pid}/status").split("Uid:")[1].split()[0]) >= PLUGIN_UID_FIRST:
                found.append(f"{pid} {read(f'/proc/{pid}/comm').strip()}")
        except (OSError, IndexError):
            continue  # it ended meanwhile
    return found


def plugin_groups():
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if "plugin-" in os.path.basename(path)]


def ids():
    return {name: plugin["plugin_id"] for name, plugin in listed().items()}


def instances():
    return {name: plugin["instance_id"] for name, plugin in listed().items()}


def survives(break_it, seconds=WAIT_SECONDS):
    """Does something terrible; returns (journal since, seconds until hello answers again) when all is as it was."""
    wait_for("hello runs", lambda: running("hello"))
    ids_before, instances_before, since, pid = ids(), instances(), journal_now(), main_pid()
    begin = time.monotonic()
    break_it(pid)
    wait_for("a new daemon", lambda: active() and main_pid() not in (0, pid), seconds)
    wait_for("hello runs again", lambda: ctl("list-plugins").code == 0 and running("hello"))
    require(invoke("hello", "again").strip() != "", "no answer")
    took = time.monotonic() - begin
    require(ids() == ids_before, f"ids {ids_before} became {ids()}")
    require(instances()["hello"] != instances_before["hello"], "the instance is the same")
    verdict = ctl_ok("verify-log").out
    run("journalctl", "--sync")
    return journal("liongated.service", since), took, one_line(verdict, 60)


def line_with(text, *words):
    """The last line of the journal that has one of the words, which must be there."""
    lines = [line for line in text.splitlines() if any(word.lower() in line.lower() for word in words)]
    require(lines, f"the journal has none of {words}: {one_line(text, 1000)}")
    return one_line(lines[-1], 140)


@check("F1", "`systemctl restart`", "ids survive, the log is sealed and goes on")
def restart():
    said, took, verdict = survives(lambda pid: ok("systemctl", "restart", "liongated"))
    require("DaemonStopped" in ctl_ok("replay-log").out, "no DaemonStopped")
    return f"{took:.1f} s; {verdict}; journal: {line_with(said, 'stopped')}"


@check("F2", "kill -9 of the daemon", "restarted by its unit, ids survive, the log goes on")
def kill_daemon():
    restarts = int(show("liongated", "NRestarts"))
    said, took, verdict = survives(lambda pid: os.kill(pid, signal.SIGKILL))
    require(int(show("liongated", "NRestarts")) == restarts + 1, "NRestarts did not grow")
    return f"{took:.1f} s; {verdict}; journal: {line_with(said, KILLED)}"


@check("F3", "kill -9 of the launcher", "the daemon says so, ends, is restarted; ids survive")
def kill_launcher():
    said, took, verdict = survives(lambda pid: os.kill(launcher_pid(), signal.SIGKILL))
    return f"{took:.1f} s; {verdict}; journal: {line_with(said, 'launcher ended')}"


@check("F4", "a daemon that hangs (SIGSTOP)", "the watchdog ends it, it is restarted, ids survive")
def watchdog():
    drop_in("[Service]\nWatchdogSec=2s\n")
    try:
        ok("systemctl", "restart", "liongated")
        said, took, verdict = survives(lambda pid: os.kill(pid, signal.SIGSTOP))
    finally:
        drop_in("")
    ok("systemctl", "restart", "liongated")
    return f"{took:.1f} s with WatchdogSec=2s; {verdict}; journal: {line_with(said, HANGED)}"


@check("F5", "kill -9 of a plugin", "started again under the same id, InstanceCrashed in the log")
def kill_plugin():
    plugin = wait_for("hello runs", lambda: running("hello"))
    os.kill(int(plugin["pid"]), signal.SIGKILL)
    again = wait_for("another instance", lambda: (running("hello") or plugin)["instance_id"] != plugin["instance_id"]
                     and running("hello"))
    require(again["plugin_id"] == plugin["plugin_id"], "another id")
    require("InstanceCrashed" in ctl_ok("replay-log", "--plugin", "hello").out, "no InstanceCrashed")
    return f"the same id, {invoke('hello', 'again').strip()}"


@check("F6", "a call that was cut by kill -9 of the daemon", "PluginError with DAEMON_RESTARTED in the log")
def cut_call():
    ctl_ok("load-plugin", "--manifest", "/opt/liongate-test-plugins/slow/manifest.toml")
    call = subprocess.Popen(["liongatectl", "invoke-plugin", "slow", "--input", "20000", "--correlation-id", "cut"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("the call is on its way", lambda: ctl_ok("get-status", "-o", "json").json.get("calls_running", "0") != "0")
    # Its PluginInvoked is written with the outcome unless something later is committed.
    invoke("hello", "commits what came before")
    survives(lambda pid: os.kill(pid, signal.SIGKILL))
    call.wait(timeout=WAIT_SECONDS)
    events = ctl_ok("replay-log", "--correlation-id", "cut").out
    require("DAEMON_RESTARTED" in events or "PluginInvoked" not in events, one_line(events))
    ctl_ok("unload-plugin", "slow")
    return one_line(events, 200)


def failed():
    return show("liongated", "ActiveState") == "failed"


@check("F7", "five kills in a row", "systemd gives up after its start limit, says so, and a start by hand works")
def start_limit():
    drop_in("[Unit]\nStartLimitIntervalSec=600\n")  # a start takes long where the processor is emulated
    run("systemctl", "reset-failed")
    try:
        for _ in range(6):
            pid = main_pid()
            if pid:
                os.kill(pid, signal.SIGKILL)
            wait_for("up or given up", lambda: failed() or (active() and main_pid() not in (0, pid)))
        require(failed(), f"{show('liongated', 'ActiveState')} after six kills")
    finally:
        drop_in("")
        result = show("liongated", "Result")
        run("systemctl", "reset-failed")
    ok("systemctl", "start", "liongated")
    wait_for("hello runs", lambda: running("hello"))
    return f"gave up with Result={result}; after reset-failed all plugins run"


@check("F8", "unload leaves nothing", "no process, no control group, no mount of the plugin")
def unload_leaves_nothing():
    mounts = read("/proc/self/mountinfo").count("\n")
    for name in list(listed()):
        ctl_ok("unload-plugin", name)
    wait_for(f"no process of a plugin: {plugin_processes()}", lambda: not plugin_processes())
    wait_for(f"no control group of a plugin: {plugin_groups()}", lambda: not plugin_groups())
    require(read("/proc/self/mountinfo").count("\n") == mounts, "the host has other mounts than before")
    return "nothing left"


@check("F9", "`systemctl stop` leaves nothing", "inactive, no process, control group, socket or mount")
def stop_leaves_nothing():
    ctl_ok("load-plugin", "--manifest", "/usr/lib/liongate/plugins/hello/manifest.toml")
    ok("systemctl", "stop", "liongated")
    require(show("liongated", "ActiveState") == "inactive" and show("liongated", "Result") == "success",
            show("liongated", "Result"))
    wait_for("no process", lambda: not plugin_processes() and not run("pgrep", "--uid", "liongate").text)
    wait_for("no launcher", lambda: not run("pgrep", "liongate-launch").text)
    groups = [path for path, _, _ in os.walk("/sys/fs/cgroup") if "liongate" in path
              and not path.endswith(("liongate-checks.service", ".socket", ".slice"))]
    require(not groups, f"control groups {groups}")
    require(not os.path.exists("/run/liongate/control.sock"), "the socket is there")
    return "nothing left; the state folder stays"
