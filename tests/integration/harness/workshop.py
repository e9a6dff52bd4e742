"""Plugins that a test makes or changes, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from .daemon import manifest_of


def toml_list(words: list[str]) -> str:
    # A JSON string of ASCII is a TOML string as well.
    return "[" + ", ".join(json.dumps(word) for word in words) + "]"


class Workshop:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)

    def copy(self, plugin: str, name: str = "") -> Path:
        """A copy of a plugin of the build that may be changed: those share their programs as hard links.

        With `name`, the copy is another plugin with the same program. Returns the folder.
        """
        source = manifest_of(plugin).parent
        target = self.folder / (name or plugin)
        shutil.copytree(source, target)
        target.chmod(0o755)
        if name:
            edit(target / "manifest.toml", lambda text: replaced_line(text, "name", f'name = "{name}"'))
        return target

    def write(self, name: str, manifest: str, files: dict[str, str] | None = None) -> Path:
        """A folder with a manifest and files; those that begin with #! are programs."""
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        for file, text in {"manifest.toml": manifest, **(files or {})}.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        return folder

    def manifest(self, name: str, entry_point: str, runtime: str, permissions: list[str] | None = None,
                 args: list[str] | None = None, more: str = "") -> str:
        lines = [f'name = "{name}"', 'version = "0.1.0"', f'entry_point = "{entry_point}"', f'runtime = "{runtime}"',
                 f"permissions = {toml_list(permissions or [])}"]
        if args:
            lines.append(f"args = {toml_list(args)}")
        return "\n".join(lines) + "\n" + more

    def command(self, name: str, script: str, args: list[str] | None = None, permissions: list[str] | None = None,
                more: str = "") -> Path:
        """A command plugin: a script of the test's own."""
        manifest = self.manifest(name, "./run.sh", "command", permissions, args, more)
        return self.write(name, manifest, {"run.sh": "#!/bin/sh\n" + script})

    def program(self, name: str, path: str, args: list[str] | None = None) -> Path:
        """A command plugin: a program of the system that nobody changed."""
        return self.write(name, self.manifest(name, path, "command", None, args))

    def python(self, name: str, source: str, permissions: list[str] | None = None, more: str = "") -> Path:
        return self.write(name, self.manifest(name, "./main.py", "python", permissions, None, more),
                          {"main.py": source})

    def with_permissions(self, plugin: str, permissions: list[str], name: str = "") -> Path:
        folder = self.copy(plugin, name)
        edit(folder / "manifest.toml",
             lambda text: replaced_line(text, "permissions", f"permissions = {toml_list(permissions)}"))
        return folder

    def with_lines(self, plugin: str, more: str, name: str = "") -> Path:
        folder = self.copy(plugin, name)
        edit(folder / "manifest.toml", lambda text: text + "\n" + more)
        return folder


def replaced_line(text: str, key: str, line: str) -> str:
    lines = text.splitlines()
    found = [index for index, old in enumerate(lines) if old.startswith(f"{key} =")]
    assert len(found) == 1, f"{key} is not there once"
    lines[found[0]] = line
    return "\n".join(lines) + "\n"


def edit(path: Path, change: object) -> None:
    """Changes a file as an editor does: a new file takes the old one's place."""
    assert callable(change)
    mode = path.stat().st_mode & 0o777
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    fresh.chmod(mode)
    os.replace(fresh, path)


def program_path(name: str) -> Path:
    """A program that the host has, or none: tests that need one skip without it."""
    found = shutil.which(name, path="/usr/bin:/bin")
    return Path(found) if found else Path("/nonexistent") / name
