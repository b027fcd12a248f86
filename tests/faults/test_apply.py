"""`mdeliver apply` killed at, or failing in, every system call: then done again, or undone.

After another apply all is as after one that nobody disturbed; after --undo all is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mdeliver import system
from tests.faults.applied import AFTER, BEFORE, Applied, Undone
from tests.faults.seam import DONE, FAILED, KILLED, Fault, disturbed

pytestmark = pytest.mark.faults


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process's writes are the kernel's: syncing is counted, and takes no time here."""
    monkeypatch.setattr(system, "fsync", lambda _fd: None)
    monkeypatch.setattr(system, "fdatasync", lambda _fd: None)


def calls_of(trial: Applied) -> list[str]:
    """The system calls of a deed without a fault."""
    trial.prepare()
    status, calls = disturbed(lambda: trial.act(0))
    assert (status, trial.wrong()) == (DONE, [])
    return calls


def kills(calls: list[str]) -> Iterator[Fault]:
    """Before every call; and in the middle of those that can be done by halves."""
    for number, name in enumerate(calls):
        yield Fault(number, "kill before")
        if name == "write":
            yield Fault(number, "kill after")


def recovered(trial: Applied, fault: Fault, recovery: str) -> tuple[int, bool]:
    """How the deed with FAULT ended, and whether all is as it should be after RECOVERY."""
    trial.prepare()
    status, _ = disturbed(lambda: trial.act(0), fault)
    getattr(trial, recovery)()
    return status, trial.listing() == (AFTER if recovery == "apply" else BEFORE)


def test_an_apply_that_is_killed_is_finished_or_undone(tmp_path: Path) -> None:
    calls = calls_of(Applied(tmp_path / "undisturbed"))
    assert {"rename", "unlink", "write", "mkdir", "fsync"} < set(calls)
    wrong = []
    for fault in kills(calls):
        for recovery in ("apply", "undo_all"):
            trial = Applied(tmp_path / f"{fault.number}-{fault.kind[-5:]}-{recovery}")
            if recovered(trial, fault, recovery) != (KILLED, True):
                wrong.append(f"{fault} at {calls[fault.number]}, {recovery}: {trial.listing()}")
    assert not wrong, "\n".join(wrong)


def test_an_undo_that_is_killed_is_finished(tmp_path: Path) -> None:
    calls = calls_of(Undone(tmp_path / "undisturbed"))
    wrong = []
    for fault in kills(calls):
        trial = Undone(tmp_path / f"{fault.number}-{fault.kind[-5:]}")
        if recovered(trial, fault, "undo_all") != (KILLED, True):
            wrong.append(f"{fault} at {calls[fault.number]}: {trial.listing()}")
    assert not wrong, "\n".join(wrong)


def test_an_apply_that_fails_is_finished_or_undone(tmp_path: Path) -> None:
    calls = calls_of(Applied(tmp_path / "undisturbed"))
    wrong = []
    for number, name in enumerate(calls):
        recovery = ("apply", "undo_all")[number % 2]
        fault = Fault(number, "ENOSPC" if number % 4 < 2 else "EIO")
        trial = Applied(tmp_path / f"{number}")
        status, right = recovered(trial, fault, recovery)
        if status not in (DONE, FAILED) or not right:
            wrong.append(f"{fault} at {name}, {recovery}: {status} {trial.listing()}")
    assert not wrong, "\n".join(wrong)
