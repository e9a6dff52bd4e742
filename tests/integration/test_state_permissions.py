"""A state folder that others can reach: what may have been changed is refused, what may have been read is closed."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from harness.daemon import Daemon, DidNotStart


@pytest.fixture
def stopped(daemon: Daemon) -> Daemon:
    daemon.disconnect()
    assert daemon.stop() == 0
    return daemon


def refused(daemon: Daemon) -> str:
    with pytest.raises(DidNotStart) as problem:
        daemon.start()
    assert problem.value.exit_code == 7, problem.value.log
    assert not daemon.socket.exists()
    return problem.value.log.split("liongated: ")[-1]


def test_a_log_folder_that_others_can_read_is_closed(stopped: Daemon) -> None:
    log = stopped.state_dir / "log"
    log.chmod(0o755)
    stopped.start()
    assert log.stat().st_mode & 0o777 == 0o700
    assert "had mode 0755 and was closed to others" in stopped.log_text()


@pytest.mark.parametrize("name", [".", "log"])
@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_that_others_can_change_is_refused(stopped: Daemon, name: str, mode: int) -> None:
    folder = (stopped.state_dir / name).resolve()
    folder.chmod(mode)
    log = refused(stopped)
    assert f"{folder} has mode {mode:04o}" in log
    assert f"hint: chmod 700 {folder}" in log
    folder.chmod(0o700)
    stopped.start()


def test_a_state_folder_that_others_can_read_is_used(make_daemon: Callable[..., Daemon]) -> None:
    """What is in it is closed by itself."""
    daemon = make_daemon()
    daemon.state_dir.mkdir(mode=0o755)
    daemon.start()
    for inner in daemon.state_dir.iterdir():
        assert inner.stat().st_mode & 0o077 == 0, inner


def test_a_link_in_the_logs_place_is_refused(stopped: Daemon) -> None:
    log = stopped.state_dir / "log"
    elsewhere = stopped.folder / "elsewhere"
    log.rename(elsewhere)
    log.symlink_to(elsewhere)
    assert "is no folder" in refused(stopped)
    log.unlink()
    elsewhere.rename(log)


@pytest.mark.root_only("only root gives folders away")
@pytest.mark.parametrize("name", [".", "log", "keys", "keys/log-signing.key"])
def test_another_users_folder_is_refused(stopped: Daemon, name: str) -> None:
    path = (stopped.state_dir / name).resolve()
    owner = path.stat().st_uid
    if owner != os.geteuid():
        pytest.skip("the daemon becomes a service user here, and root hands the folder over to it")
    os.chown(path, 65534, 65534)
    assert "belongs to uid 65534" in refused(stopped)
    os.chown(path, owner, owner)
    stopped.start()
