"""A fork bomb, a memory bomb, a disk bomb and a flood of output in four plugins, while a fifth goes on serving.

Prints the fifth one's times before and during. By hand:

    LIONGATE_BUILD_DIR=build/release build/venv/bin/python3 -m pytest -s tests/integration/test_noisy_neighbours.py
"""

from __future__ import annotations

import time

from harness import counted, wire
from harness.daemon import Daemon
from harness.workshop import Workshop

BOMBS = {
    "fork_storm": "processes_max = 64\n",
    "memory_bomb": "memory_bytes_max = 67108864\n",
    "disk_bomb": "tmp_bytes_max = 16777216\ntmp_files_max = 1000\n",
    "stdout_flood": "",
}
BEFORE_S = 4.0
DURING_S = 8.0
BOMB_TIMEOUT_MS = 60_000
PAUSE_S = 0.002  # a caller at some distance, not a load of its own


def times_ms(daemon: Daemon, duration_s: float) -> list[float]:
    taken: list[float] = []
    end = time.monotonic() + duration_s
    while (begin := time.monotonic()) < end:
        assert daemon.invoke("hello", str(begin)).text.endswith(f": {begin}")
        taken.append((time.monotonic() - begin) * 1000)
        time.sleep(PAUSE_S)
    return sorted(taken)


def in_words(times: list[float]) -> str:
    middle, late = times[len(times) // 2], times[len(times) * 99 // 100]
    return f"{len(times)} calls, p50 {middle:.2f} ms, p99 {late:.2f} ms, worst {times[-1]:.2f} ms"


def test_four_bombs_and_one_that_serves(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load("hello")
    times_ms(daemon, 0.5)  # once for what is only slow the first time
    before = times_ms(daemon, BEFORE_S)
    for bomb, lines in BOMBS.items():
        daemon.load(workshop.with_lines(bomb, "[limits]\n" + lines))
    grouped = any(one.name == "cgroup limits" and one.state == "active"
                  for one in daemon.get("hello").posture.mechanisms)
    bombs = {bomb: daemon.invoke_later(bomb.replace("_", "-"), timeout_ms=BOMB_TIMEOUT_MS) for bomb in BOMBS}
    for bomb in BOMBS:
        daemon.wait_event("PluginInvoked", plugin=bomb.replace("_", "-"))
    during = times_ms(daemon, DURING_S)
    burning = [bomb for bomb, call in bombs.items() if not call.done()]
    counted.note(f"neighbours before: {in_words(before)}")
    counted.note(f"neighbours during: {in_words(during)} ({'with' if grouped else 'without'} control groups; "
                 f"still burning at the end: {', '.join(burning)})")
    for bomb, call in bombs.items():
        daemon.client.plugins.StopPlugin(plugin=bomb.replace("_", "-"))
        outcome = call.outcome()
        assert isinstance(outcome, wire.Refusal), f"{bomb} came to an end: {outcome}"
    assert not [one for one in daemon.processes() if one.name in ("bombs", "fork_storm")]
    # Every answer came, and none late: how late is what the two lines say, and depends on the machine.
    assert during[len(during) // 2] < 1000
    assert daemon.status().memory_used_bytes < 256 * 1024 * 1024
