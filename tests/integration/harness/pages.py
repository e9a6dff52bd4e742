"""Commands of a page of documentation, run as a reader would paste them.

What is run is the page's own text; only what a reader has and a test has not is exchanged: `make` lines are left out
(what is tested is built), build/release is this build, and a folder below /tmp is one of the test's own.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from harness import paths


def section(page: str, heading: str) -> str:
    """What stands between `heading`, a whole line such as "## Damage", and the next of its level or above."""
    text = page[page.index(f"\n{heading}\n") + len(heading) + 2 :]
    level = len(heading) - len(heading.lstrip("#"))
    after = re.search(rf"^#{{1,{level}}} ", text, re.MULTILINE)
    return text[: after.start()] if after else text


def blocks(text: str) -> str:
    """The shell blocks of `text`, one after the other."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


def indented(text: str) -> list[str]:
    """The commands that stand indented by four, without their comments."""
    return [line.split("  #")[0].strip() for line in text.splitlines() if re.match(r" {4}\S", line)]


def run(
    commands: str, folder: str, own_folder: Path, within: list[str] | None = None, timeout_s: float = 90
) -> subprocess.CompletedProcess[str]:
    """Runs `commands` in one shell that ends at the first failure; `own_folder` stands for `folder`.

    `within` are the words of a program that runs the shell, such as unshare's.
    """
    script = ["set -ex"]
    for line in commands.splitlines():
        if line.startswith("make "):
            continue
        line = re.sub(r"(\$PWD/)?build/release", str(paths.BUILD), line.replace(folder, str(own_folder)))
        script.append(line)
    words = [*(within or []), "bash", "-c", "\n".join(script)]
    return subprocess.run(words, cwd=paths.ROOT, capture_output=True, text=True, timeout=timeout_s, check=False,
                          env=paths.clean_environment())
