"""Loading: what becomes of a good plugin, and what the log says about it."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, manifest_of, state_name
from harness.workshop import Workshop, edit

SHIPPED = ["hello", "hello-python", "hello-command", "echo"]


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_plugin_loads_and_runs(daemon: Daemon, name: str) -> None:
    plugin = daemon.load(name)
    assert plugin.name == name
    assert state_name(plugin) == "RUNNING"
    assert daemon.state(name) == "RUNNING"


def test_load_plugin_prints_the_id_alone(daemon: Daemon) -> None:
    printed = daemon.ctl.ok("load-plugin", "--manifest", manifest_of("hello"))
    assert printed.text == f"{uuid.UUID(printed.text.strip())}\n"
    assert printed.err == ""


def test_load_plugin_sends_an_absolute_path(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    relative = Path("..") / folder.parent.name / folder.name / "manifest.toml"
    outcome = command_line.run(paths.LIONGATECTL, "load-plugin", "--manifest", relative, cwd=daemon.folder,
                               env=daemon.ctl.environment())
    assert outcome.exit_code == 0, outcome.err
    assert daemon.events(types=["PluginLoaded"])[0].plugin_loaded.manifest_path == str(folder / "manifest.toml")


def test_a_plugin_is_found_by_id_and_by_name(daemon: Daemon) -> None:
    plugin = daemon.load("hello")
    assert daemon.get(plugin.plugin_id).name == "hello"
    assert daemon.get("hello").plugin_id == plugin.plugin_id


def test_a_second_plugin_of_the_same_name_is_refused(daemon: Daemon) -> None:
    first = daemon.load("hello")
    with wire.refused("DUPLICATE_PLUGIN", "ALREADY_EXISTS") as refusals:
        daemon.load("hello")
    assert refusals[0].metadata["plugin_id"] == first.plugin_id
    assert refusals[0].metadata["category"] == "LoadFailure"
    assert "hint" in refusals[0].metadata
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_the_log_holds_the_manifest_and_the_digest_of_what_was_loaded(daemon: Daemon) -> None:
    plugin = daemon.load("hello")
    loaded = daemon.events(types=["PluginLoaded"])[0]
    assert loaded.plugin_id == plugin.plugin_id
    assert loaded.plugin_loaded.manifest_source == manifest_of("hello").read_bytes()
    assert loaded.plugin_loaded.manifest.name == "hello"
    assert len(loaded.plugin_loaded.digest_sha256) == 64
    assert loaded.plugin_loaded.start


def test_a_load_writes_its_events_in_order(daemon: Daemon) -> None:
    daemon.load("hello")
    types = [event.type for event in daemon.events(plugin="hello")]
    assert types == ["PluginLoaded", "InstanceCreated", "SandboxPosture", "PluginStarted"]


def test_the_actor_of_a_load_is_who_asked(daemon: Daemon) -> None:
    daemon.load("hello")
    assert daemon.events(types=["PluginLoaded"])[0].actor == f"uid:{os.geteuid()}"


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_the_manifest_may_be_json_or_yaml(daemon: Daemon, workshop: Workshop, kind: str) -> None:
    folder = workshop.copy("hello")
    (folder / "manifest.toml").unlink()
    texts = {"json": '{"name": "hello", "version": "0.1.0", "entry_point": "./hello", "permissions": []}\n',
             "yaml": "name: hello\nversion: 0.1.0\nentry_point: ./hello\npermissions: []\n"}
    manifest = folder / f"manifest.{kind}"
    manifest.write_text(texts[kind], encoding="utf-8")
    daemon.load(manifest)
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_the_nested_form_of_the_older_loader_means_the_same(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello")
    nested = '[plugin]\nname = "hello"\nversion = "0.1.0"\nentry_point = "./hello"\n\n[permissions]\npermissions = []\n'
    edit(folder / "manifest.toml", lambda _: nested)
    daemon.load(folder)
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_an_inline_manifest_loads_without_a_file(daemon: Daemon) -> None:
    inline = {"folder": str(manifest_of("hello").parent),
              "manifest": {"name": "inline", "version": "0.1.0", "entry_point": "./hello", "runtime": "native"}}
    plugin = daemon.client.plugins.LoadPlugin(inline=inline).plugin
    assert plugin.name == "inline"
    assert daemon.invoke("inline", "x").text == "Hello from inline: x"


def test_nothing_is_started_with_no_start(daemon: Daemon) -> None:
    plugin = daemon.load("hello", no_start=True)
    assert state_name(plugin) == "CREATED"
    assert not daemon.sandbox_pids()
    with wire.refused("PLUGIN_NOT_RUNNING"):
        daemon.invoke("hello", "x")
    daemon.client.plugins.StartPlugin(plugin="hello")
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_what_is_loaded_is_listed_in_the_order_of_loading(daemon: Daemon) -> None:
    for name in ["hello", "echo", "hello-command"]:
        daemon.load(name)
    assert [plugin.name for plugin in daemon.client.plugins.ListPlugins().plugins] == ["hello", "echo", "hello-command"]


def test_the_list_comes_in_pages(daemon: Daemon) -> None:
    for name in ["hello", "echo", "hello-command"]:
        daemon.load(name)
    first = daemon.client.plugins.ListPlugins(page_size=2)
    assert [plugin.name for plugin in first.plugins] == ["hello", "echo"]
    second = daemon.client.plugins.ListPlugins(page_size=2, page_token=first.next_page_token)
    assert [plugin.name for plugin in second.plugins] == ["hello-command"]
    assert second.next_page_token == ""


def test_unload_forgets_the_plugin_and_keeps_its_events(daemon: Daemon) -> None:
    plugin = daemon.load("hello")
    unloaded = daemon.client.plugins.UnloadPlugin(plugin="hello").plugin
    assert state_name(unloaded) == "UNLOADED"
    with wire.refused("PLUGIN_NOT_FOUND", "NOT_FOUND"):
        daemon.get(plugin.plugin_id)
    assert not daemon.sandbox_pids()
    assert [event.type for event in daemon.events(plugin=plugin.plugin_id)][-1] == "PluginUnloaded"


def test_a_plugin_that_is_loaded_again_after_unload_gets_a_new_id(daemon: Daemon) -> None:
    first = daemon.load("hello")
    daemon.client.plugins.UnloadPlugin(plugin="hello")
    assert daemon.load("hello").plugin_id != first.plugin_id


def test_a_load_that_nobody_waits_for_any_more_does_no_harm(daemon: Daemon) -> None:
    call = daemon.client.plugins.later("LoadPlugin", manifest_path=str(manifest_of("slow_start")))
    call.cancel()
    daemon.load("hello")
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


def test_two_loads_of_one_name_at_once_load_it_once(daemon: Daemon) -> None:
    calls = [daemon.client.plugins.later("LoadPlugin", manifest_path=str(manifest_of("slow_start"))) for _ in range(2)]
    outcomes = [call.outcome() for call in calls]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, wire.Refusal)]
    assert [refusal.reason for refusal in refusals] == ["DUPLICATE_PLUGIN"]
    assert len(daemon.client.plugins.ListPlugins().plugins) == 1
