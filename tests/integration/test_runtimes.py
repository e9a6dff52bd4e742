"""Programs of real runtimes, nobody changed for us, under the walls: what they do every day works, a socket does not.

Each is a command plugin made of tests/integration/runtimes/. A runtime that is not installed is skipped by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import paths, wire
from harness.daemon import Daemon, default_config
from harness.workshop import Workshop

SOURCES = Path(__file__).resolve().parent / "runtimes"
JVMS = sorted({path.resolve() for path in Path("/usr/lib/jvm").glob("*/bin/java")})
BUILD_TIMEOUT_S = 240
GIBIBYTE = 1 << 30


def first_of(name: str, *places: str) -> str:
    for place in [shutil.which(name), *places]:
        if place and os.access(place, os.X_OK):
            return place
    pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="session")
def built() -> Callable[..., Path]:
    """Runs a compiler once a session; what it made lies beside the other files of the tests."""
    folder = paths.SPACE / "runtimes"
    folder.mkdir(mode=0o755)

    def build(name: str, words: list[str], **environment: str) -> Path:
        target = folder / name
        if not target.exists():
            made = subprocess.run([*words, str(target)], capture_output=True, text=True, timeout=BUILD_TIMEOUT_S,
                                  check=False, cwd=SOURCES, env={**os.environ, **environment})
            if made.returncode != 0:
                pytest.skip(f"{words[0]} does not build here: {made.stderr.strip()[-300:]}")
        return target

    return build


def answers(daemon: Daemon, plugin: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in str(daemon.invoke(plugin, timeout_ms=60_000).text).splitlines())


def limits(memory_bytes_max: int) -> str:
    return f"[limits]\nmemory_bytes_max = {memory_bytes_max}\n"


def command(workshop: Workshop, name: str, program: str, args: list[str], files: list[Path],
            permissions: list[str], memory_bytes_max: int = GIBIBYTE) -> Path:
    folder = workshop.write(name, workshop.manifest(name, program, "command", permissions, args,
                                                    limits(memory_bytes_max)))
    for file in files:
        shutil.copy(file, folder / file.name)
        (folder / file.name).chmod(0o755)
    return folder


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Without control groups a memory limit beside `jit` holds for private memory alone; here that is accepted."""
    return make_daemon(config=default_config("cgroup_limits")).start()


def denied(daemon: Daemon) -> dict[str, str]:
    return {event.permission_denied.system_call: event.permission_denied.permission
            for event in daemon.events(types=["PermissionDenied"])}


def assert_confined(daemon: Daemon, plugin: str) -> None:
    """The posture stands in the plugin's record and in the log, and every mandatory mechanism is in force."""
    posture = {mechanism.name: mechanism for mechanism in daemon.get(plugin).posture.mechanisms}
    for name in ("user namespace", "mount namespace", "network namespace", "system call filter", "capabilities",
                 "denial reports"):
        assert posture[name].state == "active", posture[name]
    [event] = daemon.events(types=["SandboxPosture"], plugin=plugin)
    assert len(event.sandbox_posture.posture.mechanisms) == len(posture)


# --- python ---

def test_python_with_threads_and_processes(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(command(workshop, "worker", "/usr/bin/python3", ["work.py"], [SOURCES / "work.py"], []))
    said = answers(daemon, "worker")
    assert said == {"threads": "16", "processes": "285,400", "files": "text", "child": "spoken",
                    "connect": os.strerror(97)}
    assert denied(daemon) == {"socket": "network"}
    assert_confined(daemon, "worker")


PYTHON_PLUGIN = """
import sys
sys.path.insert(0, "/plugin")
import work
from liongate import Call, Plugin

plugin = Plugin()


@plugin.operation("")
def everything(call: Call) -> str:
    lines = []
    work.say_all(lines.append)
    return "\\n".join(lines)


@plugin.operation("threads")
def threads(call: Call) -> str:
    return str(work.run_threads())


@plugin.operation("fork")
def fork(call: Call) -> str:
    try:
        work.run_processes()
    except OSError as error:
        return error.strerror
    return "worked"


plugin.run()
"""


def python_plugin(workshop: Workshop, permissions: list[str]) -> Path:
    folder = workshop.python("worker", PYTHON_PLUGIN, permissions)
    shutil.copy(SOURCES / "work.py", folder / "work.py")
    return folder


def test_python_over_the_sdk_with_process(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(python_plugin(workshop, ["process"]))
    lines = str(daemon.invoke("worker", operation="fork").text)
    assert lines == "worked"
    assert_confined(daemon, "worker")


def test_python_without_process_has_threads_and_no_processes(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(python_plugin(workshop, []))
    assert daemon.invoke("worker", operation="fork").text == os.strerror(1)
    assert daemon.invoke("worker", operation="threads").text == "16"
    assert set(denied(daemon).values()) == {"process"}


# --- node ---

def node(workshop: Workshop, permissions: list[str], args: list[str]) -> Path:
    program = str(Path(first_of("node", "/usr/bin/node", "/usr/local/bin/node")).resolve())
    if not program.startswith("/usr/"):
        pytest.skip(f"a command sees the system's /usr, and node is {program}")
    return command(workshop, "noder", program, [*args, "main.js"], [SOURCES / "main.js"], permissions)


def test_node_with_jit(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(node(workshop, ["jit"], []))
    said = answers(daemon, "noder")
    assert (said["files"], said["wasm"], said["child"], said["local_fetch"]) == ("text", "42", "spoken", "here")
    assert said["workers"] == ",".join([said["compiled"]] * 3)
    assert said["fetch"] == "EAFNOSUPPORT"
    assert denied(daemon)["socket"] == "network"
    assert_confined(daemon, "noder")


def test_node_without_jit_is_refused_and_the_event_names_jit(daemon: Daemon, workshop: Workshop) -> None:
    daemon.load(node(workshop, [], []))
    with wire.refused("PLUGIN_CRASHED"):
        daemon.invoke("noder", timeout_ms=60_000)
    assert "jit" in denied(daemon).values()


# --- Go ---

def test_a_go_binary(daemon: Daemon, workshop: Workshop, built: Callable[..., Path]) -> None:
    go = first_of("go", "/usr/local/go/bin/go")
    program = built("goer", [go, "build", "-o"], CGO_ENABLED="0", GO111MODULE="off", GOFLAGS="")
    daemon.load(command(workshop, "goer", "./goer", [], [program], ["jit"], GIBIBYTE // 4))
    assert answers(daemon, "goer") == {"goroutines": "true", "files": "text <nil>", "child": "spoken <nil>",
                                       "dial_refused": "true"}
    assert "network" in denied(daemon).values()
    assert_confined(daemon, "goer")


# --- Rust ---

def test_a_rust_binary(daemon: Daemon, workshop: Workshop, built: Callable[..., Path]) -> None:
    rustc = first_of("rustc", "/root/.cargo/bin/rustc")
    program = built("ruster", [rustc, "-O", "main.rs", "-o"])
    daemon.load(command(workshop, "ruster", "./ruster", [], [program], []))
    assert answers(daemon, "ruster") == {"threads": "16", "files": "text", "child": "spoken",
                                         "connect_refused": "true"}
    assert denied(daemon) == {"socket": "network"}
    assert_confined(daemon, "ruster")


# --- Java ---

@pytest.mark.parametrize("java", JVMS, ids=lambda path: path.parent.parent.name)
def test_java_with_jit(daemon: Daemon, workshop: Workshop, built: Callable[..., Path], java: Path) -> None:
    javac = next((jvm.parent / "javac" for jvm in JVMS if (jvm.parent / "javac").exists()), None)
    if javac is None:
        pytest.skip("no javac is installed")
    classes = built("classes", [str(javac), "--release", "17", "Main.java", "-d"])
    settings = Path("/etc") / java.parent.parent.name.removesuffix("-amd64")
    grants = [f"fs_read:{settings}"] if settings.is_dir() else []
    folder = command(workshop, "javaer", str(java), ["-cp", ".", "Main"], [classes / "Main.class"], ["jit", *grants])
    daemon.load(folder)
    assert answers(daemon, "javaer") == {"threads": "8", "garbage": str(200 << 20), "files": "text", "child": "spoken",
                                         "socket": "refused"}
    assert denied(daemon)["socket"] == "network"
    assert_confined(daemon, "javaer")


def test_no_java_at_all_is_said() -> None:
    if not JVMS:
        pytest.skip("no Java is installed below /usr/lib/jvm")
