"""repair-log: a daemon that refuses a damaged log names the command; then the daemon starts, and nothing is gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import command_line, paths
from harness.daemon import Daemon, DidNotStart

SMALL_SEGMENTS = "stop_grace_ms: 1000\nlog_segment_bytes: 1048576\n"


def repair(daemon: Daemon, *words: str) -> command_line.Outcome:
    return command_line.run(paths.LIONGATECTL, "repair-log", "--state-dir", daemon.state_dir, *words)


def segments(daemon: Daemon) -> list[Path]:
    return sorted((daemon.state_dir / "log").glob("*.lgl"))


@pytest.fixture
def damaged(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Stopped, over a log of several segments, with a flipped bit in the second."""
    daemon = make_daemon(config=SMALL_SEGMENTS).start()
    daemon.load("hello")
    for number in range(200):
        daemon.invoke("hello", f"{number} " + "x" * 8000)
    daemon.disconnect()
    assert daemon.stop() == 0
    daemon.damaged = True
    assert len(segments(daemon)) >= 3
    contents = bytearray(segments(daemon)[1].read_bytes())
    contents[contents.index(b"x" * 100, len(contents) // 2)] ^= 1
    segments(daemon)[1].write_bytes(contents)
    return daemon


def test_the_refused_start_names_the_remedy_and_the_remedy_works(damaged: Daemon) -> None:
    before = {path.name: path.read_bytes() for path in segments(damaged)}
    verified = command_line.run(paths.LIONGATECTL, "verify-log", "--state-dir", damaged.state_dir, "-o", "json").json()
    last_good = int(verified["damages"][0]["seq"])
    # A daemon reads the seals of inner segments only; the damage meets it when it replays, from the first event on.
    shutil.rmtree(damaged.state_dir / "snapshots")
    with pytest.raises(DidNotStart) as refused:
        damaged.start()
    assert refused.value.exit_code == 1
    assert "LOG_CORRUPT" in refused.value.log
    assert f"liongatectl repair-log --state-dir {damaged.state_dir}" in refused.value.log
    outcome = repair(damaged)
    assert outcome.exit_code == 0, outcome.err
    assert f"kept: {last_good} events, 1 to {last_good}" in outcome.text
    quarantine = damaged.state_dir / "log" / "quarantine-1"
    assert f"nothing was deleted: the rest lies in {quarantine}" in outcome.text
    for name, contents in before.items():
        places = [damaged.state_dir / "log" / name, quarantine / name]
        assert contents in [place.read_bytes() for place in places if place.exists()], name
    again = repair(damaged)
    assert (again.exit_code, again.text.split(":")[0]) == (0, "nothing to repair")
    damaged.damaged = False
    damaged.start()
    assert damaged.invoke("hello", "on").text == "Hello from hello: on"
    events = damaged.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_damage_that_a_snapshot_spares_the_start_is_told_to_who_reads_there(damaged: Daemon) -> None:
    damaged.start()
    assert damaged.invoke("hello", "on").text == "Hello from hello: on"
    reading = damaged.ctl("replay-log", "-o", "jsonl")
    assert reading.exit_code == 1
    assert "LOG_CORRUPT" in reading.err and "verify-log names every damage" in reading.err
    verifying = damaged.ctl("verify-log")
    assert verifying.exit_code == 1
    assert "bad_crc" in verifying.text


def test_the_report_as_json(damaged: Daemon) -> None:
    report = repair(damaged, "-o", "json").json()
    assert report["repaired"] is True
    assert report["damages"][0]["kind"] == "bad_crc"
    assert report["damages"][0]["segment"] == report["shortened"] == segments(damaged)[1].name
    assert int(report["last_seq"]) == int(report["damages"][0]["seq"]) == int(report["events"])
    assert len(report["moved"]) >= 1
    assert sorted(path.name for path in Path(report["quarantine"]).iterdir()) == sorted(
        ["report.txt", report["shortened"], *report["moved"]])


def test_a_daemon_that_runs_is_not_repaired(daemon: Daemon) -> None:
    outcome = repair(daemon)
    assert outcome.exit_code == 1
    assert f"in use by another daemon (pid {daemon.pid})" in outcome.err
    assert "hint: " in outcome.err


def test_a_log_that_is_whole_is_left_alone(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.disconnect()
    daemon.stop()
    before = {path.name: path.read_bytes() for path in (daemon.state_dir / "log").iterdir()}
    assert repair(daemon).text.startswith("nothing to repair: ")
    after = {path.name: path.read_bytes() for path in (daemon.state_dir / "log").iterdir()}
    assert {name for name in before if name != "lock"} == {name for name in after if name != "lock"}
    assert all(before[name] == after[name] for name in before if name != "lock")


def test_a_folder_that_is_not_there_is_not_made(daemon: Daemon) -> None:
    missing = paths.SPACE / "no-such-state"
    outcome = command_line.run(paths.LIONGATECTL, "repair-log", "--state-dir", missing)
    assert outcome.exit_code == 1
    assert outcome.err
    assert not missing.exists()


def test_the_verb_wants_a_folder(daemon: Daemon) -> None:
    assert command_line.run(paths.LIONGATECTL, "repair-log").exit_code == 2


@pytest.mark.root_only("gives files to another user")
def test_what_root_repairs_stays_the_daemons(damaged: Daemon) -> None:
    for path in [damaged.state_dir / "log", *(damaged.state_dir / "log").iterdir()]:
        os.chown(path, 65534, 65534)
    assert repair(damaged).exit_code == 0
    owners = {path.stat().st_uid for path in (damaged.state_dir / "log").rglob("*")}
    assert owners == {65534}
