"""Logs read with several processes are as logs read with none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mdeliver.postfix.events import Removed
from mdeliver.postfix.logfiles import Block, Broken
from mdeliver.postfix.readlogs import read

WRITTEN_S = 1_793_620_800.0
BLOCKS = [
    Block(b"Nov  1 10:00:00 mail postfix/qmgr[1]: A%d: removed\nnoise" % n, WRITTEN_S, n)
    for n in range(40)
]


@pytest.mark.parametrize("workers", [0, 2])
def test_events_come_in_order(workers: int) -> None:
    said = list(read(BLOCKS, workers=workers))
    assert [block.done for block, _ in said] == list(range(40))
    assert all(block.octets == b"" for block, _ in said)
    found = [event for _, events in said for event in events]
    assert [x.queue_id for x in found if isinstance(x, Removed)] == [f"A{n}" for n in range(40)]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_was_read_before_trouble_is_not_lost(workers: int) -> None:
    def damaged() -> Iterator[Block]:
        yield from BLOCKS[:3]
        raise Broken("ends early")

    reading = read(damaged(), workers=workers)
    assert [next(reading)[0].done for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Broken):
        next(reading)


def test_it_can_be_left_early() -> None:
    reading = read(BLOCKS, workers=2)
    next(reading)
    reading.close()
