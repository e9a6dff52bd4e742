"""Refused system calls as events: whose, which call, by which rule, and the permission that would have allowed it."""

from __future__ import annotations

import pytest
from harness import wire
from harness.daemon import Daemon
from harness.workshop import Workshop

NR_FORK, NR_MOUNT, NR_SOCKET = 57, 165, 41
AF_INET, SOCK_STREAM = 2, 1


def call(daemon: Daemon, plugin: str, *numbers: int, **fields: str) -> str:
    return str(daemon.invoke(plugin, ",".join(map(str, numbers)), operation="syscall", **fields).text)


def denials(daemon: Daemon) -> list[wire.Event]:
    return daemon.events(types=["PermissionDenied"])


@pytest.mark.parametrize(("number", "name", "permission", "answer"), [
    (NR_FORK, "fork", "process", "EPERM"), (NR_SOCKET, "socket", "network", "EAFNOSUPPORT"),
    (NR_MOUNT, "mount", "", "EPERM")])
def test_a_refused_call_is_an_event_that_names_the_remedy(daemon: Daemon, number: int, name: str, permission: str,
                                                          answer: str) -> None:
    plugin = daemon.load("probe")
    assert call(daemon, "probe", number, AF_INET, SOCK_STREAM) == answer
    [event] = denials(daemon)
    denial = event.permission_denied
    assert (event.plugin_name, event.plugin_id, event.instance_id) == ("probe", plugin.plugin_id, plugin.instance_id)
    assert event.actor == "plugin:probe"
    assert (denial.system_call, denial.permission, denial.answer, denial.count) == (name, permission, answer, 1)
    assert denial.action == f"system call {name}"
    assert denial.rule.startswith("system call filter: ")
    remedy = f'it needs the permission "{permission}"' if permission else "no permission allows it"
    assert denial.message == f"{name} was refused with {answer}: {remedy}"
    assert denial.arguments == ("arg0=0x2, arg1=0x1" if name == "socket" else "")


def test_the_denial_stands_before_the_answer_that_it_led_to(daemon: Daemon) -> None:
    daemon.load("probe")
    for _ in range(3):
        call(daemon, "probe", NR_MOUNT)
    types = [event.type for event in daemon.events()]
    assert types.index("PermissionDenied") < types.index("PluginResult")


def test_calls_after_the_first_are_counted_and_told_when_the_plugin_ends(daemon: Daemon) -> None:
    daemon.load("probe")
    for _ in range(40):
        call(daemon, "probe", NR_MOUNT)
    daemon.client.plugins.UnloadPlugin(plugin="probe")
    assert [event.permission_denied.count for event in denials(daemon)] == [1, 39]
    assert denials(daemon)[1].permission_denied.message == ("mount was refused 39 more times with EPERM: "
                                                            "no permission allows it")


def test_what_a_command_was_refused_belongs_to_its_call(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("namespaces", "unshare --user true\n"))
    with wire.refused("PLUGIN_ERROR"):
        daemon.invoke("namespaces", "", correlation_id="mine")
    [event] = denials(daemon)
    assert (event.correlation_id, event.plugin_name) == ("mine", "namespaces")
    assert (event.permission_denied.system_call, event.permission_denied.permission) == ("unshare", "")


def test_it_is_seen_in_the_log_the_audit_and_the_plugins_own_log(daemon: Daemon) -> None:
    daemon.load("probe")
    call(daemon, "probe", NR_FORK)
    message = 'fork was refused with EPERM: it needs the permission "process"'
    assert message in daemon.ctl.ok("replay-log", "--plugin", "probe").text
    audit = daemon.ctl.ok("replay-log", "--audit").text
    [line] = [line for line in audit.splitlines() if "system call fork" in line]
    assert "plugin:probe" in line and "denied" in line and message in line
    [stored] = daemon.ctl.ok("replay-log", "--type", "PermissionDenied", "-o", "json").json_lines()
    assert stored["permission_denied"]["system_call"] == "fork"
    assert f"liongate: {message}" in daemon.ctl.ok("get-plugin-logs", "probe").text


def test_a_denial_before_ready_names_the_plugin_that_is_being_loaded(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.python("early", "import os\ntry:\n    os.fork()\nexcept PermissionError:\n    pass\n")
    with wire.refused("LOAD_FAILURE"):
        daemon.load(folder)
    [event] = [event for event in denials(daemon) if event.permission_denied.permission == "process"]
    assert event.plugin_name == "early"


def test_a_granted_call_is_no_denial(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_permissions("probe", ["process"]))
    assert daemon.invoke("probe", "", operation="fork").text == "forked"
    assert denials(daemon) == []


def test_the_posture_says_that_denials_are_reported(daemon: Daemon) -> None:
    daemon.load("probe")
    states = {mechanism.name: mechanism.state for mechanism in daemon.get("probe").posture.mechanisms}
    assert states["denial reports"] == "active"


def test_a_call_by_another_abi_kills_and_says_why(daemon: Daemon) -> None:
    daemon.load("probe")
    outcome = daemon.invoke_later("probe", str(0x40000000 | 39), operation="syscall").outcome()
    assert isinstance(outcome, wire.Refusal)
    crashed = daemon.wait_event("InstanceCrashed")
    assert "another ABI" in crashed.instance_crashed.exit.detail
    [event] = denials(daemon)
    assert "another ABI" in event.permission_denied.message
