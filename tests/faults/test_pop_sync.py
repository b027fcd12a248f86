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
SHARE = 1 if os.environ.get("MDELIVER_FAULTS") == "all" else 4
"""Each call gets one of the kinds, and its neighbours the others; MDELIVER_FAULTS=all tries all."""


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
    for number, name in enumerate(story.calls):
        for kind in KINDS if SHARE == 1 else KINDS[number % SHARE :][:1]:
            for word in story.suffer(f"{number} {kind}"):
                wrong.append(f"{kind} at {number}, {name}: {word}")
    assert not wrong, "\n".join(wrong)
