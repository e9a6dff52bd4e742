"""What a plugin sees from inside: itself, its folder, what it was granted, and nothing of the host."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import paths, wire
from harness.daemon import Daemon
from harness.workshop import Workshop

PROBES = ["probe", "probe_python"]
NR_GETPID, NR_PTRACE, NR_MOUNT, NR_UNSHARE, NR_BPF, NR_KEYCTL = 39, 101, 165, 272, 321, 250
CLONE_NEWUSER = 0x10000000


def ask(daemon: Daemon, name: str, operation: str, text: str = "") -> str:
    return str(daemon.invoke(name.replace("_", "-"), text, operation=operation).text)


@pytest.mark.parametrize("name", PROBES)
def test_it_has_no_capability_cannot_gain_any_and_is_filtered(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    status = dict(line.split(":\t", 1) for line in ask(daemon, name, "status").splitlines() if ":\t" in line)
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[field], 16) == 0, field
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


@pytest.mark.parametrize("name", PROBES)
def test_it_has_the_five_descriptors_and_no_other(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    descriptors = dict(line.split(" -> ") for line in ask(daemon, name, "fds").splitlines())
    assert sorted(descriptors, key=int) == ["0", "1", "2", "3", "4"]
    assert descriptors["0"] == "/dev/null"
    assert all(descriptors[number].startswith("pipe:") for number in "1234")


@pytest.mark.parametrize("name", PROBES)
def test_the_daemons_environment_is_not_its_own(make_daemon: Callable[..., Daemon], name: str) -> None:
    daemon = make_daemon(env={"LIONGATE_TEST_SECRET": "swordfish"}).start()
    daemon.load(name)
    variables = ask(daemon, name, "environ")
    assert "swordfish" not in variables
    names = {line.split("=")[0] for line in variables.splitlines()}
    assert names <= {"PATH", "HOME", "LANG", "TZ", "LC_CTYPE", "PWD"}, names


@pytest.mark.parametrize("name", PROBES)
def test_no_host_file_is_there(daemon: Daemon, name: str) -> None:
    secret = paths.SPACE / "secret"
    secret.write_text("swordfish", encoding="utf-8")
    daemon.load(name)
    for path in [secret, daemon.socket, daemon.state_dir, "/etc/shadow", "/root", "/var/lib", "/run",
                 paths.LIONGATED, f"/proc/{daemon.pid}/environ"]:
        answer = ask(daemon, name, "files", str(path))
        assert answer in ("ENOENT", "EACCES"), f"{path}: {answer}"


@pytest.mark.parametrize("name", PROBES)
def test_its_root_holds_little(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    names = set(ask(daemon, name, "list", "/").split())
    assert {"plugin", "tmp", "proc", "dev"} <= names
    assert names <= {"plugin", "tmp", "proc", "dev", "etc", "usr", "lib", "lib64", "liongate"}, names


@pytest.mark.parametrize("name", PROBES)
def test_it_cannot_write_but_in_its_own_tmp(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    for path in ["/plugin/x", "/x", "/dev/x", "/proc/sys/kernel/hostname", "/etc/x", "/usr/x"]:
        assert ask(daemon, name, "write", path) in ("EROFS", "EACCES", "ENOENT", "EPERM"), path
    assert ask(daemon, name, "write", "/tmp/x") == "written"
    assert not (Path("/tmp") / "x").exists()


def test_it_sees_no_process_but_its_own(daemon: Daemon) -> None:
    daemon.load("probe")
    seen = [line.split() for line in ask(daemon, "probe", "processes").splitlines()]
    assert len(seen) <= 2
    assert {int(words[0]) for words in seen} <= {1, 2}


@pytest.mark.parametrize("name", PROBES)
def test_there_is_no_network(daemon: Daemon, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        daemon.load(name)
        lines = ask(daemon, name, "network", f"127.0.0.1:{server.getsockname()[1]}")
    assert "connected" not in lines.replace("connected: ", "")
    assert "made" not in [line.rsplit(" ", 1)[-1] for line in lines.splitlines() if "inet" in line]


def test_it_does_not_know_the_hosts_name(daemon: Daemon) -> None:
    daemon.load("probe")
    assert ask(daemon, "probe", "files", "/proc/sys/kernel/hostname").strip() in ("probe", "EACCES", "ENOENT")


def test_it_is_an_ordinary_user_without_groups(daemon: Daemon) -> None:
    daemon.load("probe")
    words = ask(daemon, "probe", "ids").split()
    assert words[:4] == ["uid", "1000", "gid", "1000"]
    if os.geteuid() == 0:
        assert words == ["uid", "1000", "gid", "1000", "groups"]


@pytest.mark.root_only("only root's launcher can give plugins host users of their own")
def test_as_root_it_is_not_root_outside_either(daemon: Daemon) -> None:
    plugin = daemon.load("probe")
    status = Path(f"/proc/{plugin.pid}/status").read_text(encoding="utf-8")
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in uids


@pytest.mark.parametrize("number", [NR_PTRACE, NR_MOUNT, NR_BPF, NR_KEYCTL])
def test_doors_into_the_kernel_are_shut(daemon: Daemon, number: int) -> None:
    plugin = daemon.load("probe")
    answer = daemon.invoke_later("probe", str(number), operation="syscall").outcome()
    if isinstance(answer, wire.Refusal):
        assert answer.reason == "PLUGIN_CRASHED", answer
    else:
        assert answer.text in ("EPERM", "ENOSYS", "EACCES"), answer.text
        assert daemon.get("probe").instance_id == plugin.instance_id


def test_it_cannot_make_namespaces(daemon: Daemon) -> None:
    daemon.load("probe")
    answer = daemon.invoke_later("probe", f"{NR_UNSHARE},{CLONE_NEWUSER}", operation="syscall").outcome()
    assert isinstance(answer, wire.Refusal) or answer.text in ("EPERM", "ENOSYS", "EINVAL", "ENOSPC")


def test_a_harmless_system_call_works(daemon: Daemon) -> None:
    daemon.load("probe")
    assert ask(daemon, "probe", "syscall", str(NR_GETPID)) == "2"


@pytest.mark.parametrize("name", PROBES)
def test_threads_are_always_allowed(daemon: Daemon, name: str) -> None:
    daemon.load(name)
    assert ask(daemon, name, "threads") == "started"


# --- grants ---

def granted(daemon: Daemon, workshop: Workshop, permissions: list[str], name: str = "probe") -> None:
    daemon.load(workshop.with_permissions(name, permissions))


def test_process_starts_are_refused_without_the_permission(daemon: Daemon) -> None:
    daemon.load("probe")
    assert ask(daemon, "probe", "fork") in ("EPERM", "EAGAIN", "ENOSYS", "EACCES")


@pytest.mark.parametrize("name", PROBES)
def test_process_allows_to_fork(daemon: Daemon, workshop: Workshop, name: str) -> None:
    granted(daemon, workshop, ["process"], name)
    assert ask(daemon, name, "fork") == "forked"


@pytest.fixture
def shared(workshop: Workshop) -> Path:
    folder = workshop.folder / "shared"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("from the host", encoding="utf-8")
    return folder


def test_fs_read_shows_a_folder_at_its_own_path_and_read_only(daemon: Daemon, workshop: Workshop,
                                                              shared: Path) -> None:
    granted(daemon, workshop, [f"fs_read:{shared}"])
    assert ask(daemon, "probe", "files", str(shared / "file")) == "from the host"
    assert ask(daemon, "probe", "write", str(shared / "file")) in ("EROFS", "EACCES")
    assert ask(daemon, "probe", "write", str(shared / "new")) in ("EROFS", "EACCES")
    assert (shared / "file").read_text(encoding="utf-8") == "from the host"


def test_fs_read_of_one_file_shows_no_other(daemon: Daemon, workshop: Workshop, shared: Path) -> None:
    (shared / "other").write_text("not this", encoding="utf-8")
    granted(daemon, workshop, [f"fs_read:{shared / 'file'}"])
    assert ask(daemon, "probe", "files", str(shared / "file")) == "from the host"
    assert ask(daemon, "probe", "files", str(shared / "other")) == "ENOENT"


def test_fs_write_lets_it_write_and_the_host_see_it(daemon: Daemon, workshop: Workshop, shared: Path) -> None:
    granted(daemon, workshop, [f"fs_write:{shared}"])
    assert ask(daemon, "probe", "files", str(shared / "file")) == "from the host"
    assert ask(daemon, "probe", "write", str(shared / "new")) == "written"
    assert (shared / "new").read_text(encoding="utf-8") == "probe\n"
    assert (shared / "new").stat().st_uid == os.geteuid()


def test_a_grant_does_not_follow_links_out_of_it(daemon: Daemon, workshop: Workshop, shared: Path) -> None:
    (shared / "out").symlink_to("/etc/shadow")
    granted(daemon, workshop, [f"fs_read:{shared}"])
    assert ask(daemon, "probe", "files", str(shared / "out")) in ("ENOENT", "EACCES")


def test_a_grant_of_what_is_not_there_fails_the_load(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.with_permissions("probe", ["fs_read:/no/such/folder"])
    with pytest.raises(wire.Refusal) as refused:
        daemon.load(folder)
    assert "/no/such/folder" in refused.value.message
    assert not daemon.client.plugins.ListPlugins().plugins


def test_env_passes_the_one_variable_that_is_named(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(env={"LIONGATE_TEST_VALUE": "granted", "LIONGATE_TEST_OTHER": "not"}).start()
    daemon.load("env_reader")
    assert daemon.invoke("env-reader", "LIONGATE_TEST_VALUE").text == "granted"
    with wire.refused("PLUGIN_ERROR"):
        daemon.invoke("env-reader", "LIONGATE_TEST_OTHER")


def test_a_command_may_start_processes_and_sees_no_more(daemon: Daemon, workshop: Workshop) -> None:
    script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status\nls /root /home 2>&1\nid -u\n"
    daemon.load(workshop.command("look", script))
    lines = daemon.invoke_later("look").outcome()
    # `ls` of what is not there makes the last status irrelevant: id -u ends the script with 0.
    text = lines.text
    assert "CapEff:\t0000000000000000" in text and "CapBnd:\t0000000000000000" in text
    assert "NoNewPrivs:\t1" in text and "Seccomp:\t2" in text
    assert text.count("cannot") == 2
    assert text.splitlines()[-1] == "1000"


def test_get_plugin_shows_what_confines_it_and_where_its_start_spent_the_time(daemon: Daemon) -> None:
    daemon.load("hello")
    posture = daemon.ctl.ok("get-plugin", "hello", "-o", "json").json()["plugin"]["posture"]
    assert {row["state"] for row in posture["mechanisms"]} <= {"active", "absent", "not_applicable"}
    assert all(row["detail"] for row in posture["mechanisms"] if row["state"] != "active")
    steps = {step["step"]: step["duration_us"] for step in posture["steps"]}
    assert steps["create the namespaces"] > 0
    assert "all other steps" in steps
    text = daemon.ctl.ok("get-plugin", "hello").text
    for words in ("CONFINED BY", "landlock", "STEP OF THE START", "create the namespaces"):
        assert words in text
    recorded = daemon.events(types=["SandboxPosture"])[-1].sandbox_posture.posture
    assert [row.name for row in recorded.mechanisms] == [row["name"] for row in posture["mechanisms"]]
    assert len(recorded.steps) == len(posture["steps"])
