"""F01 to F31: files, descriptors, other processes' folders, and what a grant can be abused for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .check import BESIDE, ENOSYS, EPERM, INVISIBLE, NO_FAMILY, Check, Expect, check, fewer, matches, one_of, only

READ_ONLY = one_of("EROFS", "EACCES", "EPERM", "ENOENT")
NOT_WRITABLE = one_of("EROFS", "EACCES", "EPERM", "ENOENT", "ETXTBSY")
# An empty manifest shows four folders; a grant adds the first part of its path, and the suite's lie below /tmp.
ROOT_NAMES = ["dev", "plugin", "proc", "tmp"]
DEVICES = ["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"]
MOUNTS = ["/:ro", "/tmp:rw", "/dev/shm:rw", "/dev/null:ro", "/dev/zero:ro", "/dev/full:ro", "/dev/random:ro",
          "/dev/urandom:ro", "/proc:ro", "/plugin:ro"]
ENVIRONMENT = ["PATH", "HOME", "LANG", "TZ", "LIONGATE_ESCAPE_GRANTED"]


def _mounts() -> Expect:
    """Those of every plugin, and the grants at their own paths with the access that was granted."""

    def holds(seen: str) -> bool:
        extra = set(seen.split(",")) - set(MOUNTS)
        return all(place.endswith("/grants/ro:ro") or place.endswith("/grants/rw:rw") for place in extra)

    return Expect("the plugin's own mounts and its grants", holds)


def _follow(scene: Any) -> Mapping[str, str]:
    """The daemon is asked to grant, and to load, what lies behind the links that the plugin left."""
    folder = scene.writable_on_host()
    seen: dict[str, str] = {}
    if folder is None:
        return seen
    for name in ("link", "folder"):
        seen[f"grant of {name}"] = scene.try_to_load_with(f"fs_read:{folder / name}")
    outcome = scene.stage.ctl("load-plugin", "--manifest", folder / "link")
    seen["manifest behind a link"] = "loaded" if outcome.exit_code == 0 else "refused"
    return seen


def _daemon_still_writes(scene: Any) -> Mapping[str, str]:
    outcome = scene.stage.ctl("invoke-plugin", "echo", "--input", "x", "--durability", "durable")
    return {"durable call": "written" if outcome.text == "x" else outcome.err}


def _ask_for_secret(scene: Any) -> Mapping[str, str]:
    outcome = scene.stage.ctl("invoke-plugin", scene.name, "--operation", "ask for secret", "--input", "given")
    events = scene.stage.daemon.events(types=["PermissionDenied"], plugin=scene.name)
    is_told = any(event.permission_denied.permission == "secret:given" for event in events)
    return {"host call": f"{outcome.text or outcome.err}, {'and' if is_told else 'without'} an event"}


CHECKS: list[Check] = [
    check("F01", "reading the host's files, HOME, the daemon's state", "N", INVISIBLE, control=BESIDE, short=True),
    check("F02", "listing /, /dev, /proc and the mount table", "N",
          {"/": only(ROOT_NAMES), "/dev": only(DEVICES), "processes": only(["2"]), "mounts": _mounts()},
          control=BESIDE, withhold=("network",), short=True),
    check("F03", "using descriptors that the daemon leaked", "N",
          {"descriptors": one_of("0,1,2,3,4"), "a way out of one": one_of("none")}, control=BESIDE, short=True),
    check("F04", "walking up from the current folder", "N",
          {"getcwd": one_of("/plugin"), "*": one_of("inside")}, control=BESIDE, short=True),
    check("F05", "opening its own program, or init's, for writing", "d", NOT_WRITABLE, control=BESIDE),
    check("F07", "memory, environment, root and files of init, daemon and sibling", "N", INVISIBLE, control=BESIDE,
          short=True),
    check("F08", "kernel settings and devices, for writing", "N",
          {"*": INVISIBLE, "/proc/self/oom_score_adj": READ_ONLY, "/proc/self/setgroups": READ_ONLY,
           "/proc/self/uid_map": READ_ONLY, "/proc/self/attr/current": READ_ONLY}, control=BESIDE, short=True),
    check("F10", "release_agent, cgroup.procs", "N", INVISIBLE, control=BESIDE),
    check("F11", "mknod of devices", "D", EPERM, control=BESIDE, short=True),
    check("F12", "a symlink in a grant that the daemon is then asked to open", "U",
          {"*": one_of("ok"), "followed here": INVISIBLE, "grant of link": one_of("refused"),
           "grant of folder": one_of("refused"), "manifest behind a link": one_of("refused")},
          afterwards=_follow, control=BESIDE, short=True),
    check("F15", "hard links and renames from a read-only grant to a writable one", "d",
          one_of("EXDEV", "EPERM", "EROFS", "EACCES"), control=BESIDE, short=True),
    check("F17", "changing a read-only grant", "d", READ_ONLY, control=BESIDE, short=True),
    check("F19", "connecting to a socket file in a grant", "D", NO_FAMILY, control=BESIDE, short=True),
    check("F21", "connecting to an abstract socket of the host", "D", {"*": NO_FAMILY, "list": INVISIBLE},
          control=BESIDE, short=True),
    check("F22", "memfd_create and fexecve", "D", {"memfd_create": one_of("ENOSYS", "ok"), "fexecve": EPERM},
          withhold=("process",), control=BESIDE),
    check("F23", "executing what it has written", "D",
          matches("EACCES|EPERM", "EACCES (mounted so) or EPERM"), control=BESIDE, has_event=False, short=True),
    check("F25", "fork and exec without `process`; threads work", "D", {"*": EPERM, "threads": one_of("ok")},
          withhold=("process",), variants=("native", "python"), short=True),
    check("F26", "the daemon's environment", "N", {"canary": one_of("unseen"), "names": only(ENVIRONMENT)},
          control=BESIDE, short=True),
    check("F28", "filling the private folders", "B",
          {"/tmp bytes": fewer(64, "ENOSPC"), "/dev/shm bytes": fewer(64, "ENOSPC"),
           "/tmp files": fewer(16384, "ENOSPC"), "/dev/shm files": fewer(16384, "ENOSPC")},
          scene={"mebibytes_max": 256, "files_max": 40000}, control_scene={"mebibytes_max": 80, "files_max": 17000},
          control=BESIDE, timeout_s=30),
    check("F29", "filling a granted folder: sparse files, reserved blocks, attributes", "B",
          {"*": one_of("EFBIG"), "fallocate beside the size": one_of("EOPNOTSUPP"),
           "extended attributes": fewer(32, "ENOSPC"), "durable call": one_of("written")},
          afterwards=_daemon_still_writes, control=BESIDE),
    check("F30", "exhausting inotify", "B",
          {"instances": fewer(128, "EMFILE"), "watches": fewer(8192, "ENOSPC")}, control=BESIDE,
          scene={"watches_max": 20000}, control_scene={"instances_max": 64, "watches_max": 9000},
          timeout_s=30),
    check("F31", "a secret that another plugin was given", "N",
          {"*": INVISIBLE, "host call": one_of("PERMISSION_DENIED, and an event")},
          afterwards=_ask_for_secret, control=BESIDE, short=True),
]
