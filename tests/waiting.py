"""Waiting for another process without sleeping blindly: a condition and a deadline.

Tests of programs that run beside them cannot be told when something is done; they look, often,
and stop at once when it is. A wait that reaches its deadline fails and says what it waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

Seen = TypeVar("Seen")

LOOK_EVERY_S = 0.01


def wait_for(look: Callable[[], Seen | None], what: str, *, deadline_s: float = 300) -> Seen:
    """Call LOOK until it returns something true, and return that.

    what        completes the sentence "waited N s for ..."
    deadline_s  seconds until AssertionError; so many that only what never comes is missed, on any
                machine under any load
    """
    end = time.monotonic() + deadline_s
    pause = Event()
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s:g} s for {what}")
        pause.wait(LOOK_EVERY_S)
