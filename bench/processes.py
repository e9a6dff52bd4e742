"""Starts and stops the programs that are measured, and reads what /proc says of them."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS_MAX = 20


class BenchError(Exception):
    """Something could not be measured; the message says what."""


def figures_of(command, **options):
    """Runs one of our benchmark programs and returns the JSON object it prints."""
    result = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            check=False, **options)
    if result.returncode != 0:
        raise BenchError(f"{Path(str(command[0])).name}: {result.stderr.strip() or result.returncode}")
    return json.loads(result.stdout.strip().splitlines()[-1])


class Server:
    """A program that listens on a unix socket; use as a context. Its stderr goes to `log`."""

    def __init__(self, command, socket_path, log):
        self.command = [str(word) for word in command]
        self.socket_path = str(socket_path)
        self.log = Path(log)
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        Path(self.socket_path).unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise BenchError(f"{self.command[0]} does not start: {self._last_words()}")
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self._stop()

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket_path)
                return True
            except OSError:
                return False

    def _stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(START_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def resident_kb(pid):
    """Resident size of a process in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} has no resident size")


def proportional_kb(pid):
    """Proportional set size of a process in kB: what it has alone and its share of what it has with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} has no proportional size")


def processes_of_namespace(pid):
    """Every process in the pid namespace of `pid`: a plugin and its reaper."""
    wanted = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == wanted:
                found.append(int(entry))
        except OSError:
            continue  # it ended, or it is none of ours
    return found
