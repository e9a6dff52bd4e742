"""Exit codes, reasons and the form of errors: each row of the contract's table that can be provoked, once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, manifest_of
from harness.waiting import eventually
from harness.workshop import Workshop, edit

# --- the form ---

def test_an_error_is_one_line_and_a_hint(daemon: Daemon) -> None:
    error = daemon.ctl.refused("get-plugin", "nobody")
    assert error.line == "liongatectl: nobody: no plugin \"nobody\" is loaded (PLUGIN_NOT_FOUND)"
    assert error.hint
    assert error.exit_code == 4


def test_with_json_an_error_is_one_object_on_stderr(daemon: Daemon) -> None:
    outcome = daemon.ctl("get-plugin", "nobody", "-o", "json")
    assert (outcome.exit_code, outcome.out) == (4, b"")
    error = outcome.error_json()
    assert (error["code"], error["reason"]) == ("NOT_FOUND", "PLUGIN_NOT_FOUND")
    assert error["metadata"]["category"] == "InvokeFailure"


def test_a_hostile_subject_makes_no_second_line(daemon: Daemon) -> None:
    outcome = daemon.ctl("get-plugin", "no\nbody\x1b[31m")
    assert outcome.exit_code == 4
    assert len(outcome.err.splitlines()) <= 2
    assert "\x1b" not in outcome.err


def test_data_goes_to_stdout_and_nothing_else_does(daemon: Daemon) -> None:
    daemon.load("logger")
    outcome = daemon.ctl.ok("invoke-plugin", "logger", "--input", "x")
    assert (outcome.out, outcome.err) == (b"logged", "")


# --- 2: usage ---

@pytest.mark.parametrize("words", [[], ["no-such-verb"], ["load-plugin"], ["invoke-plugin"],
                                   ["invoke-plugin", "hello", "--timeout", "soon"],
                                   ["list-plugins", "--no-such-option"],
                                   ["list-plugins", "-o", "xml"], ["replay-log", "--since", "yesterday-ish"],
                                   ["replay-log", "--limit", "-1"],
                                   ["--socket", "/a", "--address", "b:1", "get-status"],
                                   ["invoke-plugin", "hello", "--input", "a", "--input-file", "b"],
                                   ["invoke-plugin", "hello", "--durability", "hopeful"]])
def test_wrong_words_are_usage_errors(words: list[str]) -> None:
    outcome = command_line.run(paths.LIONGATECTL, *words)
    assert outcome.exit_code == 2, outcome.err
    assert outcome.out == b""
    assert outcome.error().reason == "USAGE"


def test_a_near_miss_is_named() -> None:
    assert "invoke-plugin" in command_line.run(paths.LIONGATECTL, "invoke-plugn", "hello").err


@pytest.mark.parametrize("words", [["--help"], ["invoke-plugin", "--help"], ["version"]])
def test_help_and_version_need_no_daemon(words: list[str]) -> None:
    outcome = command_line.run(paths.LIONGATECTL, *words)
    assert (outcome.exit_code, outcome.err) == (0, "")
    assert outcome.out


def test_every_verb_has_an_example_in_its_help() -> None:
    listing = command_line.run(paths.LIONGATECTL, "--help").text
    verbs = [line.split()[0].rstrip(",") for line in listing[listing.index("Subcommands:") :].splitlines()[1:]
             if line.startswith("  ") and not line.startswith("   ") and "-" in line.split()[0]]
    assert len(verbs) >= 15
    for verb in verbs:
        assert f"Example: liongatectl {verb}" in command_line.run(paths.LIONGATECTL, verb, "--help").text, verb


# --- 3: not reachable ---

def no_socket(folder: Path) -> Path:
    return folder / "nothing"


def stale_socket(folder: Path) -> Path:
    path = folder / "stale"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(path))
    return path


def plain_file(folder: Path) -> Path:
    path = folder / "file"
    path.write_text("not a socket", encoding="utf-8")
    return path


def long_path(folder: Path) -> Path:
    return folder / ("x" * 150)


@pytest.mark.parametrize("where", [no_socket, stale_socket, plain_file, long_path])
def test_a_daemon_that_is_not_there(workshop: Workshop, where: Callable[[Path], Path]) -> None:
    path = where(workshop.folder)
    outcome = command_line.run(paths.LIONGATECTL, "--socket", path, "list-plugins")
    assert outcome.exit_code == 3
    error = outcome.error()
    assert str(path) in error.line
    assert "liongated" in error.hint


def test_a_tcp_address_that_nobody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert command_line.run(paths.LIONGATECTL, "--address", f"127.0.0.1:{port}", "list-plugins").exit_code == 3


def test_liongate_socket_names_the_socket_and_the_option_wins(daemon: Daemon) -> None:
    env = paths.clean_environment(LIONGATE_SOCKET=str(daemon.socket))
    assert command_line.run(paths.LIONGATECTL, "get-status", env=env).exit_code == 0
    assert command_line.run(paths.LIONGATECTL, "--socket", "/nothing", "get-status", env=env).exit_code == 3
    wrong = paths.clean_environment(LIONGATE_SOCKET="/nothing")
    assert command_line.run(paths.LIONGATECTL, "--socket", daemon.socket, "get-status", env=wrong).exit_code == 0


def test_the_users_runtime_folder_is_looked_at(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon()
    runtime = workshop.folder / "run"
    (runtime / "liongate").mkdir(parents=True)
    daemon.socket = runtime / "liongate" / "control.sock"
    daemon.start()
    env = paths.clean_environment(XDG_RUNTIME_DIR=str(runtime))
    assert command_line.run(paths.LIONGATECTL, "get-status", env=env).exit_code == 0


# --- the table ---

def provoke_invalid_manifest(daemon: Daemon, workshop: Workshop) -> list[object]:
    return ["load-plugin", "--manifest", workshop.write("bad", "name = 1\n") / "manifest.toml"]


def provoke_unknown_permission(daemon: Daemon, workshop: Workshop) -> list[object]:
    return ["load-plugin", "--manifest", workshop.with_permissions("probe", ["telepathy"]) / "manifest.toml"]


def provoke_invalid_config(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.config.write_text("no_such_key: 1\n", encoding="utf-8")
    return ["reload-config"]


def provoke_invalid_argument(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("hello")
    return ["invoke-plugin", "hello", "--operation", "o" * 129]


def provoke_duplicate_plugin(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("hello")
    return ["load-plugin", "--manifest", manifest_of("hello")]


def provoke_entry_point_not_found(daemon: Daemon, workshop: Workshop) -> list[object]:
    folder = workshop.copy("hello")
    (folder / "hello").unlink()
    return ["load-plugin", "--manifest", folder / "manifest.toml"]


def provoke_entry_point_changed(daemon: Daemon, workshop: Workshop) -> list[object]:
    folder = workshop.command("greeter", "echo old\n")
    daemon.load(folder)
    daemon.client.plugins.StopPlugin(plugin="greeter")
    edit(folder / "run.sh", lambda text: text.replace("old", "new"))
    return ["start-plugin", "greeter"]


def provoke_unsafe_folder(daemon: Daemon, workshop: Workshop) -> list[object]:
    folder = workshop.copy("hello")
    folder.chmod(0o777)
    return ["load-plugin", "--manifest", folder / "manifest.toml"]


def provoke_permission_denied(daemon: Daemon, workshop: Workshop) -> list[object]:
    return ["load-plugin", "--manifest", workshop.with_permissions("probe", ["forbidden"]) / "manifest.toml"]


def provoke_load_failure(daemon: Daemon, workshop: Workshop) -> list[object]:
    return ["load-plugin", "--manifest", manifest_of("exits_at_once")]


def provoke_plugin_not_found(daemon: Daemon, workshop: Workshop) -> list[object]:
    return ["invoke-plugin", "nobody", "--input", "x"]


def provoke_plugin_not_running(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("hello", no_start=True)
    return ["invoke-plugin", "hello", "--input", "x"]


def provoke_illegal_transition(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("hello")
    return ["start-plugin", "hello"]


def provoke_plugin_error(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("fails")
    return ["invoke-plugin", "fails", "--input", "x"]


def provoke_plugin_crashed(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("dies_mid_call")
    return ["invoke-plugin", "dies-mid-call"]


def provoke_plugin_protocol_error(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("writes_garbage")
    return ["invoke-plugin", "writes-garbage"]


def provoke_limit_exceeded(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load(workshop.with_lines("slow", "[limits]\nwall_time_ms_max = 100\n"))
    return ["invoke-plugin", "slow", "--input", "60000"]


def provoke_deadline_exceeded(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("slow")
    return ["invoke-plugin", "slow", "--input", "60000", "--timeout", "100ms"]


def provoke_input_too_large(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("echo")
    large = workshop.folder / "large"
    large.write_bytes(b"x" * (16 * 1024 * 1024 + 1))
    return ["invoke-plugin", "echo", "--input-file", large]


def provoke_queue_full(daemon: Daemon, workshop: Workshop) -> list[object]:
    daemon.load("slow_single")
    for client in (daemon.client, daemon.another_client()):
        for _ in range(512):
            client.plugins.later("InvokePlugin", plugin="slow-single", text="60000")
    eventually(lambda: daemon.ctl("get-plugin", "slow-single", "-o", "json").json()["plugin"]["statistics"]
               ["calls_queued"] == "1023", "the queue is full")
    return ["invoke-plugin", "slow-single", "--input", "0"]


TABLE = {
    "INVALID_MANIFEST": (provoke_invalid_manifest, "INVALID_ARGUMENT", 7, "InvalidManifest"),
    "UNKNOWN_PERMISSION": (provoke_unknown_permission, "INVALID_ARGUMENT", 7, "InvalidManifest"),
    "INVALID_CONFIG": (provoke_invalid_config, "INVALID_ARGUMENT", 7, "InvalidManifest"),
    "INVALID_ARGUMENT": (provoke_invalid_argument, "INVALID_ARGUMENT", 7, "InvalidManifest"),
    "DUPLICATE_PLUGIN": (provoke_duplicate_plugin, "ALREADY_EXISTS", 7, "LoadFailure"),
    "ENTRY_POINT_NOT_FOUND": (provoke_entry_point_not_found, "FAILED_PRECONDITION", 7, "LoadFailure"),
    "ENTRY_POINT_CHANGED": (provoke_entry_point_changed, "FAILED_PRECONDITION", 7, "LoadFailure"),
    "UNSAFE_FOLDER": (provoke_unsafe_folder, "FAILED_PRECONDITION", 7, "LoadFailure"),
    "PERMISSION_DENIED": (provoke_permission_denied, "PERMISSION_DENIED", 6, "PermissionDenied"),
    "LOAD_FAILURE": (provoke_load_failure, "ABORTED", 5, "LoadFailure"),
    "PLUGIN_NOT_FOUND": (provoke_plugin_not_found, "NOT_FOUND", 4, "InvokeFailure"),
    "PLUGIN_NOT_RUNNING": (provoke_plugin_not_running, "FAILED_PRECONDITION", 7, "InvokeFailure"),
    "ILLEGAL_TRANSITION": (provoke_illegal_transition, "FAILED_PRECONDITION", 7, "InvokeFailure"),
    "PLUGIN_ERROR": (provoke_plugin_error, "ABORTED", 5, "InvokeFailure"),
    "PLUGIN_CRASHED": (provoke_plugin_crashed, "ABORTED", 5, "InvokeFailure"),
    "PLUGIN_PROTOCOL_ERROR": (provoke_plugin_protocol_error, "ABORTED", 5, "InvokeFailure"),
    "LIMIT_EXCEEDED": (provoke_limit_exceeded, "ABORTED", 5, "InvokeFailure"),
    "DEADLINE_EXCEEDED": (provoke_deadline_exceeded, "DEADLINE_EXCEEDED", 8, "InvokeFailure"),
    "QUEUE_FULL": (provoke_queue_full, "RESOURCE_EXHAUSTED", 9, "InvokeFailure"),
}


@pytest.mark.parametrize("reason", TABLE)
def test_each_reason_has_its_status_its_exit_code_and_its_category(daemon: Daemon, workshop: Workshop,
                                                                   reason: str) -> None:
    provoke, code, exit_code, category = TABLE[reason]
    outcome = daemon.ctl(*provoke(daemon, workshop), "-o", "json")
    error = outcome.error_json()
    assert (error["reason"], error["code"], outcome.exit_code) == (reason, code, exit_code), error
    assert error["metadata"]["category"] == category
    assert error["message"]


def test_an_input_too_large_is_refused_by_the_command_line_itself(daemon: Daemon, workshop: Workshop) -> None:
    error = daemon.ctl.refused(*provoke_input_too_large(daemon, workshop))
    assert (error.exit_code, error.reason) == (9, "INPUT_TOO_LARGE")


def test_ctrl_c_cancels_the_call_in_the_plugin_and_exits_with_8(daemon: Daemon) -> None:
    daemon.load("slow_single")
    with daemon.ctl.start("invoke-plugin", "slow-single", "--input", "60000") as caller:
        daemon.wait_event("PluginInvoked", plugin="slow-single")
        caller.process.send_signal(signal.SIGINT)
        _, err = caller.process.communicate(timeout=10)
        assert caller.process.returncode == 8
        assert b"CANCELLED" in err
    assert daemon.wait_event("PluginError", plugin="slow-single").plugin_error.reason == "CANCELLED"
    assert daemon.invoke("slow-single", "0").text == "slept"


def test_calls_while_the_daemon_stops_are_refused_as_such(daemon: Daemon) -> None:
    daemon.load("slow")
    running = daemon.invoke_later("slow", "1500")
    daemon.wait_event("PluginInvoked", plugin="slow")
    with wire.Client(daemon.socket) as other:
        other.system.GetStatus()  # connected: the socket itself goes away first
        assert daemon.process is not None
        daemon.process.terminate()
        eventually(lambda: not daemon.socket.exists(), "it is stopping")
        outcome = other.plugins.later("InvokePlugin", plugin="slow", text="0").outcome()
        assert (outcome.code, outcome.reason) == ("UNAVAILABLE", "SHUTTING_DOWN"), outcome
    assert running.result().text == "slept"
    daemon.disconnect()
    assert daemon.wait() == 0


@pytest.mark.root_only("a second user is needed")
def test_the_socket_admits_its_owner_and_root_alone(daemon: Daemon) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    tool = paths.SPACE / "ctl"
    if not tool.exists():  # the build may lie where others cannot look
        shutil.copy(paths.LIONGATECTL, tool)
        tool.chmod(0o755)
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    outcome = command_line.run(tool, "--socket", daemon.socket, "list-plugins", prefix=prefix)
    assert outcome.exit_code in (3, 6), "the mode of the socket keeps others out"
    daemon.socket.chmod(0o666)
    outcome = command_line.run(tool, "--socket", daemon.socket, "list-plugins", prefix=prefix)
    assert outcome.exit_code == 6
    assert outcome.error().reason == "UNAUTHENTICATED"
    denied = daemon.events(types=["PermissionDenied"])
    assert [(event.actor, event.permission_denied.action) for event in denied] == [("uid:65534", "call ListPlugins")]
    audit = daemon.ctl.ok("replay-log", "--audit", "--actor", "uid:65534").text.splitlines()
    assert "call ListPlugins" in audit[1] and "denied" in audit[1]


def test_the_mode_of_the_socket_keeps_others_out(daemon: Daemon) -> None:
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    assert daemon.socket.stat().st_uid == os.geteuid()


def test_check_host_needs_no_daemon(can_confine: None) -> None:
    for verb in ("check-host", "doctor"):
        outcome = command_line.run(paths.LIONGATECTL, verb, "-o", "json")
        assert outcome.exit_code == 0
        report = outcome.json()
        assert report["can_confine"] is True
        for mechanism in report["mechanisms"]:
            assert mechanism["state"] in ("available", "missing")
            assert mechanism["state"] == "available" or mechanism["reason"]


def test_check_host_of_the_daemon_agrees(daemon: Daemon) -> None:
    offline = command_line.run(paths.LIONGATECTL, "check-host", "-o", "json").json()
    online = {mechanism.name: mechanism.state for mechanism in daemon.client.system.CheckHost().mechanisms}
    assert online == {mechanism["name"]: mechanism["state"] for mechanism in offline["mechanisms"]}


def test_a_full_stdout_is_an_error(daemon: Daemon) -> None:
    daemon.load("hello")
    with open("/dev/full", "wb") as full:
        result = subprocess.run([str(paths.LIONGATECTL), "list-plugins"], stdout=full, stderr=subprocess.PIPE,
                                env=daemon.ctl.environment(), timeout=30, check=False)
    assert result.returncode == 1
    assert b"stdout" in result.stderr


def test_get_status_tells_where_things_are(daemon: Daemon) -> None:
    status = daemon.ctl.ok("get-status", "-o", "json").json()
    assert status["environment"] == "development"
    assert status["state_dir"] == str(daemon.state_dir)
    assert status["socket_path"] == str(daemon.socket)
    assert status["pid"] == str(daemon.pid)
    assert status["rootless"] is (os.geteuid() != 0)


def test_shutdown_over_the_wire_is_graceful(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.ctl.ok("shutdown")
    begin = time.monotonic()
    assert daemon.wait() == 0
    assert time.monotonic() - begin < 5
