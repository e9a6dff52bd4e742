"""The launcher as a service of its own: a service manager starts one for each connection of the daemon.

Here the test is the service manager, as liongate-launcher.socket with Accept=yes is; the real one is tried in a virtual
machine (`make test-vm`).
"""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import paths, processes
from harness.daemon import Daemon, DidNotStart
from harness.waiting import eventually

LAUNCHER_CONTROL_FD = 3


class ServiceManager:
    """Listens where the daemon looks for a launcher, and starts one for each connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.launchers: list[subprocess.Popen[bytes]] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(str(path))
        # The daemon of a test may have become another user by itself.
        path.chmod(0o666)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                # Descriptor 3 is what a service manager passes; the shell puts it there.
                command = f"exec {paths.LAUNCHER} --service {LAUNCHER_CONTROL_FD}<&{connection.fileno()}"
                launcher = subprocess.Popen(
                    ["/bin/bash", "-c", command],
                    pass_fds=[connection.fileno()], stdin=subprocess.DEVNULL, env={})
                processes.owned_pids.add(launcher.pid)
                self.launchers.append(launcher)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for launcher in self.launchers:
            launcher.kill()
            launcher.wait()
            processes.owned_pids.discard(launcher.pid)


class ServedDaemon(Daemon):
    """A daemon that is told where its launcher is."""

    launcher_socket = Path("/nonexistent")

    def words(self) -> list[str]:
        return [*super().words(), "--launcher-socket", str(self.launcher_socket)]


@pytest.fixture
def manager(can_confine: None) -> Iterator[ServiceManager]:
    path = paths.SPACE / "launcher.sock"
    made = ServiceManager(path)
    yield made
    made.close()
    path.unlink()


@pytest.fixture
def served(manager: ServiceManager) -> ServedDaemon:
    daemon = ServedDaemon()
    daemon.launcher_socket = manager.path
    return daemon


@pytest.fixture
def running(served: ServedDaemon) -> Iterator[ServedDaemon]:
    served.start()
    yield served
    try:
        if served.process is not None:
            assert served.stop() == 0, served.log_text()
    finally:
        served.dispose()


def test_a_plugin_is_started_by_the_service(running: ServedDaemon, manager: ServiceManager) -> None:
    running.load("hello")
    assert "world" in running.invoke("hello", "world").text
    assert not processes.descendants(running.pid), "the daemon itself has started nothing"
    assert len(manager.launchers) == 1
    assert processes.descendants(manager.launchers[0].pid), "the launcher has"


def test_the_launcher_ends_with_the_daemon(running: ServedDaemon, manager: ServiceManager) -> None:
    running.load("hello")
    plugin = running.get("hello").pid
    running.kill()
    assert manager.launchers[0].wait(timeout=10) == 0
    eventually(lambda: not Path(f"/proc/{plugin}").exists() or None, "the plugin has ended with it")


def test_the_daemon_ends_when_the_launcher_does(running: ServedDaemon, manager: ServiceManager) -> None:
    running.load("hello")
    manager.launchers[0].send_signal(signal.SIGKILL)
    assert running.wait() == 1
    assert "liongate-launcher ended" in running.log_text()


def test_the_next_daemon_gets_a_launcher_of_its_own(running: ServedDaemon, manager: ServiceManager) -> None:
    plugin = running.load("hello").plugin_id
    running.kill()
    running.start()
    assert "again" in running.invoke("hello", "again").text
    assert running.get("hello").plugin_id == plugin
    assert len(manager.launchers) == 2


def test_nobody_listens_there(served: ServedDaemon) -> None:
    served.launcher_socket = paths.SPACE / "nobody.sock"
    try:
        with pytest.raises(DidNotStart) as refused:
            served.start()
        assert refused.value.exit_code == 9
        assert "SANDBOX_UNAVAILABLE" in refused.value.log
        assert "hint: systemctl start liongate-launcher.socket" in refused.value.log
        assert not served.socket.exists(), "its own socket is not left behind"
    finally:
        served.dispose()


@pytest.mark.parametrize("line", ['plugin_uid_range: "2147000000-2147000100"', 'launcher_path: "/usr/bin/true"'])
def test_what_the_launchers_own_unit_says_the_daemon_may_not(served: ServedDaemon, line: str) -> None:
    served.config.write_text(served.config.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    try:
        with pytest.raises(DidNotStart) as refused:
            served.start()
        assert refused.value.exit_code == 7
        assert "systemctl edit liongate-launcher@.service" in refused.value.log
    finally:
        served.dispose()


@pytest.mark.parametrize("greeting", [b"", b"hello"])
def test_a_greeting_that_is_none(manager: ServiceManager, greeting: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(str(manager.path))
        if greeting:
            stranger.send(greeting)
    eventually(lambda: manager.launchers or None, "a launcher was started")
    assert manager.launchers[0].wait(timeout=15) == 2
