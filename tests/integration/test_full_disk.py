"""A real full disk and a real read-only file system below the log: a small tmpfs that is filled and emptied again."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, DidNotStart
from harness.waiting import eventually

DISK_BYTES = 40 * 1024 * 1024
EXT4_BYTES = 128 * 1024 * 1024
INPUT = "i" * 60_000  # stored whole, so that a call needs room in the log
CALLS_MAX = 2000
RECOVERS_WITHIN_S = 10.0

pytestmark = pytest.mark.root_only("mounts a tmpfs")


def mount(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *words], capture_output=True, text=True, check=False)


class Disk:
    """The file system below a daemon's state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self) -> None:
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(b"b" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def make_room(self) -> None:
        self.ballast.unlink()

    def remount(self, mode: str) -> subprocess.CompletedProcess[str]:
        return mount("-o", f"remount,{mode}", str(self.folder))


@pytest.fixture
def small(make_daemon: Callable[..., Daemon]) -> Iterator[tuple[Daemon, Disk]]:
    """A daemon, not started, whose state lies on a file system of its own."""
    daemon = make_daemon()
    daemon.state_dir.mkdir(mode=0o700)
    mounted = mount("-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "liongate-test", str(daemon.state_dir))
    if mounted.returncode != 0:
        pytest.skip(f"this host lets root mount no tmpfs: {mounted.stderr.strip()}")
    disk = Disk(daemon.state_dir)
    try:
        yield daemon, disk
        disk.remount("rw")
        if daemon.process is not None:
            daemon.disconnect()
            assert daemon.stop() == 0, daemon.log_text()
        verified = command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir)
        assert verified.exit_code == 0, verified.text
    finally:
        if daemon.process is not None:
            daemon.kill()
        subprocess.run(["umount", str(daemon.state_dir)], check=True)


def call_until_refused(daemon: Daemon) -> tuple[int, wire.Refusal]:
    """Fills what was written ahead; returns how many calls that took, and what the next one was told."""
    for done in range(CALLS_MAX):
        outcome = daemon.invoke_later("hello", INPUT).outcome()
        if isinstance(outcome, wire.Refusal):
            return done, outcome
    raise AssertionError(f"{CALLS_MAX} calls went into a full disk")


def test_a_full_disk_is_a_state_that_ends(small: tuple[Daemon, Disk]) -> None:
    daemon, disk = small
    daemon.start()
    daemon.load("hello")
    daemon.load("slow")
    pids = {name: daemon.get(name).pid for name in ("hello", "slow")}
    running = daemon.invoke_later("slow", "60000", correlation_id="under way")
    eventually(lambda: daemon.get("slow").statistics.calls_running == 1, "the slow call runs")
    daemon.invoke("hello", "before", correlation_id="before")
    disk.fill()

    # New work is refused, with the reason and what to do.
    _, refusal = call_until_refused(daemon)
    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "LOG_READ_ONLY")
    refused = daemon.ctl.refused("invoke-plugin", "hello", "--input", "x")
    assert refused.exit_code == 9
    assert refused.reason == "LOG_READ_ONLY"
    assert "free space" in refused.hint
    loading = daemon.ctl.refused("load-plugin", "--manifest", paths.PLUGINS / "echo" / "manifest.toml")
    assert loading.reason == "LOG_READ_ONLY" and "free space" in loading.hint
    assert daemon.status().log_read_only
    assert "read-only" in daemon.ctl.ok("get-status").text

    # Reads go on, plugins live, and what was under way ends, its end durable: that is what the reserve is for.
    assert [event.type for event in daemon.events_on_disk(correlation_id="before")] == ["PluginInvoked", "PluginResult"]
    assert daemon.ctl.ok("verify-log").text.startswith("intact")
    assert {name: daemon.get(name).pid for name in pids} == pids
    assert not running.done()
    running.cancel()
    ended = daemon.wait_event("PluginError", correlation_id="under way")
    assert ended.plugin_error.reason == "CANCELLED"
    assert eventually(lambda: daemon.status().durable_seq >= ended.seq or None, "its end is on disk")

    # Space returns, and nobody has to do anything.
    disk.make_room()
    eventually(lambda: not daemon.status().log_read_only or None, "the log takes events again", RECOVERS_WITHIN_S)
    assert daemon.invoke("hello", "after").text == "Hello from hello: after"
    assert {name: daemon.get(name).pid for name in pids} == pids
    events = daemon.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_a_daemon_killed_on_a_full_disk_recovers_there(small: tuple[Daemon, Disk]) -> None:
    daemon, disk = small
    daemon.start()
    daemon.load("hello")
    disk.fill()
    done, _ = call_until_refused(daemon)
    durable = daemon.status().durable_seq
    daemon.kill()
    disk.make_room()
    daemon.start()
    events = daemon.events()
    assert len(events) >= durable
    assert len([event for event in events if event.type == "PluginResult"]) >= done


def test_a_daemon_stopped_on_a_full_disk_seals_its_log(small: tuple[Daemon, Disk]) -> None:
    daemon, disk = small
    daemon.start()
    daemon.load("hello")
    disk.fill()
    call_until_refused(daemon)
    daemon.disconnect()
    assert daemon.stop() == 0, daemon.log_text()
    assert command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir).text.startswith("intact")


def test_a_start_on_a_file_system_that_is_read_only_says_so(small: tuple[Daemon, Disk]) -> None:
    daemon, disk = small
    daemon.start()
    daemon.load("hello")
    daemon.invoke("hello", "x")
    daemon.disconnect()
    assert daemon.stop() == 0
    assert disk.remount("ro").returncode == 0
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 1
    assert "Read-only file system" in refused.value.log
    assert "hint: " in refused.value.log
    # What is there can be read and checked all the same.
    verified = command_line.run(paths.LIONGATECTL, "verify-log", "--state-dir", daemon.state_dir)
    assert (verified.exit_code, verified.text.split(":")[0]) == (0, "intact")
    assert disk.remount("rw").returncode == 0
    daemon.start()
    assert daemon.invoke("hello", "y").text == "Hello from hello: y"


def test_a_log_that_is_written_cannot_be_made_read_only_below_the_daemon(small: tuple[Daemon, Disk]) -> None:
    """The kernel refuses a remount while a file is open for writing; the daemon notices nothing of the attempt."""
    daemon, disk = small
    daemon.start()
    daemon.load("hello")
    attempted = disk.remount("ro")
    assert attempted.returncode != 0 and "busy" in attempted.stderr
    assert daemon.invoke("hello", "x").text == "Hello from hello: x"


@pytest.fixture
def failing(make_daemon: Callable[..., Daemon]) -> Iterator[tuple[Daemon, str]]:
    """A daemon, not started, whose state lies on an ext4 that becomes read-only when it finds an error; its device."""
    daemon = make_daemon()
    image = paths.TMPDIR / f"{daemon.state_dir.parent.name}.ext4"
    with open(image, "wb") as file:
        file.truncate(EXT4_BYTES)
    daemon.state_dir.mkdir(mode=0o700)
    try:
        made = subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, text=True, check=False)
        mounted = mount("-o", "loop,errors=remount-ro", str(image), str(daemon.state_dir))
        if made.returncode != 0 or mounted.returncode != 0:
            pytest.skip(f"this host mounts no ext4 from a file: {made.stderr.strip() or mounted.stderr.strip()}")
        source = subprocess.run(["findmnt", "-n", "-o", "SOURCE", str(daemon.state_dir)], capture_output=True,
                                text=True, check=True)
        device = Path(source.stdout.strip()).name
        if not Path(f"/sys/fs/ext4/{device}/trigger_fs_error").exists():
            pytest.skip("this kernel's ext4 cannot be told to find an error")
        daemon.state_dir.chmod(0o700)
        yield daemon, device
    finally:
        if daemon.process is not None:
            daemon.kill()
        subprocess.run(["umount", "-q", str(daemon.state_dir)], check=False)
        image.unlink()


def test_a_file_system_that_becomes_read_only_below_the_daemon_ends_it_and_loses_nothing(
    failing: tuple[Daemon, str],
) -> None:
    """What `errors=remount-ro` does when a disk begins to fail: the one remount that open files do not prevent."""
    daemon, device = failing
    daemon.start()
    plugin_id = daemon.load("hello").plugin_id
    acknowledged = [daemon.invoke("hello", str(number)).execution_id for number in range(20)]
    Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("a test", encoding="ascii")
    refusal = daemon.invoke_later("hello", "too late").outcome()
    assert isinstance(refusal, wire.Refusal)
    daemon.disconnect()
    assert daemon.wait() == 1
    last = daemon.log_text()
    assert "Read-only file system" in last and str(daemon.state_dir / "log") in last
    # It stays down while the file system is as it is, and says why.
    with pytest.raises(DidNotStart) as refused:
        daemon.start()
    assert refused.value.exit_code == 1
    assert "Read-only file system" in refused.value.log and "hint: " in refused.value.log
    # An administrator mounts it anew.
    source = subprocess.run(["umount", str(daemon.state_dir)], capture_output=True, text=True, check=False)
    assert source.returncode == 0, source.stderr
    image = paths.TMPDIR / f"{daemon.state_dir.parent.name}.ext4"
    subprocess.run(["e2fsck", "-p", "-f", str(image)], capture_output=True, check=False)
    assert mount("-o", "loop", str(image), str(daemon.state_dir)).returncode == 0
    daemon.start()
    assert daemon.wait_state("hello", "RUNNING").plugin_id == plugin_id
    kept = [event.plugin_result.execution_id for event in daemon.events() if event.type == "PluginResult"]
    assert [execution for execution in acknowledged if kept.count(execution) != 1] == []
    assert command_line.run(paths.LIONGATECTL, "--socket", daemon.socket, "verify-log").text.startswith("intact")
    daemon.disconnect()
    assert daemon.stop() == 0
