"""Manifests and plugin folders that are refused: each with its line, its reason, its exit code and its event."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import command_line, paths, wire
from harness.command_line import ERROR_LINE, ErrorLine
from harness.daemon import Daemon
from harness.workshop import Workshop, edit, replaced_line

GOOD = 'name = "odd"\nversion = "0.1.0"\nentry_point = "./run.sh"\npermissions = []\nruntime = "command"\n'
SCRIPT = {"run.sh": "#!/bin/sh\ncat\n"}
MANIFEST_BYTES_MAX = 256 * 1024


def refused_load(daemon: Daemon, manifest: Path, reason: str, exit_code: int) -> list[ErrorLine]:
    """Loads by hand, and wants: that exit code, nothing but such error lines, nothing registered, the event."""
    outcome = daemon.ctl("load-plugin", "--manifest", manifest)
    assert outcome.exit_code == exit_code, f"exit code {outcome.exit_code}: {outcome.err}"
    assert outcome.out == b""
    errors = []
    for line in outcome.err.splitlines():
        match = ERROR_LINE.match(line)
        if match:
            assert match[4] == reason, line
            errors.append(ErrorLine(line, match[4], "", exit_code))
        else:
            assert line.startswith("hint: ") and line == outcome.err.splitlines()[-1], outcome.err
    assert errors
    assert not daemon.client.plugins.ListPlugins().plugins
    event = daemon.wait_event("PluginLoadFailed")
    assert event.plugin_load_failed.reason == reason
    assert event.plugin_load_failed.manifest_path == str(manifest)
    assert event.plugin_load_failed.message
    return errors


@pytest.mark.parametrize("field", ["name", "version", "entry_point", "permissions"])
def test_a_manifest_without_a_required_field(daemon: Daemon, workshop: Workshop, field: str) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{field} =")]
    folder = workshop.write("odd", "\n".join(lines) + "\n", SCRIPT)
    errors = refused_load(daemon, folder / "manifest.toml", "INVALID_MANIFEST", 7)
    assert any(f"{field}" in error.line and str(folder / "manifest.toml") in error.line for error in errors)


WRONG_LINES = {
    "name with capitals": ("name", 'name = "Odd"', "name"),
    "name that is a UUID": ("name", 'name = "bad57473-93e1-45d9-ab6e-788c63d67c6a"', "name"),
    "name of 65 letters": ("name", f'name = "{"x" * 65}"', "name"),
    "version that is none": ("version", 'version = "one"', "version"),
    "permissions that are no list": ("permissions", 'permissions = "process"', "permissions"),
    "permission that is a number": ("permissions", "permissions = [1]", "permissions"),
    "runtime that is none": ("runtime", 'runtime = "fortran"', "runtime"),
    "entry point of a wrong type": ("entry_point", "entry_point = 7", "entry_point"),
}


@pytest.mark.parametrize("case", WRONG_LINES)
def test_a_field_that_is_wrong_is_named_with_its_line(daemon: Daemon, workshop: Workshop, case: str) -> None:
    key, line, field = WRONG_LINES[case]
    folder = workshop.write("odd", replaced_line(GOOD, key, line), SCRIPT)
    manifest = folder / "manifest.toml"
    number = 1 + [text.split(" ")[0] for text in GOOD.splitlines()].index(key)
    errors = refused_load(daemon, manifest, "INVALID_MANIFEST", 7)
    assert any(f"{manifest}:{number}: {field}" in error.line for error in errors), errors


def test_all_faults_of_a_manifest_are_reported_together(daemon: Daemon, workshop: Workshop) -> None:
    bad = 'name = "Odd"\nversion = "one"\nentry_point = "./run.sh"\npermissions = [1]\n'
    folder = workshop.write("odd", bad, SCRIPT)
    errors = refused_load(daemon, folder / "manifest.toml", "INVALID_MANIFEST", 7)
    named = " ".join(error.line for error in errors)
    assert len(errors) >= 3
    for number, field in [(1, "name"), (2, "version"), (4, "permissions")]:
        assert f"manifest.toml:{number}: {field}" in named


@pytest.mark.parametrize("text", ["this is not TOML\n", "name = \n", '{"name": 1}\n', "\0\0\0", "", "[plugin\n",
                                  'name = "a"\nname = "b"\n'])
def test_a_file_that_is_not_toml(daemon: Daemon, workshop: Workshop, text: str) -> None:
    folder = workshop.write("odd", text, SCRIPT)
    refused_load(daemon, folder / "manifest.toml", "INVALID_MANIFEST", 7)


def test_a_file_that_is_not_utf8(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.write("odd", GOOD, SCRIPT)
    (folder / "manifest.toml").write_bytes(GOOD.encode() + b'description = "\xff\xfe"\n')
    refused_load(daemon, folder / "manifest.toml", "INVALID_MANIFEST", 7)


def test_a_manifest_over_the_bound(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.write("odd", GOOD + "#" * MANIFEST_BYTES_MAX, SCRIPT)
    refused_load(daemon, folder / "manifest.toml", "INVALID_MANIFEST", 7)


def test_a_manifest_that_is_not_there(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.write("odd", GOOD, SCRIPT)
    errors = refused_load(daemon, folder / "nothing.toml", "INVALID_MANIFEST", 7)
    assert "No such file" in errors[0].line


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_a_manifest_that_is_no_file(daemon: Daemon, workshop: Workshop, kind: str) -> None:
    folder = workshop.write("odd", GOOD, SCRIPT)
    manifest = folder / "strange.toml"
    if kind == "folder":
        manifest.mkdir()
    elif kind == "pipe":
        os.mkfifo(manifest)
    else:
        manifest = Path("/dev/null")
    refused_load(daemon, manifest, "INVALID_MANIFEST", 7)


def test_a_relative_manifest_path_over_grpc(daemon: Daemon) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        daemon.client.plugins.LoadPlugin(manifest_path="plugins/hello/manifest.toml")


def test_a_load_request_without_a_source(daemon: Daemon) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        daemon.client.plugins.LoadPlugin()


@pytest.mark.parametrize("permission", ["telepathy", "fs_reed:/x", "", "PROCESS"])
def test_an_unknown_permission(daemon: Daemon, workshop: Workshop, permission: str) -> None:
    folder = workshop.write("odd", replaced_line(GOOD, "permissions", f'permissions = ["{permission}"]'), SCRIPT)
    errors = refused_load(daemon, folder / "manifest.toml", "UNKNOWN_PERMISSION", 7)
    assert permission in errors[0].line


def test_forbidden_is_refused_even_in_development(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.write("odd", replaced_line(GOOD, "permissions", 'permissions = ["forbidden"]'), SCRIPT)
    errors = refused_load(daemon, folder / "manifest.toml", "PERMISSION_DENIED", 6)
    assert "forbidden" in errors[0].line
    denied = daemon.wait_event("PermissionDenied")
    assert denied.permission_denied.permission == "forbidden"
    assert denied.plugin_name == "odd"


# --- the entry point ---

def no_file(folder: Path) -> None:
    (folder / "run.sh").unlink()


def a_folder(folder: Path) -> None:
    no_file(folder)
    (folder / "run.sh").mkdir()


def not_executable(folder: Path) -> None:
    (folder / "run.sh").chmod(0o644)


def a_missing_interpreter(folder: Path) -> None:
    edit(folder / "run.sh", lambda _: "#!/no/such/interpreter\n")


def an_empty_interpreter(folder: Path) -> None:
    edit(folder / "run.sh", lambda _: "#!\n")


def a_pipe(folder: Path) -> None:
    no_file(folder)
    os.mkfifo(folder / "run.sh")


def a_link_to_outside(folder: Path) -> None:
    no_file(folder)
    (folder / "run.sh").symlink_to("/bin/sh")


def a_dangling_link(folder: Path) -> None:
    no_file(folder)
    (folder / "run.sh").symlink_to("nowhere")


@pytest.mark.parametrize("break_it", [no_file, a_folder, not_executable, a_missing_interpreter, an_empty_interpreter,
                                      a_pipe, a_link_to_outside, a_dangling_link])
def test_an_entry_point_that_cannot_be_run(daemon: Daemon, workshop: Workshop,
                                           break_it: Callable[[Path], None]) -> None:
    folder = workshop.write("odd", GOOD, SCRIPT)
    break_it(folder)
    refused_load(daemon, folder / "manifest.toml", "ENTRY_POINT_NOT_FOUND", 7)


@pytest.mark.parametrize("entry_point", ["/dev/null", "/no/such/program", "/etc/passwd", "/usr", "../../escape.sh"])
def test_an_entry_point_elsewhere_that_is_no_program(daemon: Daemon, workshop: Workshop, entry_point: str) -> None:
    folder = workshop.write("odd", replaced_line(GOOD, "entry_point", f'entry_point = "{entry_point}"'), SCRIPT)
    manifest = folder / "manifest.toml"
    outcome = daemon.ctl("load-plugin", "--manifest", manifest)
    # A way out of the folder is the manifest's fault as much as the program's: either reason says so.
    assert outcome.exit_code == 7
    assert outcome.error().reason in (("ENTRY_POINT_NOT_FOUND",) if entry_point.startswith("/") else
                                      ("ENTRY_POINT_NOT_FOUND", "INVALID_MANIFEST"))
    assert daemon.wait_event("PluginLoadFailed").plugin_load_failed.reason == outcome.error().reason


@pytest.mark.parametrize("runtime", ["native", "python"])
def test_only_a_command_may_name_a_program_of_the_system(daemon: Daemon, workshop: Workshop, runtime: str) -> None:
    manifest = workshop.manifest("odd", "/usr/bin/sort", runtime)
    folder = workshop.write("odd", manifest)
    refused_load(daemon, folder / "manifest.toml", "ENTRY_POINT_NOT_FOUND", 7)


# --- the folder ---

@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_folder_that_others_may_write_to(daemon: Daemon, workshop: Workshop, mode: int) -> None:
    folder = workshop.write("odd", GOOD, SCRIPT)
    folder.chmod(mode)
    errors = refused_load(daemon, folder / "manifest.toml", "UNSAFE_FOLDER", 7)
    assert str(folder) in errors[0].line


def test_a_folder_inside_the_daemons_state(daemon: Daemon) -> None:
    folder = daemon.state_dir / "plugins"
    folder.mkdir()
    (folder / "manifest.toml").write_text(GOOD, encoding="utf-8")
    (folder / "run.sh").write_text(SCRIPT["run.sh"], encoding="utf-8")
    (folder / "run.sh").chmod(0o755)
    refused_load(daemon, folder / "manifest.toml", "UNSAFE_FOLDER", 7)


def test_a_folder_around_the_daemons_state(daemon: Daemon) -> None:
    (daemon.folder / "manifest.toml").write_text(GOOD, encoding="utf-8")
    (daemon.folder / "run.sh").write_text(SCRIPT["run.sh"], encoding="utf-8")
    (daemon.folder / "run.sh").chmod(0o755)
    refused_load(daemon, daemon.folder / "manifest.toml", "UNSAFE_FOLDER", 7)


@pytest.mark.parametrize("folder", ["/", "/usr", "/etc", "/tmp", "/proc", "/dev/shm", "/var/lib", "/home", "/root"])
def test_system_folders(daemon: Daemon, folder: str) -> None:
    inline = {"folder": folder, "manifest": {"name": "odd", "version": "0.1.0", "entry_point": "./x",
                                             "runtime": "command"}}
    with wire.refused("UNSAFE_FOLDER", "FAILED_PRECONDITION") as refusals:
        daemon.client.plugins.LoadPlugin(inline=inline)
    assert refusals[0].metadata["category"] == "LoadFailure"


@pytest.mark.root_only("only root can give a folder to somebody else")
def test_a_folder_of_somebody_else(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.write("odd", GOOD, SCRIPT)
    os.chown(folder, 12345, 12345)
    refused_load(daemon, folder / "manifest.toml", "UNSAFE_FOLDER", 7)


def test_a_link_to_a_folder_stands_for_the_folder(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.write("odd", GOOD, SCRIPT)
    link = workshop.folder / "link"
    link.symlink_to(folder)
    plugin = daemon.load(link / "manifest.toml")
    assert plugin.folder == str(folder)


# --- without a daemon ---

def test_validate_manifest_says_what_is_wrong_without_a_daemon(workshop: Workshop) -> None:
    folder = workshop.write("odd", replaced_line(GOOD, "version", 'version = "one"'), SCRIPT)
    outcome = command_line.run(paths.LIONGATECTL, "validate-manifest", folder / "manifest.toml")
    assert outcome.exit_code == 7
    assert f"{folder}/manifest.toml:2: version" in outcome.err
    assert outcome.error().reason == "INVALID_MANIFEST"


def test_validate_manifest_warns_of_unknown_keys_and_names_the_near_one(workshop: Workshop) -> None:
    folder = workshop.write("odd", GOOD + 'desciption = "a typing error"\n', SCRIPT)
    outcome = command_line.run(paths.LIONGATECTL, "validate-manifest", folder / "manifest.toml")
    assert outcome.exit_code == 0
    assert "desciption" in outcome.err and "description" in outcome.err
