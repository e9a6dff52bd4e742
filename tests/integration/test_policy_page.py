"""What docs/policy.md shows: its file has no fault, and its commands do what it says."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness import command_line, paths
from harness.daemon import Daemon
from harness.workshop import Workshop

PAGE = (paths.ROOT / "docs/policy.md").read_text(encoding="utf-8")
COMMANDS = [line.split()[1:] for line in PAGE.splitlines() if line.startswith("    liongatectl ")]


def test_the_commands_of_the_page_do_what_it_says(make_daemon: Callable[..., Daemon], workshop: Workshop) -> None:
    daemon = make_daemon(environment="production")
    policy = daemon.folder / "policy.yaml"
    policy.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    daemon.start()
    daemon.load("hello")
    places = {"policy.yaml": str(policy), "plugins/hello/manifest.toml": str(paths.PLUGINS / "hello/manifest.toml")}
    assert len(COMMANDS) >= 7
    for words in COMMANDS:
        daemon.ctl.ok(*[places.get(word, word) for word in words])


def test_the_file_of_the_page_decides_as_its_comments_say(workshop: Workshop) -> None:
    policy = workshop.folder / "policy.yaml"
    policy.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    manifest = workshop.with_permissions("probe", ["process"], "report-daily") / "manifest.toml"
    words = ["test-policy", policy, "--manifest", manifest]
    refused = command_line.run(paths.LIONGATECTL, *words)
    assert refused.exit_code == 6
    assert "ask the platform team first" in refused.err
    assert command_line.run(paths.LIONGATECTL, *words, "--environment", "staging").exit_code == 0
