"""What attempts cost the plugin next door: how long its calls take while they are made, beside how long before.

A thread of its own calls the sibling at some distance, for as long as the suite runs. What it measures is printed and
never judged: on a busy machine it says something about the machine.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from harness import wire

from .stage import Stage

PAUSE_S = 0.002
BASELINE_S = 2.0
CALL_TIMEOUT_MS = 5000


def p99(times_ms: list[float]) -> float:
    return sorted(times_ms)[len(times_ms) * 99 // 100] if times_ms else 0.0


class Neighbour:
    def __init__(self, stage: Stage) -> None:
        self._daemon = stage.daemon
        self._lock = threading.Lock()
        self._times_ms: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self.all_times_ms: list[float] = []
        self.failures: list[str] = []
        self.worst = (0.0, "")
        self._thread.start()
        time.sleep(BASELINE_S)
        self.baseline_ms = p99(self.take(""))
        self.all_times_ms.clear()

    def _call(self) -> None:
        while not self._stop.is_set():
            begin = time.monotonic()
            try:
                self._daemon.invoke("echo", "next door", timeout_ms=CALL_TIMEOUT_MS)
            except wire.Refusal as refusal:
                self.failures.append(str(refusal))
            with self._lock:
                self._times_ms.append((time.monotonic() - begin) * 1000)
            self._stop.wait(PAUSE_S)

    def take(self, check: str) -> list[float]:
        """Times since the last `take`; they belong to `check`."""
        with self._lock:
            times, self._times_ms = self._times_ms, []
        self.all_times_ms += times
        if times and max(times) > self.worst[0] and check:
            self.worst = (max(times), check)
        return times

    def in_words(self) -> str:
        return (f"the plugin next door: {len(self.all_times_ms)} calls, p99 {self.baseline_ms:.1f} ms before, "
                f"{p99(self.all_times_ms):.1f} ms during the attempts, worst {self.worst[0]:.0f} ms in {self.worst[1]}")

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
