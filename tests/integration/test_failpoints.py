"""The daemon dies at every named failpoint, as kill -9 would end it there, while it is called from several sides.

What must hold afterwards is what test_kill_run.py asks after a kill at any moment: every acknowledged result is in the
log exactly once, the log verifies but for a torn tail, numbers have no gap, and what was loaded runs again.
LIONGATE_FAILPOINT_SEED repeats the choice of the reaches at which it dies.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable

import pytest
from harness import command_line, counted, paths
from harness.call_load import CallLoad, is_clear
from harness.daemon import Daemon, DidNotStart, terminals_by_execution

NAMES = command_line.run(paths.LIONGATED, "--list-failpoints").text.split()
SEED = int(os.environ.get("LIONGATE_FAILPOINT_SEED") or random.SystemRandom().randrange(1 << 32))
SMALL_SEGMENTS = "stop_grace_ms: 1000\nlog_segment_bytes: 1048576\n"
PLUGINS = ["echo", "hello"]
TEXT = "t" * 20_000  # so that segments change while it is called
DIES_WITHIN_S = 3.0
# Reached once in a life, with every change of segments, or with every call: at most so often.
REACHES = {"recovery.": 1, "state.": 1, "log.segment": 3, "log.spare": 3, "log.before_seal": 3, "log.seal": 3}
REACHES_OTHERWISE = 40


def dies(daemon: Daemon) -> list[str]:
    """Starts it, calls it until it dies, stops it where that is what it dies of; returns what was acknowledged."""
    try:
        daemon.start()
    except DidNotStart as refused:
        assert refused.exit_code == -signal.SIGKILL, refused.log
        return []
    load = CallLoad(daemon.socket, PLUGINS, TEXT)
    assert daemon.process is not None
    try:
        daemon.process.wait(DIES_WITHIN_S)
    except subprocess.TimeoutExpired:
        daemon.process.send_signal(signal.SIGTERM)
    exit_code = daemon.wait()
    load.stop()
    assert exit_code == -signal.SIGKILL, daemon.log_text()
    for refusal in load.refused:
        assert is_clear(refusal), refusal
    return [execution for execution, _ in load.acknowledged]


@pytest.mark.parametrize("name", NAMES)
def test_a_daemon_that_dies_there_loses_nothing(make_daemon: Callable[..., Daemon], name: str) -> None:
    print(f"LIONGATE_FAILPOINT_SEED={SEED}")
    chance = random.Random(f"{SEED} {name}")
    daemon = make_daemon(config=SMALL_SEGMENTS).start()
    ids = {plugin: daemon.load(plugin).plugin_id for plugin in PLUGINS}
    acknowledged = [daemon.invoke("echo", "before").execution_id]
    daemon.kill()  # so that the next start has something to recover
    reaches = [reaches for prefix, reaches in REACHES.items() if name.startswith(prefix)]
    count = chance.randint(1, reaches[0] if reaches else REACHES_OTHERWISE)
    daemon.env = {"LIONGATE_FAILPOINT": f"{name}:crash:{count}"}
    acknowledged += dies(daemon)
    daemon.env = {}
    verified = command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir, "-o", "json").json()
    assert all(damage["kind"] == "torn_tail" for damage in verified["damages"]), verified
    daemon.start()
    for plugin, plugin_id in ids.items():
        assert daemon.wait_state(plugin, "RUNNING").plugin_id == plugin_id
    acknowledged.append(daemon.invoke("echo", "after").execution_id)
    daemon.wait_idle()
    events = daemon.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    ends = terminals_by_execution(events)
    lost = [execution for execution in acknowledged if ends.get(execution) != ["PluginResult"]]
    assert not lost, [ends.get(execution) for execution in lost]
    assert all(len(end) == 1 for end in ends.values()), ends
    counted.note(f"killed at {name}:{count}: {len(acknowledged)} acknowledged results of {len(ends)} calls, none lost")


@pytest.mark.parametrize(("name", "thread"), [("call.ended", "liongated"), ("log.after_write", "log-writer")])
def test_an_exception_that_nobody_expects_ends_the_daemon_with_last_words(
    make_daemon: Callable[..., Daemon], name: str, thread: str
) -> None:
    daemon = make_daemon().start()
    plugin_id = daemon.load("echo").plugin_id
    acknowledged = daemon.invoke("echo", "before").execution_id
    assert daemon.stop() == 0
    daemon.env = {"LIONGATE_FAILPOINT": f"{name}:throw:{3 if name.startswith('log.') else 1}"}
    try:
        daemon.start()
        with pytest.raises(Exception, match="(?i)unavailable|closed|reset|connect"):
            daemon.invoke("echo", "during")
    except DidNotStart as refused:
        assert refused.exit_code == -signal.SIGABRT, refused.log
    daemon.disconnect()
    assert daemon.wait() == -signal.SIGABRT
    assert f"thread {thread}: nobody expected: a failpoint threw; this is a defect" in daemon.log_text()
    daemon.env = {}
    daemon.start()
    assert daemon.wait_state("echo", "RUNNING").plugin_id == plugin_id
    assert terminals_by_execution(daemon.events())[acknowledged] == ["PluginResult"]


def test_there_are_failpoints() -> None:
    assert len(NAMES) >= 15 and len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_a_daemon_that_serves_somebody_refuses_them(make_daemon: Callable[..., Daemon], environment: str) -> None:
    daemon = make_daemon(environment=environment)
    daemon.env = {"LIONGATE_FAILPOINT": "log.after_write:crash"}
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 7
    assert "LIONGATE_FAILPOINT" in refused.value.log and "hint: unset it" in refused.value.log


def test_a_name_that_is_none_is_refused(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.env = {"LIONGATE_FAILPOINT": "log.nowhere:crash"}
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 7
    assert "--list-failpoints" in refused.value.log
