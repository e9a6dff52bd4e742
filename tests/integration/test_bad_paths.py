"""Paths and folders that are not what they should be: granted ones, and a plugin's own."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import wire
from harness.daemon import Daemon
from harness.workshop import Workshop

GIBIBYTE = 1 << 30


def refused_grant(daemon: Daemon, workshop: Workshop, permission: str) -> wire.Refusal:
    folder = workshop.with_permissions("hello", [permission])
    with pytest.raises(wire.Refusal) as caught:
        daemon.load(folder)
    assert not daemon.client.plugins.ListPlugins().plugins
    return caught.value


# --- granted paths ---

def test_a_granted_path_that_is_not_there(daemon: Daemon, workshop: Workshop) -> None:
    refusal = refused_grant(daemon, workshop, "fs_read:/no/such/place")
    assert refusal.reason == "LOAD_FAILURE"
    assert "open the granted path /no/such/place: No such file or directory" in refusal.message


def test_a_granted_path_that_is_a_link(daemon: Daemon, workshop: Workshop) -> None:
    link = workshop.folder / "link"
    link.symlink_to("/etc")
    refusal = refused_grant(daemon, workshop, f"fs_read:{link}")
    assert f"open the granted path {link}: Too many levels of symbolic links" in refusal.message


def test_a_link_on_the_way_to_a_granted_path(daemon: Daemon, workshop: Workshop) -> None:
    (workshop.folder / "link").symlink_to("/etc")
    refusal = refused_grant(daemon, workshop, f"fs_read:{workshop.folder}/link/hostname")
    assert "Too many levels of symbolic links" in refusal.message


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: socket.socket(socket.AF_UNIX).bind(str(path))],
                         ids=["FIFO", "socket"])
def test_a_granted_path_that_is_a_door_to_somebody_else(daemon: Daemon, workshop: Workshop,
                                                        make: Callable[[Path], None]) -> None:
    make(workshop.folder / "door")
    refusal = refused_grant(daemon, workshop, f"fs_read:{workshop.folder}/door")
    assert "Operation not supported" in refusal.message


@pytest.mark.parametrize("path", ["/", "/proc", "/proc/self/root", "/sys", "/dev", "/dev/shm", "//", "/srv/.."])
@pytest.mark.parametrize("kind", ["fs_read", "fs_write"])
def test_a_path_that_no_policy_grants(daemon: Daemon, workshop: Workshop, kind: str, path: str) -> None:
    refusal = refused_grant(daemon, workshop, f"{kind}:{path}")
    assert refusal.reason in ("PERMISSION_DENIED", "INVALID_MANIFEST"), refusal
    assert f"{kind}:/" in refusal.message


def test_a_path_with_dots_means_what_it_is_mounted_as(daemon: Daemon, workshop: Workshop) -> None:
    data = workshop.folder / "data"
    data.mkdir()
    (data / "file").write_text("contents", encoding="utf-8")
    folder = workshop.command("reader", f"cat {data}/file", permissions=[f"fs_read:{data}/../data/."])
    daemon.load(folder)
    assert daemon.invoke("reader").text == "contents"


def test_a_relative_path_is_below_the_plugins_folder(daemon: Daemon, workshop: Workshop) -> None:
    script = "echo written > output/file && cat output/file"
    folder = workshop.command("writer", script, permissions=["fs_write:output"])
    (folder / "output").mkdir()
    daemon.load(folder)
    assert daemon.invoke("writer").text == "written\n"
    assert (folder / "output/file").read_text(encoding="utf-8") == "written\n"


def test_an_empty_path(daemon: Daemon, workshop: Workshop) -> None:
    assert refused_grant(daemon, workshop, "fs_read:").reason in ("INVALID_MANIFEST", "UNKNOWN_PERMISSION")


# --- a plugin's own folder ---

def test_a_folder_with_a_fifo_a_socket_and_a_setuid_program(daemon: Daemon, workshop: Workshop) -> None:
    script = """
dd of=/plugin/fifo oflag=nonblock conv=notrunc count=1 if=/dev/zero 2>&1 | grep -o "Permission denied"
/plugin/own_id -u
cat /plugin/socket 2>&1 | grep -o "No such device.*\\|Permission denied"
"""
    folder = workshop.command("odd", script)
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
        shutil.copy("/usr/bin/id", folder / "own_id")
        (folder / "own_id").chmod(0o4755)
        daemon.load(folder)
        lines = daemon.invoke("odd").text.splitlines()
    assert lines[0] == "Permission denied"
    assert lines[1] == "1000"
    assert len(lines) == 3


@pytest.mark.root_only("only root makes device files")
def test_a_folder_with_device_files(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.command("devices", "for name in zero disk; do head -c 1 /plugin/$name 2>&1; done; true")
    os.mknod(folder / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mknod(folder / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    daemon.load(folder)
    assert daemon.invoke("devices").text.count("Permission denied") == 2


def test_a_folder_with_ten_thousand_files(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello", "many")
    own_files = len(list(folder.iterdir()))
    for number in range(10_000 - own_files):
        (folder / f"file-{number}").touch()
    daemon.load(folder)
    assert "x" in daemon.invoke("many", "x").text
    daemon.client.plugins.UnloadPlugin(plugin="many")
    (folder / "one-too-many").touch()
    with wire.refused("UNSAFE_FOLDER") as refusals:
        daemon.load(folder)
    assert "10000" in refusals[0].message


def test_a_program_of_one_gibibyte(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello", "large")
    os.truncate(folder / "hello", GIBIBYTE)
    daemon.load(folder)
    assert "test" in daemon.invoke("large", "test").text


def test_a_gibibyte_that_is_no_program(daemon: Daemon, workshop: Workshop) -> None:
    folder = workshop.copy("hello", "empty")
    (folder / "hello").unlink()
    (folder / "hello").touch(mode=0o755)
    os.truncate(folder / "hello", GIBIBYTE)
    with pytest.raises(wire.Refusal) as caught:
        daemon.load(folder)
    assert caught.value.reason in ("LOAD_FAILURE", "ENTRY_POINT_NOT_FOUND"), caught.value
