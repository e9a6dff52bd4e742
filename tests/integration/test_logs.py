"""What plugins write and log, kept by the daemon and read by people."""

from __future__ import annotations

import json

import pytest
from harness import wire
from harness.daemon import Daemon
from harness.workshop import Workshop

RING_BYTES_MAX = 1024 * 1024
LINE_BYTES_MAX = 8 * 1024


def entries(daemon: Daemon, plugin: str, **fields: object) -> list[wire.Event]:
    return [entry for reply in daemon.client.plugins.GetPluginLogs(plugin=plugin, **fields) for entry in reply.entries]


def test_logged_lines_and_both_streams_are_kept(daemon: Daemon) -> None:
    daemon.load("logger")
    reply = daemon.invoke("logger", "marker")
    kept = {(entry.source, entry.level, entry.line) for entry in entries(daemon, "logger")}
    assert {("log", level, f"{level}: marker") for level in ("debug", "info", "warning", "error")} <= kept
    assert {("stdout", "", "on stdout: marker"), ("stderr", "", "on stderr: marker")} <= kept
    logged = [entry for entry in entries(daemon, "logger") if entry.source == "log"]
    assert {entry.execution_id for entry in logged} == {reply.execution_id}


def test_get_plugin_logs_shows_a_line_each(daemon: Daemon) -> None:
    daemon.load("logger")
    daemon.invoke("logger", "marker")
    shown = daemon.ctl.ok("get-plugin-logs", "logger").text
    assert "warning: marker" in shown and "on stdout: marker" in shown


def test_tail_shows_the_last_lines(daemon: Daemon) -> None:
    daemon.load("logger")
    for number in range(10):
        daemon.invoke("logger", str(number))
    assert len(daemon.ctl.ok("get-plugin-logs", "logger", "--tail", 3).text.splitlines()) == 3


def test_json_is_one_entry_a_line(daemon: Daemon) -> None:
    daemon.load("logger")
    daemon.invoke("logger", "marker")
    lines = daemon.ctl.ok("get-plugin-logs", "logger", "-o", "json").json_lines()
    assert {"time", "source", "level", "line", "execution_id", "dropped_before"} <= set(lines[0])


def test_follow_shows_what_is_to_come(daemon: Daemon) -> None:
    daemon.load("logger")
    with daemon.ctl.start("get-plugin-logs", "logger", "--follow", "-o", "json") as follower:
        daemon.invoke("logger", "backlog or live")
        assert json.loads(follower.line())["line"] == "debug: backlog or live"
        for _ in range(5):
            follower.line()
        daemon.invoke("logger", "live")
        assert "live" in json.loads(follower.line())["line"]


def test_logs_survive_a_crash_of_the_plugin(daemon: Daemon, workshop: Workshop) -> None:
    source = ("import os\nfrom liongate import Plugin\n\nplugin = Plugin()\n\n\n@plugin.operation('')\n"
              "def leave(call):\n    print('last words', flush=True)\n    os._exit(1)\n\n\nplugin.run()\n")
    daemon.load(workshop.python("leaver", source))
    with wire.refused("PLUGIN_CRASHED"):
        daemon.invoke("leaver")
    assert "last words" in [entry.line for entry in entries(daemon, "leaver")]


def test_a_line_over_the_bound_is_cut_and_the_rest_goes_on(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("long", "head -c 50000 /dev/zero | tr '\\0' x >&2\necho >&2\necho short >&2\n"))
    daemon.invoke("long")
    kept = entries(daemon, "long")
    assert max(len(entry.line) for entry in kept) <= LINE_BYTES_MAX
    assert kept[-1].line == "short"


def test_bytes_that_are_no_text_do_not_break_the_log(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("binary", "printf '\\377\\376\\000bad\\n' >&2\necho fine >&2\n"))
    daemon.invoke("binary")
    kept = entries(daemon, "binary")
    assert [entry.line for entry in kept][-1] == "fine"
    assert any("bad" in entry.line for entry in kept)
    assert "fine" in daemon.ctl.ok("get-plugin-logs", "binary").text


def test_what_a_plugin_writes_cannot_steer_a_terminal(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("painter", "printf '\\033[2J\\033]0;owned\\007red\\n' >&2\n"))
    daemon.invoke("painter")
    shown = daemon.ctl.ok("get-plugin-logs", "painter").text
    assert "red" in shown
    assert "\x1b" not in shown and "\x07" not in shown


def test_the_ring_is_bounded_and_says_what_it_lost(daemon: Daemon) -> None:
    daemon.load("floods_log")
    daemon.invoke("floods-log")
    kept = entries(daemon, "floods-log")
    assert sum(len(entry.line) for entry in kept) <= RING_BYTES_MAX
    assert kept[-1].line == "line 99999"
    assert sum(entry.dropped_before for entry in kept) + len(kept) == 100_000


def test_each_plugin_has_a_log_of_its_own(daemon: Daemon) -> None:
    daemon.load("logger")
    daemon.load("hello")
    daemon.invoke("logger", "marker")
    assert entries(daemon, "hello") == []


def test_logs_of_what_is_not_loaded(daemon: Daemon) -> None:
    error = daemon.ctl.refused("get-plugin-logs", "nobody")
    assert (error.exit_code, error.reason) == (4, "PLUGIN_NOT_FOUND")


@pytest.mark.parametrize("lines", [1, 5])
def test_tail_lines_over_grpc(daemon: Daemon, lines: int) -> None:
    daemon.load("logger")
    daemon.invoke("logger", "marker")
    assert len(entries(daemon, "logger", tail_lines=lines)) == lines
