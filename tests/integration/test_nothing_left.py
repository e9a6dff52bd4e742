"""Nothing outlives its owner: a plugin its unload, a sandbox its launcher, a launcher its daemon; and nothing is lost.

Every test of this folder ends with a census (harness/census.py); here is what needs a test of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

from harness import census, paths, processes
from harness.call_load import CallLoad, is_clear
from harness.daemon import Daemon, assert_every_call_ended_once, kill_process
from harness.waiting import eventually
from harness.workshop import Workshop

ROUNDS = 8


def launcher_of(daemon: Daemon) -> int:
    return next(process.pid for process in daemon.processes() if process.parent == daemon.pid)


def live_through_all(daemon: Daemon) -> None:
    """Load, call, crash, restart, reload, unload; a command, too."""
    for plugin in ("hello", "dies_mid_call", "hello-command"):
        daemon.load(plugin)
    daemon.invoke("hello", "x")
    daemon.invoke("hello-command", "x")
    daemon.invoke_later("dies-mid-call").outcome()
    daemon.client.plugins.ReloadPlugin(plugin="hello")
    for plugin in ("hello", "dies-mid-call", "hello-command"):
        daemon.client.plugins.UnloadPlugin(plugin=plugin)


def test_no_descriptor_stays_open_in_daemon_or_launcher(daemon: Daemon) -> None:
    live_through_all(daemon)
    eventually(lambda: not daemon.sandbox_pids(), "no sandbox is left")
    # The daemon, which holds secrets, shows its descriptors to root alone.
    pids = [launcher_of(daemon), *([daemon.pid] if os.geteuid() == 0 else [])]
    before = [census.open_files(pid) for pid in pids]
    for _ in range(ROUNDS):
        live_through_all(daemon)

    def as_before() -> bool:
        return [census.open_files(pid) for pid in pids] <= before

    eventually(as_before, f"descriptors of daemon and launcher are {before} again", 3.0)


def test_the_census_finds_a_process_that_was_left(daemon: Daemon) -> None:
    """The census itself: an orphan is seen, and gone when it is gone."""
    before = census.take()
    orphan = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE)
    assert orphan.stdout is not None
    pid = int(orphan.stdout.readline())
    orphan.wait()
    orphan.stdout.close()
    try:
        # By its number alone: the shell's child tells it before it becomes `sleep`.
        assert any(f"process {pid} " in line for line in census.left_since(before))
    finally:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not census.left_since(before), "it is gone")


def test_the_census_costs_little() -> None:
    before = census.take()
    begin = time.monotonic()
    for _ in range(10):
        census.left_since(before)
    took_ms = (time.monotonic() - begin) * 100
    print(f"one census: {took_ms:.1f} ms")
    assert took_ms < 200  # 20 on a quiet machine; it grows with the processes of all


def test_a_launcher_killed_under_load_ends_the_daemon_in_order_and_loses_nothing(daemon: Daemon,
                                                                                workshop: Workshop) -> None:
    for plugin in ("hello", "echo", "hello-command"):
        daemon.load(plugin)
    load = CallLoad(daemon.socket, ["hello", "echo", "hello-command"])
    eventually(lambda: len(load.acknowledged) > 50, "the load runs")
    sandboxes = daemon.sandbox_pids()
    begin = time.monotonic()
    kill_process(launcher_of(daemon))
    assert daemon.wait() == 1, "a failure: the unit starts it again"
    took_s = time.monotonic() - begin
    load.stop()
    assert took_s < 7
    assert "liongate-launcher ended" in daemon.log_text()
    assert not [pid for pid in sandboxes if running(pid)]
    strange = [refusal for refusal in load.refused if not is_clear(refusal) and refusal.reason not in
               ("SANDBOX_UNAVAILABLE", "SHUTTING_DOWN")]
    assert not strange, strange[:3]

    daemon.start()  # as the unit does
    stopping = [event.daemon_stopping.reason for event in daemon.events(types=["DaemonStopping"])]
    assert stopping == ["liongate-launcher ended"]
    results = {event.plugin_result.execution_id for event in daemon.events(types=["PluginResult"])}
    lost = [execution for execution, _ in load.acknowledged if execution not in results]
    assert not lost, f"{len(lost)} acknowledged calls are not in the log"
    assert_every_call_ended_once(daemon)
    for plugin in ("hello", "echo", "hello-command"):
        assert "x" in daemon.invoke(plugin, "x").text


def test_a_daemon_killed_under_load_leaves_nothing_within_a_second(daemon: Daemon) -> None:
    for plugin in ("hello", "hello-command"):
        daemon.load(plugin)
    load = CallLoad(daemon.socket, ["hello", "hello-command"])
    eventually(lambda: len(load.acknowledged) > 50, "the load runs")
    below = {process.pid for process in daemon.processes()}
    daemon.kill()
    begin = time.monotonic()
    eventually(lambda: not [pid for pid in below if running(pid)], "all of it is gone", 1.0)
    print(f"gone after {(time.monotonic() - begin) * 1000:.0f} ms")
    load.stop()


def running(pid: int) -> bool:
    process = processes.process_of(pid)
    return process is not None and process.state not in "ZX"


def test_the_units_start_a_failed_daemon_again() -> None:
    """The exit code of a lost launcher is one that the units do not except."""
    for unit in ("systemd/liongated.service", "systemd/user/liongated.service"):
        lines = (paths.ROOT / unit).read_text(encoding="utf-8").splitlines()
        for wanted in ("Restart=on-failure", "RestartPreventExitStatus=2 7", "WatchdogSec=30s", "KillMode=mixed"):
            assert wanted in lines, f"{unit}: {wanted}"
    # Whoever starts sandboxes has the group to make theirs in, and outlives one that ran out of memory.
    for unit in ("systemd/liongate-launcher@.service", "systemd/user/liongated.service"):
        lines = (paths.ROOT / unit).read_text(encoding="utf-8").splitlines()
        for wanted in ("Delegate=yes", "OOMPolicy=continue"):
            assert wanted in lines, f"{unit}: {wanted}"
