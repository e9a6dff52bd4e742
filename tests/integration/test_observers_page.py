"""What docs/observers.md shows: its observer is written from the page alone, and its client follows and resumes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import pages, paths, processes
from harness.command_line import Running
from harness.daemon import Daemon
from harness.waiting import eventually
from harness.workshop import Workshop

PAGE = (paths.ROOT / "docs/observers.md").read_text(encoding="utf-8")


def test_an_observer_is_written_from_the_page_alone(can_confine: None, workshop: Workshop) -> None:
    commands = pages.blocks(pages.section(PAGE, "## An observer in ten minutes"))
    ran = pages.run(commands, "/tmp/liongate-observers", workshop.folder)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert re.search(r"tally\s+0.0.0\s+running\s+python\s+observer", ran.stdout)
    assert "PluginResult plugin_result" in ran.stdout
    assert re.search(r"tally saw \d+ events", ran.stdout)
    assert re.search(r"\d+ events handled, 0 failures", ran.stdout)


def test_the_sample_files_of_the_page_are_valid(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    samples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(samples) == 2
    for sample in samples:
        (daemon.folder / "plugins.yaml").write_text(sample, encoding="utf-8")
        checked = subprocess.run([str(paths.LIONGATED), "--config", str(daemon.config), "--check-config"],
                                 capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def follower(daemon: Daemon, folder: Path) -> Running:
    process = subprocess.Popen(
        [sys.executable, str(paths.ROOT / "sdk/python/examples/follow_events.py"), str(daemon.socket),
         str(folder / "cursor"), "PluginResult"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=paths.clean_environment(PYTHONPATH=str(folder / "generated")))
    return Running(process)


def test_the_client_of_the_page_follows_and_resumes(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    if shutil.which("protoc") is None:
        pytest.skip("protoc is not installed")
    generated = workshop.folder / "generated"
    generated.mkdir()
    subprocess.run(["protoc", "-I", str(paths.ROOT / "proto"), f"--python_out={generated}",
                    *map(str, (paths.ROOT / "proto/liongate/v1").glob("*.proto"))], check=True)
    daemon = make_daemon().start()
    daemon.load("hello")
    seen: list[int] = []
    for _ in range(2):  # the second one begins behind what the first has handled
        for number in range(3):
            daemon.invoke("hello", f"{number}")
        with follower(daemon, workshop.folder) as running:
            seen += [int(running.line().split()[0]) for _ in range(3)]
            eventually(lambda: (workshop.folder / "cursor").exists(), "the cursor is written")
            expected = seen[-1]
            eventually(lambda expected=expected: int((workshop.folder / "cursor").read_text()) >= expected, "it moved")
    assert seen == [event.seq for event in daemon.events(types=["PluginResult"])]
    assert processes.orphans() == []


def test_the_client_goes_on_when_the_daemon_comes_back(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    if shutil.which("protoc") is None:
        pytest.skip("protoc is not installed")
    generated = workshop.folder / "generated"
    generated.mkdir()
    subprocess.run(["protoc", "-I", str(paths.ROOT / "proto"), f"--python_out={generated}",
                    *map(str, (paths.ROOT / "proto/liongate/v1").glob("*.proto"))], check=True)
    daemon = make_daemon().start()
    daemon.load("hello")
    daemon.invoke("hello", "before")
    with follower(daemon, workshop.folder) as running:
        first = int(running.line().split()[0])
        daemon.kill()
        daemon.start()
        daemon.wait_state("hello", "RUNNING")
        daemon.invoke("hello", "after")
        second = int(running.line().split()[0])
    assert first < second == daemon.events(types=["PluginResult"])[-1].seq


def test_seed_002_s_test_groups_are_there() -> None:
    """Schema 4, loader 6, registry 8, isolation 4, engine integration 3, under those headings."""
    schema = (paths.ROOT / "tests/config/plugins_file_test.cpp").read_text(encoding="utf-8")
    folder = paths.ROOT / "tests/integration"
    groups = "".join((folder / f"test_observers{part}.py").read_text(encoding="utf-8") for part in ("", "_schema"))
    assert schema.count('TEST_CASE("plugin schema: ') >= 4
    for heading, least in (("loader", 6), ("registry", 8), ("isolation", 4), ("integration", 3)):
        assert groups.count(f"def test_{heading}_") >= least, heading
