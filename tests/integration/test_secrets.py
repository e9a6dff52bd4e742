"""secret:NAME: who gets a value, where from and how; and that it is nowhere else afterwards.

The values are random: whatever holds one got it from the plugin or from us.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import paths, secret_sources, wire
from harness.daemon import Daemon, state_name
from harness.secret_sources import KINDS, SecretSources
from harness.waiting import eventually
from harness.workshop import Workshop

ASKING = '''import os
import resource
import sys

from liongate import Call, Failure, Plugin

plugin = Plugin(concurrency=CONCURRENCY)


def everything(call):
    return " ".join(call.secret("by-" + kind).decode() for kind in ("credential", "file", "command"))


@plugin.operation("")
def tell(call: Call) -> str:
    return call.secret(call.text).decode("latin-1")


@plugin.operation("file")
def file(call: Call) -> bytes:
    with open("/run/secrets/" + call.text, "rb") as secret:
        return secret.read()


@plugin.operation("places")
def places(call: Call) -> str:
    folder = os.stat("/run/secrets")
    tried = []
    for change in (lambda: open("/run/secrets/new", "w"), lambda: os.chmod("/run/secrets/by-file", 0o777),
                   lambda: os.unlink("/run/secrets/by-file")):
        try:
            change()
            tried.append("done")
        except OSError as error:
            tried.append(error.strerror)
    return " ".join([oct(folder.st_mode), oct(os.stat("/run/secrets/by-file").st_mode), str(folder.st_uid),
                     *sorted(os.listdir("/run/secrets")), *tried])


@plugin.operation("all over")
def all_over(call: Call) -> str:
    values = everything(call)
    print("on stdout:", values, flush=True)
    print("on stderr:", values, file=sys.stderr, flush=True)
    call.log.warning("logged: " + values)
    for value in values.split():
        call.log.error(value)
    return values


@plugin.operation("fail")
def fail(call: Call) -> str:
    values = everything(call)
    raise Failure("WITH_" + values.split()[0], "cannot use " + values)


@plugin.operation("raise")
def raise_it(call: Call) -> str:
    raise RuntimeError(everything(call))


@plugin.operation("crash")
def crash(call: Call) -> str:
    values = everything(call)
    print("about to crash:", values, file=sys.stderr, flush=True)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass
    os.abort()


@plugin.operation("environment")
def environment(call: Call) -> str:
    return repr(sorted(os.environ.items()))


plugin.run()
'''

_numbers = itertools.count(1)


@pytest.fixture
def sources() -> SecretSources:
    return SecretSources(f"secrets{next(_numbers)}")


@pytest.fixture
def keeper(make_daemon: Callable[..., Daemon], sources: SecretSources) -> Daemon:
    """A daemon that has all three."""
    return make_daemon(config=sources.config, env=sources.env).start()


def asking(workshop: Workshop, permissions: list[str], name: str = "asking", concurrency: int = 1) -> Path:
    return workshop.python(name, ASKING.replace("CONCURRENCY", str(concurrency)), permissions)


def deliveries(daemon: Daemon) -> list[tuple[str, str, str, str]]:
    return [(event.plugin_name, event.secret_delivered.name, event.secret_delivered.source, event.secret_delivered.how)
            for event in daemon.events(types=["SecretDelivered"])]


# --- who gets what ---


def test_a_plugin_finds_its_secrets_as_read_only_files(
    keeper: Daemon, sources: SecretSources, workshop: Workshop
) -> None:
    keeper.load(asking(workshop, sources.permissions))
    for kind in KINDS:
        assert keeper.invoke("asking", f"by-{kind}", operation="file").data == sources.values[kind].encode()
    assert keeper.invoke("asking", operation="places").text.split(" ", 6) == [
        "0o40500", "0o100400", "1000", "by-command", "by-credential", "by-file",
        "Read-only file system Read-only file system Read-only file system"]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_plugin_asks_for_a_secret_when_it_needs_it(
    keeper: Daemon, sources: SecretSources, workshop: Workshop, concurrency: int
) -> None:
    keeper.load(asking(workshop, sources.permissions, concurrency=concurrency))
    for kind in KINDS:
        assert keeper.invoke("asking", f"by-{kind}").text == sources.values[kind]


def test_a_command_finds_its_secrets_as_files(keeper: Daemon, sources: SecretSources, workshop: Workshop) -> None:
    script = "cat /run/secrets/by-file; ls /run/secrets\n"
    keeper.load(workshop.command("reads", script, permissions=["secret:by-file"]))
    assert keeper.invoke("reads").text == sources.values["file"] + "by-file\n"


def test_a_secret_may_be_any_bytes(keeper: Daemon, sources: SecretSources, workshop: Workshop) -> None:
    keeper.load(asking(workshop, ["secret:by-file"]))
    value = bytes(range(256)) * 256
    assert len(value) == 65536
    sources.files["file"].write_bytes(value)
    assert keeper.invoke("asking", "by-file").text == value.decode("latin-1")


def test_every_delivery_is_an_event_that_says_who_got_what_and_how(
    keeper: Daemon, sources: SecretSources, workshop: Workshop
) -> None:
    keeper.load(asking(workshop, ["secret:by-file"]))
    keeper.load(workshop.command("reads", "true\n", permissions=["secret:by-credential", "secret:by-command"]))
    assert deliveries(keeper) == [("asking", "by-file", "file", "file")]
    keeper.invoke("reads", correlation_id="c-1")
    keeper.invoke("asking", "by-file", correlation_id="c-2")
    assert deliveries(keeper)[1:] == [
        ("reads", "by-credential", "credential", "file"), ("reads", "by-command", "command", "file"),
        ("asking", "by-file", "file", "host_call")]
    events = keeper.events(types=["SecretDelivered"])
    assert [event.correlation_id for event in events] == ["", "c-1", "c-1", "c-2"]
    assert events[0].actor == f"uid:{os.geteuid()}" and events[-1].actor == "plugin:asking"
    assert all(event.seq < next(later.seq for later in keeper.events(types=["PluginResult"])
                                if later.correlation_id == event.correlation_id) for event in events[1:])
    audit = keeper.ctl.ok("replay-log", "--audit").text
    assert "give secret" in audit and "by-file from its file, asked for" in audit
    assert "by-command from its command, as a file" in keeper.ctl.ok("replay-log", "--type", "SecretDelivered").text


def test_a_plugin_without_the_grant_gets_nothing(keeper: Daemon, sources: SecretSources, workshop: Workshop) -> None:
    keeper.load(asking(workshop, sources.permissions, "has"))
    keeper.load(asking(workshop, ["secret:by-file"], "lacks"))
    with pytest.raises(wire.Refusal) as refused:
        keeper.invoke("lacks", "by-command")
    assert refused.value.reason == "PLUGIN_ERROR"
    assert 'has no permission "secret:by-command"' in refused.value.message
    with pytest.raises(wire.Refusal) as missing:
        keeper.invoke("lacks", "by-command", operation="file")
    assert "No such file" in missing.value.message
    denied = keeper.events(types=["PermissionDenied"])
    assert [(event.plugin_name, event.permission_denied.permission, event.permission_denied.action)
            for event in denied] == [("lacks", "secret:by-command", "host call secret")]
    keeper.load(workshop.command("bare", "ls -A /run 2>&1; true\n"))
    assert "secrets" not in keeper.invoke("bare").text


def test_a_plugin_that_asks_in_vain_over_and_over_does_not_fill_the_log(keeper: Daemon, workshop: Workshop) -> None:
    keeper.load(asking(workshop, []))
    for _ in range(20):
        with pytest.raises(wire.Refusal):
            keeper.invoke("asking", "by-file")
    assert len(keeper.events(types=["PermissionDenied"])) == 1
    keeper.client.plugins.StopPlugin(plugin="asking")
    assert [event.permission_denied.count for event in keeper.events(types=["PermissionDenied"])] == [1, 19]


def test_granting_and_revoking_at_run_time(keeper: Daemon, sources: SecretSources, workshop: Workshop) -> None:
    """What asks sees it at once; a file comes and goes with the next start, of a command with the next call."""
    keeper.load(asking(workshop, []))
    keeper.load(workshop.command("reads", "cat /run/secrets/by-file 2>&1; true\n"))
    for plugin in ("asking", "reads"):
        keeper.ctl.ok("grant-permission", plugin, "secret:by-file")
    assert keeper.invoke("asking", "by-file").text == sources.values["file"]
    assert keeper.invoke("reads").text == sources.values["file"]
    for plugin in ("asking", "reads"):
        keeper.ctl.ok("revoke-permission", plugin, "secret:by-file")
    with pytest.raises(wire.Refusal):
        keeper.invoke("asking", "by-file")
    assert "No such file" in keeper.invoke("reads").text


def test_the_policy_decides_on_secrets_as_on_everything(
    make_daemon: Callable[..., Daemon], sources: SecretSources, workshop: Workshop
) -> None:
    policy = '\npolicy:\n  - {plugin: "asking", permission: "secret:by-*", allow: true}\n'
    daemon = make_daemon(environment="production", config=sources.config + policy, env=sources.env).start()
    daemon.load(asking(workshop, sources.permissions))
    with pytest.raises(wire.Refusal) as refused:
        daemon.load(asking(workshop, ["secret:by-file"], "other"))
    assert refused.value.reason == "PERMISSION_DENIED"
    assert "secret:by-file" in daemon.ctl.ok("list-permissions").text
    assert "rule 1" in daemon.ctl.ok("explain-permissions", "asking").text
    manifest = workshop.folder / "asking" / "manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"secret:by-command"]', '"secret:by-command", "secret:by-other"]'),
                        encoding="utf-8")
    assert "secret:by-other" in daemon.ctl.refused("reload-plugin", "asking").line


# --- when there is none ---


@pytest.mark.parametrize("runtime", ["python", "command"])
def test_a_plugin_whose_secret_has_no_source_is_not_started(
    make_daemon: Callable[..., Daemon], workshop: Workshop, runtime: str
) -> None:
    daemon = make_daemon().start()
    permissions = ["secret:api-key"]
    folder = (asking(workshop, permissions) if runtime == "python"
              else workshop.command("asking", "true\n", permissions=permissions))
    refused = daemon.ctl.refused("load-plugin", "--manifest", folder / "manifest.toml")
    assert refused.reason == "INVALID_CONFIG" and refused.exit_code == 7
    assert "secret api-key: the daemon's configuration names no source for it" in refused.line
    assert "secrets: {api-key: {file: /PATH}}" in refused.hint
    assert not daemon.client.plugins.ListPlugins().plugins
    assert not daemon.events(types=["SecretDelivered"])


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    os.chown(path, secret_sources.daemon_uid(), -1)
    return path


def link(folder: Path) -> Path:
    (folder / "link").symlink_to(write(folder / "target", "behind a link"))
    return folder / "link"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo", 0o600)
    os.chown(folder / "fifo", secret_sources.daemon_uid(), -1)
    return folder / "fifo"


@pytest.mark.parametrize(("make", "message", "hint"), [
    (lambda folder: write(folder / "open", "everybody's", 0o604), "can be read or written by others", "chmod 600 "),
    (lambda folder: write(folder / "group", "the group's", 0o640), "can be read or written by others", "chmod 600 "),
    (link, "is a symbolic link", "name the file itself"),
    (lambda folder: folder / "missing", "No such file", "write it, or correct the path"),
    (lambda folder: folder, "is not a regular file", ""),
    (fifo, "is not a regular file", ""),
    (lambda folder: write(folder / "empty", ""), "is empty", ""),
    (lambda folder: write(folder / "long", "x" * 65537), "is longer than 65536 bytes", ""),
    (lambda folder: write(folder / "short", " 12345\n"), "shorter than 6 bytes", "longer value"),
])
def test_a_file_that_cannot_be_a_secret_is_refused_with_the_remedy(
    make_daemon: Callable[..., Daemon], sources: SecretSources, workshop: Workshop, make: Callable[[Path], Path],
    message: str, hint: str
) -> None:
    path = make(sources.folder)
    daemon = make_daemon(config=sources.config + f"  bad: {{file: {path}}}\n", env=sources.env).start()
    refused = daemon.ctl.refused("load-plugin", "--manifest", asking(workshop, ["secret:bad"]) / "manifest.toml")
    assert refused.reason == "INVALID_CONFIG"
    assert "secret bad" in refused.line and message in refused.line
    assert hint in refused.hint


@pytest.mark.root_only("a file of somebody else's")
def test_a_file_of_another_user_is_refused(
    make_daemon: Callable[..., Daemon], sources: SecretSources, workshop: Workshop
) -> None:
    path = write(sources.folder / "theirs", "somebody else's")
    daemon = make_daemon(config=sources.config + f"  bad: {{file: {path}}}\n", env=sources.env).start()
    os.chown(path, 4711, -1)
    path.chmod(0o644)
    refused = daemon.ctl.refused("load-plugin", "--manifest", asking(workshop, ["secret:bad"]) / "manifest.toml")
    assert "belongs to user 4711" in refused.line and f"chown {secret_sources.daemon_uid()} {path}" in refused.hint


@pytest.mark.parametrize(("words", "reason", "message"), [
    (["/bin/false"], "LOAD_FAILURE", "ended with exit code 1"),
    (["/bin/sh", "-c", "kill -9 $$"], "LOAD_FAILURE", "was ended by signal 9"),
    (["/bin/true"], "LOAD_FAILURE", "wrote nothing to stdout"),
    (["/bin/echo"], "LOAD_FAILURE", "wrote nothing to stdout"),
    (["/nonexistent"], "INVALID_CONFIG", "cannot be started: No such file"),
    (["/bin/sh", "-c", "head -c 65538 /dev/zero"], "INVALID_CONFIG", "wrote more than 65536 bytes"),
    (["/bin/sh", "-c", "sleep 60 & sleep 60"], "LOAD_FAILURE", "did not end within 300 ms"),
])
def test_a_command_that_gives_no_value(
    make_daemon: Callable[..., Daemon], sources: SecretSources, workshop: Workshop, words: list[str], reason: str,
    message: str
) -> None:
    """What it started is gone with it: the census behind each test sees that."""
    lines = sources.config + f"  bad: {{command: {words!r}, timeout_ms: 300}}\n"
    daemon = make_daemon(config=lines, env=sources.env).start()
    refused = daemon.ctl.refused("load-plugin", "--manifest", asking(workshop, ["secret:bad"]) / "manifest.toml")
    assert refused.reason == reason
    assert "secret bad: its command" in refused.line and message in refused.line


SEEN = """#!/usr/bin/python3 -I
import json, os, signal, sys
def is_open(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
print("not for the log", file=sys.stderr)
print(json.dumps({"descriptors": [fd for fd in range(1024) if is_open(fd)],
                  "environment": sorted(set(os.environ) - {"LC_CTYPE"}), "folder": os.getcwd(),
                  "input": sys.stdin.read(), "no signal blocked": not signal.pthread_sigmask(signal.SIG_BLOCK, []),
                  "leads its group": os.getpgrp() == os.getpid()}))
"""


def test_a_command_has_nothing_of_the_daemons(
    make_daemon: Callable[..., Daemon], sources: SecretSources, workshop: Workshop
) -> None:
    program = write(sources.folder / "program", SEEN, 0o700)
    daemon = make_daemon(config=sources.config + f"  seen: {{command: [{program}]}}\n", env=sources.env).start()
    daemon.load(asking(workshop, ["secret:seen"]))
    assert json.loads(daemon.invoke("asking", "seen").text) == {
        "descriptors": [0, 1, 2], "environment": [], "folder": "/", "input": "", "no signal blocked": True,
        "leads its group": True}


def test_a_secret_that_goes_away_fails_calls_and_comes_back(
    keeper: Daemon, sources: SecretSources, workshop: Workshop
) -> None:
    keeper.load(asking(workshop, ["secret:by-file"]))
    keeper.load(workshop.command("reads", "cat /run/secrets/by-file\n", permissions=["secret:by-file"]))
    sources.files["file"].unlink()
    with pytest.raises(wire.Refusal) as asked:
        keeper.invoke("asking", "by-file")
    assert "INVALID_CONFIG" in str(asked.value.metadata) and "No such file" in asked.value.message
    with pytest.raises(wire.Refusal) as called:
        keeper.invoke("reads")
    assert called.value.reason == "INVALID_CONFIG"
    assert keeper.ctl.refused("restart-plugin", "asking").reason == "INVALID_CONFIG"
    assert keeper.state("asking") == "FAILED"
    value = sources.rotate("file")
    keeper.ctl.ok("start-plugin", "asking")
    assert keeper.invoke("asking", "by-file").text == keeper.invoke("reads").text == value


def test_a_daemon_that_stops_does_not_wait_for_a_command(
    make_daemon: Callable[..., Daemon], sources: SecretSources, workshop: Workshop
) -> None:
    begun = sources.folder / "begun"
    slow = f'  slow: {{command: [/bin/sh, -c, "echo > {begun}; exec sleep 60"], timeout_ms: 60000}}\n'
    sources.folder.chmod(0o777)
    daemon = make_daemon(config=sources.config + slow, env=sources.env).start()
    pending = daemon.client.plugins.later(
        "LoadPlugin", manifest_path=str(asking(workshop, ["secret:slow"]) / "manifest.toml"))
    eventually(begun.exists, "the command runs")
    assert daemon.stop() == 0
    with pytest.raises(wire.Refusal) as refused:
        pending.result()
    assert refused.value.reason == "SHUTTING_DOWN"


def test_a_secret_in_a_file_waits_for_no_command(
    make_daemon: Callable[..., Daemon], sources: SecretSources, workshop: Workshop
) -> None:
    """More of the slow ones wait than there are threads to wait for them."""
    names = [f"slow{number}" for number in range(6)]
    begun = sources.folder / "begun"
    slow = "".join(f'  {name}: {{command: [/bin/sh, -c, "echo > {begun}; exec sleep 60"], timeout_ms: 60000}}\n'
                   for name in names)
    sources.folder.chmod(0o777)
    daemon = make_daemon(config=sources.config + slow, env=sources.env).start()
    pending = [daemon.client.plugins.later(
        "LoadPlugin", manifest_path=str(asking(workshop, [f"secret:{name}"], name) / "manifest.toml"))
        for name in names]
    eventually(begun.exists, "a command runs")
    daemon.load(asking(workshop, ["secret:by-file"]))
    assert daemon.invoke("asking", "by-file").text == sources.values["file"]
    assert daemon.stop() == 0
    for load in pending:
        with pytest.raises(wire.Refusal):
            load.result()


# --- rotation ---


@pytest.mark.parametrize("kind", ["file", "command"])
def test_a_value_that_was_rotated_is_the_next_one_given(
    keeper: Daemon, sources: SecretSources, workshop: Workshop, kind: str
) -> None:
    name = f"secret:by-{kind}"
    keeper.load(asking(workshop, [name]))
    keeper.load(workshop.command("reads", f"cat /run/secrets/by-{kind}\n", permissions=[name]))
    before = sources.values[kind]
    for _ in range(3):
        value = sources.rotate(kind)
        assert keeper.invoke("asking", f"by-{kind}").text == value
        assert keeper.invoke("reads").text == value
    assert keeper.invoke("asking", f"by-{kind}", operation="file").data == before.encode()  # as it was at the start
    keeper.ctl.ok("restart-plugin", "asking")
    assert keeper.invoke("asking", f"by-{kind}", operation="file").data == value.encode()


def test_a_reload_of_the_configuration_changes_sources(
    keeper: Daemon, sources: SecretSources, workshop: Workshop
) -> None:
    keeper.load(asking(workshop, ["secret:by-file"]))
    other = write(sources.folder / "other", "from another file")
    keeper.config.write_text(sources.config.replace(str(sources.files["file"]), str(other)), encoding="utf-8")
    assert "secrets" in keeper.ctl.ok("reload-config").text
    assert keeper.invoke("asking", "by-file").text == "from another file"


# --- the promise: nowhere else ---


def core_places() -> list[Path]:
    """Where this machine's kernel would put a core, as far as that is a folder."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8").strip()
    places = [Path("/var/lib/systemd/coredump"), Path("/var/crash"), Path("/var/lib/apport/coredump")]
    if pattern.startswith("/"):
        places.append(Path(pattern).parent)
    return [place for place in places if place.is_dir()]


def cores() -> set[Path]:
    return {path for place in core_places() for path in place.iterdir()} | set(paths.SPACE.rglob("core*"))


def running(daemon: Daemon) -> list[int]:
    return [daemon.pid, *(process.pid for process in daemon.processes())]


def told_by_processes(daemon: Daemon, values: list[str]) -> list[str]:
    """What anybody with the same user can read of every process there is: its words and its environment."""
    found = []
    for pid in running(daemon):
        for name in ("cmdline", "environ", "comm", "status"):
            try:
                content = Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:  # not ours to read: a secret is not told there
                continue
            found += [f"/proc/{pid}/{name}: {value}" for value in secret_sources.found_in(content, values)]
    return found


def printed_by_client(daemon: Daemon) -> dict[str, bytes]:
    words = [["replay-log"], ["-o", "json", "replay-log"], ["replay-log", "--audit"], ["replay-log", "--summary"],
             ["-o", "jsonl", "replay-log"], ["-o", "cloudevents", "replay-log"],
             ["get-plugin-logs", "asking"], ["get-plugin-logs", "reads"], ["-o", "json", "get-plugin-logs", "asking"],
             ["get-plugin", "asking"], ["-o", "json", "get-plugin", "reads"], ["list-plugins"], ["list-permissions"],
             ["explain-permissions", "asking"], ["get-plugin-health", "asking"]]
    outcomes = [daemon.ctl(*line) for line in words]
    refused = [line for line, outcome in zip(words, outcomes, strict=True) if outcome.exit_code == 2]
    assert not refused, f"not understood: {refused}"
    return {" ".join(line): outcome.out + outcome.err.encode() for line, outcome in zip(words, outcomes, strict=True)}


def say_it_everywhere(daemon: Daemon, values: list[str]) -> None:
    """Each value goes through everything of a call that is kept: input, output, error, log, its end by a crash."""
    told = " ".join(values)
    for kind in KINDS:  # from here on the daemon knows them: what it never gave to anybody it cannot hide
        daemon.invoke("asking", f"by-{kind}")
    assert daemon.invoke("asking", told, operation="all over", correlation_id=values[0]).text == told
    for operation in ("fail", "raise"):
        with pytest.raises(wire.Refusal) as failed:
            daemon.invoke("asking", told, operation=operation)
        assert all(value in failed.value.message for value in values)  # the plugin had them, and its caller too
    assert not secret_sources.found_in(daemon.invoke("asking", operation="environment").text.encode(), values)
    assert told_by_processes(daemon, values) == []
    with pytest.raises(wire.Refusal) as spoken:
        daemon.invoke("reads", told)
    assert values[1] in spoken.value.message
    with pytest.raises(wire.Refusal) as crashed:
        daemon.invoke("reads", "crash")
    assert crashed.value.reason == "PLUGIN_CRASHED"
    with pytest.raises(wire.Refusal) as aborted:
        daemon.invoke("asking", told, operation="crash")
    assert aborted.value.reason == "PLUGIN_CRASHED"


READS = """all=$(cat /run/secrets/by-credential; echo; cat /run/secrets/by-file; echo; cat /run/secrets/by-command)
echo "$all"
echo "$all" >&2
[ "$(cat)" = crash ] || { echo "cannot use $(cat /run/secrets/by-file)" >&2; exit 3; }
ulimit -c unlimited
kill -ABRT $$
"""


def test_a_full_search_finds_no_secret(keeper: Daemon, sources: SecretSources, workshop: Workshop) -> None:
    before = cores()
    keeper.load(asking(workshop, sources.permissions))
    keeper.load(workshop.command("reads", READS, permissions=sources.permissions))
    values = [sources.values[kind] for kind in KINDS]
    say_it_everywhere(keeper, values)
    keeper.wait_state("asking", "RUNNING")
    values += [sources.rotate(kind) for kind in KINDS]
    say_it_everywhere(keeper, values[3:])
    printed = printed_by_client(keeper)
    assert {words: found for words, text in printed.items() if (found := secret_sources.found_in(text, values))} == {}
    assert sum(text.count(b"[secret]") for text in printed.values()) > 20  # the search looked where they would be
    assert told_by_processes(keeper, values) == []
    own = [*sources.files.values()]
    assert secret_sources.files_holding(paths.SPACE, values, own) == []
    keeper.restart()  # with a snapshot, and what a start reads of the log
    assert secret_sources.files_holding(paths.SPACE, values, own) == []
    assert cores() == before


def test_the_search_would_find_one(tmp_path: Path) -> None:
    """The other side of the promise's test: what is there is found, however it is spelled."""
    value = "canary-0123456789abcdef"
    for number, content in enumerate([value.encode(), value.encode().hex().encode(), base64.b64encode(value.encode()),
                                      base64.b64encode(b"user:" + value.encode())]):
        (tmp_path / f"file{number}").write_bytes(b"before " + content + b" after")
    assert len(secret_sources.files_holding(tmp_path, [value], [])) == 4
    shutil.rmtree(tmp_path)


def test_the_daemon_leaves_no_core(keeper: Daemon) -> None:
    """Its memory held what plugins said and were given."""
    before = cores()
    limits = Path(f"/proc/{keeper.pid}/limits").read_text(encoding="utf-8")
    soft, hard = next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4:6]
    assert {soft, hard} <= {"0", "1"}
    assert Path(f"/proc/{keeper.pid}/mem").stat().st_uid == 0  # of a process that may be looked into it is its user's
    assert keeper.process is not None
    keeper.process.send_signal(signal.SIGABRT)
    assert keeper.wait() == -signal.SIGABRT
    assert cores() == before


def test_the_state_of_a_plugin_that_was_restarted(keeper: Daemon, sources: SecretSources, workshop: Workshop) -> None:
    """After a crash of the daemon its plugins get their secrets again, as they are then."""
    keeper.load(asking(workshop, ["secret:by-file"]))
    keeper.kill()
    value = sources.rotate("file")
    keeper.start()
    assert state_name(keeper.wait_state("asking", "RUNNING")) == "RUNNING"
    assert keeper.invoke("asking", "by-file", operation="file").data == value.encode()
