"""Work of over two seconds tells on a terminal how far it is and leaves nothing behind; elsewhere it is silent."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

import pytest
from harness import paths
from harness.daemon import Daemon

CLEAR_LINE = "\r\x1b[K"

pytestmark = pytest.mark.user_independent("a terminal is one for every user")


def read_until(terminal: int, wanted: str) -> str:
    text = ""
    while wanted not in text:
        text += os.read(terminal, 4096).decode()
    return text


def test_a_terminal_sees_that_a_verification_is_at_work(daemon: Daemon) -> None:
    daemon.load("hello")
    assert daemon.process is not None
    terminal, other_end = pty.openpty()
    daemon.process.send_signal(signal.SIGSTOP)  # a verification that takes as long as we like
    try:
        words = [str(paths.LIONGATECTL), "--socket", str(daemon.socket), "verify-log"]
        asked = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=other_end, text=True)
        os.close(other_end)
        read_until(terminal, "verifying the log: at work, 2 s")
        read_until(terminal, "3 s")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    out, _ = asked.communicate(timeout=30)
    assert asked.returncode == 0 and out.startswith("intact")
    assert read_until(terminal, CLEAR_LINE).endswith(CLEAR_LINE), "the line is cleared at the end"
    os.close(terminal)


def test_a_pipe_sees_nothing_of_it(daemon: Daemon) -> None:
    daemon.load("hello")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        words = [str(paths.LIONGATECTL), "--socket", str(daemon.socket), "verify-log"]
        asked = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
        try:
            asked.wait(2.5)  # longer than a terminal would be left without a word
        except subprocess.TimeoutExpired:
            pass
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    out, err = asked.communicate(timeout=30)
    assert asked.returncode == 0 and out.startswith("intact") and err == ""
