"""kill -9 of the daemon or of a plugin, again and again, at random moments, under load.

Whatever the moment: every acknowledged result is in the log exactly once, the log verifies, no process is left, and
what was loaded is running again under its id. make test runs 20, the long form (make kill-run) 1,000.
LIONGATE_KILL_SEED repeats a run's choices; the moments themselves are the machine's.
"""

from __future__ import annotations

import os
import random
import time

from harness import command_line, counted, paths, processes
from harness.call_load import CallLoad, is_clear
from harness.daemon import Daemon, kill_process, terminals_by_execution
from harness.waiting import eventually

RUNS = int(os.environ.get("LIONGATE_KILL_RUNS") or os.environ.get("LIONGATE_KILL_ROUNDS") or "20")
SEED = int(os.environ.get("LIONGATE_KILL_SEED") or random.SystemRandom().randrange(1 << 32))
PLUGINS = ["echo", "hello-python", "hello-command"]
NO_ORPHAN_AFTER_S = 1.0
LOAD_S = (0.02, 0.3)


def test_whatever_is_killed_no_acknowledged_result_is_lost_or_doubled(daemon: Daemon) -> None:
    print(f"LIONGATE_KILL_SEED={SEED}")
    chance = random.Random(SEED)
    # A plugin may be killed more often than a production default forgives: it is restarted by hand then.
    ids = {name: daemon.load(name).plugin_id for name in PLUGINS}
    acknowledged: list[str] = []
    kinds = {"daemon": 0, "plugin": 0}
    for _ in range(RUNS):
        load = CallLoad(daemon.socket, PLUGINS)
        time.sleep(chance.uniform(*LOAD_S))  # the moment is what is random
        if chance.random() < 0.5:
            kinds["daemon"] += 1
            everything = [process.pid for process in daemon.processes()]
            daemon.kill()
            load.stop()
            eventually(lambda: not any(found is not None and found.state not in "ZX"
                                       for found in map(processes.process_of, everything)),
                       "no process outlives the daemon", NO_ORPHAN_AFTER_S)
            verified = command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir, "-o", "json")
            damages = verified.json()["damages"]
            assert all(damage["kind"] == "torn_tail" for damage in damages), damages
            daemon.start()
        else:
            kinds["plugin"] += 1
            victims = sorted(daemon.sandbox_pids())
            if victims:
                try:
                    kill_process(chance.choice(victims))
                except ProcessLookupError:
                    pass  # a command that was done in the meantime
            load.stop()
        acknowledged += [execution for execution, _ in load.acknowledged]
        for refusal in load.refused:
            assert is_clear(refusal), refusal
        for name in PLUGINS:
            if daemon.state(name) == "FAILED":
                daemon.client.plugins.StartPlugin(plugin=name)
    for name, plugin_id in ids.items():
        assert daemon.wait_state(name, "RUNNING").plugin_id == plugin_id
    daemon.wait_idle()
    ends = terminals_by_execution(daemon.events(types=["PluginInvoked", "PluginResult", "PluginError"]))
    counted.note(f"{RUNS} kills -9 at random moments under load (daemon {kinds['daemon']}, plugin {kinds['plugin']}): "
                 f"{len(acknowledged)} acknowledged results of {len(ends)} calls, none lost or doubled")
    assert len(set(acknowledged)) == len(acknowledged)
    lost = [execution for execution in acknowledged if ends.get(execution) != ["PluginResult"]]
    assert not lost, f"{len(lost)} of {len(acknowledged)}: {lost[:3]} {[ends.get(one) for one in lost[:3]]}"
    wrong = {execution: end for execution, end in ends.items() if len(end) != 1}
    assert not wrong, dict(list(wrong.items())[:3])
    events = daemon.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
