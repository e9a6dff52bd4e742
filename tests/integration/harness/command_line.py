"""liongatectl and liongated as a person uses them: words in; exit code, stdout and stderr out."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import paths, processes

TIMEOUT_S = 60.0
ERROR_LINE = re.compile(r"^(liongatectl|liongated): (?:(.*): )?(.*) \(([A-Z_]+)\)$")


@dataclass
class Outcome:
    exit_code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    def json(self) -> Any:
        return json.loads(self.out)

    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.text.splitlines()]

    def error(self) -> ErrorLine:
        """The one error line of the contract, and the hint below it; anything else on stderr is a failure."""
        lines = self.err.splitlines()
        assert lines, f"nothing on stderr; exit code {self.exit_code}"
        match = ERROR_LINE.match(lines[0])
        assert match, f"not an error line: {lines[0]!r}"
        hint = ""
        if len(lines) > 1:
            assert len(lines) == 2 and lines[1].startswith("hint: "), f"more than an error and a hint: {lines!r}"
            hint = lines[1].removeprefix("hint: ")
        return ErrorLine(lines[0], match[4], hint, self.exit_code)

    def error_json(self) -> dict[str, Any]:
        lines = self.err.splitlines()
        assert len(lines) == 1, f"not one object on stderr: {lines!r}"
        parsed = json.loads(lines[0])
        assert set(parsed) == {"code", "reason", "message", "metadata"}
        return parsed


@dataclass(frozen=True)
class ErrorLine:
    line: str
    reason: str
    hint: str
    exit_code: int


def run(program: Path, *words: object, stdin: bytes = b"", env: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S, cwd: Path | None = None, prefix: tuple[str, ...] = ()) -> Outcome:
    result = subprocess.run([*prefix, str(program), *map(str, words)], input=stdin, capture_output=True, check=False,
                            env=dict(env or paths.clean_environment()), timeout=timeout_s, cwd=cwd or paths.SPACE)
    return Outcome(result.returncode, result.stdout, result.stderr.decode(errors="replace"))


@dataclass
class CommandLine:
    """liongatectl, told by LIONGATE_SOCKET where the daemon is."""

    socket: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return paths.clean_environment(LIONGATE_SOCKET=str(self.socket), **self.env)

    def __call__(self, *words: object, stdin: bytes = b"", timeout_s: float = TIMEOUT_S,
                 prefix: tuple[str, ...] = ()) -> Outcome:
        return run(paths.LIONGATECTL, *words, stdin=stdin, env=self.environment(), timeout_s=timeout_s, prefix=prefix)

    def ok(self, *words: object, stdin: bytes = b"") -> Outcome:
        outcome = self(*words, stdin=stdin)
        assert outcome.exit_code == 0, f"{words}: exit code {outcome.exit_code}: {outcome.err}"
        return outcome

    def refused(self, *words: object, stdin: bytes = b"") -> ErrorLine:
        outcome = self(*words, stdin=stdin)
        assert outcome.exit_code != 0, f"{words}: it worked: {outcome.out!r}"
        assert outcome.out == b"", f"{words}: an error, and data on stdout: {outcome.out!r}"
        return outcome.error()

    def start(self, *words: object) -> Running:
        """One that goes on until it is told to stop (--follow)."""
        return Running(subprocess.Popen([str(paths.LIONGATECTL), *map(str, words)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(),
                                        cwd=paths.SPACE))


class Running:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        processes.owned_pids.add(process.pid)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        processes.owned_pids.discard(self.process.pid)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip("\n")
