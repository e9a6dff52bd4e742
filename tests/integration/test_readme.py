"""What the README tells a reader to type is what happens. Goal: no line of it is a wish.

Method: its shell block runs line by line in one shell, with the programs of this build and folders of its own.
"""

from __future__ import annotations

import re
import subprocess

from harness import command_line, pages, paths
from harness.workshop import Workshop

README = (paths.ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block of {language}"
    return found.group(1)


def test_the_page_of_use_works_as_it_stands(can_confine: None) -> None:
    folder = paths.TMPDIR / "readme"
    try:
        outcome = pages.run(block("sh") + "wait\n", "/tmp/liongate-readme", folder)
        assert outcome.returncode == 0, outcome.stderr
        assert "Hello from hello: test" in outcome.stdout
        for word in ("running", "system call filter", "PluginInvoked", "PluginResult", "intact"):
            assert word in outcome.stdout, f"{word} is not in what the README's commands print"
    finally:
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False)


def test_its_manifest_is_a_plugin(workshop: Workshop, can_confine: None) -> None:
    folder = workshop.write("sorter", block("toml"))
    outcome = command_line.run(paths.LIONGATECTL, "run-plugin", "--manifest", str(folder / "manifest.toml"),
                               "--input", "b\na\n")
    assert outcome.text == "a\nb\n"


def test_every_folder_has_its_sentence_and_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (paths.ROOT / target).exists(), f"{target} does not exist"
