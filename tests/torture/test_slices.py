"""A few cases of the parts that need nothing but a kernel; `make torture` has all of all.

Which cases these are is the same in every run: they are spread over each part.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import lacking
from tests.torture.parts import PARTS
from tests.torture.stories import CannotBeHad, Part

pytestmark = pytest.mark.faults

CASES = 10
SLICED = (
    "calls inside: direct-fresh", "calls inside: lmtp worker", "calls inside: bcc-maps",
    "calls inside, as on NFS: direct-unended", "calls inside, as on NFS: apply",
    "swapped: direct", "swapped: lmtp worker",
    "power cut: direct", "power cut: direct-unended", "power cut: direct-fresh",
    "power cut: lmtp worker", "power cut: apply", "power cut: pop-sync",
    "power cut: pop-sync --both-ways", "power cut: bcc-maps",
    "full, octets: tmpfs, direct-fresh", "full, names: tmpfs, direct-unended",
    "Maildir++ quota", "names of the host", "clock that is set",
)  # fmt: skip


@pytest.fixture
def top() -> Iterator[Path]:
    """An empty directory in memory, where there is any."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


@pytest.mark.parametrize("part", [p for p in PARTS if p.name in SLICED], ids=lambda p: p.name)
def test_some_cases_of(part: Part, top: Path) -> None:
    try:
        with part.open(top) as story:
            some = story.cases[:: max(1, len(story.cases) // CASES)]
            assert some
            assert {case: words for case in some if (words := story.suffer(case))} == {}
    except CannotBeHad as missing:
        lacking(str(missing))


def test_every_slice_is_a_part() -> None:
    assert set(SLICED) <= {part.name for part in PARTS}
