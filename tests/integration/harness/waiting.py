"""Waiting for what has no event to wait on: asked again and again until it is so, or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_S = 0.01


def eventually(ask: Callable[[], T], what: str, timeout_s: float = 10.0) -> T:
    """Returns the first truthy answer."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}; the last answer was {answer!r}")
        time.sleep(POLL_INTERVAL_S)
