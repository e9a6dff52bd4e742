"""`network:HOST[:PORT]` for programs that know nothing of it: what is granted is reached, everything else is not.

Granted names lead to servers of the test on 127.0.0.1, which the configuration declares internal; a resolver of the
test says what each name is.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import wire
from harness.daemon import Daemon, default_config
from harness.hosts import Resolver, TcpServer, UdpEcho, WebServer
from harness.waiting import eventually
from harness.workshop import Workshop

RANGES = '"127.0.0.0/8", "::1/128"'


class World:
    """A daemon whose plugins' names are resolved here, and what they lead to."""

    def __init__(self, make_daemon: Callable[..., Daemon], workshop: Workshop, more: str = "",
                 ranges: str = RANGES) -> None:
        self.resolver = Resolver()
        self.workshop = workshop
        self.servers: list[WebServer | TcpServer | UdpEcho | Resolver] = [self.resolver]
        config = (default_config() + f'network_resolver: "{self.resolver.address}"\n'
                  f"network_internal_ranges: [{ranges}]\n" + more)
        self.daemon = make_daemon(config=config).start()

    def serves(self, server: WebServer | TcpServer | UdpEcho) -> WebServer | TcpServer | UdpEcho:
        self.servers.append(server)
        return server

    def name(self, name: str, *addresses: str) -> None:
        self.resolver.names[name] = list(addresses)

    def command(self, name: str, script: str, permissions: list[str]) -> str:
        self.daemon.load(self.workshop.command(name, script, permissions=permissions))
        return name

    def events(self, *types: str) -> list[wire.Event]:
        return self.daemon.events(types=list(types))

    def close(self) -> None:
        for server in self.servers:
            server.close()


@pytest.fixture
def make_world(make_daemon: Callable[..., Daemon], workshop: Workshop) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**options: str) -> World:
        worlds.append(World(make_daemon, workshop, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


CURL = "#!/bin/sh\nexec curl --silent --show-error --max-time 5 \"$@\" $(cat)\n"


def test_curl_reaches_the_host_that_was_granted_and_no_other(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    world.name("other.example", "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:granted.example:{web.port}"])
    assert world.daemon.invoke(curl, f"http://granted.example:{web.port}/a").text == f"granted.example:{web.port} /a\n"
    with wire.refused("PLUGIN_ERROR") as caught:
        world.daemon.invoke(curl, f"http://other.example:{web.port}/b")
    assert "Could not resolve host" in caught[0].message
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://127.0.0.1:{web.port}/c")
    assert web.requests == ["/a"]
