"""Fixtures of the integration tests: a daemon for each test, and a census behind each.

Run by ctest (label "integration"), or by hand:

    LIONGATE_BUILD_DIR=build/release build/venv/bin/python3 -m pytest tests/integration

Without LIONGATE_BUILD_DIR it is build/release. Everything runs as root and as an unprivileged user alike; what needs
more than the host gives is skipped with its reason.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import census, command_line, counted, paths, processes
from harness.daemon import Daemon
from harness.network_world import World
from harness.waiting import eventually
from harness.workshop import Workshop

NO_ORPHAN_S = 2.0

missing = paths.missing_programs()
if missing:
    pytest.exit(f"not built: {', '.join(map(str, missing))}; set LIONGATE_BUILD_DIR", returncode=2)
processes.become_subreaper()
# Whoever runs the tests in the background has SIGINT ignored, and so would every program under test.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rootless: runs as an unprivileged user as well (scripts/test, stage rootless)")
    config.addinivalue_line("markers", "root_only: needs root; the reason stands beside it")
    config.addinivalue_line("markers", "user_independent: not repeated rootless, for the reason that stands beside it")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in counted.lines():
        terminalreporter.write_line(f"counts: {line}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything is rootless unless it says otherwise."""
    for item in items:
        marker = item.get_closest_marker("root_only")
        if marker is None:
            if item.get_closest_marker("user_independent") is None:
                item.add_marker(pytest.mark.rootless)
        elif os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason=f"needs root: {marker.args[0]}"))


@pytest.fixture(scope="session")
def can_confine() -> None:
    """Asks the host by the program's own check, so that a host without namespaces skips and names what it lacks."""
    outcome = command_line.run(paths.LIONGATED, "--check-host", "-o", "json")
    report: dict[str, Any] = outcome.json()
    if not report["can_confine"]:
        lacking = [f"{mechanism['name']}: {mechanism['reason']}" for mechanism in report["mechanisms"]
                   if mechanism["mandatory"] and mechanism["state"] != "available"]
        pytest.skip(f"this host cannot confine plugins: {'; '.join(lacking)}")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No process, mount, control group or temporary file without an owner: after every test, whatever became of it."""
    before = census.take()
    yield
    left: list[str] = []

    def nothing_left() -> bool:
        left[:] = census.left_since(before)
        return not left

    try:
        eventually(nothing_left, "nothing is left behind", NO_ORPHAN_S)
    except AssertionError:
        pytest.fail(f"left behind: {'; '.join(left)}", pytrace=False)


@pytest.fixture
def make_daemon(can_confine: None) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons, not started. Those that run at the end must stop in order, and every log must be whole."""
    made: list[Daemon] = []

    def make(**options: Any) -> Daemon:
        made.append(Daemon(**options))
        return made[-1]

    yield make
    try:
        for daemon in made:
            finish(daemon)
    finally:
        for daemon in made:
            daemon.dispose()


def finish(daemon: Daemon) -> None:
    if daemon.process is not None:
        assert daemon.is_running, f"the daemon died: exit code {daemon.process.returncode}\n{daemon.log_text()}"
        daemon.disconnect()
        assert daemon.stop() == 0, daemon.log_text()
    if (daemon.state_dir / "log").is_dir() and not daemon.damaged:
        verified = command_line.run(paths.LIONGATED, "--verify-log", daemon.state_dir)
        assert verified.exit_code == 0, f"{verified.text}{verified.err}"


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon in environment development, ready."""
    return make_daemon().start()


_workshops = itertools.count(1)


@pytest.fixture
def workshop() -> Workshop:
    """Where the test makes plugins of its own."""
    return Workshop(paths.SPACE / f"w{next(_workshops)}")


@pytest.fixture
def make_world(make_daemon: Callable[..., Daemon], workshop: Workshop) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**options: str) -> World:
        worlds.append(World(make_daemon, workshop, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
