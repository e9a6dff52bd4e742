"""What docs/secrets.md shows: its commands do what it says, and its configuration has no fault."""

from __future__ import annotations

import re

from harness import command_line, pages, paths
from harness.workshop import Workshop

PAGE = (paths.ROOT / "docs/secrets.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page_do_what_it_says(can_confine: None, workshop: Workshop) -> None:
    ran = pages.run(pages.blocks(pages.section(PAGE, "## Trying it")), "/tmp/liongate-secrets",
                    workshop.folder / "secrets")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = ran.stdout
    assert said.index("the password is correct-horse") < said.index("the password is battery-staple")
    assert said.count("the password is [secret]") == 2
    assert said.count("give secret") == 2
    assert said.count("correct-horse") == said.count("battery-staple") == 1


def test_the_configuration_of_the_page_is_valid(workshop: Workshop) -> None:
    config = workshop.folder / "liongated.yaml"
    config.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    checked = command_line.run(paths.LIONGATED, "--config", config, "--check-config")
    assert checked.exit_code == 0, checked.err
