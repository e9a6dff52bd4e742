"""What survives the end of the daemon, graceful or not: ids, desired states, acknowledged events; and no orphan."""

from __future__ import annotations

import time

from harness import processes, wire
from harness.daemon import Daemon, assert_every_call_ended_once, kill_process, terminals_by_execution
from harness.waiting import eventually
from harness.workshop import Workshop, edit

NO_ORPHAN_AFTER_S = 1.0
BEFORE_RUN = wire.plugin_service.DURABILITY_BEFORE_RUN


def sandbox_is_empty(pids: set[int]) -> bool:
    return not any(process is not None and process.state not in "ZX"
                   for process in map(processes.process_of, pids))


def test_after_kill_9_the_same_ids_are_running_again(daemon: Daemon) -> None:
    ids = {daemon.load(name).plugin_id: name for name in ["hello", "hello-python", "hello-command"]}
    daemon.kill()
    daemon.start()
    assert {plugin.plugin_id: plugin.name for plugin in daemon.client.plugins.ListPlugins().plugins} == ids
    for name in ids.values():
        assert daemon.invoke(name, "again").text.strip() == f"Hello from {name}: again"
        assert daemon.state(name) == "RUNNING"


def test_after_a_graceful_stop_the_same_ids_are_running_again(daemon: Daemon) -> None:
    plugin = daemon.load("hello")
    daemon.restart()
    assert daemon.invoke(plugin.plugin_id, "again").text == "Hello from hello: again"


def test_an_instance_is_new_after_a_restart(daemon: Daemon) -> None:
    before = daemon.load("hello")
    daemon.restart()
    after = daemon.wait_state("hello", "RUNNING")
    assert after.instance_id != before.instance_id
    assert after.plugin_id == before.plugin_id


def test_the_log_goes_on_without_a_gap(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.invoke("hello", "one")
    daemon.kill()
    daemon.start()
    daemon.invoke("hello", "two")
    events = daemon.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("DaemonStarted") == 2
    assert [event.plugin_invoked.input.text for event in events if event.type == "PluginInvoked"] == ["one", "two"]


def test_a_daemon_that_was_killed_leaves_no_plugin_alive_after_a_second(daemon: Daemon) -> None:
    for name in ["hello", "hello-python", "ignores_shutdown", "spinner"]:
        daemon.load(name)
    daemon.invoke_later("spinner", "")
    daemon.wait_event("PluginInvoked", plugin="spinner")
    everything = {process.pid for process in daemon.processes()}
    assert len(everything) >= 5
    daemon.kill()
    eventually(lambda: sandbox_is_empty(everything), "all processes are gone", NO_ORPHAN_AFTER_S)


def test_a_command_under_way_does_not_outlive_the_daemon(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("sleeper", "sleep 1000 & sleep 1000\n"))
    daemon.invoke_later("sleeper", "")
    eventually(lambda: len(daemon.sandbox_pids()) >= 3, "the script has started its sleeps")
    everything = {process.pid for process in daemon.processes()}
    daemon.kill()
    eventually(lambda: sandbox_is_empty(everything), "all processes are gone", NO_ORPHAN_AFTER_S)


def test_a_stopped_plugin_stays_stopped(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.client.plugins.StopPlugin(plugin="hello")
    daemon.kill()
    daemon.start()
    assert daemon.state("hello") == "STOPPED"
    assert not daemon.sandbox_pids()


def test_a_plugin_that_was_never_started_stays_so(daemon: Daemon) -> None:
    daemon.load("hello", no_start=True)
    daemon.restart()
    assert daemon.state("hello") == "CREATED"
    daemon.client.plugins.StartPlugin(plugin="hello")
    daemon.restart()
    daemon.wait_state("hello", "RUNNING")


def test_an_unloaded_plugin_stays_gone(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.client.plugins.UnloadPlugin(plugin="hello")
    daemon.kill()
    daemon.start()
    assert not daemon.client.plugins.ListPlugins().plugins


def test_changed_files_never_run_silently(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.command("greeter", "echo old\n")
    plugin = daemon.load(folder)
    daemon.kill()
    edit(folder / "run.sh", lambda text: text.replace("old", "new"))
    daemon.start()
    failed = daemon.wait_state("greeter", "FAILED")
    assert failed.state_reason == "ENTRY_POINT_CHANGED"
    assert failed.plugin_id == plugin.plugin_id
    with wire.refused("PLUGIN_NOT_RUNNING") as refusals:
        daemon.invoke("greeter")
    assert "reload-plugin" in refusals[0].metadata["hint"]
    event = daemon.wait_event("PluginFailed", plugin="greeter")
    assert event.plugin_failed.reason == "ENTRY_POINT_CHANGED"


def test_changed_files_of_a_resident_plugin_never_run_silently(daemon: Daemon, workshop: Workshop) -> None:
    source = ("from liongate import Plugin\nplugin = Plugin()\n\n\n@plugin.operation('')\ndef answer(call):\n"
              "    return 'old'\n\n\nplugin.run()\n")
    folder = workshop.python("resident", source)
    daemon.load(folder)
    assert daemon.invoke("resident").text == "old"
    daemon.kill()
    edit(folder / "main.py", lambda text: text.replace("old", "new"))
    daemon.start()
    assert daemon.wait_state("resident", "FAILED").state_reason == "ENTRY_POINT_CHANGED"
    assert not daemon.sandbox_pids()


def test_reload_heals_a_plugin_whose_files_changed(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.command("greeter", "echo old\n")
    plugin = daemon.load(folder)
    daemon.kill()
    edit(folder / "run.sh", lambda text: text.replace("old", "new"))
    daemon.start()
    daemon.wait_state("greeter", "FAILED")
    reloaded = daemon.client.plugins.ReloadPlugin(plugin="greeter").plugin
    assert reloaded.plugin_id == plugin.plugin_id
    assert daemon.invoke("greeter").text == "new\n"


def test_a_file_that_appears_beside_the_program_is_a_change(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    daemon.load(folder)
    daemon.kill()
    (folder / "extra.so").write_bytes(b"surprise")
    daemon.start()
    assert daemon.wait_state("hello", "FAILED").state_reason == "ENTRY_POINT_CHANGED"


def test_a_folder_that_is_gone_fails_the_plugin_and_not_the_daemon(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    daemon.load(folder)
    daemon.load("echo")
    daemon.kill()
    folder.rename(folder.with_name("elsewhere"))
    daemon.start()
    assert daemon.wait_state("hello", "FAILED").state_reason in ("ENTRY_POINT_NOT_FOUND", "ENTRY_POINT_CHANGED")
    assert daemon.invoke("echo", "x").text == "x"


def test_touched_files_are_not_changed_files(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    daemon.load(folder)
    daemon.kill()
    for file in folder.iterdir():
        file.touch()
    daemon.start()
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_a_call_cut_by_a_crash_gets_its_end_at_the_next_start(daemon: Daemon) -> None:
    daemon.load("slow")
    call = daemon.invoke_later("slow", "60000", correlation_id="cut", durability=BEFORE_RUN)
    daemon.wait_event("PluginInvoked", correlation_id="cut")
    daemon.kill()
    assert isinstance(call.outcome(), wire.Refusal)
    daemon.start()
    events = daemon.events(correlation_id="cut")
    assert [event.type for event in events] == ["PluginInvoked", "PluginError"]
    assert events[1].plugin_error.reason == "DAEMON_RESTARTED"
    assert events[1].plugin_error.execution_id == events[0].plugin_invoked.execution_id


def test_a_cut_call_is_ended_once_however_often_the_daemon_starts(daemon: Daemon) -> None:
    daemon.load("slow")
    daemon.invoke_later("slow", "60000", correlation_id="cut", durability=BEFORE_RUN)
    daemon.wait_event("PluginInvoked", correlation_id="cut")
    for _ in range(3):
        daemon.kill()
        daemon.start()
    assert list(terminals_by_execution(daemon.events(correlation_id="cut")).values()) == [["DAEMON_RESTARTED"]]


def test_statistics_are_rebuilt_from_the_log(daemon: Daemon) -> None:
    daemon.load("fails")
    daemon.invoke("fails", operation="warns")
    with wire.refused("PLUGIN_ERROR"):
        daemon.invoke("fails", "x")
    before = daemon.get("fails").statistics
    daemon.restart()
    after = daemon.get("fails").statistics
    assert (after.calls_started, after.calls_completed, after.calls_failed) == (2, 1, 1)
    assert after.execution_time_ms_total == before.execution_time_ms_total


def test_a_replaced_registry_is_what_comes_back(daemon: Daemon, workshop: Workshop) -> None:
    first = daemon.load(workshop.command("greeter", "echo first\n"))
    second = workshop.command("other-folder", "echo second\n")
    edit(second / "manifest.toml", lambda text: text.replace('"other-folder"', '"greeter"'))
    assert daemon.load(second, replace=True).plugin_id == first.plugin_id
    daemon.kill()
    daemon.start()
    assert daemon.get("greeter").folder == str(second)
    assert daemon.invoke("greeter").text == "second\n"


def test_the_node_keeps_its_id(daemon: Daemon) -> None:
    node = daemon.status().node_id
    daemon.kill()
    daemon.start()
    assert daemon.status().node_id == node


def test_a_plugin_that_was_killed_is_restarted_and_counts_it(daemon: Daemon) -> None:
    plugin = daemon.load("hello")
    kill_process(plugin.pid)
    daemon.wait_event("InstanceRestarted", plugin="hello")
    again = daemon.wait_state("hello", "RUNNING")
    assert again.plugin_id == plugin.plugin_id
    assert again.instance_id != plugin.instance_id
    assert again.restart_count == 1
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_calls_wait_while_a_crashed_plugin_comes_back(daemon: Daemon) -> None:
    plugin = daemon.load("hello")
    kill_process(plugin.pid)
    daemon.wait_event("InstanceCrashed", plugin="hello")
    assert daemon.invoke("hello", "patience").text == "Hello from hello: patience"


def test_a_plugin_that_keeps_crashing_is_given_up(daemon: Daemon) -> None:
    daemon.load("dies_mid_call")
    begin = time.monotonic()
    reasons = []
    while daemon.state("dies-mid-call") != "FAILED":
        assert time.monotonic() - begin < 30
        outcome = daemon.invoke_later("dies-mid-call").outcome()
        reasons.append(outcome.reason)
    assert reasons.count("PLUGIN_CRASHED") == 6, reasons
    assert daemon.get("dies-mid-call").state_reason == "PLUGIN_CRASHED"
    with wire.refused("PLUGIN_NOT_RUNNING"):
        daemon.invoke("dies-mid-call")
    assert_every_call_ended_once(daemon)


def test_a_plugin_that_was_given_up_can_be_started_by_hand(daemon: Daemon) -> None:
    daemon.load("dies_mid_call")
    while daemon.state("dies-mid-call") != "FAILED":
        daemon.invoke_later("dies-mid-call").outcome()
    daemon.client.plugins.StartPlugin(plugin="dies-mid-call")
    assert daemon.invoke("dies-mid-call", "well", operation="echo").text == "well"


def test_a_daemon_without_its_launcher_ends_and_says_so(daemon: Daemon) -> None:
    daemon.load("hello")
    launcher = next(process for process in daemon.processes() if process.parent == daemon.pid)
    kill_process(launcher.pid)
    assert daemon.wait() == 1
    assert "liongate-launcher" in daemon.log_text()
    daemon.start()
    assert daemon.invoke("hello", "again").text == "Hello from hello: again"
