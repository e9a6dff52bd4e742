"""X13: a granted folder is exchanged for a link to the secrets while plugins that were granted it are loaded."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOADS = 20
RENAME_EXCHANGE = 2
AT_FDCWD = -100


class Swapper:
    """Exchanges two names as fast as one thread can, until `stop`."""

    def __init__(self, one: Path, other: Path) -> None:
        self._names = (os.fsencode(one), os.fsencode(other))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._swap)
        self._thread.start()

    def _swap(self) -> None:
        libc = ctypes.CDLL(None)
        while not self._stop.is_set():
            libc.renameat2(AT_FDCWD, self._names[0], AT_FDCWD, self._names[1], RENAME_EXCHANGE)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def outcomes(scene: Any) -> Mapping[str, str]:
    """What was read, by each of the loads: "plain", "refused", or what it was."""
    folder = scene.stage.scratch / "grants" / f"{scene.name}-swap"
    (folder / "sub").mkdir(parents=True, mode=0o755)
    (folder / "sub" / "canary").write_text("plain", encoding="utf-8")
    (folder / "link").symlink_to(scene.stage.canary.parent)
    swapper = Swapper(folder / "sub", folder / "link")
    seen: dict[str, int] = {}
    try:
        for _ in range(LOADS):
            said = scene.read_as_new_plugin(f"fs_read:{folder / 'sub'}", folder / "sub" / "canary")
            seen[said] = seen.get(said, 0) + 1
    finally:
        swapper.stop()
    for name in ("sub", "link"):
        path = folder / name
        if path.is_symlink():
            path.unlink()
        else:
            (path / "canary").unlink()
            path.rmdir()
    folder.rmdir()
    return {f"{count} of {LOADS} loads": said for said, count in seen.items()}
