"""What a client without our protos can do: list the services, call a plugin, ask for health."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from harness import paths, wire
from harness.daemon import Daemon
from harness.waiting import eventually

SERVICES = {"liongate.v1.PluginService", "liongate.v1.EventService", "liongate.v1.SystemService",
            "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


def test_a_stock_client_lists_the_services_and_invokes_hello(daemon: Daemon) -> None:
    if importlib.util.find_spec("grpc_reflection") is None:
        pytest.skip("grpcio-reflection is not installed (scripts/setup test makes build/venv with it)")
    daemon.load("hello")
    script = Path(__file__).with_name("stock_client.py")
    result = subprocess.run([sys.executable, "-B", str(script), str(daemon.socket), "hello", "stranger"],
                            capture_output=True, text=True, timeout=60, check=False, env=paths.clean_environment())
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert set(answer["services"]) == SERVICES
    assert answer["text"] == "Hello from hello: stranger"
    assert daemon.events(types=["PluginResult"])[0].plugin_result.execution_id == answer["execution_id"]


# --- grpc.health.v1; its two messages are a string and an enum, in the wire's own bytes ---

def health(daemon: Daemon, service: str) -> int:
    with wire.channel_to(daemon.socket) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check",
                                    request_serializer=lambda name: b"\x0a" + bytes([len(name)]) + name.encode(),
                                    response_deserializer=lambda data: data[1] if data else 0)
        return int(check(service, timeout=10))


def watch(channel: grpc.Channel, service: str) -> grpc.Call:
    """The stream of a service's states, as numbers."""
    return channel.unary_stream("/grpc.health.v1.Health/Watch",
                                request_serializer=lambda name: b"\x0a" + bytes([len(name)]) + name.encode(),
                                response_deserializer=lambda data: data[1] if data else 0)(service, timeout=30)


@pytest.mark.parametrize("service", ["", *sorted(SERVICES)])
def test_the_daemon_and_each_service_are_serving(daemon: Daemon, service: str) -> None:
    assert health(daemon, service) == SERVING


def test_a_plugins_health_follows_its_state(daemon: Daemon) -> None:
    daemon.load("hello")
    eventually(lambda: health(daemon, "plugin/hello") == SERVING, "it serves")
    daemon.client.plugins.StopPlugin(plugin="hello")
    eventually(lambda: health(daemon, "plugin/hello") == NOT_SERVING, "it does not serve")
    daemon.client.plugins.StartPlugin(plugin="hello")
    eventually(lambda: health(daemon, "plugin/hello") == SERVING, "it serves again")


def test_a_crashed_plugins_health_recovers_with_it(daemon: Daemon) -> None:
    daemon.load("dies_mid_call")
    with wire.refused("PLUGIN_CRASHED"):
        daemon.invoke("dies-mid-call")
    daemon.wait_state("dies-mid-call", "RUNNING")
    eventually(lambda: health(daemon, "plugin/dies-mid-call") == SERVING, "it serves again")


def test_the_health_of_what_was_never_loaded_is_not_found(daemon: Daemon) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        health(daemon, "plugin/nobody")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_the_health_of_an_unloaded_plugin_is_not_found(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.client.plugins.UnloadPlugin(plugin="hello")
    with pytest.raises(grpc.RpcError) as refused:
        health(daemon, "plugin/hello")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_plugin_that_was_stopped_is_known_after_a_restart(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.client.plugins.StopPlugin(plugin="hello")
    daemon.restart()
    assert health(daemon, "plugin/hello") == NOT_SERVING


def test_a_watcher_is_told_of_each_change(daemon: Daemon) -> None:
    with wire.channel_to(daemon.socket) as channel:
        states = watch(channel, "plugin/hello")
        assert next(states) == SERVICE_UNKNOWN
        daemon.load("hello")
        while next(states) != SERVING:  # it may be seen loaded before it serves
            pass
        daemon.client.plugins.StopPlugin(plugin="hello")
        assert next(states) == NOT_SERVING
        states.cancel()


def test_watchers_beyond_the_bound_are_refused(daemon: Daemon) -> None:
    watchers_max = 64  # limits::kHealthWatchersMax
    with wire.channel_to(daemon.socket) as channel:
        watchers = [watch(channel, "") for _ in range(watchers_max)]
        assert [next(states) for states in watchers] == [SERVING] * watchers_max
        with pytest.raises(grpc.RpcError) as refused:
            next(watch(channel, ""))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        for states in watchers:
            states.cancel()
        eventually(lambda: _can_watch(channel), "the places are free again")


def _can_watch(channel: grpc.Channel) -> bool:
    try:
        return next(watch(channel, "")) == SERVING
    except grpc.RpcError:
        return False


def test_a_method_that_does_not_exist_is_unimplemented(daemon: Daemon) -> None:
    with wire.channel_to(daemon.socket) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/liongate.v1.PluginService/NoSuchMethod")(b"", timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_request_that_is_no_message_is_refused(daemon: Daemon) -> None:
    with wire.channel_to(daemon.socket) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/liongate.v1.PluginService/InvokePlugin")(b"\xff\xff\xff", timeout=10)
    assert refused.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)
    assert daemon.status().pid == daemon.pid


def test_a_message_over_the_bound_is_refused(daemon: Daemon) -> None:
    daemon.load("echo")
    outcome = daemon.client.plugins.later("InvokePlugin", plugin="echo", data=b"x" * (18 * 1024 * 1024)).outcome()
    assert isinstance(outcome, wire.Refusal)
    assert outcome.code == "RESOURCE_EXHAUSTED"
    assert daemon.invoke("echo", "x").text == "x"


def test_a_caller_in_another_process_is_identified_by_the_kernel(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.ctl.ok("invoke-plugin", "hello", "--input", "x")
    actors = {event.actor for event in daemon.events(types=["PluginInvoked"])}
    assert actors == {f"uid:{os.geteuid()}"}
