"""The policy file with a real daemon: rules, ceilings, reload, what is told of them, and consent to what is new."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, DidNotStart
from harness.waiting import eventually
from harness.workshop import Workshop, edit, replaced_line

RULES = f"""rules:
  - {{plugin: "probe*", permission: [process, "env:H*"], allow: true, limits: {{open_files_max: 64}}}}
  - {{plugin: "me", caller: "uid:{os.geteuid()}", permission: process, allow: true}}
  - {{plugin: "other", caller: "uid:{os.geteuid() + 1}", permission: process, allow: true}}
  - {{permission: "env:SECRET", allow: false, reason: "ask the platform team"}}
environments:
  staging:
    rules:
      - {{plugin: "staged", allow: true}}
"""

MakeDaemon = Callable[..., Daemon]


def with_policy(make_daemon: MakeDaemon, text: str = RULES, environment: str = "production",
                config: str = "") -> Daemon:
    """With a policy.yaml beside its configuration."""
    daemon = make_daemon(environment=environment, config=config)
    (daemon.folder / "policy.yaml").write_text(text, encoding="utf-8")
    return daemon.start()


def ask_for(folder: Path, permissions: list[str]) -> None:
    words = ", ".join(f'"{permission}"' for permission in permissions)
    edit(folder / "manifest.toml", lambda text: replaced_line(text, "permissions", f"permissions = [{words}]"))


def test_a_policy_beside_the_configuration_grants_and_names_its_rule(make_daemon: MakeDaemon,
                                                                     workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    daemon.load(workshop.with_permissions("probe", ["process", "env:HOME"]))
    assert daemon.invoke("probe", operation="fork").text == "forked"
    loaded = daemon.events(types=["PluginLoaded"])[0].plugin_loaded
    rule = f"{daemon.folder}/policy.yaml:2"
    assert [(grant.permission, grant.rule) for grant in loaded.grants] == [("process", rule), ("env:HOME", rule)]
    assert loaded.caller == f"uid:{os.geteuid()}"


def test_a_ceiling_lowers_what_the_manifest_leaves_out(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    daemon.load(workshop.with_permissions("probe", ["process"]))
    plugin = daemon.get("probe")
    assert plugin.manifest.limits.open_files_max == 64
    limits = Path(f"/proc/{plugin.pid}/limits").read_text(encoding="utf-8")
    assert next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3] == "64"


def test_a_limit_above_its_ceiling_is_refused(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    folder = workshop.with_permissions("probe", ["process"])
    edit(folder / "manifest.toml", lambda text: text + "\n[limits]\nopen_files_max = 65\n")
    error = daemon.ctl.refused("load-plugin", "--manifest", folder / "manifest.toml")
    assert (error.exit_code, error.reason) == (6, "PERMISSION_DENIED")
    assert "open_files_max = 65" in error.line
    assert daemon.events(types=["PermissionDenied"])[0].permission_denied.permission == "limits.open_files_max"


def test_the_caller_and_the_environment_count(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon, environment="staging")
    daemon.load(workshop.with_permissions("probe", ["process"], "me"))
    daemon.load(workshop.with_permissions("probe", ["jit"], "staged"))
    with wire.refused("PERMISSION_DENIED"):
        daemon.load(workshop.with_permissions("probe", ["process"], "other"))
    production = with_policy(make_daemon)
    with wire.refused("PERMISSION_DENIED"):
        production.load(workshop.with_permissions("probe", ["jit"], "staged-not"))


def test_whoever_is_refused_reads_the_reason(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    folder = workshop.with_permissions("probe", ["env:SECRET"], "curious")
    error = daemon.ctl.refused("load-plugin", "--manifest", folder / "manifest.toml")
    assert "ask the platform team" in error.line
    assert "policy.yaml:5" in error.line


def test_a_named_file_wins_and_the_inline_rules_come_after_it(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = make_daemon(environment="production")
    named = daemon.folder / "named.yaml"
    named.write_text('rules:\n  - {permission: process, allow: false}\n', encoding="utf-8")
    (daemon.folder / "policy.yaml").write_text("this: is not read\n", encoding="utf-8")
    daemon.config.write_text(f"policy_file: {named}\npolicy:\n  - {{allow: true}}\n", encoding="utf-8")
    daemon.start()
    daemon.load(workshop.with_permissions("probe", ["env:HOME"], "inline"))
    assert daemon.events(types=["PluginLoaded"])[0].plugin_loaded.grants[0].rule == "rule 1"
    with wire.refused("PERMISSION_DENIED") as refusals:
        daemon.load(workshop.with_permissions("probe", ["process"]))
    assert refusals[0].metadata["rule"] == f"{named}:2"


@pytest.mark.parametrize("text", ["rules: [{alow: true}, {allow: 1}]\n", "rules: [\n"])
def test_a_broken_policy_keeps_a_daemon_from_starting(make_daemon: MakeDaemon, text: str) -> None:
    with pytest.raises(DidNotStart) as ended:
        with_policy(make_daemon, text)
    assert ended.value.exit_code == 7
    assert "policy.yaml:" in ended.value.log


def test_a_policy_that_is_read_again_holds_at_once_for_what_is_loaded_next(make_daemon: MakeDaemon,
                                                                           workshop: Workshop) -> None:
    daemon = with_policy(make_daemon, "rules: []\n")
    folder = workshop.with_permissions("probe", ["process"])
    with wire.refused("PERMISSION_DENIED"):
        daemon.load(folder)
    (daemon.folder / "policy.yaml").write_text(RULES, encoding="utf-8")
    assert "policy_file: in force" in daemon.ctl.ok("reload-config").text
    daemon.load(folder)
    assert "policy_file" in daemon.events(types=["ConfigChanged"])[0].daemon_config_changed.changed_keys


def broken(path: Path) -> None:
    path.write_text("rules:\n  - {permission: proces, allow: true}\n  - {alow: true}\n", encoding="utf-8")


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("ruin", [broken, gone])
def test_a_broken_policy_keeps_the_old_one_and_says_so(make_daemon: MakeDaemon, workshop: Workshop,
                                                       ruin: Callable[[Path], None]) -> None:
    daemon = with_policy(make_daemon)
    ruin(daemon.folder / "policy.yaml")
    outcome = daemon.ctl("reload-config")
    assert (outcome.exit_code, outcome.text) == (7, "")
    assert all("policy.yaml" in line and "(INVALID_CONFIG)" in line for line in outcome.err.splitlines()
               if not line.startswith("hint: ")), outcome.err
    daemon.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    eventually(lambda: "the configuration stays as it was" in daemon.log_text(), "SIGHUP was answered")
    daemon.load(workshop.with_permissions("probe", ["process"]))
    assert not daemon.events(types=["ConfigChanged"])


def test_a_start_under_a_new_policy_records_what_is_granted_now(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    daemon.load(workshop.with_permissions("probe", ["process"]))
    policy = daemon.folder / "policy.yaml"
    policy.write_text("# moved down\n" + RULES.replace("64", "32"), encoding="utf-8")
    daemon.ctl.ok("reload-config")
    assert not daemon.events(types=["PermissionsGranted"])
    daemon.ctl.ok("restart-plugin", "probe")
    granted = daemon.events(types=["PermissionsGranted"])[0].permissions_granted
    assert granted.grants[0].rule == f"{policy}:3"
    assert daemon.get("probe").manifest.limits.open_files_max == 32
    daemon.restart()
    daemon.wait_state("probe", "RUNNING")
    assert daemon.get("probe").manifest.limits.open_files_max == 32
    assert len(daemon.events(types=["PermissionsGranted"])) == 1
    assert daemon.ctl.ok("verify-log", "--state").exit_code == 0


def test_ten_thousand_rules_are_read_and_decide(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    rules = [f'  - {{plugin: "p{number}", permission: "fs_read:/srv/{number}/*", allow: true}}'
             for number in range(9999)]
    daemon = with_policy(make_daemon, "\n".join(["rules:", *rules, "  - {plugin: probe, allow: true}", ""]))
    daemon.load(workshop.with_permissions("probe", ["process"]))
    assert daemon.ctl.ok("list-permissions").text.splitlines()[1].endswith("policy.yaml:10001")
    with open(daemon.folder / "policy.yaml", "a", encoding="utf-8") as policy:
        policy.write("  - {allow: false}\n")
    assert "10001 rules, at most 10000" in daemon.ctl("reload-config").err


# --- what is told ---

def test_explain_permissions_of_a_loaded_plugin(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    daemon.load(workshop.with_permissions("probe", ["process"]))
    explained = daemon.ctl.ok("explain-permissions", "probe", "-o", "json").json()
    assert explained["plugin_name"] == "probe"
    assert explained["decision"]["granted"]
    assert explained["decision"]["permissions"][0]["rule"] == f"{daemon.folder}/policy.yaml:2"
    assert explained["decision"]["limits"][0]["limit"] == "open_files_max"
    # The policy of now, before any start: what a restart would meet.
    (daemon.folder / "policy.yaml").write_text("rules: []\n", encoding="utf-8")
    daemon.ctl.ok("reload-config")
    text = daemon.ctl.ok("explain-permissions", "probe").text
    assert "probe: refused in environment production" in text
    assert 'add to the policy: - {plugin: "probe", permission: "process", allow: true}' in text


def test_explain_permissions_of_a_manifest_changes_nothing(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    folder = workshop.with_permissions("probe", ["process", "env:SECRET", "forbidden"])
    events = len(daemon.events())
    decision = daemon.ctl.ok("explain-permissions", "--manifest", folder / "manifest.toml", "-o",
                             "json").json()["decision"]
    assert [one["granted"] for one in decision["permissions"]] == [True, False, False]
    assert "ask the platform team" in decision["permissions"][1]["why"]
    assert decision["permissions"][2]["rule"] == "forbidden"
    assert len(daemon.events()) == events
    assert not daemon.client.plugins.ListPlugins().plugins


def test_explain_permissions_of_what_is_not_there(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    assert daemon.ctl.refused("explain-permissions", "nobody").exit_code == 4
    assert daemon.ctl.refused("explain-permissions", "--manifest", workshop.folder / "no.toml").exit_code == 7
    with wire.refused("INVALID_ARGUMENT"):
        daemon.client.plugins.ExplainPermissions()


def test_test_policy_says_what_the_daemon_then_does(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    policy = daemon.folder / "policy.yaml"
    for permissions, code in [(["process"], 0), (["env:SECRET"], 6), (["kv"], 6)]:
        folder = workshop.with_permissions("probe", permissions, f"probe-{permissions[0][:3]}-{code}")
        tried = command_line.run(paths.LIONGATECTL, "test-policy", policy, "--manifest", folder / "manifest.toml",
                                 "-o", "json")
        told = daemon.ctl.ok("explain-permissions", "--manifest", folder / "manifest.toml", "-o", "json").json()
        assert tried.exit_code == code, tried.err
        assert tried.json() == told["decision"]
        assert daemon.ctl("load-plugin", "--manifest", folder / "manifest.toml").exit_code == code


def test_list_permissions_shows_all_plugins(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    daemon.load(workshop.with_permissions("probe", ["process", "env:HOME"]))
    daemon.load(workshop.with_permissions("probe", ["process"], "me"))
    daemon.load("hello")
    listed = daemon.ctl.ok("list-permissions", "-o", "json").json()["permissions"]
    assert [(one["plugin_name"], one["grant"]["permission"]) for one in listed] == [
        ("probe", "process"), ("probe", "env:HOME"), ("me", "process")]
    lines = daemon.ctl.ok("list-permissions").text.splitlines()
    assert lines[0].split() == ["PLUGIN", "PERMISSION", "RULE"]
    assert lines[3].split() == ["me", "process", f"{daemon.folder}/policy.yaml:3"]


# --- consent ---

def test_a_reload_that_asks_for_more_needs_consent(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.with_permissions("probe", ["env:HOME"])
    daemon.load(folder)
    ask_for(folder, ["process", "kv"])
    error = daemon.ctl.refused("reload-plugin", "probe")
    assert (error.exit_code, error.reason) == (6, "PERMISSION_DENIED")
    assert "process, kv" in error.line
    assert "no longer for env:HOME" in error.line
    assert "--accept-permissions" in error.hint
    denied = daemon.events(types=["PermissionDenied"])[0].permission_denied
    assert (denied.rule, denied.permission) == ("consent", "process, kv")
    assert list(daemon.get("probe").manifest.permissions) == ["env:HOME"]
    assert daemon.invoke("probe", operation="fork").text != "forked"
    daemon.ctl.ok("reload-plugin", "probe", "--accept-permissions")
    assert daemon.invoke("probe", operation="fork").text == "forked"
    reloaded = daemon.events(types=["PluginReloaded"])[0]
    assert list(reloaded.plugin_reloaded.loaded.accepted_permissions) == ["process", "kv"]
    assert reloaded.actor == f"uid:{os.geteuid()}"
    audit = daemon.ctl.ok("replay-log", "--audit").text
    assert "accepted: process kv" in audit


def test_a_replacement_that_asks_for_more_needs_consent(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("probe")
    daemon.load(folder)
    ask_for(folder, ["process"])
    words = ["load-plugin", "--manifest", folder / "manifest.toml", "--replace"]
    assert daemon.ctl.refused(*words).exit_code == 6
    daemon.ctl.ok(*words, "--accept-permissions")
    assert daemon.invoke("probe", operation="fork").text == "forked"


def test_asking_for_less_or_the_same_needs_no_consent(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.with_permissions("probe", ["process", "env:HOME"])
    daemon.load(folder)
    daemon.ctl.ok("reload-plugin", "probe")
    ask_for(folder, ["env:HOME"])
    daemon.ctl.ok("reload-plugin", "probe")
    assert daemon.invoke("probe", operation="fork").text != "forked"


def test_consent_is_no_grant(make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = with_policy(make_daemon)
    folder = workshop.copy("probe")
    daemon.load(folder)
    ask_for(folder, ["jit"])
    error = daemon.ctl.refused("reload-plugin", "probe", "--accept-permissions")
    assert error.exit_code == 6
    assert "no policy rule grants it" in error.line


# --- at run time ---

def test_a_permission_that_is_granted_at_run_time_is_there_after_a_restart_of_the_plugin(
        make_daemon: MakeDaemon, workshop: Workshop) -> None:
    daemon = make_daemon(environment="production").start()
    daemon.load(workshop.copy("probe"))
    granted = daemon.ctl.ok("grant-permission", "probe", "process").text
    assert granted == "probe: process granted; it runs on as before until `liongatectl restart-plugin probe`\n"
    assert daemon.invoke("probe", operation="fork").text != "forked"
    daemon.ctl.ok("restart-plugin", "probe")
    assert daemon.invoke("probe", operation="fork").text == "forked"
    daemon.restart()
    daemon.wait_state("probe", "RUNNING")
    assert daemon.invoke("probe", operation="fork").text == "forked"
    assert daemon.ctl.ok("list-permissions").text.splitlines()[1].split()[:3] == ["probe", "process", "granted"]
    assert daemon.ctl.ok("verify-log", "--state").exit_code == 0


def test_a_permission_that_is_revoked_stays_so_through_a_reload(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_permissions("probe", ["process"]))
    assert daemon.ctl.ok("revoke-permission", "probe", "process", "-o", "json").json()["restart_needed"] is True
    daemon.ctl.ok("restart-plugin", "probe")
    assert daemon.invoke("probe", operation="fork").text != "forked"
    daemon.ctl.ok("reload-plugin", "probe")
    assert daemon.invoke("probe", operation="fork").text != "forked"
    assert "revoked by uid:" in daemon.ctl.ok("explain-permissions", "probe").text
    assert "process revoked" in daemon.ctl.ok("replay-log", "--audit").text
    daemon.ctl.ok("grant-permission", "probe", "process")
    daemon.ctl.ok("restart-plugin", "probe")
    assert daemon.invoke("probe", operation="fork").text == "forked"


def test_a_command_has_what_was_granted_from_its_next_call_on(daemon: Daemon, workshop: Workshop) -> None:
    daemon.env["GREETING"] = "good morning"
    daemon.restart()
    daemon.load(workshop.command("greeter", 'echo "${GREETING:-nothing}"'))
    assert daemon.invoke("greeter").text.strip() == "nothing"
    assert "from its next start or call on" in daemon.ctl.ok("grant-permission", "greeter", "env:GREETING").text
    assert daemon.invoke("greeter").text.strip() == "good morning"
    daemon.ctl.ok("revoke-permission", "greeter", "env:GREETING")
    assert daemon.invoke("greeter").text.strip() == "nothing"


@pytest.mark.parametrize(("permission", "exit_code", "reason"), [
    ("forbidden", 6, "PERMISSION_DENIED"), ("env:SECRET", 6, "PERMISSION_DENIED"),
    ("env:LD_PRELOAD", 6, "PERMISSION_DENIED"), ("proces", 7, "UNKNOWN_PERMISSION"), ("env", 7, "INVALID_ARGUMENT"),
    ("process", 7, "INVALID_ARGUMENT")])
def test_what_can_not_be_granted_at_run_time(make_daemon: MakeDaemon, workshop: Workshop, permission: str,
                                             exit_code: int, reason: str) -> None:
    daemon = with_policy(make_daemon)
    daemon.load(workshop.with_permissions("probe", ["process"]))
    error = daemon.ctl.refused("grant-permission", "probe", permission)
    assert (error.exit_code, error.reason) == (exit_code, reason)
    assert list(daemon.get("probe").manifest.permissions) == ["process"]
    assert not daemon.events(types=["PermissionOverridden"])
    assert len(daemon.events(types=["PermissionDenied"])) == (1 if exit_code == 6 else 0)


def test_grants_and_revocations_of_plugins_that_are_not_there(daemon: Daemon, workshop: Workshop) -> None:
    assert daemon.ctl.refused("grant-permission", "nobody", "process").exit_code == 4
    daemon.load(workshop.copy("probe"))
    assert daemon.ctl.refused("revoke-permission", "probe", "process").exit_code == 7
