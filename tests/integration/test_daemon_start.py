"""Starting and stopping the daemon: what it needs, what it refuses, what it tells systemd."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, DidNotStart
from harness.waiting import eventually
from harness.workshop import Workshop


def refused_start(daemon: Daemon, exit_code: int, *words: str) -> str:
    """It must end with that code, say those words, and leave no socket behind that it made."""
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == exit_code, refused.value.log
    lines = [line for line in refused.value.log.splitlines() if line.startswith("liongated: ")]
    assert len(lines) == 1, refused.value.log
    for word in words:
        assert word in refused.value.log, refused.value.log
    return lines[0]


# --- the socket ---

def test_the_socket_is_made_and_removed_again(daemon: Daemon) -> None:
    assert daemon.socket.is_socket()
    assert daemon.stop() == 0
    assert not daemon.socket.exists()


def test_a_socket_path_that_is_too_long(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.socket = daemon.folder / ("x" * 108)
    refused_start(daemon, 7, "107", "--socket", "INVALID_CONFIG")


def test_a_stale_socket_is_taken_over(daemon: Daemon) -> None:
    daemon.kill()
    assert daemon.socket.is_socket(), "a daemon that was killed leaves its socket"
    daemon.start()
    assert daemon.status().pid == daemon.pid


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_a_file_of_another_kind_in_the_sockets_place_is_left_alone(make_daemon: Callable[..., Daemon],
                                                                   kind: str) -> None:
    daemon = make_daemon()
    if kind == "file":
        daemon.socket.write_text("precious", encoding="utf-8")
    elif kind == "folder":
        daemon.socket.mkdir()
    elif kind == "link":
        daemon.socket.symlink_to("/etc/passwd")
    else:
        os.mkfifo(daemon.socket)
    before = daemon.socket.lstat()
    refused_start(daemon, 7, str(daemon.socket), "INVALID_CONFIG")
    assert daemon.socket.lstat().st_ino == before.st_ino
    assert kind != "file" or daemon.socket.read_text(encoding="utf-8") == "precious"


def test_a_socket_that_somebody_else_listens_on(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(daemon.socket))
        other.listen()
        refused_start(daemon, 1, str(daemon.socket), "--socket")
        assert daemon.socket.is_socket()


# --- the state folder ---

def test_a_second_daemon_on_the_same_state(daemon: Daemon, make_daemon: Callable[..., Daemon]) -> None:
    second = make_daemon()
    second.state_dir = daemon.state_dir
    refused_start(second, 1, "in use", str(daemon.pid))
    daemon.load("hello")
    assert daemon.invoke("hello", "x").success


def test_a_second_daemon_on_the_same_socket(daemon: Daemon, make_daemon: Callable[..., Daemon]) -> None:
    second = make_daemon()
    second.socket = daemon.socket
    refused_start(second, 1, str(daemon.socket))
    assert daemon.status().pid == daemon.pid
    assert daemon.socket.is_socket()


def test_two_daemons_beside_each_other(daemon: Daemon, make_daemon: Callable[..., Daemon]) -> None:
    second = make_daemon().start()
    daemon.load("hello")
    assert not second.client.plugins.ListPlugins().plugins
    assert second.status().node_id != daemon.status().node_id


def test_a_state_folder_that_cannot_be_made(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    blocker = daemon.folder / "file"
    blocker.write_text("", encoding="utf-8")
    daemon.state_dir = blocker / "state"
    refused_start(daemon, 1, "state folder", "--state-dir")


def test_a_state_folder_that_is_not_writable(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    # /proc refuses root as well.
    daemon.state_dir = Path("/proc/self")
    refused_start(daemon, 1, "--state-dir")


def test_a_state_folder_of_mode_0555(make_daemon: Callable[..., Daemon]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write to a folder of any mode")
    daemon = make_daemon()
    daemon.state_dir.mkdir(mode=0o555)
    refused_start(daemon, 1, str(daemon.state_dir), "--state-dir")


def test_a_log_of_a_newer_format(daemon: Daemon) -> None:
    daemon.stop()
    daemon.damaged = True
    segment = sorted((daemon.state_dir / "log").glob("*.lgl"))[-1]
    contents = bytearray(segment.read_bytes())
    contents[8:12] = (2).to_bytes(4, "little")  # the version; then the header's checksum, which every format keeps
    contents[4092:4096] = crc32c(bytes(contents[:4092])).to_bytes(4, "little")
    segment.write_bytes(contents)
    refused_start(daemon, 7, "INVALID_CONFIG", "newer")


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC bit by bit: slow, and for one page that does not matter."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_state_is_nobody_elses_business(daemon: Daemon) -> None:
    daemon.load("hello")
    for path in [daemon.state_dir, *daemon.state_dir.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, f"{path}: {oct(path.stat().st_mode)}"


# --- configuration ---

BAD_CONFIGS = {
    "unknown key": ("no_such_key: 1\n", "1: no_such_key"),
    "a typing error": ("log_levle: info\n", "log_level"),
    "wrong type": ("invoke_timeout_ms: soon\n", "1: invoke_timeout_ms"),
    "out of range": ("ready_timeout_ms: 0\n", "1: ready_timeout_ms"),
    "wrong word": ("durability: hopeful\n", "1: durability"),
    "not YAML": ("a: [1\n", "liongated.yaml"),
    "a rule without allow": ('policy:\n  - {plugin: "*"}\n', "policy[0].allow"),
    "a relative path": ("python_interpreter: python3\n", "1: python_interpreter"),
    "an unknown environment": ("environments:\n  moonbase: {}\n", "moonbase"),
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_configuration_that_is_wrong(make_daemon: Callable[..., Daemon], case: str) -> None:
    text, word = BAD_CONFIGS[case]
    daemon = make_daemon(config=text)
    checked = command_line.run(paths.LIONGATED, "--check-config", "--config", daemon.config)
    assert checked.exit_code == 7
    assert word in checked.err and "INVALID_CONFIG" in checked.err
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 7
    assert word in refused.value.log


def test_all_faults_of_a_configuration_are_reported_together(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="no_such_key: 1\ninvoke_timeout_ms: soon\ndurability: hopeful\n")
    err = command_line.run(paths.LIONGATED, "--check-config", "--config", daemon.config).err
    for place in ("1: no_such_key", "2: invoke_timeout_ms", "3: durability"):
        assert f"{daemon.config}:{place}" in err


def test_a_configuration_that_is_not_there() -> None:
    outcome = command_line.run(paths.LIONGATED, "--check-config", "--config", "/no/such/file.yaml")
    assert outcome.exit_code == 7
    assert "/no/such/file.yaml" in outcome.err


def test_a_configuration_that_is_right() -> None:
    outcome = command_line.run(paths.LIONGATED, "--check-config", "--config", paths.ROOT / "config" / "liongated.yaml")
    assert outcome.exit_code == 0, outcome.err


def test_without_any_file_the_defaults_hold() -> None:
    outcome = command_line.run(paths.LIONGATED, "--check-config")
    assert outcome.exit_code == 0, outcome.err


def test_print_config_prints_what_is_in_force_in_the_form_of_the_file(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="invoke_timeout_ms: 12345\n")
    printed = command_line.run(paths.LIONGATED, "--print-config", "--config", daemon.config, "--state-dir", "/srv/x")
    assert printed.exit_code == 0
    assert "invoke_timeout_ms: 12345" in printed.text
    assert "/srv/x" in printed.text
    daemon.config.write_text(printed.text, encoding="utf-8")
    again = command_line.run(paths.LIONGATED, "--print-config", "--config", daemon.config)
    assert again.text == printed.text


def test_environments_differ_in_policy_and_log_level_only() -> None:
    def lines(environment: str) -> set[str]:
        text = command_line.run(paths.LIONGATED, "--print-config", "--environment", environment).text
        return {line for line in text.splitlines() if line and not line.startswith("#")}

    different = {line.split(":")[0] for line in lines("development") ^ lines("production")}
    assert different <= {"environment", "log_level", "policy"}


def test_the_environment_of_the_command_line_chooses_its_part_of_the_file(make_daemon: Callable[..., Daemon]) -> None:
    text = "environment: production\nenvironments:\n  development:\n    invoke_timeout_ms: 111\n"
    daemon = make_daemon(config=text)
    printed = command_line.run(paths.LIONGATED, "--print-config", "--config", daemon.config, "--environment",
                               "development").text
    assert "environment: development" in printed
    assert "invoke_timeout_ms: 111" in printed
    assert "log_level: debug" in printed


@pytest.mark.parametrize("words", [["--no-such-option"], ["--state-dir"], ["stray"], ["--output", "xml"]])
def test_wrong_words_are_usage_errors(words: list[str]) -> None:
    outcome = command_line.run(paths.LIONGATED, *words)
    assert outcome.exit_code == 2
    assert outcome.error().reason == "USAGE"


def test_an_environment_that_is_none() -> None:
    assert command_line.run(paths.LIONGATED, "--check-config", "--environment", "moonbase").exit_code in (2, 7)


# --- SIGHUP ---

def test_sighup_reads_the_configuration_again(daemon: Daemon) -> None:
    daemon.load("slow")
    daemon.config.write_text("invoke_timeout_ms: 100\n", encoding="utf-8")
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: "read again" in daemon.log_text(), "the configuration is read again")
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("slow", "60000", timeout_s=5)


def test_sighup_with_a_wrong_configuration_changes_nothing(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.config.write_text("invoke_timeout_ms: 100\nno_such_key: 1\n", encoding="utf-8")
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: "no_such_key" in daemon.log_text(), "the fault is in the daemon's log")
    assert daemon.invoke("hello", "x").success


def test_reload_config_names_what_changed_and_what_needs_a_restart(daemon: Daemon) -> None:
    daemon.config.write_text("invoke_timeout_ms: 100\nbusy_poll_us: 5\n", encoding="utf-8")
    reply = daemon.client.system.ReloadConfig()
    assert "invoke_timeout_ms" in reply.changed_keys
    assert list(reply.restart_keys) == ["busy_poll_us"]


# --- stopping ---

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully_and_seals_the_log(daemon: Daemon, number: int) -> None:
    daemon.load("hello")
    daemon.invoke("hello", "x")
    daemon.disconnect()
    assert daemon.stop(number) == 0
    report = command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir, "-o", "json").json()
    assert report["intact"] is True
    daemon.start()
    types = [event.type for event in daemon.events()]
    assert types[types.index("PluginResult") + 1 :][:3] == ["DaemonStopping", "SnapshotTaken", "DaemonStopped"]
    assert "LogRecovered" not in types


def test_a_graceful_stop_lets_running_calls_finish(daemon: Daemon) -> None:
    daemon.load("slow")
    call = daemon.invoke_later("slow", "600")
    daemon.wait_event("PluginInvoked", plugin="slow")
    assert daemon.process is not None
    daemon.process.terminate()
    assert call.result().text == "slept"
    assert daemon.wait() == 0


def test_a_second_sigterm_stops_at_once(daemon: Daemon) -> None:
    daemon.load("slow")
    daemon.invoke_later("slow", "60000", operation="deaf")
    daemon.wait_event("PluginInvoked", plugin="slow")
    assert daemon.process is not None
    daemon.process.terminate()
    eventually(lambda: not daemon.socket.exists(), "it is stopping")
    begin = time.monotonic()
    daemon.process.terminate()
    assert daemon.wait() == 1
    assert time.monotonic() - begin < 1
    daemon.start()
    assert daemon.wait_event("PluginError", plugin="slow").plugin_error.reason == "DAEMON_RESTARTED"


def test_an_empty_daemon_stops_at_once(daemon: Daemon) -> None:
    begin = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begin < 1


# --- systemd ---

def test_systemd_is_told_when_it_is_ready_and_when_it_stops(daemon: Daemon) -> None:
    assert daemon.notifications.received.count("READY=1") == 1
    assert command_line.run(paths.LIONGATECTL, "--socket", daemon.socket, "get-status").exit_code == 0
    daemon.stop()
    while "STOPPING=1" not in daemon.notifications.received:
        before = len(daemon.notifications.received)
        daemon.notifications.receive()
        assert len(daemon.notifications.received) > before, "no STOPPING=1"


def test_the_watchdog_is_fed(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(env={"WATCHDOG_USEC": "200000"}).start()

    def fed() -> bool:
        daemon.notifications.receive()
        return daemon.notifications.received.count("WATCHDOG=1") >= 4

    eventually(fed, "four signs of life")


def test_a_plugin_does_not_learn_of_the_notify_socket(daemon: Daemon) -> None:
    daemon.load("probe")
    assert "NOTIFY" not in daemon.invoke("probe", operation="environ").text


def test_it_serves_soon_after_its_start(make_daemon: Callable[..., Daemon]) -> None:
    """A wide bound: `make bench` measures it; here it only must not become seconds."""
    times = []
    for _ in range(3):
        daemon = make_daemon()
        begin = time.monotonic()
        daemon.start()
        times.append(time.monotonic() - begin)
    assert min(times) < 1.0


@pytest.mark.root_only("only root has privileges to give up")
def test_as_root_it_gives_up_its_capabilities(daemon: Daemon) -> None:
    status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == 0 and int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"


def test_the_launcher_ends_with_the_daemon_however_it_ends(daemon: Daemon, workshop: Workshop) -> None:
    launcher = next(process for process in daemon.processes() if process.parent == daemon.pid)
    daemon.kill()
    eventually(lambda: not Path(f"/proc/{launcher.pid}").exists() or "Z" in
               Path(f"/proc/{launcher.pid}/stat").read_text(encoding="utf-8"), "the launcher is gone", 1.0)
