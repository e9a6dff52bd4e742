"""What observers cost a call: its latency with none, one, ten, and ten of which one is stopped by SIGSTOP.

Used by run.py, group `observers`. Each number of observers has a daemon of its own, so that no log is longer than
another.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path

from processes import BenchError, figures_of

START_TIMEOUT_S = 10.0

CASES = {"no observer": (0, False), "1 observer": (1, False), "10 observers": (10, False),
         "10 observers, one stopped": (10, True)}


def write_plugins_file(folder, tally_folder, count):
    """A plugins.yaml with `count` observers, each the C++ tally, which does nothing but count."""
    entries = [f"  - {{id: tally-{number}, module: {tally_folder}/manifest.toml}}" for number in range(count)]
    lines = ["plugins:", *entries]
    file = Path(folder) / f"plugins-{count}.yaml"
    file.write_text("\n".join(lines) + "\n" if count else "plugins: []\n")
    config = Path(folder) / f"liongated-{count}.yaml"
    config.write_text(f"plugins_file: {file}\n")
    return config


def pid_of(bench, plugin):
    """Waits until it runs: the daemon is ready before its observers are. Never 0, which would be our own group."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        pid = int(json.loads(bench.control("-o", "json", "get-plugin", plugin))["plugin"]["pid"])
        if pid > 1:
            return pid
        time.sleep(0.02)
    raise BenchError(f"observer {plugin} does not start")


def measure(bench, build, name, index, seconds):
    """One round of one case: {p50_us, p99_us, calls_per_s} of calls one at a time."""
    count, has_stopped = CASES[name]
    tally = bench.scratch / "tally"
    if not tally.exists():
        shutil.copytree(build / "plugins/tally", tally)
    config = write_plugins_file(bench.scratch, tally, count)
    stopped = 0
    with bench.daemon(f"observers-{index}-{list(CASES).index(name)}", "--config", config):
        bench.control("load-plugin", "--replace", "--manifest", build / "plugins/echo/manifest.toml")
        pids = [pid_of(bench, f"tally-{number}") for number in range(count)]
        if has_stopped:
            stopped = pids[0]
            os.kill(stopped, signal.SIGSTOP)
        try:
            figures = figures_of([bench.program("bench_invoke"), bench.socket, "echo", 1, seconds, "durable"])
        finally:
            if stopped:
                os.kill(stopped, signal.SIGCONT)
    return figures
