"""A daemon whose plugins' names a test resolves, and the servers that they lead to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from . import wire
from .daemon import Daemon, default_config
from .hosts import FileServer, Resolver, TcpServer, UdpEcho, WebServer
from .workshop import Workshop

RANGES = '"127.0.0.0/8", "::1/128"'


Server = TypeVar("Server", WebServer, FileServer, TcpServer, UdpEcho)


class World:
    """A daemon whose plugins' names are resolved here, and what they lead to."""

    def __init__(self, make_daemon: Callable[..., Daemon], workshop: Workshop, more: str = "",
                 ranges: str = RANGES) -> None:
        self.resolver = Resolver()
        self.workshop = workshop
        self.servers: list[WebServer | FileServer | TcpServer | UdpEcho | Resolver] = [self.resolver]
        config = (default_config() + f'network_resolver: "{self.resolver.address}"\n'
                  f"network_internal_ranges: [{ranges}]\n" + more)
        self.daemon = make_daemon(config=config).start()

    def serves(self, server: Server) -> Server:
        self.servers.append(server)
        return server

    def name(self, name: str, *addresses: str) -> None:
        self.resolver.names[name] = list(addresses)

    def command(self, name: str, script: str, permissions: list[str]) -> str:
        self.daemon.load(self.workshop.command(name, script, permissions=permissions))
        return name

    def program(self, name: str, source: str, permissions: list[str]) -> str:
        manifest = self.workshop.manifest(name, "./main.py", "command", permissions)
        self.daemon.load(self.workshop.write(name, manifest, {"main.py": source}))
        return name

    def events(self, *types: str) -> list[wire.Event]:
        return self.daemon.events(types=list(types))

    def close(self) -> None:
        for server in self.servers:
            server.close()


# Asks for the address that is its input.
CURL = "exec curl --silent --show-error --max-time 5 \"$@\" $(cat)\n"
