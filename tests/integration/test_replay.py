"""The log as people read it: gapless, filtered, followed, counted, verified."""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime, timezone

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, DidNotStart

SUMMARY_KEYS = ["plugins_invoked", "plugins_completed", "plugins_failed", "tasks_submitted", "tasks_completed",
                "tasks_failed"]


@pytest.fixture
def busy(daemon: Daemon) -> Daemon:
    """Two plugins, three good calls, one bad."""
    daemon.load("hello")
    daemon.load("fails")
    for number in range(3):
        daemon.invoke("hello", str(number), correlation_id=f"call-{number}")
    with wire.refused("PLUGIN_ERROR"):
        daemon.invoke("fails", "x", correlation_id="bad")
    return daemon


def replayed(daemon: Daemon, *words: object) -> list[dict[str, object]]:
    return daemon.ctl.ok("replay-log", "-o", "json", *words).json_lines()


def test_every_event_is_there_in_order_without_a_gap(busy: Daemon) -> None:
    events = replayed(busy)
    assert [int(str(event["seq"])) for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "DaemonStarted"
    times = [str(event["time"]) for event in events]
    assert times == sorted(times)


def test_an_acknowledged_call_can_be_read_at_once(daemon: Daemon) -> None:
    daemon.load("hello")
    for number in range(20):
        reply = daemon.invoke("hello", str(number))
        types = [event.type for event in daemon.events_on_disk(correlation_id=reply.correlation_id)]
        assert types == ["PluginInvoked", "PluginResult"]


def test_json_has_the_field_names_of_the_protos_and_prints_defaults(busy: Daemon) -> None:
    event = replayed(busy, "--type", "PluginInvoked")[0]
    assert {"seq", "time", "type", "plugin_id", "plugin_name", "instance_id", "correlation_id", "actor",
            "plugin_invoked"} <= set(event)
    assert event["plugin_invoked"]["operation"] == ""  # type: ignore[index]


@pytest.mark.parametrize("by_id", [False, True])
def test_a_filter_by_plugin_takes_its_name_or_its_id(busy: Daemon, by_id: bool) -> None:
    word = busy.get("fails").plugin_id if by_id else "fails"
    events = replayed(busy, "--plugin", word)
    assert {event["plugin_name"] for event in events} == {"fails"}
    assert [event["type"] for event in events][-2:] == ["PluginInvoked", "PluginError"]


def test_a_filter_by_type_takes_several(busy: Daemon) -> None:
    events = replayed(busy, "--type", "PluginInvoked", "--type", "PluginError")
    assert [event["type"] for event in events] == ["PluginInvoked"] * 4 + ["PluginError"]


def test_a_filter_by_correlation_id_shows_one_call(busy: Daemon) -> None:
    events = replayed(busy, "--correlation-id", "call-1")
    assert [event["type"] for event in events] == ["PluginInvoked", "PluginResult"]
    assert events[0]["plugin_invoked"]["execution_id"] == events[1]["plugin_result"]["execution_id"]  # type: ignore


def test_after_seq_and_limit_page_through_the_log(busy: Daemon) -> None:
    everything = replayed(busy)
    pages: list[dict[str, object]] = []
    while page := replayed(busy, "--after-seq", len(pages), "--limit", 4):
        assert len(page) <= 4
        pages += page
    assert pages == everything


def test_since_takes_a_time_and_a_duration(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.invoke("hello", "before")
    time.sleep(0.05)  # the one place where time itself is what is tested
    now = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
    daemon.invoke("hello", "after")
    texts = [event["plugin_invoked"]["input"]["text"]  # type: ignore[index]
             for event in replayed(daemon, "--since", now, "--type", "PluginInvoked")]
    assert texts == ["after"]
    assert len(replayed(daemon, "--since", "10m")) == len(replayed(daemon))
    assert replayed(daemon, "--until", now)[-1]["type"] == "PluginResult"


def test_filters_are_joined_by_and(busy: Daemon) -> None:
    assert len(replayed(busy, "--plugin", "hello", "--type", "PluginInvoked", "--correlation-id", "call-2")) == 1
    assert replayed(busy, "--plugin", "hello", "--correlation-id", "bad") == []


def test_no_match_prints_the_empty_text(busy: Daemon) -> None:
    assert busy.ctl.ok("replay-log", "--plugin", "nobody").text == "No events to replay.\n"
    assert busy.ctl.ok("replay-log", "--plugin", "nobody", "-o", "json").text == ""


def test_the_table_has_a_line_for_each_event(busy: Daemon) -> None:
    lines = busy.ctl.ok("replay-log", "--plugin", "hello").text.splitlines()
    assert lines[0].split() == ["SEQ", "TIME", "TYPE", "PLUGIN", "CORRELATION", "DETAIL"]
    assert len(lines) == 1 + len(replayed(busy, "--plugin", "hello"))


def test_a_hostile_text_makes_no_second_line_in_the_table(daemon: Daemon) -> None:
    daemon.load("echo")
    daemon.invoke("echo", "a\nb\x1b[31mred\r\x07", correlation_id="hostile\x1b[2J")
    shown = daemon.ctl.ok("replay-log", "--type", "PluginInvoked").text
    assert len(shown.splitlines()) == 2
    assert "\x1b" not in shown and "\r" not in shown and "\x07" not in shown


def test_follow_shows_what_is_to_come(busy: Daemon) -> None:
    last = busy.status().last_seq
    with busy.ctl.start("replay-log", "--follow", "-o", "json", "--after-seq", last) as follower:
        busy.invoke("hello", "while it follows", correlation_id="live")
        assert json.loads(follower.line())["type"] == "PluginInvoked"
        assert json.loads(follower.line())["correlation_id"] == "live"


def test_follow_begins_with_the_backlog(busy: Daemon) -> None:
    with busy.ctl.start("replay-log", "--follow", "-o", "json") as follower:
        assert json.loads(follower.line())["seq"] == "1"


def test_leaving_follow_with_ctrl_c_is_no_error(busy: Daemon) -> None:
    with busy.ctl.start("replay-log", "--follow", "-o", "json") as follower:
        follower.line()
        follower.process.send_signal(signal.SIGINT)
        follower.process.communicate(timeout=10)
        assert follower.process.returncode == 0


def test_many_followers_see_the_same(busy: Daemon) -> None:
    last = busy.status().last_seq
    clients = [wire.Client(busy.socket) for _ in range(8)]
    streams = [client.log.open("ReplayEvents", follow=True, filter={"after_seq": last}) for client in clients]
    for number in range(50):
        busy.invoke("hello", str(number))
    for stream in streams:
        seqs: list[int] = []
        for reply in stream:
            seqs += [event.seq for event in reply.events]
            if len(seqs) >= 100:
                break
        assert seqs == list(range(last + 1, last + 101))
        stream.cancel()
    for client in clients:
        client.close()


def test_a_slow_follower_holds_up_nobody(busy: Daemon) -> None:
    stream = busy.client.log.open("ReplayEvents", follow=True)
    next(stream)
    begin = time.monotonic()
    for number in range(200):
        busy.invoke("hello", "x" * 10_000, correlation_id=f"flood-{number}")
    assert time.monotonic() - begin < 10
    stream.cancel()


def test_the_summary_is_the_counts_and_nothing_else(busy: Daemon) -> None:
    lines = busy.ctl.ok("replay-log", "--summary").text.splitlines()
    counts = dict(line.split(": ") for line in lines)
    assert [key for key in counts if key in SUMMARY_KEYS] == SUMMARY_KEYS
    assert [counts[key] for key in SUMMARY_KEYS] == ["4", "3", "1", "0", "0", "0"]


def test_the_summary_counts_what_the_filter_leaves(busy: Daemon) -> None:
    counts = busy.ctl.ok("replay-log", "--summary", "--plugin", "fails", "-o", "json").json()
    assert (counts["plugins_invoked"], counts["plugins_completed"], counts["plugins_failed"]) == ("1", "0", "1")
    assert counts["counts_by_type"]["PluginError"] == "1"


def test_the_summary_is_the_same_after_a_restart(busy: Daemon) -> None:
    before = busy.ctl.ok("replay-log", "--summary", "--plugin", "hello", "--type", "PluginInvoked").text
    busy.kill()
    busy.start()
    assert busy.ctl.ok("replay-log", "--summary", "--plugin", "hello", "--type", "PluginInvoked").text == before


def test_a_replay_over_several_segments_has_no_gap(make_daemon: object) -> None:
    assert callable(make_daemon)
    daemon = make_daemon(config="log_segment_bytes: 65536\n").start()
    daemon.load("echo")
    for number in range(60):
        daemon.invoke("echo", "x" * 4000, correlation_id=str(number))
    assert len(list((daemon.state_dir / "log").glob("*.lgl"))) > 3
    events = daemon.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    daemon.kill()
    daemon.start()
    assert len(daemon.events(types=["PluginResult"])) == 60


# --- verify-log ---

def test_a_whole_log_verifies_with_and_without_the_daemon(busy: Daemon) -> None:
    assert busy.ctl.ok("verify-log").text.startswith("intact: ")
    busy.disconnect()
    busy.stop()
    offline = command_line.run(paths.LIONGATECTL, "verify-log", "--state-dir", busy.state_dir)
    assert (offline.exit_code, offline.text.split(":")[0]) == (0, "intact")


def test_verify_log_of_the_daemon_agrees_with_replay(busy: Daemon) -> None:
    report = busy.ctl.ok("verify-log", "-o", "json").json()
    assert report["intact"] is True and report["damages"] == []
    assert int(report["last_seq"]) == len(replayed(busy))


def damaged_log(daemon: Daemon, where: bytes) -> int:
    """Stops the daemon and flips one bit of an event that was acknowledged; returns the offset."""
    daemon.disconnect()
    daemon.stop()
    daemon.damaged = True
    segment = sorted((daemon.state_dir / "log").glob("*.lgl"))[0]
    contents = bytearray(segment.read_bytes())
    offset = contents.index(where)
    contents[offset] ^= 1
    segment.write_bytes(contents)
    return offset


def test_one_flipped_bit_is_found_and_named(busy: Daemon) -> None:
    busy.invoke("hello", "needle-in-the-log")
    busy.invoke("hello", "behind it")
    offset = damaged_log(busy, b"needle-in-the-log")
    outcome = command_line.run(paths.LIONGATECTL, "verify-log", "--state-dir", busy.state_dir, "-o", "json")
    assert outcome.exit_code == 1
    report = outcome.json()
    assert report["intact"] is False
    damage = report["damages"][0]
    assert damage["kind"] == "bad_crc"
    assert damage["segment"].endswith("00000000000000000001.lgl")
    assert 0 <= offset - int(damage["offset"]) < 4096
    assert int(damage["seq"]) > 0 and damage["message"]


def test_verify_log_changes_nothing(busy: Daemon) -> None:
    damaged_log(busy, b"call-1")
    before = {path.name: path.read_bytes() for path in (busy.state_dir / "log").iterdir()}
    for _ in range(2):
        assert command_line.run(paths.LIONGATED, "--verify-log", busy.state_dir).exit_code == 1
    assert {path.name: path.read_bytes() for path in (busy.state_dir / "log").iterdir()} == before


def test_a_daemon_does_not_start_on_a_damaged_log(busy: Daemon) -> None:
    damaged_log(busy, b"call-1")
    with pytest.raises(DidNotStart) as refused:
        busy.start()
    assert refused.value.exit_code == 1
    assert "LOG_CORRUPT" in refused.value.log
    assert "offset" in refused.value.log


def test_verify_log_of_a_folder_without_a_log_is_an_error(busy: Daemon) -> None:
    outcome = command_line.run(paths.LIONGATECTL, "verify-log", "--state-dir", "/no/such/folder")
    assert outcome.exit_code != 0
    assert outcome.err


def test_a_torn_tail_is_cut_off_and_recorded(busy: Daemon) -> None:
    busy.kill()
    segment = sorted((busy.state_dir / "log").glob("*.lgl"))[-1]
    # The bytes of a record that was begun: behind the last commit, where only zeroes are.
    contents = bytearray(segment.read_bytes())
    end = len(contents.rstrip(b"\0"))
    end += -end % 8
    contents[end : end + 64] = b"\xa5" * 64
    segment.write_bytes(contents)
    busy.start()
    recovered = busy.wait_event("LogRecovered")
    assert recovered.log_recovered.bytes_dropped > 0
    assert busy.invoke("hello", "x").text == "Hello from hello: x"
