"""What the attempts are made on: a daemon with a sibling plugin, canaries, and listeners that must hear nothing.

One stage for a run, made by whoever runs the suite, as root or not; everything lies in one scratch folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import threading
from pathlib import Path

from harness import command_line, hosts, paths, processes, secret_sources, wire
from harness.daemon import Daemon

ESCAPE_PLUGIN = paths.BUILD / "tests" / "escape"
PROGRAM = ESCAPE_PLUGIN / "escape"
NETGATE_NAME = "liongate-netgat"  # as the kernel cuts it
GRANTED_NAME = "granted.liongate-test"
SECOND_NAME = "second.liongate-test"
OTHER_NAME = "other.liongate-test"
REBOUND_NAME = "rebound.liongate-test"
SUITE = Path(__file__).resolve().parent.parent


class Listener:
    """A socket of the host that nobody should reach: it counts who did."""

    def __init__(self, made: socket.socket) -> None:
        self.reached = 0
        self._socket = made
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
                self.reached += 1
            except OSError:
                return

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])


class Stage:
    GRACE_S = 0.5  # stop_grace_ms: a reload lets the plugin end its calls first

    def __init__(self) -> None:
        self.is_root = os.geteuid() == 0
        self.scratch = paths.SPACE / "escape"
        self.canary_value = secrets.token_hex(16)
        self._write_scratch()
        self.abstract_name = f"liongate-escape-{os.getpid()}"
        self.listeners = self._listen()
        self.resolver = hosts.Resolver()
        self._held = 0
        self.greeters = [hosts.TcpServer(lambda connection: connection.sendall(b"hello")) for _ in range(3)]
        self._holder = hosts.TcpServer(self._hold)
        self.resolver.names = {name: ["127.0.0.1"] for name in (GRANTED_NAME, SECOND_NAME, OTHER_NAME)}
        self.resolver.names |= {f"sub.{GRANTED_NAME}": ["127.0.0.1"], f"x{GRANTED_NAME}": ["127.0.0.1"],
                                REBOUND_NAME: ["127.0.0.1", "10.0.0.1"]}
        # Descriptor 9 is what a careless caller would leak: the host's root, open in every child that keeps it.
        self.daemon = Daemon(environment="production", config=self._configuration(),
                             prefix=["/bin/sh", "-c", 'exec "$0" "$@" 9</'],
                             env={"LIONGATE_ESCAPE_SECRET": self.canary_value, "LIONGATE_ESCAPE_GRANTED": "granted"})
        self.daemon.start()
        self.ctl: command_line.CommandLine = self.daemon.ctl
        self.ctl.ok("load-plugin", "--manifest", paths.PLUGINS / "echo" / "manifest.toml")
        self.sibling = self.daemon.get("echo")
        self.keeper = self._load_keeper()

    def _write_scratch(self) -> None:
        for name in ("", "secrets", "control", "plugins", "grants"):
            (self.scratch / name).mkdir(mode=0o755)
        self.canary = self.scratch / "secrets" / "canary"
        self.canary.write_text(self.canary_value, encoding="utf-8")
        self.canary.chmod(0o600)
        self.make_grants(self.scratch / "grants")

        self.secret_source = self.scratch / "secrets" / "given"
        self.secret_source.write_text(secrets.token_hex(16), encoding="utf-8")
        self.secret_source.chmod(0o600)
        os.chown(self.secret_source, secret_sources.daemon_uid(), -1)

    def _load_keeper(self) -> wire.Plugin:
        """A plugin that was given a secret, and runs."""
        folder = self.scratch / "plugins" / "keeper"
        folder.mkdir(mode=0o755)
        shutil.copy(PROGRAM, folder / "escape")
        (folder / "manifest.toml").write_text(
            'name = "keeper"\nversion = "0.1.0"\nentry_point = "./escape"\npermissions = ["secret:given"]\n',
            encoding="utf-8")
        self.ctl.ok("load-plugin", "--manifest", folder / "manifest.toml")
        given = self.ctl.ok("invoke-plugin", "keeper", "--operation", "ask for secret", "--input", "given").text
        assert given == self.secret_source.read_text(encoding="utf-8")
        return self.daemon.get("keeper")

    def _configuration(self) -> str:
        """Nothing is granted but what the suite hands out: whatever else a manifest asks for is to be refused."""
        granted = ["process", "jit", "env:LIONGATE_ESCAPE_GRANTED", f"fs_read:{self.scratch}/grants/*",
                   f"fs_write:{self.scratch}/grants/*", "network:*.liongate-test:*"]
        rules = "".join(f'  - {{plugin: "escape-*", permission: "{permission}", allow: true}}\n'
                        for permission in granted)
        # What no policy can grant is refused to these too.
        network = f'network_resolver: "{self.resolver.address}"\nnetwork_internal_ranges: ["127.0.0.0/8"]\n'
        given = f"secrets: {{given: {{file: {self.secret_source}}}}}\n"
        rules += '  - {plugin: "keeper", permission: "secret:given", allow: true}\n'
        return f'stop_grace_ms: 500\n{given}{network}policy:\n{rules}  - {{plugin: "greedy-*", allow: true}}\n'

    def make_grants(self, folder: Path) -> None:
        """A folder to read and one to write, as a manifest would grant them; the same again for each control."""
        folder.mkdir(mode=0o755, exist_ok=True)
        for name in ("ro", "rw"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(mode=0o755)
        (folder / "ro" / "file").write_text("only to be read\n" * 64, encoding="utf-8")
        shutil.copy(PROGRAM, folder / "ro" / "setuid")
        (folder / "ro" / "setuid").chmod(0o4755)

    def _hold(self, connection: socket.socket) -> None:
        self._held += 1
        try:
            connection.recv(1)
        finally:
            self._held -= 1

    def held_open(self) -> int:
        return self._held

    @property
    def holding_port(self) -> int:
        return self._holder.port

    def network_permissions(self) -> list[str]:
        first, second = self.greeters[0].port, self.greeters[1].port
        return [f"network:{GRANTED_NAME}:{first}", f"network:{SECOND_NAME}:{second}", f"network:{REBOUND_NAME}:{first}",
                f"network:{GRANTED_NAME}:{self.holding_port}"]

    def _listen(self) -> list[Listener]:
        tcp = socket.create_server(("127.0.0.1", 0))
        abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        abstract.bind("\0" + self.abstract_name)
        abstract.listen()
        made = [tcp, abstract]
        for name in ("ro", "rw"):
            made.append(self.listen_in(self.scratch / "grants" / name))
        return [Listener(one) for one in made]

    @staticmethod
    def listen_in(folder: Path) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(str(folder / "docker.sock"))
        made.listen()
        (folder / "docker.sock").chmod(0o666)
        return made

    def reached(self) -> int:
        return sum(listener.reached for listener in self.listeners)

    def scene(self, grants: Path | None) -> dict[str, object]:
        """Where things are, for the program. `grants` is None where the manifest has none."""
        ro = self.scratch / "grants" / "ro"
        scene: dict[str, object] = {
            "canary": self.canary, "canary_folder": self.canary.parent, "canary_value": self.canary_value,
            "daemon_state": self.daemon.state_dir, "daemon_log": self.daemon.state_dir / "log",
            "daemon_config": self.daemon.config, "daemon_program": paths.LIONGATED, "home": paths.HOME,
            "daemon_pid": self.daemon.pid, "sibling_pid": self.sibling.pid, "control_socket": self.daemon.socket,
            "abstract_socket": self.abstract_name, "tcp_port": self.listeners[0].port,
            "secret_source": self.secret_source, "keeper_pid": self.keeper.pid,
            "setuid_program": (grants / "ro" if grants else ro) / "setuid"}
        scene |= {"granted_name": GRANTED_NAME, "other_name": OTHER_NAME, "rebound_name": REBOUND_NAME,
                  "granted_port": self.greeters[0].port, "second_port": self.greeters[1].port,
                  "third_port": self.greeters[2].port, "resolver_port": self.resolver.address.split(":")[1]}
        if grants is not None:
            scene |= {"ro": grants / "ro", "rw": grants / "rw"}
        return scene

    def launcher_pid(self) -> int:
        return next(process.pid for process in self.daemon.processes() if process.parent == self.daemon.pid)

    def close(self) -> None:
        self.daemon.disconnect()
        if self.daemon.is_running:
            self.daemon.stop()
        self.daemon.dispose()

    def processes(self) -> set[int]:
        """All but the network gate, which serves every plugin and may be started at any moment."""
        return {process.pid for process in processes.descendants(self.daemon.pid) if process.name != NETGATE_NAME}
