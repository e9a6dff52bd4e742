"""Snapshots, retention, the state's hash, and what is not stored: with real programs, over the whole state folder."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, DidNotStart, kill_process
from harness.waiting import eventually
from harness.workshop import Workshop

SEGMENT_BYTES = 65536
SMALL = f"stop_grace_ms: 1000\nsnapshot_every_events: 100\nlog_segment_bytes: {SEGMENT_BYTES}\n"
CANARY = 'canary-5e1f"77\\a0'


def snapshots(daemon: Daemon) -> list[Path]:
    return sorted((daemon.state_dir / "snapshots").glob("*.snapshot"))


def started(daemon: Daemon) -> wire.Event:
    return daemon.events(types=["DaemonStarted"])[-1].daemon_started


def log_bytes(daemon: Daemon) -> int:
    """What is there now; a segment that is retained away while one looks counts nothing."""
    bytes_found = 0
    for path in (daemon.state_dir / "log").glob("*.lgl"):
        with contextlib.suppress(FileNotFoundError):
            bytes_found += path.stat().st_size
    return bytes_found


def checked_state(daemon: Daemon) -> dict[str, Any]:
    """The state by the daemon that lives with it; every comparison must have come out right."""
    report = daemon.ctl.ok("verify-log", "--state", "-o", "json").json()
    assert report["intact"] and report["state"]["matches"], report
    return dict(report["state"])


def checked_state_at_rest(daemon: Daemon) -> dict[str, Any]:
    outcome = command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir, "--state", "-o", "json")
    assert outcome.exit_code == 0, f"{outcome.text}{outcome.err}"
    return dict(outcome.json()["state"])


def fill(daemon: Daemon, bytes_wanted: int) -> None:
    for _ in range(bytes_wanted // 40_000 + 1):
        daemon.invoke("echo", "x" * 20_000)


# --- snapshots ---

def test_a_start_after_an_orderly_end_reads_only_what_is_behind_the_snapshot(daemon: Daemon) -> None:
    plugin = daemon.load("echo")
    for number in range(20):
        daemon.invoke("echo", str(number))
    daemon.restart()
    begin = started(daemon)
    assert begin.snapshot_seq > 40
    assert begin.events_replayed == 2
    assert not begin.snapshots_ignored
    assert daemon.get("echo").plugin_id == plugin.plugin_id
    assert daemon.get("echo").statistics.calls_completed == 20
    assert daemon.invoke("echo", "again").text == "again"


def test_a_start_after_a_kill_reads_at_most_what_the_configuration_says(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config=SMALL).start()
    daemon.load("echo")
    for number in range(200):
        daemon.invoke("echo", str(number))
    daemon.wait_event("SnapshotTaken")
    daemon.kill()
    daemon.start()
    assert started(daemon).snapshot_seq > 0
    assert started(daemon).events_replayed < 250
    assert daemon.get("echo").statistics.calls_completed == 200


def test_a_damaged_snapshot_costs_a_warning(daemon: Daemon) -> None:
    daemon.load("echo")
    daemon.restart()
    daemon.disconnect()
    daemon.stop()
    newest = snapshots(daemon)[-1]
    contents = bytearray(newest.read_bytes())
    contents[len(contents) // 2] ^= 1
    newest.write_bytes(contents)
    daemon.start()
    assert [newest.name in ignored for ignored in started(daemon).snapshots_ignored] == [True]
    assert f"snapshot ignored: {newest.name}" in daemon.log_text()
    assert daemon.invoke("echo", "well").text == "well"


def test_without_its_snapshots_a_daemon_starts_from_the_log(daemon: Daemon) -> None:
    daemon.load("echo")
    daemon.disconnect()
    daemon.stop()
    shutil.rmtree(daemon.state_dir / "snapshots")
    daemon.start()
    assert started(daemon).snapshot_seq == 0
    assert daemon.invoke("echo", "well").text == "well"


# --- the state and the log ---

def test_after_a_random_history_the_living_state_is_what_the_log_makes(make_daemon: Callable[..., Daemon],
                                                                       workshop: Workshop) -> None:
    daemon = make_daemon(config=SMALL).start()
    sources = {"one": workshop.copy("echo", "one"), "two": workshop.copy("hello", "two"),
               "three": workshop.command("three", "cat; test $(date +%N | cut -c9) -gt 4\n")}
    choices = random.Random(7)
    for life in range(3):
        for _ in range(60):
            name = choices.choice(list(sources))
            step = choices.choice(["load", "call", "call", "call", "call", "stop", "start", "restart", "reload", "kill",
                                   "unload"])
            try:
                if step == "load":
                    daemon.load(sources[name], replace=choices.random() < 0.5)
                elif step == "call":
                    daemon.invoke(name, "x", timeout_ms=choices.choice([1, 5000]))
                elif step == "kill":
                    pid = daemon.get(name).pid
                    if pid:
                        kill_process(pid)
                else:
                    getattr(daemon.client.plugins, f"{step.capitalize()}Plugin")(plugin=name)
            except wire.Refusal:
                pass  # whatever may be refused is part of the history
        state = checked_state(daemon)
        assert "living" in [check["subject"] for check in state["checks"]]
        if life == 0:
            daemon.kill()
        else:
            daemon.disconnect()
            daemon.stop()
        assert checked_state_at_rest(daemon)["base_seq"] == "0"
        daemon.start()


def test_the_state_that_ended_has_the_hash_that_its_log_makes(daemon: Daemon) -> None:
    daemon.load("echo")
    daemon.invoke("echo", "x")
    daemon.disconnect()
    daemon.stop()
    state = checked_state_at_rest(daemon)
    (check,) = state["checks"]
    assert check["subject"] == snapshots(daemon)[-1].name
    assert check["sha256"] == check["replayed_sha256"] and len(check["sha256"]) == 64
    text = command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir, "--state").text
    assert "state whole" in text and check["sha256"] in text


def test_a_snapshot_that_the_log_did_not_make_is_found(daemon: Daemon) -> None:
    daemon.load("echo")
    daemon.disconnect()
    daemon.stop()
    path = snapshots(daemon)[-1]
    path.write_bytes(path.read_bytes()[:-1])
    outcome = command_line.run(paths.LIONGATECTL, "verify-log", "--state-dir", daemon.state_dir, "--state")
    assert outcome.exit_code == 1
    assert f"state {path.name}: DIFFERS" in outcome.text


# --- retention ---

def test_the_log_stays_within_its_size_and_nothing_is_forgotten(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config=SMALL + f"log_retention_bytes_max: {10 * SEGMENT_BYTES}\n"
                                        "snapshot_every_bytes: 131072\n").start()
    plugin = daemon.load("echo")
    fill(daemon, 40 * SEGMENT_BYTES)
    removed = daemon.wait_event("LogSegmentsRemoved").log_segments_removed
    assert removed.reason == "size" and removed.size_bytes > 0
    eventually(lambda: log_bytes(daemon) < 18 * SEGMENT_BYTES or None, "the log is within its bounds")
    first = daemon.events()[0].seq
    assert first > 1
    checked_state(daemon)
    calls = daemon.get("echo").statistics.calls_completed
    daemon.kill()
    daemon.start()
    assert daemon.get("echo").plugin_id == plugin.plugin_id
    assert daemon.get("echo").statistics.calls_completed == calls
    daemon.disconnect()
    daemon.stop()
    assert checked_state_at_rest(daemon)["base_seq"] != "0"
    snapshots_folder = daemon.state_dir / "snapshots"
    snapshots_folder.rename(daemon.state_dir / "elsewhere")
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 1
    assert "removed by retention" in refused.value.log and "LOG_CORRUPT" in refused.value.log
    shutil.rmtree(snapshots_folder)
    (daemon.state_dir / "elsewhere").rename(snapshots_folder)
    daemon.start()
    assert daemon.invoke("echo", "well").text == "well"


def test_a_bound_that_is_configured_later_is_in_force_at_once(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config=SMALL + "snapshot_every_bytes: 131072\n").start()
    daemon.load("echo")
    fill(daemon, 20 * SEGMENT_BYTES)
    assert daemon.events()[0].seq == 1
    daemon.config.write_text(SMALL + f"snapshot_every_bytes: 131072\nlog_retention_bytes_max: {SEGMENT_BYTES}\n")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    changed = daemon.wait_event("ConfigChanged")
    assert list(changed.daemon_config_changed.changed_keys) == ["log_retention_bytes_max"]
    fill(daemon, 2 * SEGMENT_BYTES)  # a segment is begun
    daemon.wait_event("LogSegmentsRemoved")


def test_a_reload_by_a_client_says_who_asked(daemon: Daemon) -> None:
    daemon.config.write_text("stop_grace_ms: 900\nlog_segment_bytes: 1048576\n")
    daemon.ctl.ok("reload-config")
    event = daemon.wait_event("ConfigChanged")
    assert event.actor.startswith("uid:")
    assert list(event.daemon_config_changed.changed_keys) == ["stop_grace_ms"]
    assert list(event.daemon_config_changed.restart_keys) == ["log_segment_bytes"]


# --- what is not stored ---

def test_no_file_of_the_state_folder_holds_a_declared_secret(make_daemon: Callable[..., Daemon],
                                                             workshop: Workshop) -> None:
    daemon = make_daemon(env={"API_KEY": CANARY}).start()
    log = '[log]\nsecrets = ["API_KEY"]\nredact = ["/password"]\n'
    tell = r'''printf '{"key": "%s", "password": "hunter2-hunter2"}' "$(printf %s "$API_KEY" | sed 's/[\\"]/\\&/g')"'''
    folder = workshop.command("teller", f"{tell}\n", permissions=["env:API_KEY"], more=log)
    daemon.load(folder)
    whine = 'printf "cannot use %s\\n" "$API_KEY" >&2; exit 3\n'
    daemon.load(workshop.command("whiner", whine, permissions=["env:API_KEY"], more=log))
    reply = daemon.invoke("teller", '{"password": "hunter2-hunter2"}', correlation_id=f"c-{CANARY}")
    assert reply.correlation_id == f"c-{CANARY}"
    assert "canary-5e1f" in reply.text and "hunter2-hunter2" in reply.text
    with wire.refused("PLUGIN_ERROR") as refusals:
        daemon.invoke("whiner", "password=hunter2-hunter2")
    assert "canary-5e1f" in refusals[0].message
    daemon.load("echo")
    assert daemon.invoke("echo", CANARY).text == CANARY
    result = daemon.events(types=["PluginResult"], plugin="teller")[0].plugin_result.output
    assert result.text == '{"key":"[secret]","password":"[redacted]"}'
    assert daemon.events(types=["PluginInvoked"], plugin="whiner")[0].plugin_invoked.input.left_out == "redaction"
    daemon.restart()
    daemon.disconnect()
    daemon.stop()
    files = [path for path in daemon.state_dir.rglob("*") if path.is_file()]
    assert any(path.suffix == ".snapshot" for path in files) and any(path.suffix == ".lgl" for path in files)
    for path in files:
        contents = path.read_bytes()
        assert b"canary" not in contents, path
        assert b"hunter2" not in contents, path


def test_what_a_daemon_stores_of_a_call_is_bounded_by_its_configuration(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="log_payload_bytes_max: 10\n").start()
    daemon.load("echo")
    daemon.invoke("echo", "0123456789")
    daemon.invoke("echo", "0123456789x")
    inputs = [event.plugin_invoked.input for event in daemon.events(types=["PluginInvoked"])]
    assert [content.left_out for content in inputs] == ["", "size"]
    assert len(inputs[1].sha256) == 64 and inputs[1].size_bytes == 11


def test_a_manifest_with_a_misspelt_log_key_is_refused(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.command("sloppy", "cat\n", more='[log]\nredcat = ["/password"]\n')
    error = daemon.ctl.refused("load-plugin", "--manifest", folder / "manifest.toml")
    assert error.reason == "INVALID_MANIFEST"
    assert "log.redcat" in error.line and "redact" in error.line
