"""Plugins that misbehave: whatever one does, each of its callers gets one clear end, and nobody else notices."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import wire
from harness.daemon import Daemon, assert_every_call_ended_once, state_name
from harness.waiting import eventually
from harness.workshop import Workshop

CANCEL_GRACE_S = 1.0
FLOOD_LINES = 20_000
FLOOD_BYTES = str(FLOOD_LINES * 100)

pytestmark = pytest.mark.user_independent("frames are judged by the kernel thread, which knows no users")


@pytest.fixture
def sibling(daemon: Daemon) -> Callable[[], None]:
    """A well-behaved plugin beside the bad one; calling the fixture asserts that nothing disturbed it."""
    instance = daemon.load("echo").instance_id
    pending = daemon.invoke_later("echo", "60000", operation="sleep")

    def undisturbed() -> None:
        assert daemon.is_running
        assert not pending.done(), "the sibling's pending call ended"
        assert daemon.invoke("echo", "still there").text == "still there"
        assert daemon.get("echo").instance_id == instance
        pending.cancel()
        assert_every_call_ended_once(daemon)

    return undisturbed


# --- sins of the start ---

START_SINS = {
    "exits_at_once": "LOAD_FAILURE",
    "garbage_at_start": "LOAD_FAILURE",
    "wrong_version": "LOAD_FAILURE",
    "result_before_ready": "LOAD_FAILURE",
    "fails_start": "LOAD_FAILURE",
}


@pytest.mark.parametrize("name", START_SINS)
def test_a_plugin_that_does_not_become_ready_is_not_registered(daemon: Daemon, sibling: Callable[[], None],
                                                               name: str) -> None:
    with wire.refused(START_SINS[name], "ABORTED") as refusals:
        daemon.load(name)
    assert refusals[0].metadata["category"] == "LoadFailure"
    assert [plugin.name for plugin in daemon.client.plugins.ListPlugins().plugins] == ["echo"]
    failed = daemon.wait_event("PluginLoadFailed")
    assert failed.plugin_load_failed.reason == START_SINS[name]
    assert failed.plugin_name == name.replace("_", "-")
    sibling()


def test_a_plugin_that_never_says_ready_is_given_up_after_the_time_allowed(
        make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="ready_timeout_ms: 300\n").start()
    begin = time.monotonic()
    with wire.refused("LOAD_FAILURE", "ABORTED") as refusals:
        daemon.load("never_ready")
    assert 0.3 <= time.monotonic() - begin < 3
    assert "Ready" in refusals[0].message
    assert not daemon.client.plugins.ListPlugins().plugins
    assert not daemon.sandbox_pids()


def test_what_a_plugin_said_before_it_failed_is_told_to_who_loads_it(daemon: Daemon) -> None:
    with wire.refused("LOAD_FAILURE") as refusals:
        daemon.load("fails_start")
    assert "there is no ink" in refusals[0].metadata["output"]


def test_a_load_that_failed_can_be_tried_again(daemon: Daemon) -> None:
    for _ in range(3):
        with wire.refused("LOAD_FAILURE"):
            daemon.load("exits_at_once")
    assert not daemon.sandbox_pids()


# --- sins of a call ---

CALL_SINS = {
    "writes_garbage": {"PLUGIN_PROTOCOL_ERROR"},
    "huge_length": {"PLUGIN_PROTOCOL_ERROR"},
    "zero_length": {"PLUGIN_PROTOCOL_ERROR"},
    "unset_kind": {"PLUGIN_PROTOCOL_ERROR"},
    "wrong_kind": {"PLUGIN_PROTOCOL_ERROR"},
    "not_utf8": {"PLUGIN_PROTOCOL_ERROR"},
    "unknown_call_id": {"PLUGIN_PROTOCOL_ERROR"},
    "second_ready": {"PLUGIN_PROTOCOL_ERROR"},
    "half_frame_exit": {"PLUGIN_PROTOCOL_ERROR", "PLUGIN_CRASHED"},
    "dies_mid_call": {"PLUGIN_CRASHED"},
    "exits_mid_call": {"PLUGIN_CRASHED"},
    "closes_pipe": {"PLUGIN_PROTOCOL_ERROR", "PLUGIN_CRASHED"},
}


@pytest.mark.parametrize("name", CALL_SINS)
def test_each_pending_call_of_a_plugin_that_sins_ends_once(daemon: Daemon, sibling: Callable[[], None],
                                                           name: str) -> None:
    plugin = daemon.load(name)
    held = [daemon.invoke_later(plugin.name, operation="hold") for _ in range(5)]
    eventually(lambda: daemon.get(plugin.name).statistics.calls_running == 5, "5 calls are held")
    outcomes = [daemon.invoke_later(plugin.name).outcome()] + [call.outcome() for call in held]
    for outcome in outcomes:
        assert isinstance(outcome, wire.Refusal), outcome
        assert (outcome.code, outcome.metadata["category"]) == ("ABORTED", "InvokeFailure"), outcome
        assert outcome.reason in CALL_SINS[name], outcome
    assert len({outcome.reason for outcome in outcomes}) == 1
    sibling()


@pytest.mark.parametrize("name", CALL_SINS)
def test_a_plugin_that_sinned_is_restarted_and_answers_again(daemon: Daemon, name: str) -> None:
    plugin = daemon.load(name)
    with pytest.raises(wire.Refusal):
        daemon.invoke(plugin.name)
    assert daemon.invoke(plugin.name, "well", operation="echo").text == "well"
    again = daemon.get(plugin.name)
    assert again.plugin_id == plugin.plugin_id
    assert again.instance_id != plugin.instance_id


@pytest.mark.parametrize("name", ["duplicate_result", "output_after_result"])
def test_who_answers_twice_has_answered_once_and_is_restarted(daemon: Daemon, sibling: Callable[[], None],
                                                              name: str) -> None:
    plugin = daemon.load(name)
    held = daemon.invoke_later(plugin.name, operation="hold")
    daemon.wait_event("PluginInvoked", plugin=plugin.name)
    assert daemon.invoke(plugin.name).text in ("once", "done")
    assert held.outcome().reason == "PLUGIN_PROTOCOL_ERROR"
    daemon.wait_event("InstanceCrashed", plugin=plugin.name)
    assert daemon.invoke(plugin.name, "well", operation="echo").text == "well"
    sibling()


def test_half_a_frame_ends_the_call_at_its_deadline(daemon: Daemon, sibling: Callable[[], None]) -> None:
    daemon.load("half_frame")
    begin = time.monotonic()
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("half-frame", timeout_ms=300)
    assert time.monotonic() - begin < 1.5
    # It cannot end the call any more: it is killed after the grace, and comes back.
    daemon.wait_event("InstanceCrashed", plugin="half-frame")
    assert daemon.invoke("half-frame", "well", operation="echo").text == "well"
    sibling()


def test_a_plugin_that_stops_reading_ends_the_call_at_its_deadline(daemon: Daemon,
                                                                   sibling: Callable[[], None]) -> None:
    daemon.load("stops_reading")
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("stops-reading", timeout_ms=300)
    daemon.wait_event("InstanceCrashed", plugin="stops-reading")
    assert daemon.invoke("stops-reading", "well", operation="echo").text == "well"
    sibling()


def test_frames_to_a_plugin_that_does_not_read_are_bounded(daemon: Daemon, sibling: Callable[[], None]) -> None:
    daemon.load("stops_reading")
    stuck = daemon.invoke_later("stops-reading", timeout_ms=20_000)
    daemon.wait_event("PluginInvoked", plugin="stops-reading")
    big = b"x" * (16 * 1024 * 1024)
    calls = [daemon.invoke_later("stops-reading", data=big, operation="echo", timeout_ms=20_000) for _ in range(8)]
    eventually(lambda: any(call.done() for call in calls), "a call is refused")
    refusal = next(call for call in calls if call.done()).outcome()
    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
    daemon.client.plugins.UnloadPlugin(plugin="stops-reading", timeout_s=30)
    for call in [stuck, *calls]:
        assert isinstance(call.outcome(), wire.Refusal)
    sibling()


def test_a_plugin_that_hangs_past_its_deadline_is_killed_after_the_grace_and_restarted(
        daemon: Daemon, sibling: Callable[[], None]) -> None:
    before = daemon.load("slow")
    begin = time.monotonic()
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("slow", "60000", operation="deaf", timeout_ms=200)
    assert time.monotonic() - begin < 0.2 + CANCEL_GRACE_S, "the caller does not wait for the grace"
    crashed = daemon.wait_event("InstanceCrashed", plugin="slow")
    assert time.monotonic() - begin >= 0.2 + CANCEL_GRACE_S * 0.9
    assert "cancelled call" in crashed.instance_crashed.message
    assert daemon.invoke("slow", "0").text == "slept"
    assert daemon.get("slow").instance_id != before.instance_id
    sibling()


def test_other_calls_of_a_plugin_that_is_killed_for_one_end_too(daemon: Daemon) -> None:
    daemon.load("slow")
    innocent = daemon.invoke_later("slow", "20000")
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("slow", "60000", operation="deaf", timeout_ms=100)
    assert innocent.outcome().reason == "PLUGIN_CRASHED"
    assert_every_call_ended_once(daemon)


def test_a_spinning_plugin_is_killed_after_its_deadline(daemon: Daemon, sibling: Callable[[], None]) -> None:
    daemon.load("spinner")
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("spinner", "", timeout_ms=200)
    daemon.wait_event("InstanceCrashed", plugin="spinner")
    assert daemon.invoke("spinner", "0").text == "spun"
    sibling()


# --- floods ---

@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_plugin_that_floods_its_output_answers_and_disturbs_nobody(daemon: Daemon, sibling: Callable[[], None],
                                                                     stream: str) -> None:
    daemon.load(f"floods_{stream}")
    call = daemon.invoke_later(f"floods-{stream}", FLOOD_BYTES)
    begin = time.monotonic()
    assert daemon.invoke("echo", "quick").text == "quick"
    assert time.monotonic() - begin < 0.5
    assert call.result().text == "flooded"
    kept = [entry for reply in daemon.client.plugins.GetPluginLogs(plugin=f"floods-{stream}")
            for entry in reply.entries]
    assert {entry.source for entry in kept} == {stream}
    assert sum(len(entry.line) for entry in kept) <= 1024 * 1024
    assert sum(entry.dropped_before for entry in kept) + len(kept) == FLOOD_LINES
    sibling()


def test_a_flood_that_nobody_ends_is_cut_at_the_deadline(daemon: Daemon, sibling: Callable[[], None]) -> None:
    daemon.load("floods_stdout")
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("floods-stdout", str(1 << 40), timeout_ms=300)
    daemon.wait_event("InstanceCrashed", plugin="floods-stdout")
    assert daemon.status().memory_used_bytes < 256 * 1024 * 1024
    sibling()


def test_a_flood_of_log_frames_is_bounded(daemon: Daemon, sibling: Callable[[], None]) -> None:
    daemon.load("floods_log")
    reply = daemon.invoke("floods-log")
    assert reply.text == "logged"
    assert len(reply.logs) == 100
    sibling()


# --- stopping those who do not want to ---

def test_a_plugin_that_ignores_shutdown_is_killed_after_the_grace(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="stop_grace_ms: 300\n").start()
    daemon.load("ignores_shutdown")
    begin = time.monotonic()
    stopped = daemon.client.plugins.StopPlugin(plugin="ignores-shutdown").plugin
    assert 0.3 <= time.monotonic() - begin < 2
    assert state_name(stopped) == "STOPPED"
    assert not daemon.sandbox_pids()
    event = daemon.wait_event("PluginStopped", plugin="ignores-shutdown")
    assert (event.plugin_stopped.exit.kind, event.plugin_stopped.exit.signal) == ("signalled", 9)


def test_a_plugin_that_ignores_shutdown_does_not_keep_the_daemon(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="stop_grace_ms: 300\n").start()
    daemon.load("ignores_shutdown")
    daemon.disconnect()
    begin = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begin < 3


# --- resources ---

def test_a_memory_hog_hits_its_own_limit(daemon: Daemon, sibling: Callable[[], None], workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("memory_hog", "[limits]\nmemory_bytes_max = 67108864\n"))
    outcome = daemon.invoke_later("memory-hog", "").outcome()
    assert outcome.reason in ("PLUGIN_ERROR", "PLUGIN_CRASHED", "LIMIT_EXCEEDED"), outcome
    sibling()


def test_a_fork_bomb_hits_its_own_limit(daemon: Daemon, sibling: Callable[[], None], workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("fork_bomb", "[limits]\nprocesses_max = 20\n"))
    forks = int(daemon.invoke("fork-bomb").text.split()[0])
    assert 0 < forks <= 20
    daemon.client.plugins.UnloadPlugin(plugin="fork-bomb")
    sibling()


def test_a_fork_bomb_leaves_nothing_behind(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("fork_bomb", "[limits]\nprocesses_max = 20\n"))
    daemon.invoke("fork-bomb")
    assert len(daemon.sandbox_pids()) > 10
    daemon.client.plugins.UnloadPlugin(plugin="fork-bomb")
    eventually(lambda: not daemon.sandbox_pids(), "all forks are gone", 1.0)


def test_a_call_over_its_cpu_time_is_ended_by_the_limit(daemon: Daemon, sibling: Callable[[], None],
                                                        workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("spinner", "[limits]\ncpu_time_ms_max = 200\n"))
    with wire.refused("LIMIT_EXCEEDED", "ABORTED") as refusals:
        daemon.invoke("spinner", "")
    assert refusals[0].metadata["limit"] == "cpu_time_ms_max"
    assert daemon.invoke("spinner", "0").text == "spun"
    sibling()


def test_a_call_over_its_wall_time_is_ended_by_the_limit(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("slow", "[limits]\nwall_time_ms_max = 200\n"))
    with wire.refused("LIMIT_EXCEEDED", "ABORTED") as refusals:
        daemon.invoke("slow", "60000")
    assert refusals[0].metadata["limit"] == "wall_time_ms_max"
    assert daemon.invoke("slow", "0").text == "slept"


# --- health ---

def test_a_sick_plugin_says_so_itself(daemon: Daemon) -> None:
    daemon.load("health")
    assert daemon.client.plugins.GetPluginHealth(plugin="health").healthy
    daemon.invoke("health", "out of paper", operation="sick")
    health = daemon.client.plugins.GetPluginHealth(plugin="health")
    assert not health.healthy
    assert health.detail == "out of paper"
    daemon.invoke("health", operation="well")
    assert daemon.client.plugins.GetPluginHealth(plugin="health").healthy


def test_a_plugin_that_answers_no_ping_is_unhealthy(daemon: Daemon) -> None:
    daemon.load("stops_reading")
    stuck = daemon.invoke_later("stops-reading", timeout_ms=20_000)
    daemon.wait_event("PluginInvoked", plugin="stops-reading")
    health = daemon.client.plugins.GetPluginHealth(plugin="stops-reading")
    assert not health.healthy
    assert "Ping" in health.detail
    stuck.cancel()
