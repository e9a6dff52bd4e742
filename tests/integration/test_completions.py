"""The completion for bash knows every verb, and every flag of each."""

from __future__ import annotations

import re
import subprocess

import pytest
from harness import command_line, paths

pytestmark = pytest.mark.user_independent("a script of the shell is one for every user")

SCRIPT = paths.ROOT / "cli/completions/liongatectl.bash"


def help_of(*words: str) -> str:
    return command_line.run(paths.LIONGATECTL, *words, "--help").text


def verbs() -> list[str]:
    listing = help_of()
    lines = listing[listing.index("Subcommands:"):].splitlines()[1:]
    return [line.split()[0].rstrip(",") for line in lines if re.match(r"  [a-z]", line)]


def completed(*words: str) -> set[str]:
    quoted = " ".join(f"'{word}'" for word in ("liongatectl", *words))
    script = (f"compopt() {{ :; }}; source {SCRIPT}; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _liongatectl; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return set(subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.split())


def test_every_verb_is_completed() -> None:
    assert len(verbs()) >= 25
    assert set(verbs()) - completed("") == set()


@pytest.mark.parametrize("verb", verbs())
def test_every_flag_of_a_verb_is_completed(verb: str) -> None:
    # Of several spellings of one flag the first is enough.
    lines = [line for line in help_of(verb).splitlines() if re.match(r"  -", line)]
    flags = [re.findall(r"--[a-z-]+", line.split("  ")[1].split(" ")[0])[0] for line in lines]
    assert set(flags) - completed(verb, "--") == set()
