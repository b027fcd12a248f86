"""A fault at every system call of a delivery with a filter, three places and two programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.deliver.journal import Journal
from tests.faults.box import FROM_FIRST, FROM_RETRY
from tests.faults.programbox import ProgramBox
from tests.faults.seam import DONE, KILLED, Fault, Kind
from tests.faults.test_seam import EARLIER, SHARE, SMALL, SPOOLED

pytestmark = pytest.mark.faults

SHARES: dict[Kind, int] = {"kill after": SHARE, "EIO": 3 * SHARE, "ENOSPC": 4 * SHARE}
"""One call in so many; programs take their time, and each fault is two runs of three of them."""


def _box(home: Path, message: bytes, *, spooled: bool = False) -> ProgramBox:
    box = ProgramBox(home, message, spooled=spooled)
    box.mbox.write_bytes(EARLIER)
    return box


def _story(box: ProgramBox, fault: Fault, boot: str) -> tuple[int, list[str]]:
    state, _ = box.deliver(FROM_FIRST, fault)
    if state != DONE:
        state, _ = box.deliver(FROM_RETRY, boot=boot)
    return state, box.faults_found()


@pytest.mark.parametrize(
    ("spooled", "boot"), [(False, ""), (True, "another boot")], ids=["small", "spooled, reboot"]
)
def test_one_fault_with_programs(
    home: Path,
    spooled: bool,
    boot: str,
) -> None:
    message = SPOOLED if spooled else SMALL
    clean = _box(home / "clean", message, spooled=spooled)
    state, calls = clean.deliver(FROM_FIRST)
    assert (state, clean.faults_found()) == (DONE, [])
    assert len(clean.given("piped")) == len(clean.given("besides")) == 1
    pipe_begins = [number for number, name in enumerate(calls) if name == "fork"][1]
    pipe_marked = calls.index("fdatasync", pipe_begins)
    wrong, twice = [], 0
    for kind, share in SHARES.items():
        for number in range(len(boot) % share, len(calls), share):
            box = _box(home / f"{kind}.{number}", message, spooled=spooled)
            state, found = _story(box, Fault(number, kind), boot)
            if len(box.given("piped")) > 1:
                # The program was at work, or done and not yet marked: it is given it again. How
                # many reads its output takes is not the same on each run.
                twice += 1
                if not pipe_begins - 4 <= number <= pipe_marked + 4:
                    found.append("piped twice")
            if state != DONE or found:
                wrong.append(f"{kind} at call {number} ({calls[number]}): {state} {found}")
    assert wrong == []
    assert twice <= pipe_marked - pipe_begins + 4


def test_what_no_line_of_the_journal_names_is_made_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many reads a program's output takes is not always the same: so no call is counted."""
    box = _box(home / "box", SMALL)
    with monkeypatch.context() as dying:
        dying.setattr(Journal, "begin", lambda *_: os._exit(KILLED))
        assert box.deliver(FROM_FIRST)[0] == KILLED
    (kept,) = (box.state / "filtered").iterdir()
    before = kept.read_bytes()
    assert box.deliver(FROM_RETRY)[0] == DONE
    assert box.faults_found() == []
    assert before not in box.given("piped")


def test_no_child_of_ours_goes_on_as_we(home: Path) -> None:
    """Whatever fails in the child between fork and execve, it ends there."""
    count = _box(home / "count", SMALL)
    _, calls = count.deliver(FROM_FIRST)
    forked = calls.index("fork")
    for ahead in range(1, 9, 2):
        box = _box(home / f"child.{ahead}", SMALL)
        box.deliver(FROM_FIRST, Fault(forked + ahead, "EIO"))
        box.deliver(FROM_RETRY)
        assert box.faults_found() == []
