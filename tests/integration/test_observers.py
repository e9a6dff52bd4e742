"""Seed 002, "Plugin Registry", "Plugin Isolation" and "Engine Integration": observers see all and touch nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import wire
from harness.daemon import Daemon, kill_process
from harness.observers import Observers
from harness.waiting import eventually
from harness.wire import refused
from harness.workshop import Workshop

BEGIN = "from liongate import Event, PluginBase\nimport os, sys, time\n"


@pytest.fixture
def observers(make_daemon: Callable[..., Daemon]) -> Iterator[Observers]:
    yield Observers(make_daemon())


def log_text(daemon: Daemon, plugin: str) -> str:
    replies = daemon.client.plugins.GetPluginLogs(plugin=plugin)
    return "\n".join(entry.line for reply in replies for entry in reply.entries)


def observer(observers: Observers, name: str, body: str, **more: Any) -> dict[str, Any]:
    """An entry whose class has this body."""
    lines = "\n".join("    " + line for line in body.strip("\n").splitlines())
    observers.module(f"{name}_package/main.py", f"{BEGIN}class Observer(PluginBase):\n{lines}\n")
    return {"id": name, "module": f"{name}_package.main.Observer", **more}


def call(daemon: Daemon, times: int = 1, plugin: str = "hello") -> None:
    for number in range(times):
        daemon.invoke(plugin, f"{number}")


def names(daemon: Daemon) -> list[str]:
    return [plugin.name for plugin in daemon.client.plugins.ListPlugins().plugins]


# --- Plugin Registry (8) --------------------------------------------------------------------------------------------

def test_registry_register_plugin(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    plugin = daemon.wait_state("one", "RUNNING")
    assert plugin.manifest.role == "observer" and plugin.observer.listed_in == str(observers.file)
    types = [event.type for event in daemon.events(plugin="one")]
    assert types.index("PluginLoaded") < types.index("InstanceCreated") < types.index("PluginStarted")


def test_registry_unregister_plugin(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.wait_state("one", "RUNNING")
    daemon.client.plugins.UnloadPlugin(plugin="one")
    assert names(daemon) == []
    with refused("PLUGIN_NOT_FOUND", "NOT_FOUND"):
        daemon.client.plugins.UnloadPlugin(plugin="one")


def test_registry_register_multiple_plugins_in_order(observers: Observers) -> None:
    observers.write(*(observers.recorder(f"observer-{number}") for number in range(5)))
    assert names(observers.daemon.start()) == [f"observer-{number}" for number in range(5)]


def test_registry_dispatch_event_reaches_all_plugins(observers: Observers) -> None:
    observers.write(*(observers.recorder(f"observer-{number}") for number in range(3)))
    daemon = observers.daemon.start()
    daemon.load("hello")
    call(daemon, 5)
    results = [event.seq for event in daemon.events(types=["PluginResult"])]
    for number in range(3):
        seen = observers.wait_seen(f"observer-{number}", results[-1])
        assert set(results) <= set(seen) and seen == sorted(seen)


def test_registry_plugin_exception_does_not_break_dispatch(observers: Observers) -> None:
    observers.write(observer(observers, "raises", "def on_event(self, event):\n    raise ValueError(event.seq)"),
                    observers.recorder("well"))
    daemon = observers.daemon.start()
    daemon.wait_state("raises", "RUNNING")
    daemon.load("hello")
    call(daemon, 20)
    observers.caught_up("raises", "well")
    assert daemon.state("raises") == "RUNNING"
    health = daemon.client.plugins.GetPluginHealth(plugin="raises")
    assert not health.healthy and "events failed; last: on_event: ValueError" in health.detail
    text = log_text(daemon, "raises")
    assert "raises: on_event: ValueError" in text and "Traceback" in text


def test_registry_dispatch_passes_an_immutable_copy(observers: Observers) -> None:
    body = """
def on_event(self, event):
    for change in (lambda: setattr(event, "type", "x"), lambda: event.payload.__setitem__("event", "x"),
                   lambda: event.payload["input"].__setitem__("text", "x"), lambda: delattr(event, "seq")):
        try:
            change()
        except (AttributeError, TypeError):
            continue
        raise AssertionError("it could be changed")
"""
    observers.write(observer(observers, "changes", body, filter={"types": ["PluginInvoked"]}),
                    observers.recorder("well"))
    daemon = observers.daemon.start()
    daemon.wait_state("changes", "RUNNING")
    daemon.load("hello")
    call(daemon, 3)
    observers.caught_up("changes", "well")
    assert daemon.client.plugins.GetPluginHealth(plugin="changes").healthy


def test_registry_get_plugin(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    assert daemon.get("one").name == "one"
    with refused("PLUGIN_NOT_FOUND", "NOT_FOUND"):
        daemon.get("two")


def test_registry_list_plugins_shows_role_and_lag(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.load("hello")
    shown = daemon.ctl.ok("list-plugins").text
    assert "observer" in shown and "callable" in shown
    plugin = json.loads(daemon.ctl.ok("get-plugin", "one", "-o", "json").text)["plugin"]
    assert int(plugin["observer"]["cursor_seq"]) >= 0 and "lag_events" in plugin["observer"]


# --- Plugin Isolation (4) -------------------------------------------------------------------------------------------

def test_isolation_plugin_cannot_mutate_the_event_for_others(observers: Observers) -> None:
    """Even with the raw message in hand: its process has a copy of its own."""
    body = """
def on_event(self, event):
    event._message.type = "Forged"
    event._message.seq = 1
"""
    observers.write(observer(observers, "forger", body), observers.recorder("well"))
    daemon = observers.daemon.start()
    daemon.wait_state("forger", "RUNNING")
    daemon.load("hello")
    call(daemon, 3)
    observers.caught_up("forger", "well")
    assert not any("Forged" in line for line in observers.lines("well"))
    assert not daemon.events(types=["Forged"])


def test_isolation_plugin_crash_does_not_affect_other_plugins(observers: Observers) -> None:
    observers.write(observer(observers, "crashes", "def on_event(self, event):\n    os._exit(3)"),
                    observers.recorder("well"))
    daemon = observers.daemon.start()
    daemon.load("hello")
    call(daemon, 20)
    daemon.wait_event("InstanceCrashed", plugin="crashes")
    results = [event.seq for event in daemon.events(types=["PluginResult"])]
    assert set(results) <= set(observers.wait_seen("well", results[-1]))
    assert daemon.state("well") == "RUNNING"


def test_isolation_plugin_cannot_access_engine_internals(observers: Observers) -> None:
    """A process of its own: no state folder, no socket, no descriptors but its five, no other process."""
    body = """
def on_startup(self):
    found = []
    for path in self.config["hidden"]:
        if os.path.exists(path):
            found.append(path)
    descriptors = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    print("found", found, "descriptors", descriptors[:5], len(descriptors), "processes",
          len([name for name in os.listdir("/proc") if name.isdigit()]))

def on_event(self, event):
    pass
"""
    daemon = observers.daemon
    hidden = [str(daemon.state_dir), str(daemon.socket), "/etc/shadow", str(observers.file)]
    observers.write(observer(observers, "looks", body, config={"hidden": hidden}))
    daemon.start()
    daemon.wait_state("looks", "RUNNING")
    eventually(lambda: "found" in log_text(daemon, "looks"), "it looked")
    text = log_text(daemon, "looks")
    assert "found [] descriptors [0, 1, 2, 3, 4]" in text


def test_isolation_shutdown_called_on_unregister(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.wait_state("one", "RUNNING")
    daemon.client.plugins.UnloadPlugin(plugin="one")
    assert observers.lines("one")[0] == "startup" and observers.lines("one")[-1] == "shutdown"


# --- Engine Integration (3) -----------------------------------------------------------------------------------------

def test_integration_the_daemon_loads_plugins_from_plugins_yaml(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    assert names(observers.daemon.start()) == ["one"], "they are there when the daemon says that it is ready"


def test_integration_the_daemon_dispatches_events(observers: Observers) -> None:
    """Of every family: lifecycle, execution, error, and what is denied."""
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.wait_state("one", "RUNNING")
    daemon.load("hello")
    call(daemon)
    with refused("PLUGIN_NOT_FOUND"):
        daemon.invoke("nobody", "x")
    daemon.client.plugins.UnloadPlugin(plugin="hello")
    seq = daemon.events(types=["PluginUnloaded"])[-1].seq
    observers.wait_seen("one", seq)
    seen = {line.split()[1] for line in observers.lines("one") if line[0].isdigit()}
    assert {"PluginLoaded", "PluginStarted", "PluginInvoked", "PluginResult", "PluginUnloaded"} <= seen


def test_integration_observers_are_reached_through_the_registry(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.wait_state("one", "RUNNING")
    daemon.client.plugins.StopPlugin(plugin="one")
    assert daemon.state("one") == "STOPPED"
    daemon.client.plugins.StartPlugin(plugin="one")
    daemon.client.plugins.RestartPlugin(plugin="one")
    assert daemon.state("one") == "RUNNING"


# --- what an author does wrong --------------------------------------------------------------------------------------

def test_a_constructor_that_raises_keeps_the_plugin_from_starting(observers: Observers) -> None:
    """Which is how a plugin refuses its configuration."""
    body = """
def __init__(self, plugin_id, config=None):
    super().__init__(plugin_id, config)
    if not 0 < self.config["sample_rate"] <= 1:
        raise ValueError("sample_rate must be above 0 and at most 1")
def on_event(self, event):
    pass
"""
    observers.write(observer(observers, "picky", body, config={"sample_rate": 7}))
    plugin = observers.daemon.start().wait_state("picky", "FAILED")
    assert plugin.state_reason == "LOAD_FAILURE"
    assert "the constructor raised ValueError: sample_rate must be above 0 and at most 1" in plugin.state_message


def test_a_startup_that_raises_is_logged_and_the_plugin_stays(observers: Observers) -> None:
    body = ("def on_startup(self):\n    raise OSError('no database')\n"
            "def on_event(self, event):\n    print('saw', event.type)")
    observers.write(observer(observers, "degraded", body))
    daemon = observers.daemon.start()
    plugin = daemon.wait_state("degraded", "RUNNING")
    assert plugin.observer.startup_error == "on_startup: OSError: no database"
    daemon.load("hello")
    eventually(lambda: "saw PluginLoaded" in log_text(daemon, "degraded"), "it observes all the same")
    health = daemon.client.plugins.GetPluginHealth(plugin="degraded")
    assert not health.healthy and "no database" in health.detail
    started = daemon.events(types=["PluginStarted"], plugin="degraded")[0].plugin_started
    assert started.startup_error == "on_startup: OSError: no database"


def test_a_startup_that_never_returns_fails_and_holds_up_nobody(make_daemon: Callable[..., Daemon]) -> None:
    observers = Observers(make_daemon(config="stop_grace_ms: 1000\nready_timeout_ms: 1500\n" + "".join(
        line + "\n" for line in make_daemon().config.read_text().splitlines() if line.startswith("allow_degraded"))))
    body = "def on_startup(self):\n    time.sleep(1000)\ndef on_event(self, event): pass"
    observers.write(observer(observers, "hangs", body),
                    observers.recorder("well"))
    begin = time.monotonic()
    daemon = observers.daemon.start()
    daemon.wait_state("well", "RUNNING")
    assert time.monotonic() - begin < 1.4, "the daemon does not wait for it"
    plugin = daemon.wait_state("hangs", "FAILED")
    assert "did not say Ready in time" in plugin.state_message


def test_a_shutdown_that_raises_is_logged_and_the_plugin_goes(observers: Observers) -> None:
    body = "def on_event(self, event): pass\ndef on_shutdown(self):\n    raise RuntimeError('not yet')"
    observers.write(observer(observers, "stubborn", body))
    daemon = observers.daemon.start()
    daemon.wait_state("stubborn", "RUNNING")
    daemon.client.plugins.UnloadPlugin(plugin="stubborn")
    assert names(daemon) == []


def test_an_event_that_fails_once_is_tried_again(observers: Observers) -> None:
    body = """
def on_startup(self):
    self.tries = 0
def on_event(self, event):
    self.tries += 1
    if self.tries < 3:
        raise ValueError("not now")
    print("at try", self.tries, event.type)
"""
    observers.write(observer(observers, "patient", body, retries=5, filter={"types": ["PluginInvoked"]}))
    daemon = observers.daemon.start()
    daemon.wait_state("patient", "RUNNING")
    daemon.load("hello")
    call(daemon)
    eventually(lambda: "at try 3 PluginInvoked" in log_text(daemon, "patient"), "the third try worked")
    assert daemon.client.plugins.GetPluginHealth(plugin="patient").healthy


def test_on_error_stop_ends_the_observer_in_front_of_the_event(observers: Observers) -> None:
    body = """
def on_event(self, event):
    text = event.payload["input"]["text"]
    if text == "bad" and not os.path.exists(self.config["mended"]):
        raise ValueError("bad")
    print("handled", text)
"""
    mended = observers.out / "mended"
    observers.write(observer(observers, "strict", body, on_error="stop", filter={"types": ["PluginInvoked"]},
                             config={"mended": str(mended)}, permissions=[f"fs_read:{observers.out}"]))
    daemon = observers.daemon.start()
    daemon.wait_state("strict", "RUNNING")
    daemon.load("hello")
    for text in ("good", "bad", "after"):
        daemon.invoke("hello", text)
    daemon.wait_event("InstanceCrashed", plugin="strict")
    assert "handled after" not in log_text(daemon, "strict")
    mended.touch()
    eventually(lambda: "handled after" in log_text(daemon, "strict"), "it went on from the event")
    assert "handled bad" in log_text(daemon, "strict")


# --- at least once --------------------------------------------------------------------------------------------------

def test_an_observer_goes_on_after_the_daemon_was_killed(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.wait_state("one", "RUNNING")
    daemon.load("hello")
    call(daemon, 10)
    observers.caught_up("one")
    before = set(observers.seen("one"))
    daemon.kill()
    daemon.start()
    daemon.wait_state("hello", "RUNNING")
    call(daemon, 10)
    results = [event.seq for event in daemon.events(types=["PluginInvoked", "PluginResult"])]
    observers.wait_seen("one", results[-1])
    after = observers.seen("one")
    assert set(results) <= set(after)
    assert len(after) - len(set(after)) < 10, "nearly nothing was shown twice"
    assert before <= set(after)


def killed_once_a_second(daemon: Daemon, plugin: str, stop: threading.Event, kills: list[int]) -> None:
    client = wire.Client(daemon.socket)
    try:
        while not stop.wait(1.0):
            pid = client.plugins.GetPlugin(plugin=plugin).plugin.pid
            if pid:
                kill_process(pid)
                kills.append(pid)
    finally:
        client.close()


def test_not_one_event_is_missed_by_two_observers_one_of_which_is_killed_every_second(observers: Observers) -> None:
    """10,000 calls, and kills beyond the five a minute that make a plugin fail: an observer that gets on is no loop."""
    calls = 10_000
    shown = {"types": ["PluginInvoked", "PluginResult"]}
    observers.write(observers.recorder("killed", filter=shown), observers.recorder("well", filter=shown))
    daemon = observers.daemon.start()
    for name in ("killed", "well"):
        daemon.wait_state(name, "RUNNING")
    daemon.load("hello")
    stop = threading.Event()
    kills: list[int] = []
    killer = threading.Thread(target=killed_once_a_second, args=(daemon, "killed", stop, kills))
    killer.start()
    try:
        pending: list[wire.PendingCall] = []
        begin = time.monotonic()
        for number in range(calls):
            pending.append(daemon.invoke_later("hello", f"{number}"))
            if len(pending) >= 200:
                for one in pending:
                    one.result()
                pending.clear()
        for one in pending:
            one.result()
        while len(kills) < 6 and time.monotonic() - begin < 60:
            call(daemon, 50)
    finally:
        stop.set()
        killer.join()
    expected = [event.seq for event in daemon.events(**shown)]
    assert len(expected) >= 2 * calls and len(kills) >= 3
    daemon.wait_state("killed", "RUNNING")
    for name in ("killed", "well"):
        observers.wait_seen(name, expected[-1], timeout_s=90)
    seen = observers.seen("well")
    assert seen == expected, "the other one saw each event once, in order"
    missed = set(expected) - set(observers.seen("killed"))
    assert not missed, f"{len(missed)} of {len(expected)} events were missed"


# --- nobody is held up ----------------------------------------------------------------------------------------------

def test_calls_go_on_while_an_observer_is_stopped(observers: Observers) -> None:
    observers.write(observers.recorder("frozen"), observers.recorder("well"))
    daemon = observers.daemon.start()
    for name in ("frozen", "well"):
        daemon.wait_state(name, "RUNNING")
    daemon.load("hello")
    call(daemon, 5)
    observers.caught_up("frozen")
    pid = daemon.get("frozen").pid
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for _ in range(4):
            pending = [daemon.invoke_later("hello", "x" * 2000) for _ in range(500)]
            for one in pending:
                one.result()
        took = time.monotonic() - begin
        results = [event.seq for event in daemon.events(types=["PluginResult"])]
        observers.wait_seen("well", results[-1])
        assert took < 20
        lag = daemon.get("frozen").observer.lag_events
        assert lag > 3000, lag
    finally:
        os.kill(pid, signal.SIGCONT)
    observers.caught_up("frozen")
    assert set(results) <= set(observers.seen("frozen"))


def test_an_observer_that_stays_stopped_is_started_again(observers: Observers) -> None:
    observers.write(observers.recorder("frozen", ack_timeout_ms=300))
    daemon = observers.daemon.start()
    daemon.wait_state("frozen", "RUNNING")
    daemon.load("hello")
    os.kill(daemon.get("frozen").pid, signal.SIGSTOP)
    call(daemon, 3)
    crashed = daemon.wait_event("InstanceCrashed", plugin="frozen")
    assert "it acknowledged nothing for 300 ms" in crashed.instance_crashed.message
    results = [event.seq for event in daemon.events(types=["PluginResult"])]
    observers.wait_seen("frozen", results[-1])


def test_an_observer_that_floods_its_log_hurts_only_itself(observers: Observers) -> None:
    body = "def on_event(self, event):\n    for _ in range(2000):\n        print('x' * 200)"
    observers.write(observer(observers, "floods", body), observers.recorder("well"))
    daemon = observers.daemon.start()
    daemon.wait_state("floods", "RUNNING")
    daemon.load("hello")
    call(daemon, 50)
    results = [event.seq for event in daemon.events(types=["PluginResult"])]
    observers.wait_seen("well", results[-1])
    assert daemon.is_running


def test_an_observer_takes_no_calls(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.wait_state("one", "RUNNING")
    with refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        daemon.invoke("one", "x")


def test_an_observer_that_asks_for_something_is_refused_and_logged(observers: Observers) -> None:
    """The wire has host calls; an observer that speaks them by hand gets PERMISSION_DENIED and an event."""
    body = """
def on_startup(self):
    from liongate import frame_pb2
    self.calls = 0

def on_event(self, event):
    from liongate import frame_pb2
    frame = frame_pb2.Frame()
    frame.host_call.host_call_id = self.calls = self.calls + 1
    frame.host_call.method = "invoke"
    body = frame.SerializeToString()
    os.write(4, len(body).to_bytes(4, "little") + body)
"""
    observers.write(observer(observers, "acts", body, filter={"types": ["PluginInvoked"]}))
    daemon = observers.daemon.start()
    daemon.wait_state("acts", "RUNNING")
    daemon.load("hello")
    call(daemon)
    denied = daemon.wait_event("PermissionDenied", plugin="acts")
    assert denied.permission_denied.action == "host call invoke"
    assert denied.actor == "plugin:acts"


# --- the engine never notices (law 6) -------------------------------------------------------------------------------

def normalised(daemon: Daemon, own: set[str]) -> list[str]:
    """The events without what observers' own lives add, and without numbers, times and names that differ by chance."""
    known: dict[str, str] = {}

    def name_for(text: str) -> str:
        return known.setdefault(text, f"id-{len(known)}") if text else ""

    kept = []
    for event in daemon.events():
        if event.plugin_name in own or event.type in ("PluginsFileRead", "DaemonStarted"):
            continue
        spelled = wire.to_dict(event)
        for key in ("seq", "time"):
            spelled.pop(key, None)
        for key in ("plugin_id", "instance_id", "correlation_id"):
            spelled[key] = name_for(spelled.get(key, ""))
        kept.append(json.dumps(scrubbed(spelled, name_for), sort_keys=True))
    return kept


CHANCE = {"figures", "pid", "start_time_ms", "posture", "folder", "entry_point_path", "manifest_path", "cpu_time_ms",
          "memory_peak_bytes", "exit"}


def scrubbed(value: Any, name_for: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: name_for(one) if key == "execution_id" else scrubbed(one, name_for)
                for key, one in value.items() if key not in CHANCE}
    if isinstance(value, list):
        return [scrubbed(one, name_for) for one in value]
    return value


def scripted_run(daemon: Daemon, workshop_folder: Path) -> None:
    daemon.load(workshop_folder)
    for number in range(30):
        daemon.invoke("steady", f"{number}")
    for text in ("fail", "x"):
        daemon.invoke_later("steady", text).outcome()
    with refused("PLUGIN_NOT_FOUND"):
        daemon.invoke("nobody", "x")
    daemon.client.plugins.StopPlugin(plugin="steady")
    daemon.invoke_later("steady", "while stopped").outcome()
    daemon.client.plugins.StartPlugin(plugin="steady")
    daemon.invoke("steady", "again")
    daemon.client.plugins.UnloadPlugin(plugin="steady")


STEADY = """
from liongate import Failure, Plugin
plugin = Plugin()

@plugin.operation("")
def answer(call):
    if call.text == "fail":
        raise Failure("NO", "as asked")
    return call.text.upper()
"""


def test_the_engine_s_events_are_the_same_with_and_without_observers(make_daemon: Callable[..., Daemon],
                                                                     workshop: Workshop) -> None:
    """Two runs of one script: alone, and with a well, a slow, a raising, a crashing and a frozen observer."""
    folder = workshop.write("steady", workshop.manifest("steady", "./steady.py", "python"), {"steady.py": STEADY})
    alone = make_daemon().start()
    scripted_run(alone, folder)
    observers = Observers(make_daemon())
    observers.write(
        observers.recorder("well"),
        observer(observers, "slow", "def on_event(self, event):\n    time.sleep(0.2)"),
        observer(observers, "raises", "def on_event(self, event):\n    raise ValueError()"),
        observer(observers, "crashes", "def on_event(self, event):\n    os.kill(os.getpid(), 9)"),
        observers.recorder("frozen"))
    daemon = observers.daemon.start()
    for name in ("well", "slow", "raises", "frozen"):
        daemon.wait_state(name, "RUNNING")
    frozen = daemon.get("frozen").pid
    os.kill(frozen, signal.SIGSTOP)
    try:
        scripted_run(daemon, folder)
        own = {"well", "slow", "raises", "crashes", "frozen"}
        assert normalised(daemon, own) == normalised(alone, set())
    finally:
        os.kill(frozen, signal.SIGCONT)
