"""What every rule of tests/tidy works on and hands back: source files and findings."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Source:
    """A text file of the project: its path from the root, and its lines without their ends."""

    path: str
    lines: tuple

    @property
    def name(self):
        return self.path.rsplit("/", 1)[-1]

    @property
    def suffix(self):
        return "." + self.name.rsplit(".", 1)[-1] if "." in self.name else ""

    @staticmethod
    def of(path, text):
        return Source(path, tuple(text.splitlines()))


def read_sources(root):
    """Reads every text file that git knows or would take in; without git, every file outside build/."""
    root = Path(root)
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), "ls-files", "--cached", "--others",
               "--exclude-standard", "--deduplicate"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listing = [str(path.relative_to(root)) for path in root.rglob("*")
                   if path.relative_to(root).parts[0] not in (".git", "build")]
    sources = []
    for path in sorted(listing):
        if not (root / path).is_file():
            continue
        data = (root / path).read_bytes()
        if b"\0" not in data[:4096]:
            sources.append(Source.of(path, data.decode("utf-8", "replace")))
    return sources
