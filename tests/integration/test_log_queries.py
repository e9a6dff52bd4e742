"""The log asked for little, followed over interruptions, exported, audited, and asked for what cannot be."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Callable

import pytest
from harness import wire
from harness.daemon import Daemon
from harness.workshop import Workshop


@pytest.fixture
def busy(daemon: Daemon) -> Daemon:
    daemon.load("hello")
    daemon.load("echo")
    for number in range(5):
        daemon.invoke("hello", f"number {number}", correlation_id=f"call-{number}")
    daemon.invoke("echo", "a needle in the log", correlation_id="sharp")
    return daemon


def replayed(daemon: Daemon, *words: object) -> list[dict[str, object]]:
    return daemon.ctl.ok("replay-log", "-o", "json", *words).json_lines()


# --- filters ---

def test_a_filter_by_text_looks_at_inputs_outputs_and_messages(busy: Daemon) -> None:
    assert [event["type"] for event in replayed(busy, "--text", "needle")] == ["PluginInvoked", "PluginResult"]
    assert [event["type"] for event in replayed(busy, "--text", "Hello from hello: number 3")] == ["PluginResult"]
    assert replayed(busy, "--text", "sharp") == []  # a correlation id has a filter of its own


def test_a_filter_by_actor_takes_all_of_its_name(busy: Daemon) -> None:
    actor = str(replayed(busy, "--type", "PluginInvoked")[0]["actor"])
    assert len(replayed(busy, "--actor", actor, "--type", "PluginInvoked")) == 6
    assert replayed(busy, "--actor", actor[:-1]) == []


def test_explain_tells_what_was_read_on_stderr(busy: Daemon) -> None:
    busy.restart()  # what was written before is sealed now, and has a footer
    outcome = busy.ctl.ok("replay-log", "--text", "needle", "--explain", "-o", "json")
    assert len(outcome.json_lines()) == 2
    assert "segments" in outcome.err and "looked at" in outcome.err
    summary = busy.ctl.ok("replay-log", "--summary", "--plugin", "hello", "--explain")
    assert summary.text.splitlines()[0] == "plugins_invoked: 5"
    assert "skipped 1 of 2 segments" in summary.err


def test_the_summary_from_footers_is_the_summary_from_events(busy: Daemon) -> None:
    words = ["replay-log", "--summary", "-o", "json", "--plugin", "hello"]
    before = busy.ctl.ok(*words).json()
    busy.kill()
    busy.start()
    after = busy.ctl.ok(*words, "--type", "PluginInvoked", "--type", "PluginResult").json()
    assert after["plugins_invoked"] == before["plugins_invoked"] == "5"
    assert after["plugins_completed"] == before["plugins_completed"] == "5"


def test_the_summary_is_its_golden_text(busy: Daemon) -> None:
    assert busy.ctl.ok("replay-log", "--summary").text == (
        "plugins_invoked: 6\nplugins_completed: 6\nplugins_failed: 0\n"
        "tasks_submitted: 0\ntasks_completed: 0\ntasks_failed: 0\n")


# --- what cannot be meant ---

@pytest.mark.parametrize("more", [[], ["--follow"], ["--summary"]])
def test_a_cursor_beyond_the_end_is_refused(busy: Daemon, more: list[str]) -> None:
    error = busy.ctl.refused("replay-log", "--after-seq", 1_000_000, *more)
    assert (error.exit_code, error.reason) == (7, "INVALID_ARGUMENT")
    assert "beyond the end of the log" in error.line and error.hint


@pytest.mark.parametrize("words", [["--since", "1960-01-01T00:00:00Z"], ["--until", "9000-01-01T00:00:00Z"],
                                   ["--since", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"]])
def test_absurd_times_are_refused(busy: Daemon, words: list[str]) -> None:
    error = busy.ctl.refused("replay-log", *words)
    assert (error.exit_code, error.reason) == (7, "INVALID_ARGUMENT")
    assert "since" in error.line or "until" in error.line


def test_a_form_of_events_is_a_form_of_replay_alone(busy: Daemon) -> None:
    outcome = busy.ctl("list-plugins", "-o", "cloudevents")
    assert outcome.exit_code == 2
    assert "replay-log" in outcome.error_json()["message"]


# --- followers ---

def test_a_follower_killed_again_and_again_resumes_without_gap_or_repeat(busy: Daemon) -> None:
    cursor, seen, rng = busy.status().last_seq, [], random.Random(4)
    begin, stop = cursor, threading.Event()

    def work() -> None:
        client = wire.Client(busy.socket)
        while not stop.is_set():
            client.plugins.InvokePlugin(plugin="hello", text="again")
        client.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(12):
            with busy.ctl.start("replay-log", "--follow", "-o", "jsonl", "--after-seq", cursor) as follower:
                for _ in range(rng.randrange(1, 60)):
                    seen.append(int(json.loads(follower.line())["seq"]))
                follower.process.kill()
                assert follower.process.stdout is not None
                rest = follower.process.stdout.read()
                # A line that was cut is not read: the cursor stands behind the last whole one.
                seen += [int(json.loads(line)["seq"]) for line in rest.decode().split("\n")[:-1]]
            cursor = seen[-1]
    finally:
        stop.set()
        worker.join()
    assert seen == list(range(begin + 1, begin + 1 + len(seen)))


def test_who_leaves_a_follower_is_told_how_to_come_back(busy: Daemon) -> None:
    last = busy.status().last_seq
    with busy.ctl.start("replay-log", "--follow", "-o", "json", "--after-seq", last - 1) as follower:
        follower.line()
        follower.process.send_signal(signal.SIGINT)
        _, err = follower.process.communicate(timeout=10)
        assert err.decode() == f"go on with --after-seq {last}\n"


# --- export ---

def test_jsonl_is_json(busy: Daemon) -> None:
    assert replayed(busy) == busy.ctl.ok("replay-log", "-o", "jsonl").json_lines()


def test_the_stock_sdk_reads_the_cloudevents(busy: Daemon) -> None:
    cloudevents = pytest.importorskip("cloudevents.http", reason="the cloudevents SDK is not in build/venv: PyPI was "
                                      "out of reach when scripts/setup test ran")
    lines = busy.ctl.ok("replay-log", "-o", "cloudevents").text.splitlines()
    events = [cloudevents.from_json(line) for line in lines]
    assert [event["id"] for event in events] == [str(number) for number in range(1, len(lines) + 1)]
    assert len({(event["source"], event["id"]) for event in events}) == len(events)
    invoked = [event for event in events if event["type"] == "liongate.v1.PluginInvoked"][-1]
    assert invoked["source"] == f"/liongate/nodes/{busy.status().node_id}"
    assert (invoked["specversion"], invoked["subject"], invoked["correlationid"]) == ("1.0", "echo", "sharp")
    assert invoked["datacontenttype"] == "application/json"
    assert invoked.data["input"]["text"] == "a needle in the log"
    assert invoked["time"] == replayed(busy, "--correlation-id", "sharp")[0]["time"]


def test_cloudevents_have_their_form_without_an_sdk_too(busy: Daemon) -> None:
    for event in busy.ctl.ok("replay-log", "-o", "cloudevents").json_lines():
        assert {"specversion", "id", "source", "type", "time", "data"} <= set(event)
        # Names of attributes are lower-case letters and digits, and none is empty.
        assert all(name.isalnum() and name == name.lower() for name in event)
        assert all(value != "" for value in event.values())


# --- audit ---

def test_the_audit_tells_who_did_what_and_what_was_denied(make_daemon: Callable[..., Daemon],
                                                          workshop: Workshop) -> None:
    daemon = make_daemon(environment="production").start()
    daemon.load("hello")
    daemon.invoke("hello", "x")
    folder = workshop.with_permissions("probe", ["process"])
    with wire.refused("PERMISSION_DENIED"):
        daemon.load(folder / "manifest.toml")
    lines = [line.split() for line in daemon.ctl.ok("replay-log", "--audit").text.splitlines()]
    assert lines[0] == ["SEQ", "TIME", "ACTOR", "ACTION", "PLUGIN", "OUTCOME", "DETAIL"]
    deeds = [tuple(line[3:7]) for line in lines[1:]]
    actor = str(replayed(daemon, "--type", "PluginInvoked")[0]["actor"])
    assert (actor, "load", "hello", "allowed") in deeds
    assert (actor, "invoke", "hello", "allowed") in deeds
    assert deeds.count((actor, "load", "probe", "denied")) == 1
    assert len(replayed(daemon, "--type", "PermissionDenied")) == 1


def test_a_permission_taken_back_is_one_denial_at_the_next_start(make_daemon: Callable[..., Daemon],
                                                                 workshop: Workshop) -> None:
    daemon = make_daemon().start()
    daemon.load(workshop.with_permissions("probe", ["process"]))
    daemon.disconnect()
    daemon.stop()
    daemon.environment = "production"
    daemon.start()
    daemon.wait_event("PluginFailed")
    events = daemon.events(types=["PermissionDenied", "PluginFailed"])
    assert [event.type for event in events] == ["PermissionDenied", "PluginFailed"]
    assert events[0].permission_denied.action == "start"
