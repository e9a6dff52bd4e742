"""The hostile and odd plugins of tests/plugins do what their names say: a test of the daemon can rely on it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from plugin_driver import (BUILD, PluginProcess, cancel, hello, invoke, ping, python_plugin, shutdown)

PLUGINS = BUILD / "tests" / "plugins"


def started(name: str) -> PluginProcess:
    folder = PLUGINS / name
    program = next(file for file in folder.iterdir() if file.name != "manifest.toml")
    return PluginProcess(str(program), name)


def test_every_folder_has_a_manifest_and_safe_modes() -> None:
    folders = [folder for folder in PLUGINS.iterdir() if (folder / "manifest.toml").exists()]
    assert len(folders) > 40
    for path in [entry for folder in folders for entry in (folder, *folder.iterdir())]:
        assert path.stat().st_mode & 0o022 == 0, path


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("writes_garbage", b"\x10\x00\x00\x00" + b"\x0f" * 16),
        ("huge_length", b"\xff\xff\xff\xff"),
        ("zero_length", b"\x00\x00\x00\x00"),
        ("half_frame", b"\x64\x00\x00\x00half of it"),
        ("not_utf8", b"\x09\x00\x00\x00\x2a\x07\x08\x01\x12\x03\x0a\x01\xff"),
    ],
)
def test_sins_of_bytes(name: str, wire: bytes) -> None:
    with started(name) as plugin:
        plugin.greet()
        assert plugin.call("innocent", "echo").output.text == "innocent"
        plugin.send(invoke(1))
        received = b""
        while len(received) < len(wire):
            received += plugin.receive_bytes()
        assert received == wire


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("unset_kind", [None]),
        ("wrong_kind", ["shutdown"]),
        ("unknown_call_id", ["result"]),
        ("duplicate_result", ["result", "result"]),
        ("output_after_result", ["result", "output"]),
        ("second_ready", ["ready"]),
    ],
)
def test_sins_of_frames(name: str, kinds: list[str | None]) -> None:
    with started(name) as plugin:
        plugin.greet()
        plugin.send(invoke(1))
        assert [frame.WhichOneof("kind") for frame in plugin.receive_many(len(kinds))] == kinds


@pytest.mark.parametrize(
    ("name", "code"), [("dies_mid_call", -signal.SIGABRT), ("exits_mid_call", 7), ("half_frame_exit", 0)]
)
def test_sins_that_end_it(name: str, code: int) -> None:
    with started(name) as plugin:
        plugin.greet()
        plugin.send(invoke(1))
        assert plugin.wait() == code


def test_sins_of_the_start() -> None:
    with started("exits_at_once") as plugin:
        plugin.send(hello())
        assert plugin.wait() == 3
    with started("wrong_version") as plugin:
        assert plugin.greet().protocol_version == 99
    with started("result_before_ready") as plugin:
        plugin.send(hello())
        assert plugin.receive().WhichOneof("kind") == "result"
    with started("fails_start") as plugin:
        plugin.send(hello())
        assert "there is no ink" in plugin.receive().log.message
        assert plugin.wait() == 1
    with started("never_ready") as plugin:
        plugin.send(hello())
        with pytest.raises(AssertionError, match="no frame"):
            plugin.receive(timeout_s=0.1)


def test_closes_pipe_and_lives_on() -> None:
    with started("closes_pipe") as plugin:
        plugin.greet()
        plugin.send(invoke(1))
        assert plugin.at_end()
        os.kill(plugin.pid, 0)


def test_ignores_shutdown() -> None:
    with started("ignores_shutdown") as plugin:
        plugin.greet()
        plugin.send(shutdown())
        os.kill(plugin.pid, signal.SIGTERM)
        with pytest.raises(AssertionError, match="did not exit"):
            plugin.wait(timeout_s=0.1)


def test_floods_end_with_an_answer() -> None:
    for name in ("floods_stdout", "floods_stderr"):
        with started(name) as plugin:
            plugin.greet()
            assert plugin.call("100000").output.text == "flooded"
            assert len(plugin.stdout() + plugin.stderr()) == 100_000


def test_slow_honours_a_cancel_and_deaf_does_not() -> None:
    for name in ("slow", "slow_single"):
        with started(name) as plugin:
            plugin.greet()
            plugin.send(invoke(1, "60000"), cancel(1))
            assert plugin.receive().result.failure.code == "CANCELLED"
            plugin.send(invoke(2, "100", "deaf"))
            time.sleep(0.02)
            plugin.send(cancel(2))
            assert plugin.receive().result.output.text == "slept"


def test_the_odd_ones() -> None:
    with started("streamer") as plugin:
        plugin.greet()
        plugin.send(invoke(1, "2"))
        first, second, last = plugin.receive_many(3)
        assert (first.output.part.text, second.output.part.text) == ("part 1\n", "part 2\n")
        assert last.result.output.text == "done"
    with started("health") as plugin:
        plugin.greet()
        plugin.call("a cold", "sick")
        plugin.send(ping(1))
        pong = plugin.receive().pong
        assert (pong.healthy, pong.detail) == (False, "a cold")
    with started("fails") as plugin:
        plugin.greet()
        assert plugin.call("x").failure.code == "OUT_OF_PAPER"
        assert plugin.call("x", "retryable").failure.retryable
        assert plugin.call("x", "throws").failure.code == "PLUGIN_EXCEPTION"
    with started("big_output") as plugin:
        plugin.greet()
        assert len(plugin.call("1000000").output.text) == 1_000_000
        assert plugin.call("16777217").failure.code == "OUTPUT_TOO_LARGE"
    with started("memory_hog") as plugin:
        plugin.greet()
        assert plugin.call("8").output.text == "8 MiB"
    with started("config_reader") as plugin:
        plugin.greet(config_json='{"a":1}')
        assert plugin.call().output.text == '{"a":1}'
    with started("env_reader") as plugin:
        plugin.greet()
        assert plugin.call("HOME").output.text == "/tmp"
        assert plugin.call("LIONGATE_TEST_VALUE").failure.code == "NOT_SET"


def test_probe_answers_every_question() -> None:
    with started("probe") as plugin:
        plugin.greet()
        for verb in ("status", "mounts", "environ", "fds", "ids", "limits", "cwd", "processes", "network"):
            assert plugin.call("", verb).output.text, verb
        fds = plugin.call("", "fds").output.text.splitlines()
        assert [line.split()[0] for line in fds] == ["0", "1", "2", "3", "4"]
        assert plugin.call("files:/etc/hostname").output.text == open("/etc/hostname", encoding="utf-8").read()
        assert plugin.call("/no/such", "files").output.text == "ENOENT"
        assert "plugins\n" in plugin.call(str(BUILD), "list").output.text
        assert plugin.call("/proc/nothing", "write").output.text in ("ENOENT", "EACCES")
        assert plugin.call("syscall:999999").output.text == "ENOSYS"
        assert plugin.call("", "fork").output.text == "forked"
        assert plugin.call("", "threads").output.text == "started"
        assert plugin.call("/no/such", "exec").output.text == "ENOENT"
        assert plugin.call("what?").failure.code == "UNKNOWN_VERB"


def test_probe_python_answers_every_question() -> None:
    with python_plugin(PLUGINS / "probe_python" / "probe.py") as plugin:
        operations = plugin.greet().operations
        for operation in operations:
            argument = {"files": "/etc/hostname", "list": "/", "write": "/no/such", "import": "ssl"}.get(operation, "")
            assert plugin.call(argument, operation).output.text, operation
        assert plugin.call("/no/such", "write").output.text == "ENOENT"
