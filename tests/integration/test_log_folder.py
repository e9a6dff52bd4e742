"""What may lie in a log's folder that should not: each is one clear error with a remedy, or is left alone and named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import command_line, paths
from harness.daemon import Daemon, DidNotStart

SMALL_SEGMENTS = "stop_grace_ms: 1000\nlog_segment_bytes: 1048576\n"
EVENT_BYTES_MAX = 1 << 20


def make_log(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Stopped in order, over a log of at least four segments."""
    daemon = make_daemon(config=SMALL_SEGMENTS).start()
    daemon.load("hello")
    for _ in range(5):
        for _ in range(25):
            daemon.invoke("hello", "x" * 20_000)
    daemon.disconnect()
    assert daemon.stop() == 0
    assert len(segments(daemon)) >= 4
    return daemon


@pytest.fixture
def stopped(make_daemon: Callable[..., Daemon]) -> Daemon:
    return make_log(make_daemon)


def log_of(daemon: Daemon) -> Path:
    return daemon.state_dir / "log"


def segments(daemon: Daemon) -> list[Path]:
    return sorted(log_of(daemon).glob("*.lgl"))


def refused(daemon: Daemon) -> tuple[int, str, str]:
    """Starts it in vain; returns exit code, the error line and the hint below it."""
    daemon.damaged = True
    with pytest.raises(DidNotStart) as failure:
        daemon.start()
    lines = failure.value.log.splitlines()
    at = [number for number, line in enumerate(lines) if line.startswith("liongated: ")]
    assert len(at) == 1, lines
    hint = lines[at[0] + 1] if at[0] + 1 < len(lines) else ""
    assert hint.startswith("hint: "), lines
    return failure.value.exit_code, lines[at[0]], hint


def test_foreign_files_and_folders_are_left_alone_and_named(stopped: Daemon) -> None:
    (log_of(stopped) / "notes.txt").write_text("hello", encoding="utf-8")
    (log_of(stopped) / "folder").mkdir()
    report = command_line.run(paths.LIONGATED, "--verify-log", stopped.state_dir, "-o", "json").json()
    assert report["intact"] is True
    stopped.start()
    assert (log_of(stopped) / "notes.txt").read_text(encoding="utf-8") == "hello"


def test_a_file_that_only_ends_like_a_segment(stopped: Daemon) -> None:
    shutil.copy(segments(stopped)[0], log_of(stopped) / "backup.lgl")
    exit_code, error, hint = refused(stopped)
    assert exit_code == 1
    assert "backup.lgl" in error and "(LOG_CORRUPT)" in error
    assert f"liongatectl repair-log --state-dir {stopped.state_dir}" in hint


def test_a_segment_missing_in_the_middle(stopped: Daemon) -> None:
    missing = segments(stopped)[1]
    missing.rename(stopped.folder / "kept")
    exit_code, error, hint = refused(stopped)
    assert exit_code == 1
    assert "missing_segment" in error and missing.name in error
    assert "repair-log" in hint
    # Put back, it is as if nothing had been.
    (stopped.folder / "kept").rename(missing)
    stopped.damaged = False
    stopped.start()


def test_a_segment_of_another_node(stopped: Daemon, make_daemon: Callable[..., Daemon]) -> None:
    other = make_log(make_daemon)
    mine, theirs = segments(stopped)[1], segments(other)[1]
    contents = theirs.read_bytes()
    if mine.name != theirs.name:  # numbers differ by what was recorded in between: then the name is the first lie
        contents = segments(other)[0].read_bytes()
        mine = segments(stopped)[0]
    mine.write_bytes(contents)
    exit_code, error, hint = refused(stopped)
    assert exit_code == 1
    assert "belongs to node" in error
    assert "repair-log" in hint


@pytest.mark.parametrize("kind", ["folder", "symlink", "pipe"])
def test_a_segments_name_that_is_no_plain_file(stopped: Daemon, kind: str) -> None:
    place = log_of(stopped) / "00000000000000099999.lgl"
    if kind == "folder":
        place.mkdir()
    elif kind == "symlink":
        place.symlink_to(segments(stopped)[0])
    else:
        os.mkfifo(place, 0o600)
    verified = command_line.run(paths.LIONGATED, "--verify-log", stopped.state_dir, timeout_s=10)
    assert verified.exit_code == 1
    assert place.name in verified.err
    exit_code, error, hint = refused(stopped)
    assert exit_code == 1
    assert place.name in error
    assert "plain file" in hint


@pytest.mark.parametrize("what", ["the folder", "a segment"])
def test_wrong_permissions(stopped: Daemon, what: str) -> None:
    place = log_of(stopped) if what == "the folder" else segments(stopped)[1]
    mode = place.stat().st_mode
    place.chmod(0)
    if os.access(place, os.R_OK) and os.geteuid() == 0 and place.stat().st_uid == 0:
        place.chmod(mode)
        pytest.skip("root as the owner may open everything, whatever the mode")
    try:
        exit_code, error, hint = refused(stopped)
    finally:
        place.chmod(mode)
    assert exit_code == 1
    assert str(log_of(stopped)) in error and "Permission denied" in error
    assert "daemon's user" in hint
    stopped.damaged = False
    stopped.start()


def test_two_daemons(stopped: Daemon, make_daemon: Callable[..., Daemon]) -> None:
    stopped.start()
    second = make_daemon()
    second.state_dir.symlink_to(stopped.state_dir)
    exit_code, error, hint = refused(second)
    assert exit_code == 1
    assert f"in use by another daemon (pid {stopped.pid})" in error
    assert "--state-dir" in hint
    assert stopped.invoke("hello", "x").text == "Hello from hello: x"


def test_what_would_be_over_the_bound_of_an_event_is_recorded_by_its_digest(daemon: Daemon) -> None:
    """An event that is over it all the same is refused without a number: tests/event_log/life_test.cpp."""
    daemon.load("echo")
    reply = daemon.invoke("echo", "x" * (2 * EVENT_BYTES_MAX))
    assert len(reply.text) == 2 * EVENT_BYTES_MAX
    events = daemon.events(correlation_id=reply.correlation_id)
    assert [event.type for event in events] == ["PluginInvoked", "PluginResult"]
    assert max(event.ByteSize() for event in events) < EVENT_BYTES_MAX
    assert events[0].plugin_invoked.input.size_bytes == 2 * EVENT_BYTES_MAX
