#!/usr/bin/python3
"""The escape suite: every attempt unsandboxed, with an empty manifest, and with every other permission granted.

Usage: tests/escape/run.py [--short] [--json] [--only ID]... [--user root|rootless|both]

Prints a table: id, user, manifest, class, attempt, expected, seen, verdict. Manifest "none" is the positive control,
which has to show that the attempt is one; "note" marks a control that shows nothing on this host. As root everything
runs a second time as an unprivileged user (uid 65534). Programs come from LIONGATE_BUILD_DIR, else build/release.

Exit codes: 0 every row as expected; 1 one is not; 2 usage; 77 this host cannot confine plugins at all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNPRIVILEGED_ID = 65534
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests" / "integration"), str(Path(__file__).resolve().parent)]


def run_here(options: argparse.Namespace) -> int:
    """As whoever runs this."""
    from suite import catalogue, judge  # only now: finding the programs makes folders

    return judge.run(catalogue.chosen(options.only, options.short), options.json)


def run_unprivileged(options: argparse.Namespace) -> int:
    """The same by another user, on copies that it may read."""
    build = Path(os.environ.get("LIONGATE_BUILD_DIR") or ROOT / "build" / "release").resolve()
    folder = Path(tempfile.mkdtemp(prefix="liongate-escape-"))
    try:
        for name in ("tests/integration/harness", "tests/escape", "proto", "docs/security.md"):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "--archive", ROOT / name, folder / name], check=True)
        for name in ("bin", "plugins", "sdk", "tests/plugins", "tests/escape/escape"):
            (folder / "build" / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", build / name, folder / "build" / name], check=True)
        (folder / "run").mkdir(mode=0o700)
        subprocess.run(["chown", "-R", f"{UNPRIVILEGED_ID}:{UNPRIVILEGED_ID}", folder], check=True)
        words = [str(folder / "tests/escape/run.py"), "--user", "rootless"]
        words += ["--short"] * options.short + ["--json"] * options.json
        for name in options.only:
            words += ["--only", name]
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(folder / "run"),
                       "TMPDIR": str(folder / "run"), "LIONGATE_BUILD_DIR": str(folder / "build")}
        return subprocess.run(["setpriv", f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups",
                               sys.executable, *words], env=environment, check=False, cwd=folder).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the checks that `make test` runs")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--only", action="append", default=[], metavar="ID")
    parser.add_argument("--user", choices=("root", "rootless", "both"), default="both")
    options = parser.parse_args()
    is_root = os.geteuid() == 0
    if options.user == "root" and not is_root:
        parser.error("--user root: not started as root")
    begin = time.monotonic()
    codes = []
    if options.user != "rootless" or not is_root:
        codes.append(run_here(options))
    if is_root and options.user != "root":
        codes.append(run_unprivileged(options))
    if options.json:
        print(json.dumps({"seconds": round(time.monotonic() - begin, 1)}))
    else:
        print(f"{time.monotonic() - begin:.0f} s")
    return max(codes, key=lambda code: (code == 1, code))


if __name__ == "__main__":
    sys.exit(main())
