"""The hosts of a small world for plugins with a network: a resolver that answers what a test says, and servers on
127.0.0.1 that a granted name can lead to. Threads of the test's own; everything is closed by `close`."""

from __future__ import annotations

import http.server
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

A, AAAA = 1, 28


class Resolver:
    """Answers from `names`; what is not there does not exist. `asked` is every name that came, with its type."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.asked: list[tuple[str, int]] = []
        self.is_silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _run(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(4096)
            except OSError:
                return
            answer = self._answer(question)
            if not self.is_silent:
                self._socket.sendto(answer, client)

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii", "replace"))
            at += 1 + question[at]
        name = ".".join(labels).lower()
        kind = struct.unpack("!H", question[at + 1 : at + 3])[0]
        self.asked.append((name, kind))
        records = b""
        count = 0
        for address in self.names.get(name, []):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind == (AAAA if family == socket.AF_INET6 else A):
                data = socket.inet_pton(family, address)
                records += struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data
                count += 1
        code = 0 if name in self.names else 3
        return (question[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, count, 0, 0)
                + question[12 : at + 5] + records)

    def close(self) -> None:
        self._socket.close()


class _Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.headers['Host']} {self.path}\n".encode()
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _ThreadingHTTP(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


class WebServer:
    """Answers every GET with the Host header and the path."""

    def __init__(self, address: str = "127.0.0.1", handler: type[http.server.BaseHTTPRequestHandler] = _Quiet) -> None:
        self._server = _ThreadingHTTP((address, 0), handler)
        self._server.requests = []  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def requests(self) -> list[str]:
        return list(self._server.requests)  # type: ignore[attr-defined]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class FileServer(WebServer):
    """Serves the files of a folder."""

    def __init__(self, folder: Path) -> None:
        class Files(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(handler=Files)


class TcpServer:
    """Hands each connection to `serve` on a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None], address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, 0), family=family)
        self._serve = serve
        self.accepted = 0
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def _run(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._serve(connection)
            except OSError:
                pass  # the other end went first

    def close(self) -> None:
        self._socket.close()


class UdpEcho:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def _run(self) -> None:
        while True:
            try:
                data, client = self._socket.recvfrom(65536)
            except OSError:
                return
            self._socket.sendto(b"echo " + data, client)

    def close(self) -> None:
        self._socket.close()
