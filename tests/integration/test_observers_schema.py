"""Seed 002, "Plugin Schema" and "Plugin Loader", through a whole daemon: from plugins.yaml to running observers."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import command_line, paths
from harness.daemon import Daemon, DidNotStart, default_config, state_name
from harness.observers import Observers
from harness.waiting import eventually

# The sample of seed 002, section 2.3, with a module of that name beside it.
SEED_SAMPLE = """plugins:
  - id: logging_plugin
    module: "my_app.plugins.LoggingPlugin"
    enabled: true
    config: {}

  - id: metrics_plugin
    module: "my_app.plugins.MetricsPlugin"
    enabled: true
    config:
      sample_rate: 0.1
"""
SEED_MODULE = '''
from liongate import PluginBase

class LoggingPlugin(PluginBase):
    def __init__(self, plugin_id: str, config: dict = None):
        super().__init__(plugin_id, config)
        self.event_count = 0

    def on_startup(self) -> None:
        print(f"Plugin {self.plugin_id} started")

    def on_event(self, event) -> None:
        self.event_count += 1
        print(f"Event {self.event_count}: {event.type} - {event.payload.get('event', 'unknown')}")

    def on_shutdown(self) -> None:
        print(f"Plugin {self.plugin_id} shutdown. Processed {self.event_count} events")


class MetricsPlugin(PluginBase):
    def on_event(self, event) -> None:
        pass

    def health(self):
        from liongate import Health
        return Health(True, f"sample rate {self.config['sample_rate']}")


class NotOne:
    pass


class Abstract(PluginBase):
    pass
'''


@pytest.fixture
def observers(make_daemon: Callable[..., Daemon]) -> Iterator[Observers]:
    yield Observers(make_daemon())


def log_lines(daemon: Daemon, plugin: str) -> str:
    replies = daemon.client.plugins.GetPluginLogs(plugin=plugin)
    return "\n".join(entry.line for reply in replies for entry in reply.entries)


def test_loader_valid_plugins_the_sample_of_seed_002(observers: Observers) -> None:
    observers.module("my_app/plugins.py", SEED_MODULE)
    observers.write_text(SEED_SAMPLE)
    daemon = observers.daemon.start()
    assert [plugin.name for plugin in daemon.client.plugins.ListPlugins().plugins] == ["logging_plugin",
                                                                                       "metrics_plugin"]
    daemon.wait_state("logging_plugin", "RUNNING")
    daemon.wait_state("metrics_plugin", "RUNNING")
    daemon.load("hello")
    daemon.invoke("hello", "test")
    eventually(lambda: "PluginInvoked - plugin_invoked" in log_lines(daemon, "logging_plugin"), "it logs the call")
    assert "Plugin logging_plugin started" in log_lines(daemon, "logging_plugin")
    health = daemon.client.plugins.GetPluginHealth(plugin="metrics_plugin")
    assert health.healthy and health.detail == "sample rate 0.1"


def test_loader_file_not_found_means_none(observers: Observers) -> None:
    daemon = observers.daemon.start()
    assert not daemon.client.plugins.ListPlugins().plugins
    assert not daemon.events(types=["PluginsFileRead"])


@pytest.mark.parametrize("text", ["", "plugins:\n", "plugins: []\n"])
def test_an_empty_file_means_none(observers: Observers, text: str) -> None:
    observers.write_text(text)
    assert not observers.daemon.start().client.plugins.ListPlugins().plugins


def test_a_disabled_entry_is_not_loaded(observers: Observers) -> None:
    observers.write(observers.recorder("on"), observers.recorder("off", enabled=False))
    daemon = observers.daemon.start()
    assert [plugin.name for plugin in daemon.client.plugins.ListPlugins().plugins] == ["on"]


def test_loader_invalid_config_is_told_whole_and_changes_nothing(observers: Observers) -> None:
    observers.write(observers.recorder("good"))
    daemon = observers.daemon.start()
    daemon.wait_state("good", "RUNNING")
    pid = daemon.get("good").pid
    observers.write_text("plugins:\n  - id: good\n    module: one_word\n  - module: a.B\n    enabled: 3\n")
    event = daemon.wait_event("PluginsFileRead", matching=lambda event: event.plugins_file_read.error != "")
    faults = event.plugins_file_read.error.splitlines()
    assert [fault.split(": ")[1] for fault in faults] == ["plugins[good].module", "plugins[1].id", "plugins[1].enabled"]
    assert all(fault.startswith(f"{observers.file}:") for fault in faults)
    assert daemon.get("good").pid == pid
    assert "plugins[good].module: `one_word` is one word" in daemon.log_text()


def test_a_daemon_starts_without_the_observers_of_a_broken_file(observers: Observers) -> None:
    observers.write_text("plugins: [\n")
    daemon = observers.daemon.start()
    daemon.load("hello")
    assert daemon.invoke("hello", "x").text
    assert daemon.events(types=["PluginsFileRead"])[0].plugins_file_read.error


# --- the four errors of a module, by their entries -----------------------------------------------------------------

MODULE_FAULTS = {
    "MODULE_NOT_FOUND": ("my_app.nowhere.LoggingPlugin", "my_app/nowhere.py"),
    "SYMBOL_NOT_FOUND": ("my_app.plugins.Missing", "module my_app.plugins has no Missing; the observers in it: "
                                                  "Abstract, LoggingPlugin, MetricsPlugin"),
    "NOT_A_PLUGIN": ("my_app.plugins.NotOne", "my_app.plugins.NotOne does not inherit from PluginBase"),
}


def test_loader_module_not_found(observers: Observers) -> None:
    fails_alone(observers, "MODULE_NOT_FOUND")


def test_loader_class_not_found(observers: Observers) -> None:
    fails_alone(observers, "SYMBOL_NOT_FOUND")


def test_loader_class_that_does_not_inherit_from_plugin_base(observers: Observers) -> None:
    fails_alone(observers, "NOT_A_PLUGIN")


def fails_alone(observers: Observers, reason: str) -> None:
    """Such an entry is FAILED with this reason, and the others run."""
    module, words = MODULE_FAULTS[reason]
    observers.module("my_app/plugins.py", SEED_MODULE)
    observers.write({"id": "wrong", "module": module}, observers.recorder("right"))
    daemon = observers.daemon.start()
    plugin = daemon.wait_state("wrong", "FAILED")
    assert plugin.state_reason == reason and words in plugin.state_message
    daemon.wait_state("right", "RUNNING")
    assert daemon.events(types=["PluginFailed"])[0].plugin_failed.reason == reason


def test_a_class_without_on_event_is_refused(observers: Observers) -> None:
    observers.module("my_app/plugins.py", SEED_MODULE)
    observers.write({"id": "abstract", "module": "my_app.plugins.Abstract"})
    plugin = observers.daemon.start().wait_state("abstract", "FAILED")
    assert plugin.state_reason == "NOT_A_PLUGIN" and "has no on_event: an observer must have it" in plugin.state_message


def test_a_bad_module_path_is_a_fault_of_the_file(observers: Observers) -> None:
    observers.write_text('plugins: [{id: a, module: "no class"}]')
    checked = command_line.run(paths.LIONGATED, "--config", observers.daemon.config, "--check-config")
    assert checked.exit_code == 7
    assert "BAD_MODULE_PATH" in checked.err and "plugins[a].module" in checked.err


def test_strict_plugins_keeps_the_daemon_from_starting(observers: Observers) -> None:
    observers.write({"id": "wrong", "module": "nowhere.Nothing"}, strict_plugins=True)
    with pytest.raises(DidNotStart) as failed:
        observers.daemon.start()
    assert failed.value.exit_code == 7
    assert "plugin wrong: module `nowhere.Nothing` is not there" in failed.value.log


def test_strict_plugins_of_the_configuration_holds_for_a_broken_file_too(make_daemon: Callable[..., Daemon]) -> None:
    observers = Observers(make_daemon(config=default_config() + "strict_plugins: true\n"))
    observers.write_text("plugins: [")
    with pytest.raises(DidNotStart) as failed:
        observers.daemon.start()
    assert failed.value.exit_code == 7
    observers.write(observers.recorder("right"))
    observers.daemon.start().wait_state("right", "RUNNING")


def test_all_forms_of_a_module_work(observers: Observers, workshop: Any) -> None:
    observers.module("beside.py", SEED_MODULE)
    observers.module("lib/inner/tool.py", SEED_MODULE)
    one_class = SEED_MODULE[: SEED_MODULE.index("class MetricsPlugin")]
    manifest = workshop.manifest("by-manifest", "./main.py", "python", more='role = "observer"\n')
    folder = workshop.write("by-manifest", manifest, {"main.py": one_class})
    observers.write({"id": "one", "module": "beside.LoggingPlugin"},
                    {"id": "two", "module": "beside.py:LoggingPlugin"},
                    {"id": "three", "module": "inner.tool.LoggingPlugin"},
                    {"id": "four", "module": "lib/inner/tool.py:LoggingPlugin"},
                    {"id": "five", "module": str(folder / "manifest.toml")}, module_path=["lib"])
    daemon = observers.daemon.start()
    for name in ("one", "two", "three", "four", "five"):
        daemon.wait_state(name, "RUNNING")
        eventually(lambda name=name: f"Plugin {name} started" in log_lines(daemon, name), f"{name} says it started")


# --- read again -----------------------------------------------------------------------------------------------------

def test_entries_that_are_added_removed_and_changed_take_effect_without_a_restart(observers: Observers) -> None:
    observers.write(observers.recorder("stays"), observers.recorder("goes"), observers.recorder("changes"))
    daemon = observers.daemon.start()
    for name in ("stays", "goes", "changes"):
        daemon.wait_state(name, "RUNNING")
    before = {name: daemon.get(name) for name in ("stays", "changes")}
    changed = observers.recorder("changes", filter={"types": ["PluginInvoked"]})
    observers.write(observers.recorder("stays"), changed, observers.recorder("comes"))
    daemon.wait_event("PluginStarted", plugin="comes")
    daemon.wait_event("PluginUnloaded", plugin="goes")
    daemon.wait_event("PluginReloaded", plugin="changes")
    assert daemon.get("stays").pid == before["stays"].pid
    assert daemon.get("changes").pid != before["changes"].pid
    assert daemon.get("changes").plugin_id == before["changes"].plugin_id, "a changed entry keeps its id and cursor"
    assert observers.lines("goes")[-1] == "shutdown"
    read = daemon.events(types=["PluginsFileRead"])[-1].plugins_file_read
    assert (list(read.added), list(read.changed), list(read.removed)) == (["comes"], ["changes"], ["goes"])


def test_sighup_reads_the_file_again_and_tries_again_what_failed(observers: Observers) -> None:
    observers.write({"id": "late", "module": "late.Observer"})
    daemon = observers.daemon.start()
    daemon.wait_state("late", "FAILED")
    observers.module("late.py", "from liongate import PluginBase\nclass Observer(PluginBase):\n"
                                "    def on_event(self, event): pass\n")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_state("late", "RUNNING")


def test_where_an_observer_begins_counts_from_its_entry_also_if_its_module_came_later(observers: Observers) -> None:
    daemon = observers.daemon.start()
    daemon.load("hello")
    daemon.invoke("hello", "before")
    entry = observers.recorder("late", start="beginning", filter={"types": ["PluginResult"]})
    module = observers.folder / "recording/recorder.py"
    hidden = module.rename(module.with_suffix(".later"))
    observers.write(entry)
    daemon.wait_event("PluginFailed", plugin="late")
    hidden.rename(module)
    daemon.ctl.ok("reload-config")
    daemon.wait_state("late", "RUNNING")
    observers.caught_up("late")
    assert observers.seen("late") == [event.seq for event in daemon.events(types=["PluginResult"])]


def test_a_file_that_appears_and_goes_is_seen(observers: Observers) -> None:
    daemon = observers.daemon.start()
    observers.write(observers.recorder("one"))
    eventually(lambda: [one.name for one in daemon.client.plugins.ListPlugins().plugins] == ["one"], "it is there")
    daemon.wait_state("one", "RUNNING")
    observers.file.unlink()
    eventually(lambda: not daemon.client.plugins.ListPlugins().plugins, "it is gone")


@pytest.mark.parametrize("meanwhile", ["gone", "empty"])
def test_a_file_that_is_written_in_steps_unloads_nobody(observers: Observers, meanwhile: str) -> None:
    """A script that removes it and copies another, an editor that truncates and writes."""
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    before = daemon.wait_state("one", "RUNNING")
    text = observers.file.read_text(encoding="utf-8")
    if meanwhile == "gone":
        observers.file.unlink()
    else:
        observers.file.write_text("", encoding="utf-8")
    time.sleep(0.5)  # the time that nobody may act in
    observers.write_text(text)
    observers.write(observers.recorder("one"), observers.recorder("two"))
    daemon.wait_event("PluginStarted", plugin="two")
    assert daemon.get("one").instance_id == before.instance_id
    assert not daemon.events(types=["PluginUnloaded"])


def test_an_entry_that_comes_back_while_it_is_unloaded_is_loaded_anew(observers: Observers) -> None:
    observers.module("slow.py", "from liongate import PluginBase\nimport time\nclass Slow(PluginBase):\n"
                                "    def on_event(self, event): pass\n    def on_shutdown(self): time.sleep(1)\n")
    entry = {"id": "slow", "module": "slow.Slow"}
    observers.write(entry)
    daemon = observers.daemon.start()
    before = daemon.wait_state("slow", "RUNNING")
    observers.write()
    daemon.wait_event("PluginStopping", plugin="slow")
    observers.write(entry)
    daemon.wait_event("PluginUnloaded", plugin="slow")
    eventually(lambda: any(one.name == "slow" and one.plugin_id != before.plugin_id and state_name(one) == "RUNNING"
                           for one in daemon.client.plugins.ListPlugins().plugins), "it is there again")


def test_reload_config_refuses_a_broken_plugins_file_and_changes_nothing(observers: Observers) -> None:
    observers.write(observers.recorder("one"))
    daemon = observers.daemon.start()
    daemon.wait_state("one", "RUNNING")
    level = daemon.config.read_text(encoding="utf-8")
    daemon.config.write_text(level + "log_level: error\n", encoding="utf-8")
    observers.write_text("plugins: [{id: one, modul: a.B}]")
    refusal = daemon.ctl("reload-config")
    assert refusal.exit_code == 7
    assert f"{observers.file}:1: plugins[one].modul: " in refusal.err
    assert not daemon.events(types=["DaemonConfigChanged", "ConfigChanged"])
    daemon.wait_state("one", "RUNNING")


def test_a_path_that_is_no_text_does_no_harm(observers: Observers) -> None:
    """It comes by a symbolic link; what cannot be written as an event must not be, or no daemon starts again."""
    folder = os.fsencode(observers.folder / "app")
    os.makedirs(folder + b"/\xff\xfe")
    os.symlink(b"\xff\xfe", folder + b"/linked")
    for name in (b"m.py", b"manifest.toml"):
        with open(folder + b"/linked/" + name, "w") as file:
            file.write("name = 1\n")
    observers.write({"id": "one", "module": "app/linked/m.py:O"}, {"id": "two", "module": "app/linked/manifest.toml"})
    daemon = observers.daemon.start()
    for name in ("one", "two"):
        daemon.wait_state(name, "FAILED")
    daemon.restart()
    assert {one.name for one in daemon.client.plugins.ListPlugins().plugins} == {"one", "two"}


def test_what_changed_while_the_daemon_was_down_is_put_into_force_at_its_start(observers: Observers) -> None:
    observers.write(observers.recorder("one"), observers.recorder("two"))
    daemon = observers.daemon.start()
    daemon.wait_state("two", "RUNNING")
    observed = daemon.get("two").plugin_id
    assert daemon.stop() == 0
    observers.write(observers.recorder("two"), observers.recorder("three"))
    daemon.start()
    daemon.wait_state("three", "RUNNING")
    assert daemon.wait_state("two", "RUNNING").plugin_id == observed
    eventually(lambda: {one.name for one in daemon.client.plugins.ListPlugins().plugins} == {"two", "three"},
               "it is gone")
    started = daemon.events(types=["DaemonStarted"])[-1].seq
    assert not daemon.events(plugin="one", types=["InstanceCreated"], after_seq=started), "it is not started once more"


def test_a_duplicate_is_replaced_with_a_warning(observers: Observers) -> None:
    observers.module("my_app/plugins.py", SEED_MODULE)
    observers.write({"id": "twice", "module": "nowhere.A"}, {"id": "twice", "module": "my_app.plugins.LoggingPlugin"})
    daemon = observers.daemon.start()
    daemon.wait_state("twice", "RUNNING")
    assert "plugins[twice]: is there twice: this one replaces the one in line" in daemon.log_text()
    assert daemon.events(types=["PluginsFileRead"])[0].plugins_file_read.warnings


def test_print_plugins_shows_what_is_understood(observers: Observers) -> None:
    observers.write_text(SEED_SAMPLE)
    printed = command_line.run(paths.LIONGATED, "--config", observers.daemon.config, "--print-plugins")
    assert printed.exit_code == 0
    assert 'config: {"sample_rate":0.1}' in printed.text


def test_the_published_schema_and_the_parser_agree_on_the_sample() -> None:
    schema = json.loads((paths.ROOT / "config/schema/plugins.schema.json").read_text())
    entry = schema["$defs"]["plugin"]
    assert entry["required"] == ["id", "module"]
    assert entry["properties"]["enabled"]["default"] is True
