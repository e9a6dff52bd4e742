"""`network:HOST[:PORT]` for programs that know nothing of it: what is granted is reached, everything else is not.

Granted names lead to servers of the test on 127.0.0.1, which the configuration declares internal; a resolver of the
test says what each name is.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from harness import wire
from harness.daemon import Daemon, default_config
from harness.hosts import FileServer, Resolver, TcpServer, UdpEcho, WebServer
from harness.waiting import eventually
from harness.workshop import Workshop

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


CURL = "exec curl --silent --show-error --max-time 5 \"$@\" $(cat)\n"


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


# --- programs that nobody changed ---

def test_pythons_urllib_threads_and_asyncio(world: World) -> None:
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    source = ("#!/usr/bin/python3\nimport asyncio, sys, urllib.request\n"
              "from concurrent.futures import ThreadPoolExecutor\n"
              "host, port = sys.stdin.read().split()\nurl = f'http://{host}:{port}/'\n"
              "def get(path):\n    return urllib.request.urlopen(url + path, timeout=5).read().decode().split()[1]\n"
              "with ThreadPoolExecutor(4) as pool:\n    print(*pool.map(get, ['a', 'b', 'c', 'd']))\n"
              "async def fetch():\n    reader, writer = await asyncio.open_connection(host, int(port))\n"
              "    writer.write(f'GET /async HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n'.encode())\n"
              "    return (await reader.read()).decode().split()[-1]\nprint(asyncio.run(fetch()))\n")
    plugin = world.program("python", source, [f"network:granted.example:{web.port}"])
    reply = world.daemon.invoke(plugin, f"granted.example {web.port}")
    assert reply.text == "/a /b /c /d\n/async\n"
    assert reply.network_requests == 5


def test_python_requests(world: World) -> None:
    if not Path("/usr/lib/python3/dist-packages/requests").exists():
        pytest.skip("python3-requests is not installed where a command sees it")
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    source = "#!/usr/bin/python3\nimport requests, sys\nprint(requests.get(sys.stdin.read(), timeout=5).text, end='')\n"
    plugin = world.program("asks", source, [f"network:granted.example:{web.port}"])
    assert world.daemon.invoke(plugin, f"http://granted.example:{web.port}/x").text.endswith("/x\n")


def test_nodes_fetch(make_world: Callable[..., World]) -> None:
    node = Path("/usr/bin/node")
    if not node.exists():
        pytest.skip("node is not installed in /usr/bin")
    world = make_world(more="allow_degraded: [cgroup_limits]\n" if "allow_degraded" not in default_config() else "")
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    source = ("#!/usr/bin/node\nconst url = require('node:fs').readFileSync(0, 'utf8');\n"
              "fetch(url).then((reply) => reply.text()).then((text) => process.stdout.write(text));\n")
    plugin = world.program("noder", source, ["jit", f"network:granted.example:{web.port}"])
    reply = world.daemon.invoke(plugin, f"http://granted.example:{web.port}/node", timeout_ms=60_000)
    assert reply.text.endswith("/node\n")


def test_git_clones_what_it_may(world: World, tmp_path: Path) -> None:
    if not Path("/usr/bin/git").exists():
        pytest.skip("git is not installed")
    served = tmp_path / "served.git"
    work = tmp_path / "work"
    author = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["git", "init", "-q", str(work)],
                  ["git", "-C", str(work), *author, "commit", "-q", "--allow-empty", "-m", "first"],
                  ["git", "clone", "-q", "--bare", str(work), str(served)],
                  ["git", "-C", str(served), "update-server-info"]):
        subprocess.run(words, check=True, timeout=60)
    files = world.serves(FileServer(tmp_path))
    world.name("git.example", "127.0.0.1")
    clone = world.command("clone", "cd /tmp && git clone --quiet $(cat) here && git -C here log --format=%s\n",
                          [f"network:git.example:{files.port}"])
    assert world.daemon.invoke(clone, f"http://git.example:{files.port}/served.git").text == "first\n"


def test_a_go_program(world: World, tmp_path: Path) -> None:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.access(go, os.X_OK):
        pytest.skip("go is not installed")
    (tmp_path / "main.go").write_text(
        'package main\nimport ("fmt"; "io"; "net/http"; "os")\nfunc main() {\n'
        '\turl, _ := io.ReadAll(os.Stdin)\n\treply, err := http.Get(string(url))\n'
        '\tif err != nil { fmt.Println(err); os.Exit(1) }\n\tio.Copy(os.Stdout, reply.Body)\n}\n', encoding="utf-8")
    built = subprocess.run([go, "build", "-o", str(tmp_path / "goer"), "main.go"], cwd=tmp_path, check=False,
                           timeout=240, capture_output=True, text=True,
                           env={**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": ""})
    if built.returncode != 0:
        pytest.skip(f"go does not build here: {built.stderr[-200:]}")
    web = world.serves(WebServer())
    world.name("granted.example", "127.0.0.1")
    manifest = world.workshop.manifest("goer", "./goer", "command", [f"network:granted.example:{web.port}"])
    folder = world.workshop.write("goer", manifest)
    shutil.copy(tmp_path / "goer", folder / "goer")
    (folder / "goer").chmod(0o755)
    world.daemon.load(folder)
    assert world.daemon.invoke("goer", f"http://granted.example:{web.port}/go").text.endswith("/go\n")


def test_psql_speaks_to_the_server_that_was_granted(world: World) -> None:
    if not Path("/usr/bin/psql").exists():
        pytest.skip("psql is not installed")

    def serve(connection: socket.socket) -> None:
        start = connection.recv(1000)
        if start[4:8] == (80877103).to_bytes(4, "big"):  # it asks for TLS first
            connection.sendall(b"N")
            start = connection.recv(1000)
        said = b"SFATAL\0C28000\0Mhello from the server, " + start[8:].split(b"\0")[1] + b"\0\0"
        connection.sendall(b"E" + (len(said) + 4).to_bytes(4, "big") + said)

    server = world.serves(TcpServer(serve))
    world.name("db.example", "127.0.0.1")
    psql = world.command("psql", "psql \"$(cat)\" -c 'select 1' 2>&1 || true\n", [f"network:db.example:{server.port}"])
    reply = world.daemon.invoke(psql, f"host=db.example port={server.port} user=alice dbname=d", timeout_ms=60_000)
    assert "hello from the server, alice" in reply.text


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
