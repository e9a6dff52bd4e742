"""Many callers at once: every call is answered once and is in the log once, whoever comes and goes."""

from __future__ import annotations

import collections
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import wire
from harness.daemon import (
    Daemon,
    assert_every_call_ended_once,
    invoke_fields,
    manifest_of,
    state_name,
    terminals_by_execution,
)
from harness.waiting import eventually

CLIENTS = 64
CALLS_EACH = 200
IN_FLIGHT_EACH = 4


def call_many(daemon: Daemon, plugin: str, number: int, answers: list[tuple[str, str]], failures: list[object]) -> None:
    """One client: its own connection, a few calls in flight, every answer compared with its question."""
    with wire.Client(daemon.socket) as client:
        pending: collections.deque[tuple[str, wire.PendingCall]] = collections.deque()
        for call in range(CALLS_EACH + IN_FLIGHT_EACH):
            if call < CALLS_EACH:
                question = f"{number}-{call}"
                pending.append((question, client.plugins.later("InvokePlugin", **invoke_fields(plugin, question, {}))))
            if call >= IN_FLIGHT_EACH:
                question, future = pending.popleft()
                reply = future.outcome()
                if isinstance(reply, wire.Refusal) or not reply.text.endswith(f": {question}"):
                    failures.append((question, reply))
                else:
                    answers.append((question, reply.execution_id))


@pytest.mark.parametrize("plugin", ["hello", "hello-python"])
def test_64_clients_with_200_calls_each_get_every_answer_once(daemon: Daemon, plugin: str) -> None:
    instance = daemon.load(plugin).instance_id
    answers: list[tuple[str, str]] = []
    failures: list[object] = []
    threads = [threading.Thread(target=call_many, args=(daemon, plugin, number, answers, failures))
               for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    assert len({question for question, _ in answers}) == CLIENTS * CALLS_EACH
    assert len({execution for _, execution in answers}) == CLIENTS * CALLS_EACH
    ends = terminals_by_execution(daemon.events(types=["PluginInvoked", "PluginResult", "PluginError"]))
    assert set(ends) == {execution for _, execution in answers}
    assert all(end == ["PluginResult"] for end in ends.values())
    statistics = daemon.get(plugin).statistics
    assert (statistics.calls_started, statistics.calls_completed, statistics.calls_failed) == (
        CLIENTS * CALLS_EACH, CLIENTS * CALLS_EACH, 0)
    assert daemon.get(plugin).instance_id == instance


def test_64_command_lines_at_once(daemon: Daemon) -> None:
    daemon.load("hello")
    running = [daemon.ctl.start("invoke-plugin", "hello", "--input", str(number)) for number in range(CLIENTS)]
    for number, one in enumerate(running):
        with one:
            out, err = one.process.communicate(timeout=60)
            assert (one.process.returncode, out) == (0, f"Hello from hello: {number}".encode()), err
    assert len(daemon.events(types=["PluginResult"])) == CLIENTS


def test_a_client_that_disconnects_in_the_middle_cancels_its_calls_alone(daemon: Daemon) -> None:
    plugin = daemon.load("slow")
    staying = daemon.invoke_later("slow", "800")
    leaving = wire.Client(daemon.socket)
    for number in range(8):
        leaving.plugins.later("InvokePlugin", plugin="slow", text="60000", correlation_id=f"left-{number}")
    eventually(lambda: daemon.get("slow").statistics.calls_running == 9, "all calls run")
    leaving.close()
    eventually(lambda: daemon.get("slow").statistics.calls_failed == 8, "the calls of the one who left are ended")
    reasons = {event.plugin_error.reason for event in daemon.events(types=["PluginError"])}
    assert reasons == {"CANCELLED"}
    assert staying.result().text == "slept"
    assert daemon.get("slow").instance_id == plugin.instance_id
    assert_every_call_ended_once(daemon)


def test_a_command_line_that_is_killed_cancels_its_call(daemon: Daemon) -> None:
    daemon.load("slow_single")
    with daemon.ctl.start("invoke-plugin", "slow-single", "--input", "60000") as caller:
        daemon.wait_event("PluginInvoked", plugin="slow-single")
        caller.process.kill()
    assert daemon.wait_event("PluginError", plugin="slow-single").plugin_error.reason == "CANCELLED"
    assert daemon.invoke("slow-single", "0").text == "slept"


def test_connections_that_say_nothing_or_nonsense_disturb_nobody(daemon: Daemon) -> None:
    daemon.load("hello")
    silent = []
    for number in range(100):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(daemon.socket))
        if number % 2:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10 + b"\0\xff" * 100)
        silent.append(connection)
    assert daemon.invoke("hello", "x").success
    for connection in silent:
        connection.close()
    assert daemon.invoke("hello", "x").success


def test_many_connections_one_after_the_other_leave_no_descriptor_behind(daemon: Daemon) -> None:
    daemon.load("hello")
    for _ in range(20):
        with wire.Client(daemon.socket) as client:
            client.system.GetStatus()

    def open_descriptors() -> int:
        return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))

    try:
        before = open_descriptors()
    except PermissionError:
        pytest.skip("only root sees the descriptors of a daemon, which holds secrets")
    for _ in range(200):
        with wire.Client(daemon.socket) as client:
            client.system.GetStatus()
    eventually(lambda: open_descriptors() <= before + 5, "the descriptors are closed again")


def test_loads_of_many_plugins_at_once(daemon: Daemon) -> None:
    names = ["hello", "echo", "hello-python", "hello-command", "slow", "streamer", "logger", "fails", "health",
             "big_output", "probe", "config_reader"]
    calls = [daemon.client.plugins.later("LoadPlugin", manifest_path=str(manifest_of(name))) for name in names]
    assert all(state_name(call.result().plugin) == "RUNNING" for call in calls)
    assert len(daemon.client.plugins.ListPlugins().plugins) == len(names)


def test_load_and_unload_again_and_again_leaves_nothing(daemon: Daemon) -> None:
    for _ in range(25):
        daemon.load("hello")
        daemon.invoke("hello", "x")
        daemon.client.plugins.UnloadPlugin(plugin="hello")
    eventually(lambda: not daemon.sandbox_pids(), "no process is left")
    memory = daemon.status().memory_used_bytes
    assert memory < 128 * 1024 * 1024


def test_calls_during_a_reload_are_all_answered(daemon: Daemon) -> None:
    daemon.load("echo")
    answered: list[str] = []
    failures: list[object] = []
    stop = threading.Event()

    def call() -> None:
        with wire.Client(daemon.socket) as client:
            number = 0
            while not stop.is_set():
                outcome = client.plugins.later("InvokePlugin", plugin="echo", text=str(number)).outcome()
                if isinstance(outcome, wire.Refusal):
                    failures.append(outcome)
                else:
                    answered.append(outcome.text)
                number += 1

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        daemon.client.plugins.ReloadPlugin(plugin="echo")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    assert answered
    assert_every_call_ended_once(daemon)


def test_calls_are_given_up_one_by_one_when_their_plugin_is_unloaded(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="stop_grace_ms: 300\n").start()
    daemon.load("slow")
    calls = [daemon.invoke_later("slow", "60000", operation="deaf") for _ in range(40)]
    eventually(lambda: (found := daemon.get("slow").statistics).calls_running + found.calls_queued == 40,
               "all are open")
    begin = time.monotonic()
    daemon.client.plugins.UnloadPlugin(plugin="slow")
    outcomes = [call.outcome() for call in calls]
    assert time.monotonic() - begin < 3
    assert all(isinstance(outcome, wire.Refusal) for outcome in outcomes)
    assert_every_call_ended_once(daemon)
