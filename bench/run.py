#!/usr/bin/python3
"""Measures Liongate beside floors and peers in one run and prints one table; `make bench` builds first.

Usage: bench/run.py [GROUP]...     groups: load invoke observers log replay memory start network      (default: all)
Environment: BENCH_SECONDS (3) for each point; LIONGATE_LIMITS_DIR, the folder with chain.cc (default ../shared/limits).

Every point is measured in three rounds, ours and its reference in turn; the median of the rounds is shown. Results also
go to build/bench/results.json, one JSON object a line, the machine first. Needs no privileges.

Exit codes: 0 measured (a missed target is not a failure); 1 something could not be measured.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import log_peers
import machine
import network_peers
import observers
import start_peers
from processes import BenchError, Server, figures_of, processes_of_namespace, proportional_kb, resident_kb
from table import Row, Target, print_table

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
RESULTS = ROOT / "build/bench"
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS = 3
WIDTHS = (1, 8, 64)
ECHO_MANIFEST = BUILD / "plugins/echo/manifest.toml"
PLUGINS_FOR_MEMORY = 10
REPLAY_EVENTS = 500_000
QUERY_EVENTS = 300_000  # ours and the peers'; docs/event-log.md has the figures of ten million


def progress(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def link_or_copy(source, target):
    """A hard link where both lie on one file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def median_of(rounds, key):
    return statistics.median(figures[key] for figures in rounds)


class Bench:
    """One run: a scratch folder, the programs, the rows."""

    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.socket = self.scratch / "control.sock"
        self.rows = []

    # --- the programs ---

    def program(self, name):
        path = BUILD / "bench" / name
        if not path.exists():
            raise BenchError(f"{name} is not built")
        return path

    def daemon_command(self, state):
        return [BUILD / "bin/liongated", "--state-dir", state, "--socket", self.socket, "--environment", "development"]

    def daemon(self, name="state", *words):
        state = self.scratch / name
        return Server([*self.daemon_command(state), *words], self.socket, self.scratch / "daemon.log")

    def chain(self, mode):
        command = [self.program("bench_chain"), self.scratch / "chain.sock"]
        command += ["echo"] if mode == "echo" else [self.scratch / "chain.log", mode]
        return Server(command, self.scratch / "chain.sock", self.scratch / "chain.err")

    def control(self, *words):
        """Runs liongatectl on the daemon of this run; returns what it printed."""
        result = subprocess.run([str(BUILD / "bin/liongatectl"), "--socket", str(self.socket), *map(str, words)],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise BenchError(f"liongatectl {words[0]}: {result.stderr.strip()}")
        return result.stdout

    def add(self, *arguments, **options):
        self.rows.append(Row(*arguments, **options))
        return self.rows[-1]

    # --- load ---

    def group_load(self):
        group = "Load, manifest to Ready (peer: bubblewrap and seccomp around a static binary, spawn to first byte)"
        count = max(20, int(40 * SECONDS / ROUNDS))
        peer, ours = [], []
        root = self.scratch / "root"
        for folder in ("dev", "proc", "tmp"):
            (root / folder).mkdir(parents=True)
        shutil.copy(self.program("bench_first_byte"), root / "bench_first_byte")
        with self.daemon() as _:
            for _ in range(ROUNDS):
                if shutil.which("bwrap"):
                    peer.append(figures_of([self.program("bench_bubblewrap"), "/bench_first_byte", root, count]))
                ours.append(figures_of([self.program("bench_load"), self.socket, ECHO_MANIFEST, count]))
        for name, figures in self.measure_start_peers(root, max(5, count // 4)).items():
            self.add(group, f"{name} + seccomp", figures["p50_us"] / 1e3, "ms", p99=figures["p99_us"] / 1e3)
        reference = None
        if peer:
            reference = self.add(group, "bubblewrap + seccomp", median_of(peer, "p50_us") / 1e3, "ms",
                                 p99=median_of(peer, "p99_us") / 1e3)
        value = median_of(ours, "p50_us") / 1e3
        self.add(group, "load-plugin echo (C++)", value, "ms", p99=median_of(ours, "p99_us") / 1e3,
                 reference="bubblewrap" if reference else "", ratio=value / reference.median if reference else None,
                 target=Target(value=2.0, ratio=0.5))
        self.add(group, "unload-plugin echo", median_of(ours, "unload_p50_us") / 1e3, "ms")

    def measure_start_peers(self, root, count):
        """Returns {name: figures} of the other programs that confine and are installed."""
        found = {}
        for name, (prefix, command) in start_peers.commands(self.scratch, root,
                                                                  self.program("bench_first_byte")).items():
            reason = start_peers.missing(name)
            try:
                if not reason:
                    found[name] = figures_of([*prefix, self.program("bench_peer_start"), count, *command])
            except BenchError as error:
                reason = str(error)
            if reason:
                progress(f"{name} is left out: {reason}")
        return found

    # --- network ---

    def group_network(self):
        latency = "A connection and a byte back (peers: the same client on the host, by pasta, by slirp4netns)"
        throughput = "256 MiB from a server on the host's loopback"
        with network_peers.Server() as server, self.daemon("network") as _:
            self.control("load-plugin", "--manifest", network_peers.plugin_manifest(self.scratch, server.port))
            ways = {
                "straight": network_peers.straight,
                "pasta": network_peers.pasta,
                "slirp4netns": network_peers.slirp4netns,
                "plugin by liongate-netgate": lambda _, port: json.loads(self.control(
                    "invoke-plugin", "network-client", "--input", f"host-loopback {port}", "--timeout", "100s")),
            }
            found = {}
            for name, measure in ways.items():
                try:
                    found[name] = measure(self.scratch, server.port)
                except (OSError, ValueError, subprocess.TimeoutExpired) as error:
                    progress(f"{name} is left out: {error}")
        for group, key, unit in ((latency, "p50_us", "us"), (throughput, "mb_per_s", "MB/s")):
            for name, figures in found.items():
                is_reference = name == "straight" or "straight" not in found
                self.add(group, name, figures[key], unit, p99=figures["p99_us"] if unit == "us" else None,
                         reference="" if is_reference else "straight",
                         ratio=None if is_reference else figures[key] / found["straight"][key])

    # --- invoke ---

    def measure_invokes(self, server, socket, durability, rounds):
        """Adds one round of each width to `rounds`; starts and stops `server`."""
        with server:
            if server.socket_path == str(self.socket):
                self.control("load-plugin", "--replace", "--manifest", ECHO_MANIFEST)
            for width in WIDTHS:
                rounds[width].append(figures_of([self.program("bench_invoke"), socket, "echo", width, SECONDS / ROUNDS,
                                                 durability]))

    def group_invoke(self):
        chain_socket = self.scratch / "chain.sock"
        names = ("gRPC echo, nothing behind it", "simulated chain (bench_chain)", "invoke-plugin, durable",
                 "invoke-plugin, async")
        rounds = {name: {width: [] for width in WIDTHS} for name in names}
        shared = SharedChain(self.scratch)
        shared_rounds = []
        for index in range(ROUNDS):
            self.measure_invokes(self.chain("echo"), chain_socket, "durable", rounds[names[0]])
            self.measure_invokes(self.chain("durable"), chain_socket, "durable", rounds[names[1]])
            if shared.available:
                shared_rounds.append(shared.run(SECONDS / ROUNDS))
            self.measure_invokes(self.daemon(f"state-{index}"), self.socket, "durable", rounds[names[2]])
            self.measure_invokes(self.daemon(f"state-{index}"), self.socket, "async", rounds[names[3]])
        floor_name = "limits chain" if shared_rounds else "simulated chain"
        floor = {}
        for width in WIDTHS:
            floor_rounds = [figures[width] for figures in shared_rounds] or rounds[names[1]][width]
            floor[width] = {key: median_of(floor_rounds, key) for key in ("p50_us", "p99_us", "calls_per_s")}
        self.add_invoke_rows(names, rounds, shared_rounds, floor_name, floor)

    def add_invoke_rows(self, names, rounds, shared_rounds, floor_name, floor):
        targets = {1: Target(ratio=1.2), 8: Target(value=15_000, ratio=0.83, higher_is_better=True),
                   64: Target(value=40_000, ratio=0.8, higher_is_better=True)}
        for width in WIDTHS:
            group = f"Warm call, {width} in flight" + (" (latency)" if width == 1 else " (throughput)")
            key, unit = ("p50_us", "us") if width == 1 else ("calls_per_s", "calls/s")
            for name in names:
                value = median_of(rounds[name][width], key)
                p99 = median_of(rounds[name][width], "p99_us") if width == 1 else None
                is_ours = name.startswith("invoke-plugin")
                self.add(group, name, value, unit, p99=p99, reference=floor_name if is_ours else "",
                         ratio=value / floor[width][key] if is_ours else None,
                         target=targets[width] if name == "invoke-plugin, durable" else None)
                if name == names[1] and shared_rounds:
                    self.add(group, "limits chain (../shared/limits)", floor[width][key], unit,
                             p99=floor[width]["p99_us"] if width == 1 else None)

    # --- observers ---

    def group_observers(self):
        group = "Warm call, 1 in flight, while its events are observed"
        rounds = {name: [] for name in observers.CASES}
        for index in range(ROUNDS):
            for name, found in rounds.items():
                found.append(observers.measure(self, BUILD, name, index, SECONDS / ROUNDS))
        alone = median_of(rounds["no observer"], "p99_us")
        for name, found in rounds.items():
            p99 = median_of(found, "p99_us")
            self.add(group, name, median_of(found, "p50_us"), "us", p99=p99,
                     reference="" if name == "no observer" else "p99 alone",
                     ratio=None if name == "no observer" else p99 / alone)

    # --- log and replay ---

    def group_log(self):
        program = self.program("bench_log_append")
        rounds = [figures_of([program, self.scratch / f"append-{index}", SECONDS / ROUNDS]) for index in range(ROUNDS)]
        targets = {1: Target(value=8_300, ratio=0.72, higher_is_better=True),
                   64: Target(value=400_000, ratio=0.67, higher_is_better=True),
                   1024: Target(value=1_500_000, ratio=0.71, higher_is_better=True)}
        peers = self.measure_peers()
        for batch, target in targets.items():
            group = f"Event log, {batch} event{'s' if batch > 1 else ''} a commit"
            raw = self.add(group, "raw write + fdatasync", median_of(rounds, f"raw_{batch}_events_per_s"), "events/s")
            value = median_of(rounds, f"log_{batch}_events_per_s")
            self.add(group, "event log", value, "events/s", reference="raw", ratio=value / raw.median, target=target)
            signed = median_of(rounds, f"signed_log_{batch}_events_per_s")
            self.add(group, "signed, a checkpoint a second", signed, "events/s", reference="event log",
                     ratio=signed / value)
            for name, figures in peers.items():
                self.add(group, name, figures[f"append_{batch}"], "events/s", reference="raw",
                         ratio=figures[f"append_{batch}"] / raw.median)
        self.add_query_rows(peers)

    def measure_peers(self):
        """Returns {name: figures} of the peers that are installed."""
        found = {}
        for peer in (log_peers.Sqlite, log_peers.Redis):
            try:
                found[peer.name] = log_peers.measure(peer, self.scratch / f"peer-{peer.__name__}", SECONDS / ROUNDS,
                                                     QUERY_EVENTS)
            except (FileNotFoundError, OSError) as error:
                progress(f"{peer.name} is left out: {error}")
        return found

    def add_query_rows(self, peers):
        group = f"The two events of one call among {QUERY_EVENTS:,}"
        ours = figures_of([self.program("bench_log_query"), self.scratch / "query", QUERY_EVENTS])
        shutil.rmtree(self.scratch / "query", ignore_errors=True)
        for name, figures in peers.items():
            self.add(group, name, figures["query_ms"], "ms")
        self.add(group, "event log, by footers", ours["correlation_ms"], "ms",
                 note=f"{ours['correlation_read_percent']:.1f} % of the log read")
        self.add(group, "event log, summary of everything", ours["summary_ms"], "ms", target=Target(value=2_000),
                 note=f"{ours['summary_read_percent']:.2f} % of the log read")

    def group_replay(self):
        group = "Replay"
        figures = figures_of([self.program("bench_log_replay"), self.scratch / "replay", REPLAY_EVENTS])
        shutil.rmtree(self.scratch / "replay", ignore_errors=True)
        floor = self.add(group, "decode from memory alone", figures["decode_events_per_s"], "events/s")
        for name, key in (("in process: read, CRC", "bytes_events_per_s"),
                          ("in process: read, CRC, the fields of filters", "fields_events_per_s"),
                          ("in process: read, CRC, decode into an arena", "arena_events_per_s")):
            self.add(group, name, figures[key], "events/s", reference="decode", ratio=figures[key] / floor.median)
        value = figures["events_per_s"]
        self.add(group, "in process: read, CRC, decode", value, "events/s", reference="decode",
                 ratio=value / floor.median, target=Target(value=5_000_000, ratio=0.59, higher_is_better=True))
        with self.daemon("state-replay"):
            self.control("load-plugin", "--replace", "--manifest", ECHO_MANIFEST)
            figures_of([self.program("bench_invoke"), self.socket, "echo", 64, SECONDS, "durable"])
            rounds = [figures_of([self.program("bench_replay_client"), self.socket]) for _ in range(ROUNDS)]
        value = median_of(rounds, "events_per_s")
        self.add(group, "through gRPC to a client", value, "events/s", reference="decode", ratio=value / floor.median,
                 note=f"{rounds[0]['events']:.0f} events")

    # --- memory and start ---

    def group_memory(self):
        group = "Memory"
        with self.daemon("state-memory") as server:
            self.control("get-status")
            self.add(group, "idle daemon, resident", resident_kb(server.pid) / 1024, "MiB", target=Target(value=24))
            for name in ("echo", "hello-python"):
                if (BUILD / "plugins" / name).is_dir():
                    self.add(group, f"one of {PLUGINS_FOR_MEMORY} idle {name}, with its reaper, proportional",
                             self.memory_of_plugin(name), "kB", target=Target(value=400) if name == "echo" else None)

    def memory_of_plugin(self, name):
        """Loads copies of a plugin under names of their own; returns the median proportional size of one in kB."""
        sizes, ids = [], []
        for index in range(PLUGINS_FOR_MEMORY):
            folder = self.scratch / f"plugin-{name}-{index}"
            # Linked, so that the copies share their pages as instances of one program do.
            shutil.copytree(BUILD / "plugins" / name, folder, copy_function=link_or_copy)
            manifest = folder / "manifest.toml"
            text = re.sub(r'(?m)^name\s*=.*$', f'name = "{name}-{index}"', manifest.read_text(), count=1)
            manifest.unlink()
            manifest.write_text(text)
            ids.append(self.control("load-plugin", "--manifest", manifest).strip())
        for plugin in ids:
            text = self.control("-o", "json", "get-plugin", plugin)
            pid = int(re.search(r'"pid":\s*"?(\d+)', text).group(1))
            sizes.append(sum(proportional_kb(member) for member in processes_of_namespace(pid)))
        for plugin in ids:
            self.control("unload-plugin", plugin)
        return statistics.median(sizes)

    def group_start(self):
        group = "Start of an empty daemon, exec to SERVING"
        count = max(5, int(5 * SECONDS / ROUNDS))
        floor, ours = [], []
        chain_socket = self.scratch / "start.sock"
        state = self.scratch / "state-start"
        for _ in range(ROUNDS):
            floor.append(figures_of([self.program("bench_start"), count, chain_socket, state,
                                     self.program("bench_chain"), chain_socket, "echo"]))
            ours.append(figures_of([self.program("bench_start"), count, self.socket, state,
                                    *self.daemon_command(state)]))
        reference = self.add(group, "gRPC echo server", median_of(floor, "p50_us") / 1e3, "ms",
                             p99=median_of(floor, "p99_us") / 1e3)
        value = median_of(ours, "p50_us") / 1e3
        self.add(group, "liongated", value, "ms", p99=median_of(ours, "p99_us") / 1e3, reference="gRPC echo server",
                 ratio=value / reference.median, target=Target(value=25, ratio=3.1))


class SharedChain:
    """The simulated chain of the design's own measurements, where its source lies beside this clone."""

    LINE = re.compile(r"^2 events, durable before reply x(\d+)\s+(?:n=.*p50=([\d.]+).*p99=([\d.]+)|([\d.]+) invokes/s)")

    def __init__(self, scratch):
        source = Path(os.environ.get("LIONGATE_LIMITS_DIR", ROOT.parent / "shared/limits"))
        self.scratch = scratch
        self.folder = RESULTS / "limits-chain"
        self.available = (source / "chain.cc").exists()
        if self.available and not (self.folder / "chain").exists():
            progress("building the chain of ../shared/limits")
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in ("Makefile", "chain.cc", "bench.h", "echo.proto", "msg.proto"):
                shutil.copy(source / name, self.folder / name)
            result = subprocess.run(["make", "-C", str(self.folder), "chain"], capture_output=True, text=True,
                                    check=False)
            if result.returncode != 0:
                progress(f"it does not build, and is left out: {result.stderr.strip().splitlines()[-1]}")
                self.available = False

    def run(self, seconds):
        """Returns {width: {p50_us, p99_us, calls_per_s}} of its durable mode."""
        (self.scratch / "scratch/data").mkdir(parents=True, exist_ok=True)
        result = subprocess.run([str(self.folder / "chain"), f"{seconds:g}"], cwd=self.scratch,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        found = {width: {} for width in WIDTHS}
        for line in result.stdout.splitlines():
            match = self.LINE.match(line)
            if match and match.group(4):
                found[int(match.group(1))]["calls_per_s"] = float(match.group(4))
            elif match:
                found[int(match.group(1))].update(p50_us=float(match.group(2)), p99_us=float(match.group(3)))
        if not all(figures.get("calls_per_s") and figures.get("p50_us") for figures in found.values()):
            raise BenchError("the chain of ../shared/limits printed no figures")
        return found


GROUPS = ("load", "invoke", "observers", "log", "replay", "memory", "start", "network")


def main():
    groups = sys.argv[1:] or GROUPS
    if any(group not in GROUPS for group in groups):
        print(f"usage: bench/run.py [GROUP]...   groups: {' '.join(GROUPS)}", file=sys.stderr)
        return 1
    RESULTS.mkdir(parents=True, exist_ok=True)
    failures = 0
    # On a disk: /tmp may be memory, where fdatasync costs nothing.
    with tempfile.TemporaryDirectory(prefix="liongate-bench-", dir="/var/tmp") as scratch:
        bench = Bench(scratch)
        description = machine.describe(ROOT, scratch)
        for group in groups:
            progress(f"measuring: {group}")
            try:
                getattr(bench, f"group_{group}")()
            except BenchError as error:
                progress(f"{group} could not be measured: {error}")
                failures += 1
        print(f"\n{machine.in_words(description)}; {SECONDS:g} s a point\n")
        print_table(bench.rows)
    with (RESULTS / "results.json").open("w", encoding="utf-8") as results:
        results.write(machine.json_line(description))
        results.writelines(row.as_json() + "\n" for row in bench.rows)
    print(f"also in {RESULTS.relative_to(ROOT)}/results.json")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
