"""A sandbox that is stopped (SIGSTOP) somewhere on its way up: the load ends, in words, and nothing is left.

Whoever may signal a plugin's processes is not confined; but a debugger, a freezing container or a machine that sleeps
does the same. The moments are spread over a start, from the clone on; which step each one meets is chance.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from harness import counted, wire
from harness.daemon import Daemon
from harness.waiting import eventually
from harness.workshop import Workshop

STARTS = 12
STEP_S = 0.0001
# The launcher's own bound for a set-up, and the manifest's for the plugin's first word.
ENDS_WITHIN_S = 15.0
ENDS = {"loaded", "LOAD_FAILURE"}


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


class Stopper:
    """Stops each new process of the launcher, and what is below it, some time after it is seen: each a bit later."""

    def __init__(self, launcher: int) -> None:
        self._launcher = launcher
        self._seen = set(children_of(launcher))
        self._over = threading.Event()
        self.stopped: list[int] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        while not self._over.is_set():
            for pid in children_of(self._launcher):
                if pid in self._seen:
                    continue
                self._seen.add(pid)
                # Shorter than a scheduler's sleep: this thread spins until then.
                until = time.monotonic() + number * STEP_S
                number += 1
                while time.monotonic() < until:
                    pass
                self._stop(pid)

    def _stop(self, pid: int) -> None:
        for one in [pid, *children_of(pid)]:
            try:
                os.kill(one, signal.SIGSTOP)
                self.stopped.append(one)
            except ProcessLookupError:
                pass  # it is over already

    def __enter__(self) -> Stopper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_start_that_is_stopped_midway_ends_in_words_and_leaves_nothing(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load("hello")
    launcher = next(process.pid for process in daemon.processes() if process.parent == daemon.pid)
    sandboxes_before = daemon.sandbox_pids()
    outcomes: dict[str, int] = {}
    folders = [workshop.copy("echo", f"stopped-{number}") for number in range(STARTS)]
    begin = time.monotonic()
    with Stopper(launcher) as stopper:
        loads = [daemon.client.plugins.later("LoadPlugin", manifest_path=str(folder / "manifest.toml"))
                 for folder in folders]
        assert daemon.invoke("hello", "meanwhile").text == "Hello from hello: meanwhile"
        for load in loads:
            outcome = load.outcome()
            name = outcome.reason if isinstance(outcome, wire.Refusal) else "loaded"
            outcomes[name] = outcomes.get(name, 0) + 1
    took_s = time.monotonic() - begin
    counted.note(f"stopped starts: {outcomes} in {took_s:.1f} s, {len(stopper.stopped)} processes stopped")
    assert took_s < ENDS_WITHIN_S
    assert set(outcomes) <= ENDS
    for plugin in daemon.client.plugins.ListPlugins().plugins:
        daemon.client.plugins.UnloadPlugin(plugin=plugin.plugin_id)
    eventually(lambda: not daemon.sandbox_pids(), "no sandbox is left")
    assert sandboxes_before
