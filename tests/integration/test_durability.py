"""The four modes: what is on disk, and when.

What the page cache held survives a kill of the daemon, so that these tests see what was *written* before the reply;
what was *synced* is asked of the daemon itself (durable_seq).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import wire
from harness.daemon import Daemon
from harness.waiting import eventually

MODES = ["durable", "before_run", "batch", "async"]
DURABILITY = {mode: getattr(wire.plugin_service, f"DURABILITY_{mode.upper()}") for mode in MODES}
BATCH_WITHIN_S = 2.0  # 10 ms by contract; the wide bound is for a busy machine


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_answers_and_records_both_events(daemon: Daemon, mode: str) -> None:
    daemon.load("hello")
    reply = daemon.invoke("hello", "x", durability=DURABILITY[mode])
    assert reply.text == "Hello from hello: x"
    events = daemon.events(correlation_id=reply.correlation_id)
    assert [event.type for event in events] == ["PluginInvoked", "PluginResult"]
    assert events[0].plugin_invoked.durability == mode


@pytest.mark.parametrize("mode", MODES)
def test_the_command_line_names_the_mode(daemon: Daemon, mode: str) -> None:
    daemon.load("hello")
    daemon.ctl.ok("invoke-plugin", "hello", "--input", "x", "--durability", mode)
    assert daemon.events(types=["PluginInvoked"])[0].plugin_invoked.durability == mode


@pytest.mark.parametrize("mode", ["durable", "before_run"])
def test_a_reply_means_that_both_events_are_on_disk(daemon: Daemon, mode: str) -> None:
    daemon.load("hello")
    for _ in range(20):
        reply = daemon.invoke("hello", "x", durability=DURABILITY[mode])
        durable = daemon.status().durable_seq
        events = daemon.events_on_disk(correlation_id=reply.correlation_id)
        assert len(events) == 2 and events[-1].seq <= durable


@pytest.mark.parametrize("mode", ["durable", "before_run"])
def test_a_reply_survives_a_kill_right_after_it(daemon: Daemon, mode: str) -> None:
    daemon.load("hello")
    replies = []
    for _ in range(5):
        replies.append(daemon.invoke("hello", "x", durability=DURABILITY[mode]))
        daemon.kill()
        daemon.start()
    recorded = [event.plugin_result.execution_id for event in daemon.events(types=["PluginResult"])]
    assert recorded == [reply.execution_id for reply in replies]


def test_before_run_is_on_disk_before_the_plugin_sees_the_call(daemon: Daemon) -> None:
    daemon.load("slow")
    call = daemon.invoke_later("slow", "60000", correlation_id="first", durability=DURABILITY["before_run"])
    eventually(lambda: daemon.get("slow").statistics.calls_running == 1, "the plugin has it")
    invoked = daemon.events_on_disk(correlation_id="first")
    assert [event.type for event in invoked] == ["PluginInvoked"]
    assert invoked[0].seq <= daemon.status().durable_seq
    call.cancel()


def test_batch_is_on_disk_soon_without_anything_else_happening(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.invoke("hello", "x", durability=DURABILITY["batch"])
    last = daemon.status().last_seq
    eventually(lambda: daemon.status().durable_seq >= last, "the batch is on disk", BATCH_WITHIN_S)


def test_async_is_on_disk_at_the_latest_when_the_log_is_sealed(daemon: Daemon) -> None:
    daemon.load("hello")
    executions = [daemon.invoke("hello", "x", durability=DURABILITY["async"]).execution_id for _ in range(50)]
    daemon.restart()
    assert [event.plugin_result.execution_id for event in daemon.events(types=["PluginResult"])] == executions


def test_a_durable_call_takes_the_async_ones_before_it_to_the_disk(daemon: Daemon) -> None:
    daemon.load("hello")
    for _ in range(10):
        daemon.invoke("hello", "x", durability=DURABILITY["async"])
    last = daemon.status().last_seq
    daemon.invoke("hello", "x", durability=DURABILITY["durable"])
    assert daemon.status().durable_seq >= last


def test_the_configured_mode_is_for_who_does_not_say(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="durability: async\n").start()
    daemon.load("hello")
    daemon.invoke("hello", "unsaid")
    daemon.invoke("hello", "said", durability=DURABILITY["durable"])
    modes = [event.plugin_invoked.durability for event in daemon.events(types=["PluginInvoked"])]
    assert modes == ["async", "durable"]


def test_changes_of_state_are_durable_whatever_the_mode(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="durability: async\n").start()
    plugin = daemon.load("hello")
    daemon.kill()
    daemon.start()
    assert daemon.get("hello").plugin_id == plugin.plugin_id
    daemon.client.plugins.UnloadPlugin(plugin="hello")
    daemon.kill()
    daemon.start()
    assert not daemon.client.plugins.ListPlugins().plugins


def test_a_failed_call_is_as_durable_as_a_good_one(daemon: Daemon) -> None:
    daemon.load("fails")
    with wire.refused("PLUGIN_ERROR") as refusals:
        daemon.invoke("fails", "x")
    daemon.kill()
    daemon.start()
    errors = daemon.events(types=["PluginError"])
    assert [error.plugin_error.execution_id for error in errors] == [refusals[0].metadata["execution_id"]]
