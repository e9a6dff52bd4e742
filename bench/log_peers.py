"""The event log's peers on the same disk: SQLite in WAL mode, indexed as our queries need, and Redis streams.

Each appends events of the size of bench/sample_event.h, durable at every commit, and is then asked for the two events
of one call. Redis has no secondary index: what a client does is to read the stream, which is what is measured.
"""

import json
import shutil
import socket
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

# What bench/sample_event.h makes, as columns; `payload` fills it up to the same size.
PLUGIN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
INSTANCE_ID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
PAYLOAD = b"p" * 60


def columns(number):
    kind = "PluginInvoked" if number % 2 == 0 else "PluginResult"
    return (number, 1_700_000_000_000_000_000 + number, kind, PLUGIN_ID, "hello", f"call-{number // 2}", "uid:1000",
            PAYLOAD)


def _rate(commit, batch, seconds):
    begin, count = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        commit(count)
        count += batch
    return count / (time.monotonic() - begin), count


def _median_ms(ask, rounds):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        assert ask() == 2
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


class Sqlite:
    name = "SQLite WAL, synchronous=FULL, 5 indices"
    query_rounds = 101

    def __init__(self, folder):
        self.path = Path(folder) / "events.db"
        self.path.unlink(missing_ok=True)
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, time INTEGER, type TEXT, plugin_id TEXT, "
                        "plugin_name TEXT, correlation_id TEXT, actor TEXT, payload BLOB)")
        for column in ("type", "plugin_name", "correlation_id", "actor", "time"):
            self.db.execute(f"CREATE INDEX by_{column} ON events ({column})")

    def append(self, first, count):
        self.db.execute("BEGIN")
        self.db.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)",
                            [columns(number) for number in range(first, first + count)])
        self.db.execute("COMMIT")

    def query(self, call):
        return len(self.db.execute("SELECT * FROM events WHERE correlation_id = ?", (call,)).fetchall())

    def close(self):
        self.db.close()


class Redis:
    name = "Redis stream, appendfsync always"
    query_rounds = 1  # a client in Python reads the whole stream for it

    def __init__(self, folder):
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is not installed (scripts/setup bench)")
        path = Path(folder) / "redis.sock"
        self.process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--appendonly", "yes",
             "--appendfsync", "always", "--save", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(str(path))
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    raise
        self.file = self.socket.makefile("rb")

    @staticmethod
    def _command(*words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    def _reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        if kind == b"-":
            raise OSError(rest.decode())
        return rest

    def append(self, first, count):
        # One pipeline is one commit: the server syncs once for what it reads at once.
        names = ("time", "type", "plugin_id", "plugin_name", "correlation_id", "actor", "payload")
        commands = []
        for number in range(first, first + count):
            _, *values = columns(number)
            words = (word for pair in zip(names, values) for word in pair)
            commands.append(self._command("XADD", "events", "*", *words))
        self.socket.sendall(b"".join(commands))
        for _ in range(count):
            self._reply()

    def query(self, call):
        wanted, found, after = call.encode(), 0, "-"
        while True:
            self.socket.sendall(self._command("XRANGE", "events", after, "+", "COUNT", 10_000))
            entries = self._reply()
            found += sum(1 for _, fields in entries if wanted in fields)
            if len(entries) < 10_000:
                return found
            after = "(" + entries[-1][0].decode()

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()


def measure(peer_class, folder, seconds, events):
    """Returns {append_1, append_64, append_1024: events/s; query_ms; events}; FileNotFoundError without the peer."""
    figures, written = {}, 0
    folder = Path(folder)
    folder.mkdir(parents=True)
    peer = peer_class(folder)
    try:
        for batch in (1, 64, 1024):
            def commit(done, batch=batch, base=written):
                peer.append(base + done, batch)
            figures[f"append_{batch}"], count = _rate(commit, batch, seconds)
            written += count
        while written < events:
            peer.append(written, 4096)
            written += 4096
        call = f"call-{events // 3 // 2}"
        figures["query_ms"] = _median_ms(lambda: peer.query(call), peer.query_rounds)
        figures["events"] = written
    finally:
        peer.close()
        shutil.rmtree(folder, ignore_errors=True)
    return figures


if __name__ == "__main__":
    import sys
    for peer in (Sqlite, Redis):
        print(peer.name, json.dumps(measure(peer, Path(sys.argv[1]) / peer.__name__.lower(), 1.0, 200_000)))
