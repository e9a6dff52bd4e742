"""Plays the daemon to one plugin process: frames on its fd 3 and 4, its stdout and stderr in files.

Used by the tests of the SDKs. Every wait is bounded: a plugin that says nothing fails the test instead of hanging it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BUILD = Path(os.environ["LIONGATE_BUILD"])
SDK = BUILD / "sdk" / "python"
sys.path.insert(0, str(SDK))

from liongate import frame_pb2  # noqa: E402

ANSWER_TIMEOUT_S = 20.0
MIB = 1024 * 1024
PYTHON = "/usr/bin/python3"


def encode(*frames: Any) -> bytes:
    """The frames as they travel."""
    bodies = [frame.SerializeToString() for frame in frames]
    return b"".join(len(body).to_bytes(4, "little") + body for body in bodies)


def hello(**changes: Any) -> Any:
    frame = frame_pb2.Frame()
    greeting = frame.hello
    greeting.protocol_version_min = changes.get("version_min", 1)
    greeting.protocol_version_max = changes.get("version_max", 1)
    greeting.plugin_name = changes.get("plugin_name", "tested")
    greeting.plugin_version = "0.1.0"
    greeting.config_json = changes.get("config_json", "{}")
    greeting.limits.frame_bytes_max = changes.get("frame_bytes_max", 16 * MIB + 64 * 1024)
    greeting.limits.input_bytes_max = 16 * MIB
    greeting.limits.output_bytes_max = changes.get("output_bytes_max", 16 * MIB)
    greeting.limits.concurrency_max = changes.get("concurrency_max", 256)
    return frame


def invoke(call_id: int, text: str | bytes = "", operation: str = "", **fields: Any) -> Any:
    frame = frame_pb2.Frame()
    frame.invoke.call_id = call_id
    frame.invoke.operation = operation
    if isinstance(text, bytes):
        frame.invoke.input.data = text
    else:
        frame.invoke.input.text = text
    for name, value in fields.items():
        setattr(frame.invoke, name, value)
    return frame


def cancel(call_id: int) -> Any:
    frame = frame_pb2.Frame()
    frame.cancel.call_id = call_id
    frame.cancel.reason = "cancelled"
    return frame


def ping(nonce: int) -> Any:
    frame = frame_pb2.Frame()
    frame.ping.nonce = nonce
    return frame


def config_changed(config_json: str) -> Any:
    frame = frame_pb2.Frame()
    frame.config_changed.config_json = config_json
    return frame


def shutdown() -> Any:
    frame = frame_pb2.Frame()
    frame.shutdown.grace_ms = 1000
    return frame


def keep_our_descriptors() -> None:
    """Whatever the test runner was started with stays out of the plugins."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
            os.set_inheritable(int(name), False)


keep_our_descriptors()


class PluginProcess:
    """One plugin, started as the daemon starts it except for the walls around it."""

    def __init__(self, *command: str) -> None:
        to_plugin, self._input = os.pipe()
        self._output, from_plugin = os.pipe()
        self._out = tempfile.TemporaryFile()
        self._err = tempfile.TemporaryFile()
        self._received = bytearray()
        self._exit_code: int | None = None
        null = os.open("/dev/null", os.O_RDONLY)
        # Moved out of the way of 0 to 4 first, so that no dup2 below overwrites the source of a later one.
        sources = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
                   for fd in (null, self._out.fileno(), self._err.fileno(), to_plugin, from_plugin)]
        self.pid = os.posix_spawn(
            command[0],
            list(command),
            {"HOME": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(sources)],
        )
        for fd in (null, to_plugin, from_plugin, *sources):
            os.close(fd)

    def __enter__(self) -> PluginProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_input()
        if self._exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._output)
        self._out.close()
        self._err.close()

    def send(self, *frames: Any) -> None:
        self.send_bytes(encode(*frames))

    def send_bytes(self, content: bytes) -> None:
        self._send_all(content)

    def receive_bytes(self) -> bytes:
        """Whatever comes next, whole frames or not."""
        return self._read(time.monotonic() + ANSWER_TIMEOUT_S)

    def close_output(self) -> None:
        """As when the daemon is gone."""
        os.close(self._output)
        self._output = os.open("/dev/null", os.O_RDONLY)

    def end_input(self) -> None:
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def receive(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The next frame; fails when none comes, or the plugin closed its side."""
        until = time.monotonic() + timeout_s
        while (frame := self._cut()) is None:
            chunk = self._read(until)
            assert chunk, f"the plugin closed its output; its stderr: {self.stderr()}"
            self._received += chunk
        return frame

    def receive_many(self, count: int) -> list[Any]:
        return [self.receive() for _ in range(count)]

    def greet(self, **changes: Any) -> Any:
        """Says Hello and returns the Ready."""
        self.send(hello(**changes))
        frame = self.receive()
        assert frame.WhichOneof("kind") == "ready", frame
        return frame.ready

    def call(self, text: str | bytes = "", operation: str = "", **fields: Any) -> Any:
        """One invocation; its Result, with no other frame before it."""
        self.send(invoke(7, text, operation, **fields))
        frame = self.receive()
        assert frame.WhichOneof("kind") == "result", frame
        assert frame.result.call_id == 7
        return frame.result

    def wait(self, timeout_s: float = ANSWER_TIMEOUT_S) -> int:
        """The exit code; negative for a signal."""
        until = time.monotonic() + timeout_s
        while self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
            else:
                assert time.monotonic() < until, "the plugin did not exit"
                time.sleep(0.002)
        return self._exit_code

    def stdout(self) -> str:
        return self._text_of(self._out)

    def stderr(self) -> str:
        return self._text_of(self._err)

    def at_end(self) -> bool:
        """Has the plugin closed its side, with nothing left to read?"""
        return not self._received and not self._read(time.monotonic() + ANSWER_TIMEOUT_S)

    @staticmethod
    def _text_of(file: Any) -> str:
        return os.pread(file.fileno(), MIB, 0).decode("utf-8", "replace")

    def _cut(self) -> Any:
        if len(self._received) < 4:
            return None
        end = 4 + int.from_bytes(self._received[:4], "little")
        if len(self._received) < end:
            return None
        frame = frame_pb2.Frame.FromString(bytes(self._received[4:end]))
        del self._received[:end]
        return frame

    def _read(self, until: float) -> bytes:
        ready, _, _ = select.select((self._output,), (), (), max(0.0, until - time.monotonic()))
        assert ready, f"no frame from the plugin in time; its stderr: {self.stderr()}"
        return os.read(self._output, 256 * 1024)

    def _send_all(self, content: bytes) -> None:
        """Writes while it reads, so that a plugin that answers at once does not stand against a full pipe."""
        os.set_blocking(self._input, False)
        rest = memoryview(content)
        while rest:
            readable, writable, _ = select.select((self._output,), (self._input,), (), ANSWER_TIMEOUT_S)
            assert readable or writable, "the plugin neither reads nor answers"
            if readable:
                self._received += os.read(self._output, 256 * 1024)
            if writable:
                rest = rest[os.write(self._input, rest) :]
        os.set_blocking(self._input, True)


def cpp_plugin(name: str) -> PluginProcess:
    """A shipped plugin, by name."""
    return PluginProcess(str(BUILD / "plugins" / name / name))


def python_plugin(path: Path) -> PluginProcess:
    """A Python plugin, started as the daemon does it."""
    return PluginProcess(PYTHON, "-I", "-B", str(SDK / "bootstrap.py"), str(path))
