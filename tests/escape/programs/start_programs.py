"""F25 in Python: every way that the interpreter has to start a process, and threads, which are not one."""

import multiprocessing
import os
import subprocess
import threading

from liongate import Call, Plugin

plugin = Plugin()


def outcome_of(act) -> str:
    try:
        act()
    except OSError as error:
        return {1: "EPERM", 38: "ENOSYS", 13: "EACCES"}.get(error.errno, str(error))
    return "ok"


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


@plugin.operation("F25")
def start_programs(call: Call) -> str:
    attempts = {
        "os.fork": _fork,
        "os.system": lambda: subprocess.check_call("true", shell=True),
        "subprocess": lambda: subprocess.run(["/usr/bin/true"], check=False),
        "posix_spawn": lambda: os.posix_spawn("/usr/bin/python3", ["python3", "-V"], {}),
        "multiprocessing": lambda: multiprocessing.Process(target=print).start(),
        "execv": lambda: os.execv("/usr/bin/python3", ["python3", "-V"]),
        "threads": _thread,
    }
    return "".join(f"{name}={outcome_of(act)}\n" for name, act in attempts.items())


plugin.run()
