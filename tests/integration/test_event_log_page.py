"""docs/event-log.md: what its sections on durability, damage, proof and state tell a reader to type is what happens.

Its sections on tamper evidence and queries are run by test_tamper_evidence.py and test_log_queries.py.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable

import pytest
from harness import command_line, pages, paths
from harness.daemon import Daemon, DidNotStart

PAGE = (paths.ROOT / "docs" / "event-log.md").read_text(encoding="utf-8")


@pytest.mark.root_only("mounts a tmpfs")
def test_a_full_disk_and_its_recovery_by_hand(can_confine: None) -> None:
    folder = paths.SPACE / "full"
    probe = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "probe", "/mnt"], capture_output=True,
                           text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"this host lets root mount no tmpfs: {probe.stderr.strip()}")
    commands = pages.blocks(pages.section(PAGE, "## When it cannot be written"))
    # In a mount namespace of its own, so that nothing stays mounted whatever happens.
    outcome = pages.run(commands, "/tmp/liongate-full", folder, within=["unshare", "--mount"])
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "LOG_READ_ONLY" in outcome.stderr and "free space" in outcome.stderr
    assert "read-only" in outcome.stdout
    assert "Hello from hello: again" in outcome.stdout
    assert "intact" in outcome.stdout
    shutil.rmtree(folder)


def test_one_flipped_bit_found_and_repaired(can_confine: None) -> None:
    folder = paths.SPACE / "bit"
    outcome = pages.run(pages.blocks(pages.section(PAGE, "## Damage")), "/tmp/liongate-bit", folder)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "bad_crc" in outcome.stdout, "verify-log names the kind"
    assert "LOG_CORRUPT" in outcome.stderr and "liongatectl repair-log --state-dir" in outcome.stderr, "and the remedy"
    assert "intact" in outcome.stdout, "what is in front of the damage is a whole log"
    assert any(line.endswith(".lgl") for line in outcome.stdout.splitlines()), "the damaged segment is kept"
    shutil.rmtree(folder)


def test_a_call_names_its_durability(daemon: Daemon) -> None:
    daemon.load("hello")
    (command,) = pages.indented(pages.section(PAGE, "## Durability"))
    program, *words = shlex.split(command)
    assert program == "liongatectl"
    assert "Hello from hello: test" in daemon.ctl.ok(*words).text


def test_the_state_is_held_against_the_log(daemon: Daemon) -> None:
    daemon.load("hello")
    daemon.invoke("hello", "x")
    online, offline = pages.indented(pages.section(PAGE, "## The state and the log"))
    assert "state whole" in daemon.ctl.ok(*shlex.split(online)[1:]).text
    daemon.disconnect()
    assert daemon.stop() == 0
    words = [str(daemon.state_dir) if word == "DIR" else word for word in shlex.split(offline)]
    outcome = command_line.run(paths.LIONGATECTL, *words[1:])
    assert outcome.exit_code == 0 and "state whole" in outcome.text, outcome


def test_a_failpoint_has_the_daemon_die_there(make_daemon: Callable[..., Daemon]) -> None:
    (command,) = pages.indented(pages.section(PAGE, "### Failpoints"))
    setting, program, *words = shlex.split(command)
    name, value = setting.split("=", 1)
    assert (program, words) == ("liongated", ["--environment", "development"])
    daemon = make_daemon()
    daemon.env = {name: value}
    try:
        daemon.start()  # the third write may come after Ready
    except DidNotStart as died:
        assert died.exit_code == -signal.SIGKILL
        return
    subprocess.run([paths.LIONGATECTL, "--socket", daemon.socket, "load-plugin", "--manifest",
                    paths.PLUGINS / "hello" / "manifest.toml"], capture_output=True, check=False)
    assert daemon.wait() == -signal.SIGKILL


def test_a_history_is_replayed_by_its_seed() -> None:
    commands = pages.indented(pages.section(PAGE, "## How it is proved"))
    (one_history,) = [command for command in commands if "--seed" in command]
    program, *words = shlex.split(one_history)
    path = paths.BUILD / program.removeprefix("build/release/")
    if not path.exists():
        pytest.skip("the simulator is not among the copied programs")
    first, again = (subprocess.run([path, *words], capture_output=True, text=True, check=False) for _ in range(2))
    assert first.returncode == 0, first.stdout
    assert first.stdout == again.stdout and len(first.stdout.splitlines()) > 10
