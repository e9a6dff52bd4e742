"""A plugin's network beside others that lead out of an empty network namespace: connect latency and throughput.

The same client runs everywhere: straight, as a plugin through liongate-netgate, and in a network namespace with pasta
and slirp4netns as Debian packages them. The server is one of this process, on 127.0.0.1; what each peer calls the
host's loopback is its own way of saying so.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

CONNECTS = 300
DOWNLOAD_BYTES = 256 * 1024 * 1024
CHUNK = b"x" * (256 * 1024)
TIMEOUT_S = 30

CLIENT = f"""#!/usr/bin/python3
import json, socket, sys, time
host, port = (sys.argv[1:] or sys.stdin.read().split())[:2]
def connect():
    one = socket.create_connection((address, int(port)), 20)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one
address = socket.gethostbyname(host)
times = []
for _ in range({CONNECTS}):
    begin = time.perf_counter()
    one = connect()
    one.sendall(b"p")
    one.recv(1)
    times.append(time.perf_counter() - begin)
    one.close()
    time.sleep(0.006)
times.sort()
one = connect()
begin = time.perf_counter()
one.sendall(b"d")
got, room = 0, bytearray(1 << 20)
while part := one.recv_into(room):
    got += part
took = time.perf_counter() - begin
assert got == {DOWNLOAD_BYTES}, got
print(json.dumps({{"p50_us": times[len(times) // 2] * 1e6, "p99_us": times[len(times) * 99 // 100] * 1e6,
                   "mb_per_s": got / took / 1e6}}))
"""


class Server:
    """Answers "p" with a byte and "d" with DOWNLOAD_BYTES."""

    def __enter__(self):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._socket.close()

    @property
    def port(self):
        return self._socket.getsockname()[1]

    def _run(self):
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection):
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked = connection.recv(1)
            if asked == b"p":
                connection.sendall(b"o")
                connection.recv(1)
            for _ in range(DOWNLOAD_BYTES // len(CHUNK) if asked == b"d" else 0):
                connection.sendall(CHUNK)


def run(words):
    """What the client printed. Nothing of it is left, whatever comes of it."""
    process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, error = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise OSError(f"it took more than {TIMEOUT_S} s") from None
    if process.returncode != 0:
        raise OSError((error.strip().splitlines() or ["it failed"])[-1])
    return json.loads(out)


def client(scratch):
    path = Path(scratch) / "network_client.py"
    path.write_text(CLIENT, encoding="utf-8")
    path.chmod(0o755)
    return path


def straight(scratch, port):
    return run([sys.executable, client(scratch), "127.0.0.1", port])


def pasta(scratch, port):
    if not shutil.which("pasta"):
        raise OSError("it is not installed")
    if os.geteuid() == 0:
        # As root it becomes nobody and then, as Debian 12 packages it, neither serves nor ends.
        raise OSError("it is measured by ordinary users alone")
    # In the foreground: what it becomes otherwise outlives a measurement that is given up.
    return run(["pasta", "--foreground", "--config-net", "-q", "-T", port, "--", sys.executable, client(scratch),
                "127.0.0.1", port])


def slirp4netns(scratch, port):
    """Its host is 10.0.2.2 inside; it is given a namespace that somebody holds open."""
    if not shutil.which("slirp4netns"):
        raise OSError("it is not installed")
    holder = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "sleep", "infinity"])
    ready, tell = os.pipe()
    slirp = None
    try:
        time.sleep(0.2)
        slirp = subprocess.Popen(["slirp4netns", "--configure", f"--ready-fd={tell}", str(holder.pid), "tap0"],
                                 pass_fds=[tell], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(tell)
        if os.read(ready, 1) != b"1":
            raise OSError("it did not begin")
        return run(["nsenter", "--preserve-credentials", "--user", "--net", f"--target={holder.pid}", sys.executable,
                    client(scratch), "10.0.2.2", port])
    finally:
        os.close(ready)
        for process in (slirp, holder):
            if process is not None:
                process.kill()
                process.wait()


def plugin_manifest(scratch, port):
    """The client as a plugin that may reach the server."""
    folder = Path(scratch) / "network-plugin"
    folder.mkdir(exist_ok=True)
    shutil.copy(client(scratch), folder / "main.py")
    manifest = folder / "manifest.toml"
    manifest.write_text('name = "network-client"\nversion = "0.1.0"\nentry_point = "./main.py"\n'
                        f'runtime = "command"\npermissions = ["network:host-loopback:{port}"]\n', encoding="utf-8")
    return manifest
