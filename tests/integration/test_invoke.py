"""Calls: what goes in, what comes out, how long it may take, and what the log says about it."""

from __future__ import annotations

import hashlib
import time
import uuid

import pytest
from harness import wire
from harness.daemon import Daemon, assert_every_call_ended_once, invoke_fields
from harness.waiting import eventually

MIB = 1024 * 1024
INPUT_BYTES_MAX = 16 * MIB
KEPT_BYTES_MAX = 64 * 1024
CALLS_PER_PLUGIN_MAX = 1024


def test_hello_greets_with_its_name_and_the_input(daemon: Daemon) -> None:
    daemon.load("hello")
    assert daemon.invoke("hello", "test").text == "Hello from hello: test"


def test_invoke_plugin_prints_the_output_byte_for_byte(daemon: Daemon) -> None:
    daemon.load("echo")
    assert daemon.ctl.ok("invoke-plugin", "echo", "--input", "no line end").out == b"no line end"


@pytest.mark.parametrize("words", [["hello"], ["--id", "hello"], ["--plugin-id", "hello"]])
def test_the_plugin_may_be_the_first_word_or_an_option(daemon: Daemon, words: list[str]) -> None:
    daemon.load("hello")
    assert daemon.ctl.ok("invoke-plugin", *words, "--input", "test").text == "Hello from hello: test"


def test_a_plugin_is_called_by_its_id(daemon: Daemon) -> None:
    plugin = daemon.load("hello")
    assert daemon.ctl.ok("invoke-plugin", "--plugin-id", plugin.plugin_id, "--input", "x").text == "Hello from hello: x"


@pytest.mark.parametrize("text", ["", "ünïcödé ☃ 🦁", "a\nb\0c\td", "x" * 100_000])
def test_any_text_comes_through_unchanged(daemon: Daemon, text: str) -> None:
    daemon.load("echo")
    assert daemon.invoke("echo", text).text == text


def test_bytes_come_through_as_bytes(daemon: Daemon) -> None:
    daemon.load("echo")
    every_byte = bytes(range(256)) * 16
    reply = daemon.invoke("echo", data=every_byte)
    assert reply.WhichOneof("output") == "data"
    assert reply.data == every_byte


def test_stdin_is_the_input_where_a_dash_is_given(daemon: Daemon) -> None:
    daemon.load("echo")
    every_byte = bytes(range(256))
    assert daemon.ctl.ok("invoke-plugin", "echo", "--input-file", "-", stdin=every_byte).out == every_byte


def test_the_input_may_be_a_file(daemon: Daemon) -> None:
    daemon.load("echo")
    file = daemon.folder / "input"
    file.write_bytes(b"from a file\n")
    assert daemon.ctl.ok("invoke-plugin", "echo", "--input-file", file).out == b"from a file\n"


def test_the_largest_input_comes_through(daemon: Daemon) -> None:
    daemon.load("echo")
    assert len(daemon.invoke("echo", data=b"x" * INPUT_BYTES_MAX).data) == INPUT_BYTES_MAX


def test_an_input_over_the_bound_is_refused_and_recorded(daemon: Daemon) -> None:
    daemon.load("echo")
    with wire.refused("INPUT_TOO_LARGE", "RESOURCE_EXHAUSTED"):
        daemon.invoke("echo", data=b"x" * (INPUT_BYTES_MAX + 1))
    error = daemon.wait_event("PluginError", plugin="echo")
    assert error.plugin_error.reason == "INPUT_TOO_LARGE"
    assert daemon.invoke("echo", "still there").text == "still there"


def test_the_reply_carries_what_the_host_measured(daemon: Daemon) -> None:
    plugin = daemon.load("echo")
    reply = daemon.invoke("echo", "50", operation="spin")
    assert uuid.UUID(reply.execution_id) and uuid.UUID(reply.correlation_id)
    assert reply.plugin_id == plugin.plugin_id
    assert reply.success
    assert reply.execution_time_ms >= 50
    assert reply.cpu_time_ms >= 30, "it burned 50 ms of CPU time"
    assert reply.memory_used_bytes > 0


def test_the_callers_correlation_id_is_on_both_events(daemon: Daemon) -> None:
    daemon.load("hello")
    assert daemon.invoke("hello", "x", correlation_id="order-4711").correlation_id == "order-4711"
    events = daemon.events(correlation_id="order-4711")
    assert [event.type for event in events] == ["PluginInvoked", "PluginResult"]


def test_a_correlation_id_is_made_up_for_who_gave_none(daemon: Daemon) -> None:
    daemon.load("hello")
    reply = daemon.invoke("hello", "x")
    events = daemon.events(correlation_id=reply.correlation_id)
    assert [event.type for event in events] == ["PluginInvoked", "PluginResult"]
    assert {event.plugin_invoked.execution_id or event.plugin_result.execution_id for event in events} == {
        reply.execution_id}


def test_small_contents_are_stored_in_the_log(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.invoke("hello", "small")
    invoked, result = daemon.events(types=["PluginInvoked", "PluginResult"])
    assert invoked.plugin_invoked.input.text == "small"
    assert result.plugin_result.output.text == "Hello from hello: small"
    assert result.plugin_result.figures.execution_time_ms > 0


def test_large_contents_are_stored_as_length_and_digest(daemon: Daemon) -> None:
    daemon.load("echo")
    large = b"x" * (KEPT_BYTES_MAX + 1)
    daemon.invoke("echo", data=large)
    invoked, result = daemon.events(types=["PluginInvoked", "PluginResult"])
    for content in (invoked.plugin_invoked.input, result.plugin_result.output):
        assert content.WhichOneof("kind") is None
        assert content.size_bytes == len(large)
        assert content.sha256 == hashlib.sha256(large).hexdigest()


def test_a_call_that_the_plugin_fails_says_why(daemon: Daemon) -> None:
    daemon.load("fails")
    with wire.refused("PLUGIN_ERROR", "ABORTED") as refusals:
        daemon.invoke("fails", "the report")
    assert refusals[0].message == "no paper for: the report"
    assert refusals[0].metadata["plugin_code"] == "OUT_OF_PAPER"
    assert refusals[0].metadata["retryable"] == "false"
    assert refusals[0].metadata["category"] == "InvokeFailure"
    error = daemon.events(types=["PluginError"])[0]
    assert error.plugin_error.plugin_code == "OUT_OF_PAPER"
    assert error.correlation_id == refusals[0].metadata["correlation_id"]


def test_a_failure_that_may_pass_says_so(daemon: Daemon) -> None:
    daemon.load("fails")
    with wire.refused("PLUGIN_ERROR") as refusals:
        daemon.invoke("fails", operation="retryable")
    assert refusals[0].metadata["retryable"] == "true"


def test_an_exception_in_a_handler_fails_the_call_and_not_the_plugin(daemon: Daemon) -> None:
    plugin = daemon.load("fails")
    with wire.refused("PLUGIN_ERROR") as refusals:
        daemon.invoke("fails", operation="throws")
    assert "thrown on purpose" in refusals[0].message
    assert daemon.get("fails").instance_id == plugin.instance_id


def test_an_operation_that_is_not_there_fails_the_call(daemon: Daemon) -> None:
    daemon.load("hello")
    with wire.refused("PLUGIN_ERROR") as refusals:
        daemon.invoke("hello", operation="nonsense")
    assert refusals[0].metadata["plugin_code"] == "UNKNOWN_OPERATION"


def test_warnings_and_metadata_come_with_the_reply_and_into_the_log(daemon: Daemon) -> None:
    daemon.load("fails")
    reply = daemon.invoke("fails", operation="warns")
    assert list(reply.warnings) == ["but only just"]
    assert dict(reply.metadata) == {"paper": "low"}
    result = daemon.events(types=["PluginResult"])[0].plugin_result
    assert list(result.warnings) == ["but only just"]
    assert dict(result.metadata) == {"paper": "low"}


def test_a_call_ends_at_its_deadline_while_it_runs(daemon: Daemon) -> None:
    daemon.load("slow")
    begin = time.monotonic()
    with wire.refused("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED") as refusals:
        daemon.invoke("slow", "60000", timeout_ms=200)
    assert 0.2 <= time.monotonic() - begin < 1.0
    assert "while it ran" in refusals[0].message


def test_a_call_ends_at_its_deadline_while_it_is_queued(daemon: Daemon) -> None:
    daemon.load("slow_single")
    running = daemon.invoke_later("slow-single", "800")
    daemon.wait_event("PluginInvoked", plugin="slow-single")
    with wire.refused("DEADLINE_EXCEEDED") as refusals:
        daemon.invoke("slow-single", "0", timeout_ms=150)
    assert "queue" in refusals[0].message
    assert running.result().text == "slept"


def test_a_plugin_that_honours_its_cancel_is_not_restarted(daemon: Daemon) -> None:
    plugin = daemon.load("slow")
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("slow", "60000", timeout_ms=100)
    assert daemon.invoke("slow", "1500").text == "slept", "1.5 s: the grace after the cancel is over"
    assert daemon.get("slow").instance_id == plugin.instance_id


def test_a_cancelled_call_reaches_the_plugin_and_the_log(daemon: Daemon) -> None:
    plugin = daemon.load("slow_single")
    call = daemon.invoke_later("slow-single", "60000")
    daemon.wait_event("PluginInvoked", plugin="slow-single")
    call.cancel()
    error = daemon.wait_event("PluginError", plugin="slow-single")
    assert error.plugin_error.reason == "CANCELLED"
    # The one slot is free again, in the same process: the plugin was told and ended the call.
    assert daemon.invoke("slow-single", "0").text == "slept"
    assert daemon.get("slow-single").instance_id == plugin.instance_id


def test_the_grpc_deadline_of_the_caller_holds_too(daemon: Daemon) -> None:
    daemon.load("slow")
    begin = time.monotonic()
    call = daemon.client.plugins.later("InvokePlugin", timeout_s=0.2, plugin="slow", text="60000")
    assert call.outcome().code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - begin < 1.0
    # Whether our own clock or gRPC's notices first is a race; that the call ends in the log is not.
    error = daemon.wait_event("PluginError", plugin="slow")
    assert error.plugin_error.reason in ("DEADLINE_EXCEEDED", "CANCELLED")


def test_calls_run_beside_each_other_up_to_the_declared_concurrency(daemon: Daemon) -> None:
    daemon.load("slow")
    begin = time.monotonic()
    calls = [daemon.invoke_later("slow", "400") for _ in range(16)]
    assert all(call.result().text == "slept" for call in calls)
    assert time.monotonic() - begin < 1.6, "16 calls of 0.4 s were not concurrent"


def test_a_plugin_of_concurrency_one_gets_one_call_at_a_time(daemon: Daemon) -> None:
    daemon.load("slow_single")
    begin = time.monotonic()
    replies = [call.result() for call in [daemon.invoke_later("slow-single", "150") for _ in range(4)]]
    assert time.monotonic() - begin >= 0.6
    assert max(reply.queue_time_ms for reply in replies) >= 400


def test_a_slow_call_does_not_hold_up_another_plugin(daemon: Daemon) -> None:
    daemon.load("slow_single")
    daemon.load("hello")
    slow = daemon.invoke_later("slow-single", "1000")
    begin = time.monotonic()
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"
    assert time.monotonic() - begin < 0.5
    assert not slow.done()
    slow.result()


def test_a_full_queue_refuses_with_a_hint_when_to_retry(daemon: Daemon) -> None:
    daemon.load("slow_single")
    # One connection carries 1024 calls at most, so that the queue cannot be filled through a single one.
    with wire.Client(daemon.socket) as one, wire.Client(daemon.socket) as other:
        calls = [client.plugins.later("InvokePlugin", **invoke_fields("slow-single", "60000", {}))
                 for client in (one, other) for _ in range(CALLS_PER_PLUGIN_MAX // 2)]
        eventually(lambda: daemon.get("slow-single").statistics.calls_queued == CALLS_PER_PLUGIN_MAX - 1,
                   "the queue is full")
        with wire.refused("QUEUE_FULL", "RESOURCE_EXHAUSTED") as refusals:
            daemon.invoke("slow-single", "0")
        assert int(refusals[0].metadata["retry_delay_ms"]) > 0
        assert daemon.ctl.refused("invoke-plugin", "slow-single").exit_code == 9
        assert not any(call.done() for call in calls)
    # Both clients have gone: nobody waits for any of the calls, and every one of them ends in the log.
    daemon.wait_idle()
    assert daemon.invoke("slow-single", "0").text == "slept"
    assert_every_call_ended_once(daemon)


def test_parts_of_an_output_come_as_they_are_made(daemon: Daemon) -> None:
    daemon.load("streamer")
    stream = daemon.client.plugins.StreamInvokePlugin(invoke={"plugin": "streamer", "text": "20", "operation": "slow"})
    times = []
    messages = []
    for message in stream:
        times.append(time.monotonic())
        messages.append(message)
    assert [message.part.text for message in messages[:-1]] == [f"part {i}\n" for i in range(1, 21)]
    assert messages[-1].end.text == "done"
    assert times[-1] - times[0] > 0.2, "they came all at once"


def test_stream_prints_the_parts_and_then_the_end(daemon: Daemon) -> None:
    daemon.load("streamer")
    printed = daemon.ctl.ok("invoke-plugin", "streamer", "--input", "3", "--stream")
    assert printed.text == "part 1\npart 2\npart 3\ndone"


def test_who_asks_without_stream_gets_the_end_alone(daemon: Daemon) -> None:
    daemon.load("streamer")
    assert daemon.ctl.ok("invoke-plugin", "streamer", "--input", "3").text == "done"


def test_a_streamed_call_whose_reader_leaves_is_cancelled(daemon: Daemon) -> None:
    daemon.load("streamer")
    stream = daemon.client.plugins.open("StreamInvokePlugin",
                                        invoke={"plugin": "streamer", "text": "100000", "operation": "slow"})
    next(stream)
    stream.cancel()
    assert daemon.wait_event("PluginError", plugin="streamer").plugin_error.reason == "CANCELLED"


def test_an_output_of_the_largest_size_comes_through(daemon: Daemon) -> None:
    daemon.load("big_output")
    assert len(daemon.invoke("big-output", str(16 * MIB)).text) == 16 * MIB


def test_an_output_over_the_bound_fails_the_call_alone(daemon: Daemon) -> None:
    plugin = daemon.load("big_output")
    with wire.refused("PLUGIN_ERROR") as refusals:
        daemon.invoke("big-output", str(16 * MIB + 1))
    assert refusals[0].metadata["plugin_code"] == "OUTPUT_TOO_LARGE"
    assert daemon.get("big-output").instance_id == plugin.instance_id


def test_show_log_prints_what_the_plugin_logged_for_this_call(daemon: Daemon) -> None:
    daemon.load("logger")
    printed = daemon.ctl.ok("invoke-plugin", "logger", "--input", "marker", "--show-log")
    assert printed.text == "logged"
    for level in ("debug", "info", "warning", "error"):
        assert f"{level}: marker" in printed.err


def test_unknown_plugins_are_not_found_and_leave_no_event(daemon: Daemon) -> None:
    before = daemon.status().last_seq
    with wire.refused("PLUGIN_NOT_FOUND", "NOT_FOUND") as refusals:
        daemon.invoke(str(uuid.uuid4()))
    assert refusals[0].metadata["category"] == "InvokeFailure"
    assert daemon.status().last_seq == before


@pytest.mark.parametrize("fields", [{"timeout_ms": -1000}, {"timeout_ms": 25 * 3600 * 1000}, {"operation": "o" * 129},
                                    {"correlation_id": "c" * 129}])
def test_arguments_out_of_bounds_are_refused(daemon: Daemon, fields: dict[str, object]) -> None:
    daemon.load("hello")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        daemon.invoke("hello", "x", timeout_s=None, **fields)
    assert daemon.invoke("hello", "x").success


def test_statistics_count_what_happened(daemon: Daemon) -> None:
    daemon.load("fails")
    daemon.invoke("fails", operation="warns")
    for _ in range(2):
        with wire.refused("PLUGIN_ERROR"):
            daemon.invoke("fails", "x")
    statistics = daemon.get("fails").statistics
    assert (statistics.calls_started, statistics.calls_completed, statistics.calls_failed) == (3, 1, 2)
    assert (statistics.calls_running, statistics.calls_queued) == (0, 0)
