"""Each limit of a manifest, met by a plugin: what is refused or ended, who is told, and what the event says.

Where the daemon has no control groups some limits are told by the kernel to the program alone (an errno): then the
program's own words are what a test can hold it to. The same limits under control groups are proved in a virtual machine
(`make test-vm`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import command_line, paths, wire
from harness.daemon import Daemon, default_config
from harness.workshop import Workshop, edit, replaced_line

MIB = 1024 * 1024


def has_cgroups(daemon: Daemon, plugin: str) -> bool:
    return any(one.name == "cgroup limits" and one.state == "active" for one in daemon.get(plugin).posture.mechanisms)


def limits(**values: int) -> str:
    return "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())


def last_error(daemon: Daemon, plugin: str) -> Any:
    """What the log says of the last call that failed."""
    return daemon.events(types=["PluginError"], plugin=plugin)[-1].plugin_error


def exceeded(daemon: Daemon, plugin: str, limit: str, value: int, refusal: wire.Refusal) -> Any:
    """The caller and the log are told the same: which limit, how much it is, how much was used."""
    assert (refusal.reason, refusal.code) == ("LIMIT_EXCEEDED", "ABORTED"), refusal
    assert refusal.metadata["limit"] == limit
    assert refusal.metadata["limit_value"] == str(value)
    assert int(refusal.metadata["used"]) > 0
    error = last_error(daemon, plugin)
    assert error.reason == "LIMIT_EXCEEDED"
    for key in ("limit", "limit_value", "used"):
        assert error.metadata[key] == refusal.metadata[key]
    return error


def refused_call(daemon: Daemon, plugin: str, text: str = "", **fields: Any) -> wire.Refusal:
    outcome = daemon.invoke_later(plugin, text, **fields).outcome()
    assert isinstance(outcome, wire.Refusal), f"it was answered: {outcome}"
    return outcome


# --- CPU time ---

def test_cpu_time_of_a_call(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("spinner", limits(cpu_time_ms_max=200)))
    error = exceeded(daemon, "spinner", "cpu_time_ms_max", 200, refused_call(daemon, "spinner"))
    assert error.figures.cpu_time_ms >= 200
    assert error.figures.memory_peak_bytes > 100_000


def test_cpu_time_of_a_command(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("busy", "while :; do :; done\n", more=limits(cpu_time_ms_max=1000)))
    error = exceeded(daemon, "busy", "cpu_time_ms_max", 1000, refused_call(daemon, "busy"))
    assert error.figures.cpu_time_ms >= 900, "the limit counts ticks, the figure is exact"


def test_calls_that_overlap_in_one_process_share_its_cpu_time(daemon: Daemon, workshop: Workshop) -> None:
    """The kernel counts by process: an idle call beside a spinner is charged half, and alone nothing."""
    daemon.load(workshop.with_lines("spinner", limits(cpu_time_ms_max=60_000)))
    first = daemon.invoke_later("spinner", "600")
    second = daemon.invoke_later("spinner", "600")
    replies = [first.result(), second.result()]
    total = sum(reply.cpu_time_ms for reply in replies)
    threads_ran_s = 2 * 0.6
    assert total <= threads_ran_s * 1000 * 1.2, "the parts add up to what was used, and no more"
    assert daemon.invoke("spinner", "0").cpu_time_ms < 20


def test_a_call_that_did_not_exceed_its_cpu_time_is_told_that_another_did(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("spinner", limits(cpu_time_ms_max=1600)))
    spinning = daemon.invoke_later("spinner")
    daemon.wait_event("PluginInvoked", plugin="spinner")
    # The first is ahead by this much, which is more than is used between two looks.
    assert daemon.invoke("spinner", "600").text == "spun"
    late = daemon.invoke_later("spinner")
    assert spinning.outcome().reason == "LIMIT_EXCEEDED"
    refusal = late.outcome()
    assert refusal.reason == "PLUGIN_CRASHED", refusal
    assert "another of its calls exceeded cpu_time_ms_max" in refusal.message


# --- wall time ---

def test_wall_time(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("slow", limits(wall_time_ms_max=200)))
    error = exceeded(daemon, "slow", "wall_time_ms_max", 200, refused_call(daemon, "slow", "60000"))
    assert error.figures.execution_time_ms >= 190


def test_wall_time_of_a_command(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("sleepy", "sleep 60\n", more=limits(wall_time_ms_max=200)))
    exceeded(daemon, "sleepy", "wall_time_ms_max", 200, refused_call(daemon, "sleepy"))
    assert not daemon.sandbox_pids()


# --- memory ---

def test_memory(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("memory_hog", limits(memory_bytes_max=64 * MIB)))
    grouped = has_cgroups(daemon, "memory-hog")
    refusal = refused_call(daemon, "memory-hog")
    if grouped:
        error = exceeded(daemon, "memory-hog", "memory_bytes_max", 64 * MIB, refusal)
        assert error.figures.memory_peak_bytes >= 60 * MIB
    else:
        # Only the program is told (ENOMEM); this one says so itself.
        assert (refusal.reason, refusal.metadata["plugin_code"]) == ("PLUGIN_ERROR", "OUT_OF_MEMORY")
        assert int(refusal.message.split()[2]) < 64


def test_a_program_that_dies_for_want_of_memory_is_not_guessed_about(daemon: Daemon, workshop: Workshop) -> None:
    script = ("import os\ntry:\n    blocks = [bytearray(1 << 20) for _ in range(1000)]\n"
              "except MemoryError:\n    os.abort()\n")
    folder = workshop.write(
        "hungry", workshop.manifest("hungry", "./run.py", "command", more=limits(memory_bytes_max=96 * MIB)),
        {"run.py": "#!/usr/bin/python3 -I\n" + script})
    daemon.load(folder)
    refusal = refused_call(daemon, "hungry")
    if refusal.reason == "LIMIT_EXCEEDED":  # control groups: the kernel says it
        assert refusal.metadata["limit"] == "memory_bytes_max"
        return
    assert refusal.reason == "PLUGIN_CRASHED", refusal
    assert "signal 6" in refusal.message
    # The figures are there for who wants to judge.
    assert int(refusal.metadata["memory_peak_bytes"]) > 48 * MIB
    assert refusal.metadata["memory_bytes_max"] == str(96 * MIB)


# --- processes, open files, files ---

def test_processes(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("fork_bomb", limits(processes_max=20)))
    forks = int(daemon.invoke("fork-bomb").text.split()[0])
    assert forks == 19, "the plugin itself is one"


def test_threads_count_as_processes(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("fork_bomb", limits(processes_max=20)))
    assert 10 <= int(daemon.invoke("fork-bomb", operation="threads").text.split()[0]) <= 19


def test_a_command_that_fails_for_want_of_processes(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("forks", "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done\nwait\n",
                                 more=limits(processes_max=4, wall_time_ms_max=5000)))
    refusal = refused_call(daemon, "forks")
    if refusal.reason == "LIMIT_EXCEEDED":  # control groups: refused forks are counted
        assert refusal.metadata["limit"] == "processes_max"
    else:
        assert refusal.reason == "PLUGIN_ERROR", refusal
        assert "fork" in refusal.metadata["stderr"].lower()
    assert not daemon.sandbox_pids()


def test_open_files(daemon: Daemon, workshop: Workshop) -> None:
    script = ("import os\nfiles = []\ntry:\n    while True:\n        files.append(os.open('/dev/null', os.O_RDONLY))\n"
              "except OSError as error:\n    print(len(files) + 3, error.strerror)\n")
    folder = workshop.write("opens", workshop.manifest("opens", "./run.py", "command", more=limits(open_files_max=32)),
                            {"run.py": "#!/usr/bin/python3 -I\n" + script})
    daemon.load(folder)
    assert daemon.invoke("opens").text == "32 Too many open files\n"


def test_file_size(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.program("writes", "/usr/bin/dd", ["if=/dev/zero", "of=/tmp/x", "bs=64k", "count=100"]))
    assert daemon.invoke("writes").text == ""
    folder = workshop.folder / "writes"
    (folder / "manifest.toml").write_text((folder / "manifest.toml").read_text() + limits(file_size_bytes_max=MIB))
    daemon.client.plugins.ReloadPlugin(plugin="writes")
    exceeded(daemon, "writes", "file_size_bytes_max", MIB, refused_call(daemon, "writes"))


def test_file_size_of_an_instance(daemon: Daemon, workshop: Workshop) -> None:
    source = ("import signal\nfrom liongate import Plugin\n\nplugin = Plugin()\n\n@plugin.operation('')\n"
              "def run(call):\n    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
              "    with open('/tmp/x', 'wb') as file:\n        file.write(b'x' * (2 << 20))\n    return 'written'\n\n"
              "plugin.run()\n")
    daemon.load(workshop.python("writer", source, more=limits(file_size_bytes_max=MIB)))
    exceeded(daemon, "writer", "file_size_bytes_max", MIB, refused_call(daemon, "writer"))


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_bytes_of_a_private_folder(daemon: Daemon, workshop: Workshop, folder: str) -> None:
    daemon.load(workshop.command("fills", f"cd {folder} && dd if=/dev/zero of=x bs=64k count=100 2>&1; stat -c %s x\n",
                                 more=limits(tmp_bytes_max=MIB)))
    text = daemon.invoke("fills").text
    assert "No space left on device" in text
    assert int(text.split()[-1]) == MIB


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_files_in_a_private_folder(daemon: Daemon, workshop: Workshop, folder: str) -> None:
    script = f"cd {folder}; i=0; while touch f$i 2>/dev/null; do i=$((i+1)); done; ls | wc -l\n"
    daemon.load(workshop.command("litters", script, more=limits(tmp_files_max=10)))
    assert int(daemon.invoke("litters").text) == 10


# --- output ---

def test_output_of_a_command(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.command("loud", "yes\n", more=limits(output_bytes_max=10_000)))
    exceeded(daemon, "loud", "output_bytes_max", 10_000, refused_call(daemon, "loud"))
    assert not daemon.sandbox_pids()


def test_output_of_an_instance(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("big_output", limits(output_bytes_max=10_000)))
    assert len(daemon.invoke("big-output", "10000").text) == 10_000
    exceeded(daemon, "big-output", "output_bytes_max", 10_000, refused_call(daemon, "big-output", "10001"))
    assert daemon.state("big-output") == "RUNNING", "its other calls are none the worse"


def test_streamed_output(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(workshop.with_lines("streamer", limits(output_bytes_max=10_000)))
    exceeded(daemon, "streamer", "output_bytes_max", 10_000, refused_call(daemon, "streamer", "1000000"))


def test_a_flood_of_log_lines_is_slowed_and_forgotten_not_stored(daemon: Daemon) -> None:
    """stdout and stderr have no limit that ends a plugin: the ring keeps the last MiB, the pipe is read at a pace."""
    daemon.load("floods_stderr")
    assert daemon.invoke("floods-stderr", str(4 * MIB)).text == "flooded"
    lines = [entry for reply in daemon.client.plugins.GetPluginLogs(plugin="floods-stderr") for entry in reply.entries]
    assert sum(len(entry.line) for entry in lines) <= MIB
    assert lines[0].dropped_before > 0


# --- what needs control groups ---

def rows_of(daemon: Daemon, plugin: str) -> dict[str, tuple[str, str]]:
    return {one.name: (one.state, one.detail) for one in daemon.get(plugin).posture.mechanisms}


def without_control_groups(daemon: Daemon) -> None:
    daemon.load("hello")
    if rows_of(daemon, "hello")["cgroup limits"][0] == "active":
        pytest.skip("this host gives the daemon a control group: every limit can be kept")


@pytest.mark.parametrize(("limit", "value", "permissions"), [
    ("cpu_percent_max", 50, []),
    ("io_bytes_per_second_max", MIB, []),
    ("memory_bytes_max", 64 * MIB, ["jit"]),
])
def test_a_limit_that_nothing_here_keeps_refuses_the_load_by_name(
        daemon: Daemon, workshop: Workshop, limit: str, value: int, permissions: list[str]) -> None:
    without_control_groups(daemon)
    folder = workshop.with_lines("slow", limits(**{limit: value}))
    edit(folder / "manifest.toml", lambda text: replaced_line(text, "permissions", f"permissions = {permissions}"))
    with wire.refused("SANDBOX_UNAVAILABLE") as refusals:
        daemon.load(folder)
    assert f"keep the limit {limit}, which " in refusals[0].message
    assert "allow_degraded: [cgroup_limits]" in refusals[0].metadata["hint"]


def test_a_command_whose_limit_nothing_here_keeps_is_not_loaded(daemon: Daemon, workshop: Workshop) -> None:
    without_control_groups(daemon)
    with wire.refused("SANDBOX_UNAVAILABLE") as refusals:
        daemon.load(workshop.command("half", "echo ran\n", more=limits(cpu_percent_max=50)))
    assert "keep the limit cpu_percent_max" in refusals[0].message


def test_the_operator_may_accept_limits_that_are_not_kept_and_the_posture_names_them(
        make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(config=default_config("cgroup_limits")).start()
    without_control_groups(daemon)
    daemon.load(workshop.with_lines("slow", limits(cpu_percent_max=50, io_bytes_per_second_max=MIB)))
    rows = rows_of(daemon, "slow")
    assert rows["cpu share"] == ("absent", "50 % of one CPU asked for: needs a control group")
    assert rows["disk rate"][0] == "absent"
    assert "rlimits and the pid namespace alone" in rows["cgroup limits"][1]
    assert rows["cgroup limits"][1].endswith("; accepted by allow_degraded")


# --- a set-up that is cut short ---

def test_a_command_killed_while_it_is_set_up_has_crashed(daemon: Daemon, workshop: Workshop) -> None:
    """Killed by somebody else: not the plugin's own failure, and said to be a kill."""
    daemon.load(workshop.command("sleepy", "sleep 60\n"))
    before = daemon.sandbox_pids()
    call = daemon.invoke_later("sleepy")
    while not (found := daemon.sandbox_pids() - before):
        pass
    os.kill(min(found), signal.SIGKILL)
    refusal = call.outcome()
    assert refusal.reason == "PLUGIN_CRASHED", refusal
    assert "signal 9" in refusal.message


# --- figures ---

def test_a_call_that_is_killed_has_figures_too(daemon: Daemon) -> None:
    daemon.load("spinner")
    call = daemon.invoke_later("spinner")
    daemon.wait_event("PluginInvoked", plugin="spinner")
    assert daemon.invoke("spinner", "300").cpu_time_ms > 10
    os.kill(daemon.get("spinner").pid, signal.SIGKILL)
    assert call.outcome().reason == "PLUGIN_CRASHED"
    figures = last_error(daemon, "spinner").figures
    assert figures.execution_time_ms >= 300
    assert figures.cpu_time_ms >= 20, "half of what it got, on a machine that may be busy"
    assert figures.memory_used_bytes == figures.memory_peak_bytes > 100_000


def test_memory_peak_is_the_largest_it_was(daemon: Daemon) -> None:
    daemon.load("memory_hog")
    daemon.invoke("memory-hog", "48")
    reply = daemon.invoke("memory-hog", "1")
    assert reply.memory_peak_bytes >= 48 * MIB


@pytest.fixture
def shared(daemon: Daemon) -> Any:
    """A folder that plugins are granted for writing."""
    folder = Path("/var/tmp") / f"liongate-limits-{os.getpid()}"
    (folder / "below").mkdir(parents=True)
    for each in (folder, folder / "below"):
        each.chmod(0o777)
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def test_files_that_a_command_creates_are_listed(daemon: Daemon, workshop: Workshop, shared: Path) -> None:
    daemon.load(workshop.command("maker", f"cd {shared}; echo x > one; echo y > below/two; mkdir new; echo z > one\n",
                                 permissions=[f"fs_write:{shared}"]))
    reply = daemon.invoke("maker")
    assert sorted(reply.created_files) == [f"{shared}/below/two", f"{shared}/new", f"{shared}/one"]
    event = daemon.events(types=["PluginResult"], plugin="maker")[-1]
    assert list(event.plugin_result.figures.created_files) == list(reply.created_files)


def test_files_that_an_instance_creates_are_listed_with_their_call(daemon: Daemon, workshop: Workshop,
                                                                   shared: Path) -> None:
    daemon.load(workshop.with_permissions("fs_writer", [f"fs_write:{shared}"]))
    assert list(daemon.invoke("fs-writer", f"{shared}/a\nx", operation="write").created_files) == [f"{shared}/a"]
    assert not daemon.invoke("fs-writer", f"{shared}/a\nx", operation="write").created_files
    outcome = daemon.ctl("-o", "json", "invoke-plugin", "fs-writer", "--operation", "write",
                         "--input", f"{shared}/b\nx")
    assert outcome.json()["created_files"] == [f"{shared}/b"], outcome.err


def test_more_created_files_than_are_kept_are_counted(daemon: Daemon, workshop: Workshop, shared: Path) -> None:
    daemon.load(workshop.command("many", f"cd {shared}; for i in $(seq 100); do : > f$i; done\n",
                                 permissions=[f"fs_write:{shared}"]))
    reply = daemon.invoke("many")
    assert (len(reply.created_files), reply.created_files_left_out) == (64, 36)


# --- bad input ---

def refused_load(daemon: Daemon, workshop: Workshop, line: str) -> wire.Refusal:
    folder = workshop.with_lines("slow", "[limits]\n" + line + "\n", "limited")
    with wire.refused("INVALID_MANIFEST", "INVALID_ARGUMENT") as refusals:
        daemon.load(folder)
    return refusals[0]


LIMITS = ["memory_bytes_max", "cpu_time_ms_max", "wall_time_ms_max", "processes_max", "open_files_max",
          "cpu_percent_max", "file_size_bytes_max", "tmp_bytes_max", "tmp_files_max", "io_bytes_per_second_max",
          "output_bytes_max"]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("value", ["0", "-1", "9223372036854775807"], ids=["zero", "negative", "absurd"])
def test_a_limit_out_of_range(daemon: Daemon, workshop: Workshop, limit: str, value: str) -> None:
    refusal = refused_load(daemon, workshop, f"{limit} = {value}")
    assert f"limits.{limit}: {value} is out of range; give a number from" in refusal.message


@pytest.mark.parametrize("limit", ["memory_bytes_max", "tmp_bytes_max"])
def test_a_limit_above_what_the_host_has(daemon: Daemon, workshop: Workshop, limit: str) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if memory >= 1 << 40:
        pytest.skip("this host has more memory than any manifest may ask for")
    refusal = refused_load(daemon, workshop, f"{limit} = {1 << 40}")
    assert f"is more than this host has: {memory} bytes of memory" in refusal.message


def test_a_share_of_more_cpus_than_the_host_has(daemon: Daemon, workshop: Workshop) -> None:
    cpus = os.sysconf("SC_NPROCESSORS_ONLN")
    refusal = refused_load(daemon, workshop, f"cpu_percent_max = {cpus * 100 + 1}")
    assert f"{cpus * 100 + 1} is more than this host has: {cpus * 100} % of a CPU" in refusal.message


def test_validate_manifest_says_what_the_host_has_without_a_daemon(workshop: Workshop) -> None:
    folder = workshop.with_lines("slow", "[limits]\ncpu_percent_max = 99999\n")
    outcome = command_line.run(paths.LIONGATECTL, "validate-manifest", folder / "manifest.toml")
    assert outcome.exit_code == 7
    assert "limits.cpu_percent_max: 99999 is more than this host has" in outcome.err
