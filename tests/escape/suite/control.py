"""The positive control: the same program and the same attempt without a sandbox, so that a hollow check shows.

What would be felt outside runs in namespaces of its own; the rest runs beside the daemon, on scratch files. Nothing
here changes the host: as root everything but the scratch files is read-only for a control (main.cpp), and attempts that
would change it otherwise have arguments that the kernel refuses behind the question of privilege.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from harness import paths

from .check import Check
from .stage import PROGRAM, Stage

TIMEOUT_S = 30
DESCRIPTORS_MAX = 4096


def _prefix(check: Check) -> list[str]:
    bounds = ["prlimit", f"--nofile={DESCRIPTORS_MAX}:{DESCRIPTORS_MAX}", "--core=0:0", "--as=4294967296"]
    if not check.control:
        return bounds
    namespaces = [f"--{kind}" for kind in check.control]
    if os.geteuid() != 0:
        namespaces += ["--user", "--map-root-user"]
    return [*bounds, "unshare", *namespaces, "--fork", "--kill-child", "--mount-proc"]


def run(stage: Stage, check: Check, variant: str) -> dict[str, str]:
    folder = stage.scratch / "control"
    stage.make_grants(folder)
    listeners = [stage.listen_in(folder / name) for name in ("ro", "rw")]
    scene = stage.scene(folder) | dict(check.scene) | dict(check.control_scene) | {"variant": variant}
    scene["scratch"] = folder
    environment = paths.clean_environment(LIONGATE_ESCAPE_SECRET=stage.canary_value)
    leaked = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        result = subprocess.run([*_prefix(check), str(PROGRAM), "control", check.id],
                                input="".join(f"{key}={value}\n" for key, value in scene.items()).encode(),
                                capture_output=True, check=False, timeout=TIMEOUT_S, cwd=folder, env=environment,
                                pass_fds=[leaked])
    finally:
        os.close(leaked)
        for listener in listeners:
            listener.close()
        shutil.rmtree(folder)
    text = result.stdout.decode(errors="replace")
    if not text:
        return {"control": f"did not run: {result.stderr.decode(errors='replace').strip()[-200:]}"}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
