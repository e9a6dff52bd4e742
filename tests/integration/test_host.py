"""Hosts of other kinds: one that refuses a namespace, one that has a user for the service. Each is this machine with
one thing changed, inside namespaces of the test's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import paths, wire
from harness.daemon import Daemon, DidNotStart

NAMESPACES = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]
SERVICE_USER, SERVICE_UID = "liongate", 987


def can_run(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True, timeout=30).returncode == 0


def others_can_reach(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


# --- a host that refuses ---

@pytest.fixture(params=NAMESPACES)
def host_without(request: pytest.FixtureRequest, make_daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon on a host that has no such namespace to give."""
    refuse = f"echo 0 > /proc/sys/user/max_{request.param}_namespaces"
    if not can_run("unshare", "-Urm", "sh", "-c", refuse):
        pytest.skip("this user may not make a user namespace and set its limits")
    return make_daemon(prefix=["unshare", "-Urm", "sh", "-c", f'{refuse} && exec "$@"', "sh"]).start()


def test_a_host_without_a_namespace_refuses_the_load_and_says_which_step(host_without: Daemon) -> None:
    with wire.refused("SANDBOX_UNAVAILABLE") as refusals:
        host_without.load("hello")
    assert refusals[0].metadata["step"] and refusals[0].metadata["step"] in refusals[0].message
    assert not host_without.client.plugins.ListPlugins().plugins
    failed = host_without.events(types=["PluginLoadFailed"])
    assert [event.plugin_load_failed.reason for event in failed] == ["SANDBOX_UNAVAILABLE"]


def test_check_host_names_what_such_a_host_lacks(host_without: Daemon) -> None:
    report = host_without.client.system.CheckHost()
    assert not report.can_confine
    lacking = [mechanism for mechanism in report.mechanisms if mechanism.mandatory and mechanism.state == "missing"]
    assert lacking and all(mechanism.reason for mechanism in lacking)


def test_the_command_line_says_so_with_exit_code_9(host_without: Daemon) -> None:
    error = host_without.ctl.refused("load-plugin", "--manifest", paths.PLUGINS / "hello/manifest.toml")
    assert (error.exit_code, error.reason) == (9, "SANDBOX_UNAVAILABLE")
    assert "check-host" in error.hint


# --- a user whose groups are as good as root ---

DISK, NOBODY = 6, 65534


def with_group_disk(make_daemon: Callable[..., Daemon], config: str = "") -> Daemon:
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={DISK}"]
    daemon = make_daemon(config=config, prefix=prefix)
    for path in (daemon.folder, daemon.config, daemon.log_path):
        if path.exists():
            shutil.chown(path, NOBODY, NOBODY)
    if not others_can_reach(paths.LIONGATED):
        pytest.skip("the clone lies in a folder of root's alone: another user cannot run its programs")
    return daemon


@pytest.mark.root_only("it becomes a user with a group of the test's choice")
def test_a_rootless_daemon_does_not_start_with_groups_that_plugins_keep(make_daemon: Callable[..., Daemon]) -> None:
    daemon = with_group_disk(make_daemon)
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 9
    for word in ("disk", "SANDBOX_UNAVAILABLE", "hint: ", "allow_degraded: [ordinary_groups]"):
        assert word in refused.value.log
    checked = subprocess.run([*daemon.prefix, str(paths.LIONGATED), "--config", str(daemon.config), "--check-host"],
                             check=False, capture_output=True, timeout=60, text=True)
    assert checked.returncode == 9
    assert "ordinary groups        missing    yes" in checked.stdout
    assert "this host CANNOT confine plugins" in checked.stdout


@pytest.mark.root_only("it becomes a user with a group of the test's choice")
def test_the_operator_may_accept_such_groups_and_the_posture_says_so(make_daemon: Callable[..., Daemon]) -> None:
    daemon = with_group_disk(make_daemon, "allow_degraded: [ordinary_groups]\n").start()
    posture = {row.name: row for row in daemon.load("hello").posture.mechanisms}
    assert posture["ordinary groups"].state == "absent"
    assert posture["ordinary groups"].detail == "keeps disk; accepted by allow_degraded"


def test_every_mechanism_that_may_be_missing_is_a_row_of_the_posture(daemon: Daemon) -> None:
    complaint = subprocess.run([str(paths.LIONGATED), "--check-config", "--config", "/dev/stdin"], check=False,
                               input="allow_degraded: [nothing]\n", capture_output=True, timeout=60, text=True).stderr
    names = complaint.split("name some of ")[1].splitlines()[0].split(" (")[0].split(", ")
    rows = {row.name.replace(" ", "_").replace("-", "_") for row in daemon.load("hello").posture.mechanisms}
    assert len(names) > 8 and set(names) <= rows


# --- a host with the service's own user ---

@pytest.fixture
def service_host(tmp_path: Path, make_daemon: Callable[..., Daemon]) -> Daemon:
    for name, line in (("passwd", f"{SERVICE_USER}:x:{SERVICE_UID}:{SERVICE_UID}::/nonexistent:/usr/sbin/nologin\n"),
                       ("group", f"{SERVICE_USER}:x:{SERVICE_UID}:\n")):
        shutil.copyfile(f"/etc/{name}", tmp_path / name)
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(line)
    tmp_path.chmod(0o755)
    # Private to the daemon's mount namespace: the machine's own files stay as they are.
    mounts = " && ".join(f"mount --bind {tmp_path}/{name} /etc/{name}" for name in ("passwd", "group"))
    if not can_run("unshare", "-m", "sh", "-c", mounts):
        pytest.skip("mounts in a namespace of its own are refused here")
    return make_daemon(prefix=["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]).start()


def uids_of(pid: int) -> set[int]:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("Uid:"):
            return {int(word) for word in line.split()[1:]}
    raise AssertionError(f"process {pid} has no uid")


@pytest.mark.root_only("the daemon becomes another user")
def test_started_as_root_the_daemon_becomes_the_service_user(service_host: Daemon) -> None:
    assert uids_of(service_host.pid) == {SERVICE_UID}
    for path in [service_host.state_dir, service_host.socket, *service_host.state_dir.rglob("*")]:
        assert path.lstat().st_uid == SERVICE_UID, path


@pytest.mark.root_only("the daemon becomes another user")
@pytest.mark.parametrize("plugin", ["hello", "hello-python", "hello-command"])
def test_plugins_run_under_the_service_user_s_daemon(service_host: Daemon, plugin: str) -> None:
    if plugin == "hello-python" and not others_can_reach(paths.LIONGATED):
        pytest.skip("the clone lies in a folder of root's alone: the service user does not find the Python SDK there")
    service_host.load(plugin)
    assert "test" in service_host.invoke(plugin, "test").text
    assert not {uid for pid in service_host.sandbox_pids() for uid in uids_of(pid)} & {0, SERVICE_UID}


@pytest.mark.root_only("the daemon becomes another user")
def test_the_service_user_s_state_survives_a_kill(service_host: Daemon) -> None:
    plugin_id = service_host.load("hello").plugin_id
    service_host.disconnect()
    service_host.kill()
    service_host.start()
    assert service_host.wait_state("hello", "RUNNING").plugin_id == plugin_id
    assert uids_of(service_host.pid) == {SERVICE_UID}


@pytest.mark.root_only("the daemon becomes another user")
def test_state_that_root_wrote_is_handed_over(service_host: Daemon, tmp_path: Path) -> None:
    service_host.load("hello")
    service_host.disconnect()
    assert service_host.stop() == 0
    for path in service_host.state_dir.rglob("*"):
        shutil.chown(path, 0, 0)
    service_host.start()
    service_host.wait_state("hello", "RUNNING")


@pytest.mark.root_only("the daemon becomes another user")
def test_what_the_service_user_linked_into_its_state_is_not_handed_over(service_host: Daemon) -> None:
    service_host.disconnect()
    assert service_host.stop() == 0
    precious = service_host.folder / "precious"
    precious.write_text("root's own", encoding="utf-8")
    (service_host.state_dir / "soft").symlink_to(precious)
    service_host.start()
    assert precious.stat().st_uid == 0
    assert service_host.stop() == 0
    (service_host.state_dir / "hard").hardlink_to(precious)
    with pytest.raises(DidNotStart, match="is a hard link"):
        service_host.start()
    assert precious.stat().st_uid == 0


@pytest.mark.root_only("the daemon becomes another user")
def test_a_state_folder_nested_beyond_the_bound_is_not_handed_over(service_host: Daemon) -> None:
    service_host.disconnect()
    assert service_host.stop() == 0
    depth_max = 8  # kStateDepthMax in daemon/privileges.cpp
    innermost = service_host.state_dir.joinpath(*["d"] * depth_max)
    innermost.mkdir(parents=True)
    service_host.start()
    assert innermost.stat().st_uid == SERVICE_UID
    assert service_host.stop() == 0
    (innermost / "d").mkdir()
    with pytest.raises(DidNotStart, match="nested too deeply"):
        service_host.start()
