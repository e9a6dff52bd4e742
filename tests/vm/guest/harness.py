"""The checks' own tools: a registry of checks, running them with a time limit, programs, waiting for what is true.

A check is a function that returns what was seen, as one line, or ends with Failed (what was seen in its place) or
Skipped (why it cannot be judged here). Results go out as they come, one JSON object a line, so that a machine that
hangs still tells how far it came. Standard library only: the image has nothing else.
"""

import functools
import json
import os
import signal
import subprocess
import time
import traceback

# Generous: an emulated processor is twenty times slower, and what is waited for is waited for, not slept through.
CHECK_SECONDS_MAX = 400
WAIT_SECONDS = 90
KERNEL = os.uname().release
SOCKET = "/run/liongate/control.sock"
CHECKS = []


class Failed(Exception):
    """Something else than expected was seen."""


class Skipped(Exception):
    """The machine cannot show it; the text says why."""


def check(identifier, title, expected, needs_sandbox=True):
    """Registers a check. `needs_sandbox`: skipped on a kernel that cannot confine at all."""
    def register(function):
        CHECKS.append((identifier, title, expected, needs_sandbox, function))
        return function
    return register


def require(condition, seen):
    if not condition:
        raise Failed(seen)


class Outcome:
    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    @property
    def text(self):
        return self.out.strip()

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return one_line(f"exit {self.code}: {self.out} {self.err}")


def run(*words, timeout=180, user=None, **options):
    """Runs a program to its end; never raises for its exit code. `user`: as that user, with a clean environment."""
    words = [str(word) for word in words]
    if user is not None:
        words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *words]
    return Outcome(subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                                  check=False, **options))


def ok(*words, **options):
    outcome = run(*words, **options)
    require(outcome.code == 0, f"{' '.join(str(word) for word in words)}: {outcome}")
    return outcome


def ctl(*words, **options):
    return run("liongatectl", *words, **options)


def ctl_ok(*words, **options):
    return ok("liongatectl", *words, **options)


def wait_for(what, condition, seconds=WAIT_SECONDS):
    """Asks until it is true; what ends the waiting is the machine's state, not a guess of how long it takes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise Failed(f"not within {seconds} s: {what}")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def one_line(text, length_max=400):
    line = " ".join(text.split())
    return line if len(line) <= length_max else line[:length_max - 3] + "..."


# --- systemd ---

def show(unit, name, *options):
    return run("systemctl", *options, "show", unit, f"--property={name}", "--value").text


def main_pid(unit="liongated.service"):
    return int(show(unit, "MainPID") or 0)


def journal(unit, since):
    """Lines of a unit (a pattern, too) since a cursor of journal_now()."""
    return run("journalctl", "--no-pager", "--output=cat", f"--after-cursor={since}", f"--unit={unit}").out


def journal_now():
    run("journalctl", "--sync")
    text = run("journalctl", "--no-pager", "--lines=0", "--show-cursor").text
    return text.split("cursor:")[1].strip()


def active(unit="liongated.service"):
    return show(unit, "ActiveState") == "active"


def drop_in(text, unit="liongated.service"):
    """Replaces what the checks add to a unit; "" takes it away."""
    folder = f"/run/systemd/system/{unit}.d"
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/checks.conf"
    if text:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    elif os.path.exists(path):
        os.unlink(path)
    ok("systemctl", "daemon-reload")


# --- running ---

def _expire(signal_number, frame):
    raise Failed(f"not done within {CHECK_SECONDS_MAX} s")


def _judge(function, needs_sandbox, can_confine):
    if needs_sandbox and not can_confine():
        return "skipped", f"Linux {KERNEL} cannot confine a plugin (see the checks of the host)"
    signal.alarm(CHECK_SECONDS_MAX)
    try:
        return "passed", one_line(str(function() or "as expected"))
    except Failed as failure:
        return "failed", one_line(str(failure), 1500)
    except Skipped as reason:
        return "skipped", one_line(str(reason))
    except Exception:  # a check that breaks is a check that failed, and the others go on
        return "failed", one_line(traceback.format_exc(), 1500)
    finally:
        signal.alarm(0)


@functools.lru_cache(maxsize=1)
def can_confine():
    return ctl("check-host", "-o", "json").json.get("can_confine", False)


def run_all(report):
    """Runs every registered check in order; `report` takes each result as a dict."""
    signal.signal(signal.SIGALRM, _expire)
    for identifier, title, expected, needs_sandbox, function in CHECKS:
        begin = time.monotonic()
        state, seen = _judge(function, needs_sandbox, can_confine)
        if state == "failed":
            said = run("journalctl", "--no-pager", "--output=cat", "--unit=liongate*", "--lines=6").out
            seen += f" -- journal: {one_line(said, 1000)}"
        report({"id": identifier, "check": title, "expected": expected, "seen": seen, "state": state,
                "seconds": round(time.monotonic() - begin, 1)})
