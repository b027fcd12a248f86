"""`pop-sync` killed at, or failing in, every system call; then it looks again.

After the second look all is as after one that nobody disturbed, whatever happened to the first.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.calls import Calls
from tests.faults.seam import Kind

pytestmark = pytest.mark.faults


KINDS: tuple[Kind, ...] = ("kill before", "kill after", "EIO", "ENOSPC")
ALL = os.environ.get("MDELIVER_FAULTS") == "all"
"""Else every other call gets one of the kinds, and its neighbours the others."""


@pytest.mark.parametrize(
    ("subject", "calls"),
    [
        ("pop-sync", {"rename", "mkdir", "fsync", "fcntl"}),
        ("pop-sync --both-ways", {"rename", "write", "fchmod", "fsync", "fcntl"}),
        ("pop-sync, all mail", {"write", "fsync", "fcntl"}),
    ],
)
def test_killed_or_failing_at_every_call(subject: str, calls: set[str], home: Path) -> None:
    story = Calls(subject, home, KINDS)
    assert calls < set(story.calls)
    wrong = []
    for number in range(0, len(story.calls), 1 if ALL else 2):
        for kind in KINDS if ALL else [KINDS[number // 2 % len(KINDS)]]:
            for word in story.suffer(f"{number} {kind}"):
                wrong.append(f"{kind}: {word}")
    assert not wrong, "\n".join(wrong)
