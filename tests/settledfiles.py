"""Rules that are kept compiled: a file's change cannot be dated back, so the clock goes on."""

from __future__ import annotations

import time

import pytest

from mdeliver import rulescache


def let_time_pass(monkeypatch: pytest.MonkeyPatch, seconds: float = 3600) -> None:
    """Let rulescache see the time in so many SECONDS: what has just been written is old then."""

    class Clock:
        @staticmethod
        def time() -> float:
            return time.time() + seconds

    monkeypatch.setattr(rulescache, "time", Clock)
