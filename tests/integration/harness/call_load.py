"""Callers that call a daemon until they are told to stop, or until it is gone, and write down what they were told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from . import wire

CALLERS = 6


class CallLoad:
    """Runs from its making to `stop`."""

    def __init__(self, socket: Path, plugins: Sequence[str], text: str = "x") -> None:
        self.acknowledged: list[tuple[str, str]] = []  # execution id, answer
        self.refused: list[wire.Refusal] = []
        self._plugins = plugins
        self._text = text
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(socket, number)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call(self, socket: Path, number: int) -> None:
        plugin = self._plugins[number % len(self._plugins)]
        with wire.Client(socket) as client:
            while not self._stop.is_set():
                outcome = client.plugins.later("InvokePlugin", plugin=plugin, text=self._text, timeout_s=10).outcome()
                if isinstance(outcome, wire.Refusal):
                    self.refused.append(outcome)
                    if outcome.code == "UNAVAILABLE":
                        return  # the daemon is gone: the next round has callers of its own
                else:
                    self.acknowledged.append((outcome.execution_id, outcome.text))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def is_clear(refusal: wire.Refusal) -> bool:
    """What a caller may be told of a kill that it did not see."""
    return refusal.code in ("UNAVAILABLE", "CANCELLED") or refusal.reason in (
        "PLUGIN_CRASHED", "PLUGIN_NOT_RUNNING", "PLUGIN_PROTOCOL_ERROR")
