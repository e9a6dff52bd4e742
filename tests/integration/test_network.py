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
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import census, wire
from harness.daemon import Daemon
from harness.hosts import TcpServer, UdpEcho, WebServer
from harness.network_world import CURL, World
from harness.waiting import eventually

SPARES_FOR_REFUSALS = 8  # sandbox/gate_sockets.h


@pytest.mark.rootless
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


@pytest.mark.rootless
def test_a_connection_to_a_port_that_no_permission_names_is_an_event_too(world: World) -> None:
    web, other = world.serves(WebServer()), world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:granted.example:{web.port}"])
    for url in [f"http://granted.example:{other.port}/", "http://192.0.2.1:81/"]:
        with wire.refused("PLUGIN_ERROR"):
            world.daemon.invoke(curl, url)
    denied = [event.permission_denied for event in world.events("PermissionDenied")]
    assert [one.permission for one in denied if one.action == "connect"] == [
        f"network:granted.example:{other.port}", "network:192.0.2.1:81"]
    assert other.requests == []


@pytest.mark.rootless
def test_the_first_ports_that_no_permission_names_are_told_one_by_one_and_the_rest_once(world: World) -> None:
    world.name("granted.example", "127.0.0.1")
    script = "for port in $(seq 81 100); do curl --silent --max-time 5 http://granted.example:$port/; done; true\n"
    world.daemon.invoke(world.command("curl", script, ["network:granted.example:443"]))
    denied = [event.permission_denied for event in world.events("PermissionDenied")]
    told = {one.permission for one in denied if one.action == "connect"}
    assert told == {f"network:granted.example:{port}" for port in range(81, 81 + SPARES_FOR_REFUSALS)}
    assert [one.rule for one in denied if one.system_call == "connect"] == [
        f"system call filter: comes to more than {SPARES_FOR_REFUSALS} ports that no permission names"]


@pytest.mark.rootless
def test_what_was_reached_and_what_was_refused_are_events_and_counted(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    world.name("other.example", "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:granted.example:{web.port}"])
    reply = world.daemon.invoke(curl, f"http://granted.example:{web.port}/a")
    assert reply.network_requests == 1
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://other.example:{web.port}/b")
    opened = world.events("NetworkFlowOpened")
    assert [(one.network_flow_opened.protocol, one.network_flow_opened.host, one.network_flow_opened.address,
             one.network_flow_opened.port) for one in opened] == [("tcp", "granted.example", "127.0.0.1", web.port)]
    closed = world.daemon.wait_event("NetworkFlowClosed").network_flow_closed
    assert closed.reason in ("closed", "stopped", "reset") and closed.host == "granted.example"
    denied = world.daemon.wait_event("PermissionDenied", matching=lambda one: one.permission_denied.action == "resolve")
    assert denied.permission_denied.permission == "network:other.example"
    assert denied.plugin_name == "curl" and denied.actor == "plugin:curl"
    assert "other.example" not in [name for name, _ in world.resolver.asked]


def test_a_granted_name_at_another_port_is_refused(world: World) -> None:
    web, other = world.serves(WebServer()), world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    world.name("second.example", "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:granted.example:{web.port}", f"network:second.example:{other.port}"])
    assert world.daemon.invoke(curl, f"http://second.example:{other.port}/").text
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://granted.example:{other.port}/")
    denied = world.daemon.wait_event("PermissionDenied").permission_denied
    assert (denied.permission, denied.action) == (f"network:granted.example:{other.port}", "connect")
    assert other.requests == ["/"]


def test_a_granted_name_that_leads_to_a_private_address_does_not_exist(make_world: Callable[..., World]) -> None:
    world = make_world(ranges='"192.0.2.0/24"')
    for index, address in enumerate(("10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1",
                                     "64:ff9b::a00:1", "2002:a00:1::")):
        world.name(f"n{index}.example", "192.0.2.1", address)
        name = world.command(f"curl{index}", CURL, [f"network:n{index}.example:80"])
        with wire.refused("PLUGIN_ERROR") as caught:
            world.daemon.invoke(name, f"http://n{index}.example/")
        assert "Could not resolve host" in caught[0].message, address
        denied = world.daemon.wait_event("PermissionDenied", plugin=name).permission_denied
        assert "which is no public address" in denied.message, address


def test_an_address_that_is_granted_literally_is_reached_whatever_it_is(make_world: Callable[..., World]) -> None:
    world = make_world(ranges="")
    web = world.serves(WebServer("127.0.0.2"))
    curl = world.command("curl", CURL, [f"network:host-loopback:{web.port}", f"network:10.9.8.0/24:{web.port}"])
    with wire.refused("PLUGIN_ERROR"):  # host-loopback is 127.0.0.1; nothing listens there
        world.daemon.invoke(curl, f"http://host-loopback:{web.port}/")
    assert not world.events("PermissionDenied")
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://10.9.7.1:{web.port}/")
    assert world.daemon.wait_event("PermissionDenied").permission_denied.permission == f"network:10.9.7.1:{web.port}"


def test_host_loopback_leads_to_a_service_of_the_host(make_world: Callable[..., World]) -> None:
    world = make_world(ranges="")
    web = world.serves(WebServer())
    curl = world.command("curl", CURL, [f"network:host-loopback:{web.port}"])
    assert world.daemon.invoke(curl, f"http://host-loopback:{web.port}/").text
    # And `localhost` is the plugin itself, where nobody is.
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://localhost:{web.port}/")


def test_a_wildcard_grants_what_is_below_and_not_the_name_itself(world: World) -> None:
    web = world.serves(WebServer())
    for name in ("a.granted.example", "b.c.granted.example", "granted.example", "notgranted.example"):
        world.name(name, "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:*.granted.example:{web.port}"])
    for name in ("a.granted.example", "b.c.granted.example", "A.Granted.Example."):
        assert world.daemon.invoke(curl, f"http://{name}:{web.port}/").text
    for name in ("granted.example", "notgranted.example"):
        with wire.refused("PLUGIN_ERROR"):
            world.daemon.invoke(curl, f"http://{name}:{web.port}/")


def test_ipv6_inside_is_served_even_where_the_host_has_ipv4_alone(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    curl = world.command("curl", CURL.replace("curl ", "curl -6 "), [f"network:granted.example:{web.port}"])
    assert world.daemon.invoke(curl, f"http://granted.example:{web.port}/six").text.endswith("/six\n")


UDP_CLIENT = """#!/usr/bin/python3
import socket, sys
host, port, family = sys.stdin.read().split()
family = {"4": socket.AF_INET, "6": socket.AF_INET6}[family]
address = socket.getaddrinfo(host, int(port), family, socket.SOCK_DGRAM)[0][4]
one = socket.socket(family, socket.SOCK_DGRAM)
one.settimeout(3)
one.sendto(b"unconnected", address)
data, sender = one.recvfrom(100)
assert sender[0] == address[0], (sender, address)
two = socket.socket(family, socket.SOCK_DGRAM)
two.settimeout(3)
two.connect(address)
two.send(b"connected")
print(data.decode(), two.recv(100).decode())
"""


@pytest.mark.rootless
@pytest.mark.parametrize("family", ["4", "6"])
def test_udp_goes_there_and_back(world: World, family: str) -> None:
    echo = world.serves(UdpEcho())
    world.name("granted.example", "127.0.0.1")
    udp = world.program("udp", UDP_CLIENT, [f"network:granted.example:{echo.port}"])
    reply = world.daemon.invoke(udp, f"granted.example {echo.port} {family}")
    assert reply.text == "echo unconnected echo connected\n"
    assert reply.network_requests == 2


def test_udp_to_what_is_not_granted_is_an_event_and_no_answer(world: World) -> None:
    echo = world.serves(UdpEcho())
    world.name("granted.example", "127.0.0.1")
    udp = world.program("udp", UDP_CLIENT, [f"network:granted.example:{echo.port}"])
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(udp, f"192.0.2.9 {echo.port} 4")
    denied = world.daemon.wait_event("PermissionDenied").permission_denied
    assert (denied.action, denied.permission) == ("send", f"network:192.0.2.9:{echo.port}")


DOWNLOAD_BYTES = 48 * 1024 * 1024


def _send_much(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    for _ in range(DOWNLOAD_BYTES // 65536):
        connection.sendall(b"x" * 65536)


def test_a_large_download_arrives_whole(world: World) -> None:
    server = world.serves(TcpServer(_send_much))
    world.name("granted.example", "127.0.0.1")
    count = world.command("count", "curl --silent --max-time 20 $(cat) | wc --bytes\n",
                          [f"network:granted.example:{server.port}"])
    assert int(world.daemon.invoke(count, f"http://granted.example:{server.port}/").text) == DOWNLOAD_BYTES
    closed = world.daemon.wait_event("NetworkFlowClosed").network_flow_closed
    assert closed.bytes_in >= DOWNLOAD_BYTES


def test_a_server_that_is_not_there_is_a_reset_and_no_denial(world: World) -> None:
    gone = WebServer()
    port = gone.port
    gone.close()
    world.name("granted.example", "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:granted.example:{port}"])
    with wire.refused("PLUGIN_ERROR") as caught:
        world.daemon.invoke(curl, f"http://granted.example:{port}/")
    assert "reset" in caught[0].message or "connect" in caught[0].message
    assert not world.events("PermissionDenied")


def test_a_name_with_several_addresses_is_served_by_the_one_that_answers(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.3", "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:granted.example:{web.port}"])
    assert world.daemon.invoke(curl, f"http://granted.example:{web.port}/").text


def test_a_name_that_nobody_knows_is_the_plugins_problem_and_no_denial(world: World) -> None:
    curl = world.command("curl", CURL, ["network:nowhere.example:80"])
    with wire.refused("PLUGIN_ERROR") as caught:
        world.daemon.invoke(curl, "http://nowhere.example/")
    assert "Could not resolve host" in caught[0].message
    assert not world.events("PermissionDenied")


def test_a_resolver_that_is_silent_holds_nobody_up(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    curl = world.command("curl", CURL.replace("5", "2"), [f"network:granted.example:{web.port}"])
    world.resolver.is_silent = True
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://granted.example:{web.port}/")
    world.resolver.is_silent = False
    assert world.daemon.invoke(curl, f"http://granted.example:{web.port}/").text


def netgate_of(daemon: Daemon) -> int:
    return next(process.pid for process in daemon.processes() if process.name == "liongate-netgat")


@pytest.mark.rootless
def test_a_gate_that_is_killed_is_started_again_and_nobody_else_notices(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    asks = world.workshop.python("asker", (
        "import urllib.request\nfrom liongate import Call, Plugin\nplugin = Plugin()\n"
        "@plugin.operation('get')\ndef get(call: Call) -> str:\n"
        "    return urllib.request.urlopen(call.text, timeout=5).read().decode()\nplugin.run()\n"),
        permissions=[f"network:granted.example:{web.port}"])
    plugin = world.daemon.load(asks)
    url = f"http://granted.example:{web.port}/"
    assert world.daemon.invoke("asker", url + "1", operation="get").text
    os.kill(netgate_of(world.daemon), signal.SIGKILL)
    eventually(lambda: world.daemon.invoke("asker", url + "2", operation="get").text != "", "the next gate serves")
    assert world.daemon.get("asker").instance_id == plugin.instance_id


@pytest.mark.rootless
def test_the_gate_itself_can_neither_open_files_nor_start_anything(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    curl = world.command("curl", CURL, [f"network:granted.example:{web.port}"])
    world.daemon.invoke(curl, f"http://granted.example:{web.port}/")
    status = Path(f"/proc/{netgate_of(world.daemon)}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("2", "1")
    assert int(fields["CapEff"], 16) == 0 and int(fields["CapPrm"], 16) == 0


def test_connections_beyond_the_bound_are_refused_by_name(make_world: Callable[..., World]) -> None:
    world = make_world(more="network_flows_max: 4\n")
    held = threading.Event()
    server = world.serves(TcpServer(lambda connection: (connection.sendall(b"hi"), held.wait(20))))
    world.name("granted.example", "127.0.0.1")
    script = ("#!/usr/bin/python3\nimport socket, sys\nhost, port = sys.stdin.read().split()\nopen_ones = []\n"
              "for number in range(8):\n    try:\n        one = socket.create_connection((host, int(port)), 3)\n"
              "        one.settimeout(3)\n        open_ones.append(one) if one.recv(2) == b'hi' else None\n"
              "    except OSError:\n        pass\nprint(len(open_ones))\n")
    many = world.program("many", script, [f"network:granted.example:{server.port}"])
    assert world.daemon.invoke(many, f"granted.example {server.port}").text == "4\n"
    held.set()
    denied = world.daemon.wait_event("PermissionDenied").permission_denied
    assert "as many connections as a plugin may have (4)" in denied.message


def test_a_connection_in_which_nothing_moves_is_ended(make_world: Callable[..., World]) -> None:
    world = make_world(more="network_idle_timeout_ms: 1000\n")
    server = world.serves(TcpServer(lambda connection: connection.recv(1)))
    world.name("granted.example", "127.0.0.1")
    script = ("#!/usr/bin/python3\nimport socket, sys\nhost, port = sys.stdin.read().split()\n"
              "one = socket.create_connection((host, int(port)))\ntry:\n    print(one.recv(1))\n"
              "except OSError as error:\n    print(error.strerror)\n")
    idle = world.program("idle", script, [f"network:granted.example:{server.port}"])
    assert world.daemon.invoke(idle, f"granted.example {server.port}").text == "Connection reset by peer\n"
    assert world.daemon.wait_event("NetworkFlowClosed").network_flow_closed.reason == "idle"


def test_a_connection_that_carried_too_much_is_cut(make_world: Callable[..., World]) -> None:
    world = make_world(more="network_flow_bytes_max: 1000000\n")
    server = world.serves(TcpServer(_send_much))
    world.name("granted.example", "127.0.0.1")
    curl = world.command("curl", CURL + "", [f"network:granted.example:{server.port}"])
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"-o /dev/null http://granted.example:{server.port}/")
    assert world.daemon.wait_event("NetworkFlowClosed").network_flow_closed.reason == "bytes"


def test_two_plugins_share_no_names_and_no_network(world: World) -> None:
    web = world.serves(WebServer())
    world.name("one.example", "127.0.0.1")
    world.name("two.example", "127.0.0.1")
    one = world.command("one", CURL, [f"network:one.example:{web.port}"])
    two = world.command("two", CURL, [f"network:two.example:{web.port}"])
    assert world.daemon.invoke(one, f"http://one.example:{web.port}/").text
    # The address that stands for the other's name means nothing here.
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(two, f"http://198.18.0.16:{web.port}/")
    assert web.requests == ["/"]


def test_a_stop_cuts_what_flows_at_once(world: World) -> None:
    ended = threading.Event()

    def stall(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.recv(1)  # until the other end goes
        ended.set()

    server = world.serves(TcpServer(stall))
    world.name("granted.example", "127.0.0.1")
    curl = world.command("curl", CURL.replace("5", "30"), [f"network:granted.example:{server.port}"])
    call = world.daemon.invoke_later(curl, f"http://granted.example:{server.port}/")
    world.daemon.wait_event("NetworkFlowOpened")
    begin = time.monotonic()
    world.daemon.client.plugins.StopPlugin(plugin="curl")
    assert ended.wait(5)
    assert time.monotonic() - begin < 5
    call.outcome()


@pytest.mark.rootless
# --- grants without a port ---

def test_a_host_without_a_port_is_reached_at_every_port(world: World) -> None:
    servers = [world.serves(WebServer()) for _ in range(3)]
    world.name("granted.example", "127.0.0.1")
    world.name("other.example", "127.0.0.1")
    curl = world.command("curl", CURL, ["network:granted.example"])
    for server in servers:
        assert world.daemon.invoke(curl, f"http://granted.example:{server.port}/").text
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://other.example:{servers[0].port}/")


@pytest.mark.parametrize("family", ["4", "6"])
def test_udp_without_a_port_named(world: World, family: str) -> None:
    echo = world.serves(UdpEcho())
    world.name("granted.example", "127.0.0.1")
    udp = world.program("udp", UDP_CLIENT, ["network:granted.example"])
    assert world.daemon.invoke(udp, f"granted.example {echo.port} {family}").text == "echo unconnected echo connected\n"


def test_ports_that_nobody_named_are_bounded_and_the_end_is_told(world: World) -> None:
    world.name("granted.example", "127.0.0.1")
    script = ("#!/usr/bin/python3\nimport socket, sys\naddress = socket.gethostbyname(sys.stdin.read())\n"
              "for port in range(20000, 20040):\n    one = socket.socket()\n    one.settimeout(2)\n"
              "    try:\n        one.connect((address, port))\n    except OSError:\n        pass\nprint('over')\n")
    knocks = world.program("knocks", script, ["network:granted.example"])
    assert world.daemon.invoke(knocks, "granted.example").text == "over\n"
    denied = world.daemon.wait_event("PermissionDenied").permission_denied
    assert "comes to more than 32 ports that no permission names" in denied.rule


def test_a_grant_that_is_revoked_cuts_the_download_at_once(world: World) -> None:
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        try:
            while True:
                connection.sendall(b"x" * 1000)
                time.sleep(0.01)
        finally:
            gone.set()

    server = world.serves(TcpServer(drip))
    world.name("granted.example", "127.0.0.1")
    permission = f"network:granted.example:{server.port}"
    curl = world.command("curl", CURL.replace("5", "30"), [permission])
    call = world.daemon.invoke_later(curl, f"-o /dev/null http://granted.example:{server.port}/")
    world.daemon.wait_event("NetworkFlowOpened")
    begin = time.monotonic()
    world.daemon.ctl.ok("revoke-permission", "curl", permission)
    assert gone.wait(5)
    assert time.monotonic() - begin < 2  # a second, and what a busy machine adds
    assert isinstance(call.outcome(), wire.Refusal)
    closed = world.daemon.wait_event("NetworkFlowClosed").network_flow_closed
    assert closed.reason == "revoked"
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://granted.example:{server.port}/")


# --- found by an attacker ---

def test_an_address_that_is_granted_at_one_port_is_no_way_to_its_other_ports_by_a_name(
        make_world: Callable[..., World]) -> None:
    world = make_world(ranges="")
    web = world.serves(WebServer("127.0.0.2"))
    world.name("a.evil.example", "127.0.0.2")
    curl = world.command("curl", CURL, ["network:*.evil.example", "network:127.0.0.2:5432"])
    with wire.refused("PLUGIN_ERROR"):
        world.daemon.invoke(curl, f"http://a.evil.example:{web.port}/")
    denied = world.daemon.wait_event("PermissionDenied").permission_denied
    assert denied.permission == f"network:a.evil.example:{web.port}"
    assert web.requests == []


def test_what_cannot_be_reached_hides_no_denial(world: World) -> None:
    gone = WebServer()
    port = gone.port
    gone.close()
    for number in range(40):
        world.name(f"n{number}.granted.example", "127.0.0.1")
    script = ("#!/usr/bin/python3\nimport socket, sys\nport = int(sys.stdin.read())\n"
              "for host in [f'n{n}.granted.example' for n in range(40)] + ['10.9.8.1', 'not.granted']:\n"
              "    try:\n        one = socket.create_connection((host, port), 3)\n        one.recv(1)\n"
              "    except OSError:\n        pass\nprint('over')\n")
    many = world.program("many", script, [f"network:*.granted.example:{port}"])
    assert world.daemon.invoke(many, str(port), timeout_ms=60_000).text == "over\n"
    denied = {event.permission_denied.permission for event in world.events("PermissionDenied")}
    assert denied == {f"network:10.9.8.1:{port}", "network:not.granted"}
    closed = [event.network_flow_closed for event in world.events("NetworkFlowClosed")]
    assert len({one.host for one in closed}) == 40 and {one.reason for one in closed} == {"unreachable"}


def test_a_server_of_the_programs_own_uses_no_door_up(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    script = ("#!/usr/bin/python3\nimport socket, sys, urllib.request\nurl = sys.stdin.read()\n"
              "for number in range(40):\n    probe = socket.socket()\n    port = 30000 + number\n"
              "    assert probe.connect_ex(('127.0.0.1', port)) == 111\n"
              "    own = socket.create_server(('127.0.0.1', port))\n"
              "    socket.create_connection(('127.0.0.1', port)).close()\n"
              "print(urllib.request.urlopen(url, timeout=5).status)\n")
    plugin = world.program("both", script, ["network:granted.example"])
    assert world.daemon.invoke(plugin, f"http://granted.example:{web.port}/").text == "200\n"
    assert not world.events("PermissionDenied")


@pytest.mark.root_only("the gate hides its descriptors from everybody else")
def test_questions_that_nobody_answers_leave_nothing_in_the_gate(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    script = ("#!/usr/bin/python3\nimport os, signal, socket, struct\nopen_ones = []\n"
              "for number in range(16):\n    name = b''.join(bytes([len(l)]) + l for l in (b'n%d' % number, b'x'))\n"
              "    question = b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + name + b'\\0\\0\\1\\0\\1'\n"
              "    one = socket.create_connection(('198.18.0.1', 53))\n"
              "    one.sendall(struct.pack('!H', len(question)) + question)\n    open_ones.append(one)\n"
              "os.kill(os.getpid(), signal.SIGKILL)\n")
    asks = [world.program(f"asks{number}", script, [f"network:granted.example:{web.port}"]) for number in range(4)]
    curl = world.command("curl", CURL, [f"network:granted.example:{web.port}"])
    assert world.daemon.invoke(curl, f"http://granted.example:{web.port}/").text
    gate = netgate_of(world.daemon)
    eventually(lambda: census.open_files(gate) <= 12, "the gate holds its own descriptors alone")
    before = census.open_files(gate)
    for _ in range(5):
        for call in [world.daemon.invoke_later(plugin) for plugin in asks]:
            call.outcome()
    eventually(lambda: census.open_files(gate) <= before, "what the dead asked is gone", 5.0)
