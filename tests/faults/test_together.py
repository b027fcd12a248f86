"""Each system call of a group commit of three fails once, and kills once: all come out whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.groupbox import FROM_FIRST, FROM_RETRY, MESSAGES, OTHER, GroupBox
from tests.faults.seam import DONE, FAILED, KILLED, KINDS, Fault, Kind

pytestmark = pytest.mark.faults

SHARE = 1 if os.environ.get("MDELIVER_FAULTS") == "all" else 15
"""One call in so many gets its fault, other ones for each kind of fault and story."""

ALARMS: tuple[Kind, ...] = ("alarm before", "alarm after")
KILLS: tuple[Kind, ...] = ("kill before", "kill after")


def all_together(box: GroupBox, boot: str) -> list[int]:
    """The MTA brings all of them again at once."""
    return [box.together(FROM_RETRY, boot=boot)[0]]


def the_last_first(box: GroupBox, boot: str) -> list[int]:
    """It brings them one by one, in another order."""
    return [box.alone(FROM_RETRY, message, boot=boot) for message in reversed(MESSAGES)]


def after_another(box: GroupBox, boot: str) -> list[int]:
    """Somebody else's message comes in between, to whom the torn tail belongs as little."""
    other = box.alone(FROM_RETRY, OTHER, boot=boot)
    return [other, *[box.alone(FROM_RETRY, message, boot=boot) for message in MESSAGES]]


STORIES = (all_together, the_last_first, after_another)


@pytest.mark.parametrize("retry", STORIES)
@pytest.mark.parametrize("boot", ["", "another boot"], ids=["same boot", "reboot"])
def test_one_fault_at_every_call(
    home: Path, retry: Callable[[GroupBox, str], list[int]], boot: str
) -> None:
    wrong = []
    box = GroupBox(home / "count")
    ended, calls = box.together(FROM_FIRST)
    assert (ended, box.faults_found()) == (DONE, [])
    kinds = KILLS if boot else (*KINDS, *ALARMS)
    for of, kind in enumerate(kinds):
        first = (of + STORIES.index(retry) + len(boot)) % SHARE
        for number, name in list(enumerate(calls))[first::SHARE]:
            box = GroupBox(home / "trial")
            ended, _ = box.together(FROM_FIRST, Fault(number, kind))
            states = retry(box, boot) if ended != DONE else []
            found = box.faults_found()
            if ended not in (DONE, FAILED, KILLED) or set(states) - {DONE} or found:
                wrong.append(f"{kind} at call {number} ({name}): {ended} {states} {found}")
            box.remove()
    assert wrong == []


def test_one_bad_message_fails_nobody_else(home: Path) -> None:
    """What goes wrong once while they are together goes well when each is alone."""
    box = GroupBox(home / "count")
    calls = box.together(FROM_FIRST)[1]
    struck = ("write", "fsync", "rename")
    at = [n for n, name in enumerate(calls) if name in struck and n >= calls.index("write")]
    for number in at:
        box = GroupBox(home / "trial")
        assert box.together(FROM_FIRST, Fault(number, "EIO"))[0] == DONE
        assert box.faults_found() == []
        box.remove()
    assert len(at) > 9
