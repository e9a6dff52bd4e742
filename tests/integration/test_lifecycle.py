"""The life of a plugin between load and unload: what may follow what, and that its id stays."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import wire
from harness.daemon import Daemon, assert_every_call_ended_once, manifest_of, state_name
from harness.waiting import eventually
from harness.workshop import Workshop, edit, replaced_line


def test_stop_and_start_keep_the_id_and_make_a_new_instance(daemon: Daemon) -> None:
    before = daemon.load("hello")
    assert state_name(daemon.client.plugins.StopPlugin(plugin="hello").plugin) == "STOPPED"
    assert not daemon.sandbox_pids()
    after = daemon.client.plugins.StartPlugin(plugin="hello").plugin
    assert state_name(after) == "RUNNING"
    assert after.plugin_id == before.plugin_id
    assert after.instance_id != before.instance_id
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_restart_is_stop_and_start(daemon: Daemon) -> None:
    before = daemon.load("hello")
    after = daemon.client.plugins.RestartPlugin(plugin="hello").plugin
    assert (after.plugin_id, state_name(after)) == (before.plugin_id, "RUNNING")
    assert after.instance_id != before.instance_id
    types = [event.type for event in daemon.events(plugin="hello")]
    assert types[4:] == ["PluginStopping", "PluginStopped", "InstanceCreated", "SandboxPosture", "PluginStarted"]


def test_the_verbs_print_the_state_reached(daemon: Daemon) -> None:
    daemon.load("hello")
    for verb, state in [("stop-plugin", "stopped"), ("start-plugin", "running"), ("restart-plugin", "running"),
                        ("reload-plugin", "running"), ("unload-plugin", "unloaded")]:
        assert daemon.ctl.ok(verb, "hello").text == f"hello: {state}\n"


def test_unload_all_begins_with_the_last_that_was_loaded(daemon: Daemon) -> None:
    for name in ("hello", "echo", "hello-command"):
        daemon.load(name)
    assert daemon.ctl.ok("unload-plugin", "--all").text == "hello-command: unloaded\necho: unloaded\nhello: unloaded\n"
    assert not daemon.client.plugins.ListPlugins().plugins
    assert daemon.ctl.ok("unload-plugin", "--all").text == ""


def test_unloading_what_is_not_there_is_an_error_unless_that_is_said(daemon: Daemon) -> None:
    assert daemon.ctl("unload-plugin", "nobody").exit_code == 4
    unloaded = daemon.ctl.ok("unload-plugin", "nobody", "--if-loaded")
    assert (unloaded.text, "nothing to unload" in unloaded.err) == ("", True)


def test_unload_names_one_or_all(daemon: Daemon) -> None:
    assert daemon.ctl("unload-plugin").exit_code == 2
    assert daemon.ctl("unload-plugin", "hello", "--all").exit_code == 2


@pytest.mark.parametrize("name", ["hello", "hello-command"])
def test_a_running_plugin_cannot_be_started(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    with wire.refused("ILLEGAL_TRANSITION", "FAILED_PRECONDITION"):
        daemon.client.plugins.StartPlugin(plugin=name)
    assert daemon.state(name) == "RUNNING"


@pytest.mark.parametrize("name", ["hello", "hello-command"])
def test_a_stopped_plugin_cannot_be_stopped(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    daemon.client.plugins.StopPlugin(plugin=name)
    with wire.refused("ILLEGAL_TRANSITION", "FAILED_PRECONDITION"):
        daemon.client.plugins.StopPlugin(plugin=name)
    assert daemon.state(name) == "STOPPED"


@pytest.mark.parametrize("name", ["hello", "hello-command"])
def test_a_stopped_plugin_takes_no_calls(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    daemon.client.plugins.StopPlugin(plugin=name)
    with wire.refused("PLUGIN_NOT_RUNNING", "FAILED_PRECONDITION") as refusals:
        daemon.invoke(name, "x")
    assert "start-plugin" in refusals[0].metadata["hint"]
    error = daemon.events(types=["PluginError"])[-1]
    assert error.plugin_error.reason == "PLUGIN_NOT_RUNNING"


@pytest.mark.parametrize("method", ["StartPlugin", "StopPlugin", "RestartPlugin", "ReloadPlugin", "UnloadPlugin",
                                    "GetPlugin", "GetPluginHealth"])
def test_what_is_not_loaded_is_not_found(daemon: Daemon, method: str) -> None:
    with wire.refused("PLUGIN_NOT_FOUND", "NOT_FOUND"):
        getattr(daemon.client.plugins, method)(plugin="nobody")


@pytest.mark.parametrize("method", ["PausePlugin", "ResumePlugin"])
def test_what_a_later_issue_brings_is_unimplemented(daemon: Daemon, method: str) -> None:
    daemon.load("hello")
    with wire.refused("UNIMPLEMENTED", "UNIMPLEMENTED"):
        getattr(daemon.client.plugins, method)(plugin="hello")


def test_a_stop_lets_running_calls_finish(daemon: Daemon) -> None:
    daemon.load("slow")
    call = daemon.invoke_later("slow", "500")
    daemon.wait_event("PluginInvoked", plugin="slow")
    daemon.client.plugins.StopPlugin(plugin="slow")
    assert call.result().text == "slept"
    assert_every_call_ended_once(daemon)


def test_a_stop_does_not_wait_for_ever(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(config="stop_grace_ms: 300\n").start()
    daemon.load("slow")
    call = daemon.invoke_later("slow", "60000", operation="deaf")
    daemon.wait_event("PluginInvoked", plugin="slow")
    begin = time.monotonic()
    daemon.client.plugins.StopPlugin(plugin="slow")
    assert 0.3 <= time.monotonic() - begin < 2
    assert isinstance(call.outcome(), wire.Refusal)
    assert_every_call_ended_once(daemon)


def test_a_stop_refuses_the_calls_that_wait(daemon: Daemon) -> None:
    daemon.load("slow_single")
    running = daemon.invoke_later("slow-single", "500")
    waiting = daemon.invoke_later("slow-single", "0")
    eventually(lambda: daemon.get("slow-single").statistics.calls_queued == 1, "one call waits")
    daemon.client.plugins.StopPlugin(plugin="slow-single")
    assert waiting.outcome().reason == "PLUGIN_NOT_RUNNING"
    assert running.result().text == "slept"


def test_an_unload_lets_running_calls_finish(daemon: Daemon) -> None:
    daemon.load("slow")
    call = daemon.invoke_later("slow", "400")
    daemon.wait_event("PluginInvoked", plugin="slow")
    daemon.client.plugins.UnloadPlugin(plugin="slow")
    assert call.result().text == "slept"
    assert not daemon.sandbox_pids()


def test_a_stop_waits_for_running_commands(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("waiter", "sleep 0.4\necho done\n"))
    call = daemon.invoke_later("waiter")
    eventually(lambda: daemon.sandbox_pids(), "it runs")
    daemon.client.plugins.StopPlugin(plugin="waiter")
    assert call.result().text == "done\n"
    assert daemon.state("waiter") == "STOPPED"


def test_calls_during_starting_wait_within_their_deadline(daemon: Daemon) -> None:
    daemon.load("slow_start", no_start=True)
    starting = daemon.client.plugins.later("StartPlugin", plugin="slow-start")
    eventually(lambda: daemon.state("slow-start") == "STARTING", "it starts")
    call = daemon.invoke_later("slow-start", "x")
    with wire.refused("DEADLINE_EXCEEDED"):
        daemon.invoke("slow-start", "x", timeout_ms=200)
    assert not call.done()
    assert call.result().success
    assert state_name(starting.result().plugin) == "RUNNING"


def test_commands_to_a_starting_plugin_wait_their_turn(daemon: Daemon) -> None:
    daemon.load("slow_start", no_start=True)
    started = daemon.client.plugins.later("StartPlugin", plugin="slow-start")
    eventually(lambda: daemon.state("slow-start") == "STARTING", "it starts")
    stopped = daemon.client.plugins.later("StopPlugin", plugin="slow-start")
    assert state_name(started.result().plugin) in ("RUNNING", "STOPPING", "STOPPED")
    assert state_name(stopped.result().plugin) == "STOPPED"


def test_a_start_that_fails_leaves_the_plugin_failed(daemon: Daemon) -> None:
    daemon.load("exits_at_once", no_start=True)
    with wire.refused("LOAD_FAILURE", "ABORTED"):
        daemon.client.plugins.StartPlugin(plugin="exits-at-once")
    failed = daemon.get("exits-at-once")
    assert (state_name(failed), failed.state_reason) == ("FAILED", "LOAD_FAILURE")
    with wire.refused("PLUGIN_NOT_RUNNING"):
        daemon.invoke("exits-at-once")


def test_reload_brings_new_code_under_the_same_id(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.command("greeter", "echo old\n")
    before = daemon.load(folder)
    edit(folder / "run.sh", lambda text: text.replace("old", "new"))
    after = daemon.client.plugins.ReloadPlugin(plugin="greeter").plugin
    assert after.plugin_id == before.plugin_id
    assert after.digest_sha256 != before.digest_sha256
    assert daemon.invoke("greeter").text == "new\n"


def test_reload_lets_calls_of_the_old_code_finish(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("slow")
    before = daemon.load(folder)
    call = daemon.invoke_later("slow", "3000")
    daemon.wait_event("PluginInvoked", plugin="slow")
    edit(folder / "manifest.toml", lambda text: replaced_line(text, "version", 'version = "0.2.0"'))
    after = daemon.client.plugins.ReloadPlugin(plugin="slow").plugin
    assert after.version == "0.2.0"
    assert after.instance_id != before.instance_id
    assert not call.done()
    assert daemon.invoke("slow", "0").text == "slept"
    assert call.result().text == "slept"
    eventually(lambda: len(daemon.sandbox_pids()) <= 2, "the old process is gone")


def test_a_reload_that_fails_leaves_the_old_code_running(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("slow")
    before = daemon.load(folder)
    edit(folder / "manifest.toml", lambda text: replaced_line(text, "args", 'args = ["no_such_oddity"]'))
    with wire.refused("LOAD_FAILURE", "ABORTED"):
        daemon.client.plugins.ReloadPlugin(plugin="slow")
    assert daemon.get("slow").instance_id == before.instance_id
    assert daemon.invoke("slow", "0").text == "slept"
    assert daemon.events(types=["PluginLoadFailed"])[0].plugin_load_failed.reason == "LOAD_FAILURE"


def test_a_reload_with_a_bad_manifest_leaves_the_old_code_running(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    daemon.load(folder)
    edit(folder / "manifest.toml", lambda _: "not a manifest\n")
    with wire.refused("INVALID_MANIFEST", "INVALID_ARGUMENT"):
        daemon.client.plugins.ReloadPlugin(plugin="hello")
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_a_reload_keeps_the_name(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    daemon.load(folder)
    edit(folder / "manifest.toml", lambda text: replaced_line(text, "name", 'name = "goodbye"'))
    with wire.refused("INVALID_MANIFEST"):
        daemon.client.plugins.ReloadPlugin(plugin="hello")
    assert daemon.state("hello") == "RUNNING"


def test_a_reload_of_a_stopped_plugin_does_not_start_it(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    daemon.load(folder)
    daemon.client.plugins.StopPlugin(plugin="hello")
    assert state_name(daemon.client.plugins.ReloadPlugin(plugin="hello").plugin) == "STOPPED"
    assert not daemon.sandbox_pids()


def test_replace_takes_over_the_id_of_a_plugin_of_the_same_name(daemon: Daemon, workshop: Workshop) -> None:
    before = daemon.load("hello")
    folder = workshop.copy("hello")
    edit(folder / "manifest.toml", lambda text: replaced_line(text, "version", 'version = "0.2.0"'))
    printed = daemon.ctl.ok("load-plugin", "--manifest", folder / "manifest.toml", "--replace")
    assert printed.text == f"{before.plugin_id}\n"
    after = daemon.get("hello")
    assert (after.version, after.folder) == ("0.2.0", str(folder))
    assert len(daemon.client.plugins.ListPlugins().plugins) == 1


def test_replace_loads_what_was_not_there(daemon: Daemon) -> None:
    daemon.load("hello", replace=True)
    assert daemon.invoke("hello", "x").success


def test_a_replacement_that_does_not_start_leaves_the_old_plugin(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load("hello")
    folder = workshop.copy("exits_at_once", "hello")
    with wire.refused("LOAD_FAILURE"):
        daemon.load(folder, replace=True)
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_a_replacement_may_have_another_runtime(daemon: Daemon, workshop: Workshop) -> None:
    before = daemon.load("hello")
    folder = workshop.command("other", "echo a command now\n")
    edit(folder / "manifest.toml", lambda text: replaced_line(text, "name", 'name = "hello"'))
    assert daemon.load(folder, replace=True).plugin_id == before.plugin_id
    assert daemon.invoke("hello").text == "a command now\n"
    eventually(lambda: not daemon.sandbox_pids(), "the old process is gone")
    assert daemon.load("hello", replace=True).plugin_id == before.plugin_id
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_unloading_a_crashed_plugin_ends_its_restarts(daemon: Daemon) -> None:
    daemon.load("dies_mid_call")
    with wire.refused("PLUGIN_CRASHED"):
        daemon.invoke("dies-mid-call")
    daemon.client.plugins.UnloadPlugin(plugin="dies-mid-call")
    assert not daemon.sandbox_pids()
    assert daemon.events(plugin="dies-mid-call")[-1].type == "PluginUnloaded"


def test_stopping_a_crashed_plugin_ends_its_restarts(daemon: Daemon) -> None:
    daemon.load("dies_mid_call")
    for _ in range(3):  # the longer it waits for its restart, the surer the stop comes in between
        with wire.refused("PLUGIN_CRASHED"):
            daemon.invoke("dies-mid-call")
    assert state_name(daemon.client.plugins.StopPlugin(plugin="dies-mid-call").plugin) == "STOPPED"
    assert not daemon.sandbox_pids()


def test_a_command_plugin_has_the_same_life(daemon: Daemon) -> None:
    before = daemon.load("hello-command")
    daemon.client.plugins.StopPlugin(plugin="hello-command")
    daemon.client.plugins.StartPlugin(plugin="hello-command")
    daemon.client.plugins.RestartPlugin(plugin="hello-command")
    assert daemon.get("hello-command").plugin_id == before.plugin_id
    assert daemon.invoke("hello-command", "x").text == "Hello from hello-command: x\n"
    daemon.client.plugins.UnloadPlugin(plugin="hello-command")
    assert not daemon.client.plugins.ListPlugins().plugins


def test_many_lifecycle_commands_at_once_end_in_one_clear_state(daemon: Daemon) -> None:
    daemon.load("hello")
    calls = [daemon.client.plugins.later(method, plugin="hello")
             for _ in range(5) for method in ("StopPlugin", "StartPlugin", "RestartPlugin")]
    for call in calls:
        outcome = call.outcome()
        assert not isinstance(outcome, wire.Refusal) or outcome.reason == "ILLEGAL_TRANSITION", outcome
    assert daemon.state("hello") == "RUNNING"
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"
    eventually(lambda: len(daemon.sandbox_pids()) <= 2, "one instance is left")


def test_get_plugin_shows_how_it_is_confined(daemon: Daemon) -> None:
    daemon.load("hello")
    posture = {mechanism.name: mechanism.state for mechanism in daemon.get("hello").posture.mechanisms}
    assert posture and set(posture.values()) <= {"active", "absent", "not_applicable"}
    assert posture.get("system call filter") == "active", posture


def test_get_plugin_shows_the_manifest(daemon: Daemon) -> None:
    daemon.load("hello")
    shown = daemon.ctl.ok("get-plugin", "hello", "-o", "json").json()["plugin"]
    assert shown["manifest"]["name"] == "hello"
    assert shown["state"] == "PLUGIN_STATE_RUNNING"
    assert shown["folder"] == str(manifest_of("hello").parent)
    assert "restart_count" in shown, "defaults are printed"
