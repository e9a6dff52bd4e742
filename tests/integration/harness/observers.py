"""Observers that a test writes: a plugins.yaml beside the daemon's configuration, and modules beside that."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .daemon import Daemon
from .waiting import eventually

# Writes each event it is shown as a line into a file that it was granted, so that a test sees what it saw.
RECORDER = '''
from liongate import Event, PluginBase

class Recorder(PluginBase):
    def on_startup(self) -> None:
        self.file = open(self.config["file"], "a", buffering=1)
        self.file.write("startup\\n")

    def on_event(self, event: Event) -> None:
        self.file.write(f"{event.seq} {event.type} {event.plugin_name}\\n")

    def on_shutdown(self) -> None:
        self.file.write("shutdown\\n")
'''


class Observers:
    """The plugins.yaml of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.folder = daemon.folder
        self.file = self.folder / "plugins.yaml"
        self.out = self.folder / "out"
        self.out.mkdir(mode=0o777, exist_ok=True)
        self.out.chmod(0o777)

    def module(self, path: str, text: str) -> Path:
        """A file in a package beside plugins.yaml."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        for parent in file.relative_to(self.folder).parents:
            (self.folder / parent).chmod(0o755 if str(parent) != "." else 0o711)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)
        return file

    def write(self, *entries: dict[str, Any], **top: Any) -> None:
        """As JSON, which is YAML; in one step, as editors do."""
        self.write_text(json.dumps({**top, "plugins": list(entries)}, indent=1))

    def write_text(self, text: str) -> None:
        made = self.file.with_suffix(".new")
        made.write_text(text, encoding="utf-8")
        made.chmod(0o644)
        os.rename(made, self.file)

    def recorder(self, name: str, **more: Any) -> dict[str, Any]:
        """An entry whose observer writes what it sees to `lines(name)`."""
        self.module("recording/recorder.py", RECORDER)
        config = {"file": str(self.out / name), **more.pop("config", {})}
        return {"id": name, "module": "recording.recorder.Recorder", "config": config,
                "permissions": [f"fs_write:{self.out}"], **more}

    def lines(self, name: str) -> list[str]:
        file = self.out / name
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def seen(self, name: str) -> list[int]:
        """The numbers of the events that it was shown, in the order in which it was."""
        return [int(line.split()[0]) for line in self.lines(name) if line[:1].isdigit()]

    def wait_seen(self, name: str, seq: int, timeout_s: float = 30.0) -> list[int]:
        eventually(lambda: seq in self.seen(name)[-2000:], f"{name} was shown event {seq}", timeout_s)
        return self.seen(name)

    def caught_up(self, *names: str, timeout_s: float = 30.0) -> None:
        """Until they have acknowledged what there is now."""
        until = self.daemon.status().last_seq
        for name in names:
            eventually(lambda name=name: self.daemon.get(name).observer.cursor_seq >= until,
                       f"{name} has acknowledged event {until}", timeout_s)
