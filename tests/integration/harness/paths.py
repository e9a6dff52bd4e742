"""Where the programs under test are, and the folder that this run of the tests may write to."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def _build_folder() -> Path:
    for name in ("LIONGATE_BUILD_DIR", "LIONGATE_BUILD"):
        if os.environ.get(name):
            return Path(os.environ[name]).resolve()
    return ROOT / "build" / "release"


BUILD = _build_folder()
LIONGATED = BUILD / "bin" / "liongated"
LIONGATECTL = BUILD / "bin" / "liongatectl"
LAUNCHER = BUILD / "bin" / "liongate-launcher"
PLUGINS = BUILD / "plugins"
TEST_PLUGINS = BUILD / "tests" / "plugins"

# The paths of sockets must fit 107 bytes, so that everything lies flat and has short names. Others may pass through:
# started as root, the daemon may become another user and must still reach its state below.
SPACE = Path(tempfile.mkdtemp(prefix="lgi-"))
SPACE.chmod(0o711)
HOME = SPACE / "home"
TMPDIR = SPACE / "tmp"
for _folder in (HOME, TMPDIR):
    _folder.mkdir(mode=0o755)
# What is started as root may become another user and still wants a place for temporary files.
TMPDIR.chmod(0o1777)
atexit.register(shutil.rmtree, SPACE, ignore_errors=True)


def missing_programs() -> list[Path]:
    return [path for path in (LIONGATED, LIONGATECTL, LAUNCHER, PLUGINS / "hello", TEST_PLUGINS) if not path.exists()]


def clean_environment(**more: str) -> dict[str, str]:
    """Nothing of the caller's environment, neither its daemon, nor its folders, nor its proxies; but what a sanitizer
    is told to keep quiet about."""
    sanitizer = {name: os.environ[name] for name in ("TSAN_OPTIONS",) if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(HOME), "TMPDIR": str(TMPDIR), **sanitizer, **more}
