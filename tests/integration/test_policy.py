"""Who is granted what: the environments' defaults, the operator's rules, and what no rule can grant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import wire
from harness.daemon import Daemon
from harness.waiting import eventually
from harness.workshop import Workshop


def assert_refused(daemon: Daemon, workshop: Workshop, permissions: list[str], name: str = "") -> wire.Refusal:
    folder = workshop.with_permissions("probe", permissions, name)
    with wire.refused("PERMISSION_DENIED", "PERMISSION_DENIED") as refusals:
        daemon.load(folder)
    assert refusals[0].metadata["category"] == "PermissionDenied"
    assert not daemon.client.plugins.ListPlugins().plugins
    return refusals[0]


@pytest.mark.parametrize("environment", ["testing", "staging", "production"])
def test_outside_development_nothing_is_granted_that_no_rule_names(make_daemon: Callable[..., Daemon],
                                                                   workshop: Workshop, environment: str) -> None:
    daemon = make_daemon(environment=environment).start()
    refusal = assert_refused(daemon, workshop, ["process"])
    assert refusal.metadata["permission"] == "process"
    assert environment in refusal.message


def test_production_is_the_default(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon()
    words = daemon.words()
    daemon.words = lambda: [word for word in words if word not in ("--environment", "development")]  # type: ignore
    daemon.start()
    assert daemon.status().environment == "production"
    assert_refused(daemon, workshop, ["process"])


def test_who_asks_for_nothing_runs_in_production(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(environment="production").start()
    for name in ["hello", "hello-python", "hello-command"]:
        daemon.load(name)
        assert daemon.invoke(name, "x").text.strip() == f"Hello from {name}: x"


def test_development_grants_what_the_manifest_asks(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_permissions("probe", ["process", "env:HOME"]))
    assert daemon.invoke("probe", operation="fork").text == "forked"


def test_a_refusal_is_an_event_and_a_failed_load(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(environment="production").start()
    assert_refused(daemon, workshop, ["process"])
    denied, failed = daemon.events(types=["PermissionDenied", "PluginLoadFailed"])
    assert denied.permission_denied.permission == "process"
    assert denied.plugin_name == "probe"
    assert denied.actor.startswith("uid:")
    assert failed.plugin_load_failed.reason == "PERMISSION_DENIED"


def test_the_command_line_says_which_permission_and_exits_with_6(make_daemon: Callable[..., Daemon],
                                                                 workshop: Workshop) -> None:
    daemon = make_daemon(environment="production").start()
    folder = workshop.with_permissions("probe", ["process"])
    error = daemon.ctl.refused("load-plugin", "--manifest", folder / "manifest.toml")
    assert (error.exit_code, error.reason) == (6, "PERMISSION_DENIED")
    assert "process" in error.line
    assert "policy" in error.hint


RULES = """policy:
  - {plugin: "report-*", permission: "fs_read:/srv*", allow: true}
  - {plugin: "*", permission: "process", allow: false}
  - {plugin: "trusted-*", allow: true}
"""


def test_a_rule_grants_by_name_and_permission(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(environment="production", config=RULES).start()
    daemon.load(workshop.with_permissions("probe", ["fs_read:/srv"], "report-daily"))
    assert daemon.invoke("report-daily", "/srv", operation="list").text != "ENOENT"
    assert_refused_beside(daemon, workshop.with_permissions("probe", ["fs_read:/srv"], "other"))
    assert_refused_beside(daemon, workshop.with_permissions("probe", ["fs_read:/opt"], "report-weekly"))


def assert_refused_beside(daemon: Daemon, folder: object) -> None:
    with wire.refused("PERMISSION_DENIED"):
        daemon.load(folder)  # type: ignore[arg-type]


def test_the_first_rule_that_matches_decides(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(environment="production", config=RULES).start()
    refusal = assert_refused(daemon, workshop, ["process"], "trusted-one")
    assert refusal.metadata["rule"] == "rule 2"
    daemon.load(workshop.with_permissions("probe", ["env:HOME"], "trusted-two"))


def test_a_rule_can_deny_in_development(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(config=RULES).start()
    assert_refused(daemon, workshop, ["process"])


def test_one_refused_permission_refuses_the_whole_load(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(environment="production", config=RULES).start()
    refusal = assert_refused(daemon, workshop, ["fs_read:/srv", "env:HOME"], "report-daily")
    assert refusal.metadata["permission"] == "env:HOME"


@pytest.mark.parametrize("environment", ["development", "production"])
def test_no_rule_grants_forbidden(make_daemon: Callable[..., Daemon], workshop: Workshop, environment: str) -> None:
    daemon = make_daemon(environment=environment, config='policy:\n  - {allow: true}\n').start()
    assert_refused(daemon, workshop, ["forbidden"])


def test_no_rule_grants_the_daemons_own_folders(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(config='policy:\n  - {allow: true}\n').start()
    for number, path in enumerate([daemon.state_dir, daemon.state_dir / "log", daemon.socket, daemon.folder, "/",
                                   f"{daemon.folder}/x/../state", f"{daemon.state_dir}/"]):
        for kind in ("fs_read", "fs_write"):
            assert_refused(daemon, workshop, [f"{kind}:{path}"], f"nosy-{kind.replace('_', '-')}-{number}")


def test_a_link_is_no_way_into_the_daemons_folders(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon().start()
    link = workshop.folder / "link"
    link.symlink_to(daemon.state_dir)
    folder = workshop.with_permissions("probe", [f"fs_read:{link}"])
    outcome = daemon.client.plugins.later("LoadPlugin", manifest_path=str(folder / "manifest.toml")).outcome()
    if not isinstance(outcome, wire.Refusal):
        assert daemon.invoke("probe", str(link), operation="list").text in ("ENOENT", "EACCES", "ENOTDIR", "")
        assert "log" not in daemon.invoke("probe", str(daemon.state_dir), operation="list").text


def test_a_reload_asks_the_policy_again(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(environment="production").start()
    folder = workshop.copy("probe")
    daemon.load(folder)
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("permissions = []", 'permissions = ["process"]'),
                        encoding="utf-8")
    with wire.refused("PERMISSION_DENIED"):
        daemon.client.plugins.ReloadPlugin(plugin="probe")
    assert daemon.invoke("probe", operation="fork").text != "forked"


def test_a_policy_that_is_read_again_holds_for_the_next_start(make_daemon: Callable[..., Daemon],
                                                              workshop: Workshop) -> None:
    daemon = make_daemon(environment="production", config='policy:\n  - {permission: "process", allow: true}\n').start()
    daemon.load(workshop.with_permissions("probe", ["process"]))
    daemon.config.write_text("policy: []\n", encoding="utf-8")
    daemon.ctl.ok("reload-config")
    with wire.refused("PERMISSION_DENIED"):
        daemon.client.plugins.RestartPlugin(plugin="probe")
    eventually(lambda: daemon.state("probe") == "FAILED", "it is failed")


def test_a_plugin_that_lost_its_grant_does_not_run_after_a_restart_of_the_daemon(
        make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(environment="production", config='policy:\n  - {permission: "process", allow: true}\n').start()
    daemon.load(workshop.with_permissions("probe", ["process"]))
    daemon.kill()
    daemon.config.write_text("policy: []\n", encoding="utf-8")
    daemon.start()
    assert daemon.wait_state("probe", "FAILED").state_reason == "PERMISSION_DENIED"
