"""probe-python: reports what a Python plugin sees. The operations are those of probe.cpp, as far as they make sense.

Refusals are part of the answer: "EPERM", not a failure.
"""

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable

from liongate import Call, Plugin

plugin = Plugin()


def answered(attempt: Callable[[], str]) -> str:
    """The attempt's answer, or the name of the error that refused it."""
    try:
        return attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def contents_of(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_to(path: str) -> str:
    with open(path, "w", encoding="utf-8") as file:
        file.write("probe\n")
    return "written"


def fork_once() -> str:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"


def connect(address: str, port: int) -> str:
    with socket.create_connection((address, port), timeout=0.5):
        return "connected"


@plugin.operation("status")
def status(call: Call) -> str:
    return contents_of("/proc/self/status")


@plugin.operation("environ")
def environ(call: Call) -> str:
    return "".join(f"{name}={value}\n" for name, value in os.environ.items())


@plugin.operation("fds")
def fds(call: Call) -> str:
    lines = []
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            lines.append(f"{name} -> {os.readlink('/proc/self/fd/' + name)}\n")
        except FileNotFoundError:
            pass  # the listing's own descriptor, closed by now
    return "".join(lines)


@plugin.operation("files")
def files(call: Call) -> str:
    return answered(lambda: contents_of(call.text))


@plugin.operation("list")
def names(call: Call) -> str:
    return answered(lambda: "".join(f"{name}\n" for name in sorted(os.listdir(call.text))))


@plugin.operation("write")
def write(call: Call) -> str:
    return answered(lambda: write_to(call.text))


@plugin.operation("network")
def network(call: Call) -> str:
    local = answered(lambda: connect("127.0.0.1", 1))
    outside = answered(lambda: connect("1.1.1.1", 53))
    return f"tcp 127.0.0.1:1: {local}\ntcp 1.1.1.1:53: {outside}\n"


@plugin.operation("fork")
def fork(call: Call) -> str:
    return answered(fork_once)


@plugin.operation("threads")
def threads(call: Call) -> str:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    return "started"


@plugin.operation("import")
def import_module(call: Call) -> str:
    try:
        __import__(call.text)
    except ImportError as error:
        return f"ImportError: {error}"
    return "imported"


@plugin.operation("path")
def path(call: Call) -> str:
    return "".join(f"{folder}\n" for folder in sys.path)


plugin.run()
