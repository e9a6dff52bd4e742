"""One secret from each kind of source, with values that nothing else on this machine holds."""

from __future__ import annotations

import base64
import os
import pwd
import secrets
from pathlib import Path

from . import paths
from .daemon import default_config

KINDS = ("credential", "file", "command")


def daemon_uid() -> int:
    """Whom the daemon becomes: a file of secrets must be its own."""
    if os.geteuid() != 0:
        return os.geteuid()
    try:
        return pwd.getpwnam("liongate").pw_uid
    except KeyError:
        return 0


class SecretSources:
    """The secrets `by-credential`, `by-file` and `by-command`; the command prints a file."""

    def __init__(self, name: str) -> None:
        self.folder = paths.SPACE / name
        self.folder.mkdir(mode=0o711)
        self.credentials = self.folder / "credentials"
        self.credentials.mkdir(mode=0o711)
        self.files = {"credential": self.credentials / "api", "file": self.folder / "file",
                      "command": self.folder / "printed"}
        self.values: dict[str, str] = {}
        for kind in KINDS:
            self.rotate(kind)

    def rotate(self, kind: str, value: str = "") -> str:
        """A new value, put in the place of the old one as an operator does it."""
        self.values[kind] = value or f"canary-{kind}-{secrets.token_hex(16)}"
        fresh = self.files[kind].with_name("fresh")
        fresh.write_text(self.values[kind], encoding="utf-8")
        fresh.chmod(0o600)
        os.chown(fresh, daemon_uid(), -1)
        os.replace(fresh, self.files[kind])
        return self.values[kind]

    @property
    def config(self) -> str:
        return default_config() + (
            "secrets:\n"
            "  by-credential: {credential: api}\n"
            f"  by-file: {{file: {self.files['file']}}}\n"
            f"  by-command: {{command: [/bin/cat, {self.files['command']}]}}\n"
        )

    @property
    def env(self) -> dict[str, str]:
        return {"CREDENTIALS_DIRECTORY": str(self.credentials)}

    @property
    def permissions(self) -> list[str]:
        return [f"secret:by-{kind}" for kind in KINDS]


def spellings(value: str) -> list[bytes]:
    """As it is, in hexadecimal, and in base64 wherever it may begin within three bytes."""
    plain = value.encode()
    shifted = [base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    return [plain, plain.hex().encode(), plain.hex().upper().encode(), *shifted]


def found_in(content: bytes, values: list[str]) -> list[str]:
    return [value for value in values if any(spelled in content for spelled in spellings(value))]


def files_holding(folder: Path, values: list[str], but: list[Path]) -> list[str]:
    """Each file below `folder` whose bytes or name hold one of the values, but those that it comes from."""
    found = []
    for path in sorted(folder.rglob("*")):
        content = os.fsencode(path)
        if path.is_file() and not path.is_symlink() and path not in but:
            content += path.read_bytes()
        found += [f"{path}: {value}" for value in found_in(content, values)]
    return found
