"""Programs that nobody wrote for Liongate, as plugins: stdin or an argument in, stdout out, exit code and stderr."""

from __future__ import annotations

import os
import time

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, assert_every_call_ended_once
from harness.waiting import eventually
from harness.workshop import Workshop, program_path

COMMAND_CONCURRENCY_MAX = 16


def test_a_shell_script_greets(daemon: Daemon) -> None:
    daemon.load("hello-command")
    assert daemon.invoke("hello-command", "test").text == "Hello from hello-command: test\n"


def test_sort_sorts_the_input(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.program("sorted", "/usr/bin/sort", ["--numeric-sort", "--unique"]))
    assert daemon.invoke("sorted", "10\n9\n9\n1\n").text == "1\n9\n10\n"


def test_jq_picks_from_json(daemon: Daemon, workshop: Workshop) -> None:
    if not program_path("jq").exists():
        pytest.skip("jq is not installed")
    daemon.load(workshop.program("titles", "/usr/bin/jq", ["--raw-output", ".items[].title"]))
    assert daemon.invoke("titles", '{"items": [{"title": "one"}, {"title": "two"}]}').text == "one\ntwo\n"


def test_the_input_replaces_its_mark_in_the_arguments(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.program("printer", "/usr/bin/printf", ["<%s>", "{input}"]))
    assert daemon.invoke("printer", "a b; $(id) 'q'").text == "<a b; $(id) 'q'>"


def test_the_mark_is_replaced_wherever_it_stands_and_once(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.program("printer", "/usr/bin/printf", ["%s|%s", "--text={input}!", "{input}"]))
    assert daemon.invoke("printer", "{input}").text == "--text={input}!|{input}"


def test_an_input_with_nul_bytes_cannot_become_an_argument(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.program("printer", "/usr/bin/printf", ["%s", "{input}"]))
    with wire.refused("INVALID_ARGUMENT"):
        daemon.invoke("printer", data=b"a\0b")


def test_a_non_zero_exit_is_a_plugin_error_with_the_end_of_stderr(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("failing", "echo first >&2\necho the disk is green >&2\nexit 3\n"))
    with wire.refused("PLUGIN_ERROR", "ABORTED") as refusals:
        daemon.invoke("failing")
    assert "the disk is green" in refusals[0].message
    assert refusals[0].metadata["exit_code"] == "3"
    assert refusals[0].metadata["stderr"] == "first\nthe disk is green"


def test_a_non_zero_exit_is_exit_code_5_and_one_line(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("failing", "echo the disk is green >&2\nexit 3\n"))
    error = daemon.ctl.refused("invoke-plugin", "failing")
    assert (error.exit_code, error.reason) == (5, "PLUGIN_ERROR")
    assert "the disk is green" in error.line


def test_only_the_tail_of_a_long_stderr_is_told(daemon: Daemon, workshop: Workshop) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1\n"
    daemon.load(workshop.command("failing", script))
    with wire.refused("PLUGIN_ERROR") as refusals:
        daemon.invoke("failing")
    assert refusals[0].metadata["stderr"].endswith("line 1999")
    assert len(refusals[0].metadata["stderr"]) <= 8192


def test_a_command_that_dies_of_a_signal_has_crashed(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("dying", "kill -SEGV $$\n"))
    with wire.refused("PLUGIN_CRASHED", "ABORTED"):
        daemon.invoke("dying")


def test_stderr_of_a_command_that_succeeds_is_in_its_log_alone(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("chatty", "echo out\necho aside >&2\n"))
    reply = daemon.invoke("chatty")
    assert reply.text == "out\n"
    entries = [entry for message in daemon.client.plugins.GetPluginLogs(plugin="chatty") for entry in message.entries]
    assert [(entry.source, entry.line, entry.execution_id) for entry in entries] == [
        ("stderr", "aside", reply.execution_id)]


def test_binary_output_comes_as_bytes(daemon: Daemon, workshop: Workshop) -> None:
    every_byte = bytes(range(256))
    daemon.load(workshop.program("copy", "/usr/bin/cat"))
    reply = daemon.invoke("copy", data=every_byte)
    assert reply.WhichOneof("output") == "data"
    assert reply.data == every_byte
    assert daemon.ctl.ok("invoke-plugin", "copy", "--input-file", "-", stdin=every_byte).out == every_byte


def test_a_large_input_and_output_go_through_at_once(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.program("copy", "/usr/bin/cat"))
    large = os.urandom(4 * 1024 * 1024)
    assert daemon.invoke("copy", data=large).data == large


def test_a_command_need_not_read_its_input(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("deaf", "echo done\n"))
    assert daemon.invoke("deaf", data=b"x" * 1_000_000).text == "done\n"


def test_a_command_that_writes_more_than_the_bound_is_ended(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("endless", "exec cat /dev/zero\n"))
    with wire.refused("LIMIT_EXCEEDED", "ABORTED") as refusals:
        daemon.invoke("endless")
    assert refusals[0].metadata["limit"] == "output_bytes_max"


def test_a_command_over_its_deadline_is_killed_with_its_children(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("sleeper", "sleep 1000 & sleep 1000\n"))
    begin = time.monotonic()
    with wire.refused("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"):
        daemon.invoke("sleeper", timeout_ms=300)
    assert time.monotonic() - begin < 2
    eventually(lambda: not daemon.sandbox_pids(), "all its processes are gone", 1.0)


def test_a_child_that_stays_behind_is_ended_with_the_command(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("parent", "sleep 1000 >/dev/null 2>&1 &\necho done\n"))
    assert daemon.invoke("parent").text == "done\n"
    eventually(lambda: not daemon.sandbox_pids(), "its child is gone", 1.0)


def test_a_cancelled_command_is_killed(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("sleeper", "exec sleep 1000\n"))
    call = daemon.invoke_later("sleeper")
    eventually(lambda: daemon.sandbox_pids(), "it runs")
    call.cancel()
    assert daemon.wait_event("PluginError", plugin="sleeper").plugin_error.reason == "CANCELLED"
    eventually(lambda: not daemon.sandbox_pids(), "it is gone", 1.0)


def test_nothing_runs_between_calls(daemon: Daemon) -> None:
    daemon.load("hello-command")
    daemon.invoke("hello-command", "x")
    eventually(lambda: not daemon.sandbox_pids(), "nothing runs", 1.0)
    assert daemon.get("hello-command").pid == 0


def test_each_call_has_a_fresh_sandbox(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("counter", "echo x >> /tmp/count\nwc -l < /tmp/count\n"))
    assert [daemon.invoke("counter").text.strip() for _ in range(3)] == ["1", "1", "1"]


def test_a_command_stands_in_its_own_folder_which_it_cannot_change(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("here", "pwd\nls\necho x 2>&1 > new || true\n"))
    lines = daemon.invoke("here").text.splitlines()
    assert lines[:3] == ["/plugin", "manifest.toml", "run.sh"]
    assert not (workshop.folder / "here" / "new").exists()


def test_commands_run_beside_each_other_up_to_a_bound(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("waiter", "sleep 1\necho done\n"))
    calls = [daemon.invoke_later("waiter") for _ in range(COMMAND_CONCURRENCY_MAX + 4)]
    eventually(lambda: (found := daemon.get("waiter").statistics).calls_running == COMMAND_CONCURRENCY_MAX
               and found.calls_queued == 4, "as many run as may, and the rest wait")
    assert all(call.result().text == "done\n" for call in calls)
    assert_every_call_ended_once(daemon)


def test_parts_of_the_output_are_streamed_as_they_are_written(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("parts", "echo one\nsleep 0.3\necho two\n"))
    times = []
    texts = []
    for message in daemon.client.plugins.StreamInvokePlugin(invoke={"plugin": "parts"}):
        times.append(time.monotonic())
        texts.append(message.part.text)
    assert "".join(texts[:-1]) == "one\ntwo\n"
    assert times[-1] - times[0] > 0.2


def test_the_figures_of_a_command_are_those_of_its_processes(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("busy", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done\n"))
    reply = daemon.invoke("busy")
    assert reply.cpu_time_ms > 5
    assert reply.memory_used_bytes > 100_000


def test_a_command_over_its_cpu_time_is_ended_by_the_limit(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("busy", "while :; do :; done\n", more="[limits]\ncpu_time_ms_max = 1000\n"))
    with wire.refused("LIMIT_EXCEEDED", "ABORTED") as refusals:
        daemon.invoke("busy", timeout_ms=20_000)
    assert refusals[0].metadata["limit"] == "cpu_time_ms_max"


def test_run_plugin_needs_no_daemon(can_confine: None) -> None:
    manifest = paths.PLUGINS / "hello-command" / "manifest.toml"
    outcome = command_line.run(paths.LIONGATECTL, "run-plugin", "--manifest", manifest, "--input", "x")
    assert (outcome.exit_code, outcome.text) == (0, "Hello from hello-command: x\n"), outcome.err


def test_run_plugin_fails_as_the_plugin_does(can_confine: None, workshop: Workshop) -> None:
    folder = workshop.command("failing", "echo no >&2\nexit 9\n")
    outcome = command_line.run(paths.LIONGATECTL, "run-plugin", "--manifest", folder / "manifest.toml", "--input", "x")
    assert outcome.exit_code == 5
    assert outcome.error().reason == "PLUGIN_ERROR"


def test_what_every_call_would_fail_by_fails_the_load(daemon: Daemon, workshop: Workshop) -> None:
    with wire.refused("LOAD_FAILURE") as refusals:
        daemon.load(workshop.command("lost", "cat\n", permissions=["fs_read:/none/there"]))
    assert "/none/there" in refusals[0].message
    with wire.refused("PLUGIN_NOT_FOUND"):
        daemon.get("lost")


def test_a_reload_that_could_not_run_leaves_the_old_command_at_work(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.command("steady", "echo old\n")
    daemon.load(folder)
    manifest = folder / "manifest.toml"
    text = manifest.read_text().replace("permissions = []", 'permissions = ["fs_read:/none/there"]')
    manifest.write_text(text)
    refusal = daemon.ctl.refused("reload-plugin", "steady", "--accept-permissions")
    assert refusal.reason == "LOAD_FAILURE"
    assert daemon.invoke("steady").text == "old\n"


def test_a_command_says_how_it_is_confined_before_its_first_call(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("quiet", "echo ran\n"))
    types = [event.type for event in daemon.events(plugin="quiet")]
    assert types == ["PluginLoaded", "SandboxPosture", "PluginStarted"]
    daemon.invoke("quiet")
    assert [event.type for event in daemon.events(plugin="quiet")].count("SandboxPosture") == 1
