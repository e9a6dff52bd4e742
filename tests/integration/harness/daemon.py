"""One liongated on a state folder and a socket of its own, started, stopped and killed as often as a test wants."""

from __future__ import annotations

import grp
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc

from . import command_line, paths, processes, wire
from .waiting import eventually

READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 30.0
EVENT_TIMEOUT_S = 15.0

PRIVILEGED_GROUPS = {"root", "wheel", "sudo", "admin", "staff", "disk", "kmem", "shadow", "docker", "podman", "lxd",
                     "incus", "incus-admin", "libvirt"}
_numbers = itertools.count(1)


class DidNotStart(Exception):
    """The daemon ended instead of becoming ready."""

    def __init__(self, exit_code: int, log: str) -> None:
        super().__init__(f"exit code {exit_code}: {log}")
        self.exit_code = exit_code
        self.log = log


class Notifications:
    """The socket that systemd would listen on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        path.chmod(0o666)
        self._socket.settimeout(0.05)

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def receive(self) -> None:
        try:
            self.received += self._socket.recv(4096).decode().splitlines()
        except TimeoutError:
            pass

    def forget(self) -> None:
        self.received.clear()


def default_config(*accepted: str) -> str:
    """With `accepted` in allow_degraded; whoever tests as a user that may become root accepts that as well."""
    names = {entry.gr_name for entry in grp.getgrall() if entry.gr_gid in os.getgroups()}
    if os.geteuid() != 0 and names & PRIVILEGED_GROUPS:
        accepted = (*accepted, "ordinary_groups")
    return "stop_grace_ms: 1000\n" + (f"allow_degraded: [{', '.join(accepted)}]\n" if accepted else "")


class Daemon:
    """Ready when `start` returns: it waits for READY=1, never for some time to pass."""

    def __init__(self, environment: str = "development", config: str = "", env: dict[str, str] | None = None,
                 prefix: Iterable[str] = ()) -> None:
        """`prefix` is a program that executes the daemon in its own place: it keeps the pid that was started."""
        self.folder = paths.SPACE / f"d{next(_numbers)}"
        self.folder.mkdir(mode=0o711)
        self.state_dir = self.folder / "state"
        self.socket = self.folder / "s"
        self.config = self.folder / "liongated.yaml"
        self.log_path = self.folder / "daemon.log"
        self.environment = environment
        self.prefix = list(prefix)
        self.env = env or {}
        self.damaged = False  # a test that breaks the log on purpose says so here
        # Always a file of its own: the machine's configuration has no say here.
        self.config.write_text(config or default_config(), encoding="utf-8")
        self.config.chmod(0o644)
        self.notifications = Notifications(self.folder / "n")
        self.process: subprocess.Popen[bytes] | None = None
        self.ctl = command_line.CommandLine(self.socket)
        self._client: wire.Client | None = None
        self._other_clients: list[wire.Client] = []

    # --- its life ---

    def words(self) -> list[str]:
        return [*self.prefix, str(paths.LIONGATED), "--config", str(self.config), "--state-dir", str(self.state_dir),
                "--socket", str(self.socket), "--environment", self.environment]

    def start(self) -> Daemon:
        assert self.process is None, "it runs already"
        self.notifications.forget()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.words(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=paths.clean_environment(NOTIFY_SOCKET=str(self.notifications.path), **self.env))
        processes.owned_pids.add(self.process.pid)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while "READY=1" not in self.notifications.received:
            self.notifications.receive()
            if self.process.poll() is not None and "READY=1" not in self.notifications.received:
                raise DidNotStart(self._gone(), self.log_text())
            assert time.monotonic() < deadline, f"not ready within {READY_TIMEOUT_S} s: {self.log_text()}"
        return self

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Asks it to end, waits, returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal_number)
        return self.wait()

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        assert self.process is not None
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {timeout_s} s: {self.log_text()}") from None
        return self._gone()

    def kill(self) -> None:
        """As a power cut would end it, except for the page cache."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._gone()

    def restart(self) -> Daemon:
        self.disconnect()
        assert self.stop() == 0, self.log_text()
        return self.start()

    def _gone(self) -> int:
        assert self.process is not None
        exit_code = self.process.returncode
        processes.owned_pids.discard(self.process.pid)
        self.process = None
        self.disconnect()
        return exit_code

    def disconnect(self) -> None:
        """An idle grpcio channel does not read the daemon's GOAWAY, and a stop would wait half a second for it."""
        if self._client is not None:
            self._client.close()
            self._client = None
        for client in self._other_clients:
            client.close()
        self._other_clients.clear()

    def dispose(self) -> None:
        """What a test leaves running is ended; never raises, so that every daemon of a run is reached."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._gone()
        self.notifications.close()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log_text(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    # --- asking it ---

    @property
    def client(self) -> wire.Client:
        if self._client is None:
            self._client = wire.Client(self.socket)
        return self._client

    def another_client(self) -> wire.Client:
        """A connection of its own, closed with the daemon."""
        self._other_clients.append(wire.Client(self.socket))
        return self._other_clients[-1]

    def load(self, manifest: Path | str, **options: Any) -> wire.Plugin:
        """`manifest` is a path, the folder it lies in, or the name of a plugin of the build."""
        path = manifest_of(manifest)
        return self.client.plugins.LoadPlugin(manifest_path=str(path), **options).plugin

    def invoke(self, plugin: str, text: str = "", **fields: Any) -> Any:
        return self.client.plugins.InvokePlugin(**invoke_fields(plugin, text, fields))

    def invoke_later(self, plugin: str, text: str = "", **fields: Any) -> wire.PendingCall:
        return self.client.plugins.later("InvokePlugin", **invoke_fields(plugin, text, fields))

    def get(self, plugin: str) -> wire.Plugin:
        return self.client.plugins.GetPlugin(plugin=plugin).plugin

    def state(self, plugin: str) -> str:
        return state_name(self.get(plugin))

    def status(self) -> Any:
        return self.client.system.GetStatus()

    def events(self, **filters: Any) -> list[wire.Event]:
        """What has happened up to now: readers see an event when it is written, a moment after it happened."""
        until = self.status().last_seq
        self.wait_event(after_seq=until - 1)
        return [event for event in self.events_on_disk(**filters) if event.seq <= until]

    def events_on_disk(self, limit: int = 0, **filters: Any) -> list[wire.Event]:
        replies = self.client.log.ReplayEvents(filter=event_filter(filters), limit=limit)
        return [event for reply in replies for event in reply.events]

    def wait_event(self, *types: str, matching: Callable[[Any], bool] = lambda event: True,
                   timeout_s: float = EVENT_TIMEOUT_S, **filters: Any) -> wire.Event:
        """The first such event, past or to come: the log itself is what is waited on."""
        stream = self.client.log.open("ReplayEvents", timeout_s=timeout_s, follow=True,
                                      filter=event_filter({"types": list(types), **filters}))
        try:
            for reply in stream:
                for event in reply.events:
                    if matching(event):
                        return event
        except grpc.RpcError as error:
            raise AssertionError(f"no {types} {filters} within {timeout_s} s: {error.details()}\n"
                                 f"{describe(self.events())}") from None
        finally:
            stream.cancel()
        raise AssertionError("the stream of events ended")

    def wait_state(self, plugin: str, state: str, timeout_s: float = EVENT_TIMEOUT_S) -> wire.Plugin:
        def ask() -> Any:
            found = self.get(plugin)
            return found if state_name(found) == state else None

        return eventually(ask, f"{plugin} is {state}", timeout_s)

    def wait_idle(self) -> None:
        """Until no call is open: then every call that was ever made has its end in the log."""
        eventually(lambda: (status := self.status()).calls_running + status.calls_queued == 0, "no call is open")

    def processes(self) -> list[processes.Process]:
        """What the daemon and its launcher have started."""
        return processes.descendants(self.pid)

    def sandbox_pids(self) -> set[int]:
        """The processes that plugins run in: everything below the daemon except the launcher itself."""
        children = {process.pid for process in self.processes() if process.parent == self.pid}
        return {process.pid for process in self.processes()} - children


def manifest_of(plugin: Path | str) -> Path:
    if isinstance(plugin, str):
        shipped = paths.PLUGINS / plugin
        plugin = shipped if shipped.is_dir() else paths.TEST_PLUGINS / plugin
    return plugin / "manifest.toml" if plugin.is_dir() else plugin


def invoke_fields(plugin: str, text: str, fields: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"plugin": plugin, **fields}
    if "data" not in request:
        request["text"] = text
    timeout_ms = request.pop("timeout_ms", None)
    if timeout_ms is not None:
        request["timeout"] = {"seconds": timeout_ms // 1000, "nanos": timeout_ms % 1000 * 1_000_000}
    return request


def event_filter(filters: dict[str, Any]) -> Any:
    return wire.event_service.EventFilter(**filters)


def state_name(plugin: wire.Plugin) -> str:
    return str(wire.plugin_messages.PluginState.Name(plugin.state)).removeprefix("PLUGIN_STATE_")


def describe(events: Iterable[wire.Event]) -> str:
    return "\n".join(f"{event.seq} {event.type} {event.plugin_name} {event.correlation_id}" for event in events)


def terminals_by_execution(events: Iterable[wire.Event]) -> dict[str, list[str]]:
    """For each PluginInvoked the ends that the log gives it: there should be one."""
    ends: dict[str, list[str]] = {}
    for event in events:
        if event.type == "PluginInvoked":
            assert event.plugin_invoked.execution_id not in ends, "an execution id was given twice"
            ends[event.plugin_invoked.execution_id] = []
        elif event.type == "PluginResult":
            ends[event.plugin_result.execution_id].append("PluginResult")
        elif event.type == "PluginError" and event.plugin_error.execution_id:
            ends[event.plugin_error.execution_id].append(event.plugin_error.reason)
    return ends


def assert_every_call_ended_once(daemon: Daemon) -> None:
    daemon.wait_idle()
    ends = terminals_by_execution(daemon.events(types=["PluginInvoked", "PluginResult", "PluginError"]))
    wrong = {execution: found for execution, found in ends.items() if len(found) != 1}
    assert not wrong, f"calls without exactly one end: {wrong}"


def kill_process(pid: int) -> None:
    """Only for processes below a daemon of the test."""
    assert pid > 1, f"{pid} is no process of a plugin"
    os.kill(pid, signal.SIGKILL)
