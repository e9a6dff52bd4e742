"""Programs that nobody changed, and that know of no proxy, reach the host that they were granted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.daemon import default_config
from harness.hosts import FileServer, TcpServer, WebServer
from harness.network_world import World


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
