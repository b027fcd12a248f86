"""`pop-sync` killed at, or failing in, every system call; then it looks again.

After the second look all is as after one that nobody disturbed, whatever happened to the first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.calls import Calls
from tests.faults.seam import Kind

pytestmark = pytest.mark.faults


def test_killed_or_failing_at_every_call(home: Path) -> None:
    kinds: tuple[Kind, ...] = ("kill before", "kill after", "EIO", "ENOSPC")
    story = Calls("pop-sync", home, kinds)
    assert {"rename", "mkdir", "fsync", "fcntl"} < set(story.calls)
    wrong = []
    for number, name in enumerate(story.calls):
        # Each call gets one of the kinds, and its neighbours the others.
        for word in story.suffer(f"{number} {kinds[number % 4]}"):
            wrong.append(f"{number}, {name}: {word}")
    assert not wrong, "\n".join(wrong)
