"""The power goes while a subject is at its deed; then the host is up again, and it is retried.

Method  the deed is recorded; after each of its changes, and for every state that the disk may be in
        then (disk.py), the home is made so; what was promised must be there; the deed is done
        again, by another boot of the kernel; and all must be as it should be.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from mdeliver.deliver import journal
from mdeliver.dotlock import remove_if_stale
from tests.faults.disk import Disk, State, write_out
from tests.faults.recording import Recording, recorded
from tests.faults.seam import DONE, FAILED, disturbed
from tests.faults.subject import Subject
from tests.faults.subjects import SUBJECTS

RETRIES = 2
"""So often it is tried again: what one run finds and mends, the next may need."""


class PowerCut:
    """One subject, and every state in which a cut may leave its home HOME."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        self._empty()
        self.subject: Subject = SUBJECTS[name](home)
        self.subject.prepare()
        recording = recorded(home, name)
        wrong = self.subject.wrong()
        assert not wrong, wrong
        self.changes = len(recording.ops)
        self._states = {
            f"{n}: after {s.at}, lost {s.lost}": s
            for n, s in enumerate(_distinct(recording, self.subject.zeros))
        }
        self.cases: Sequence[str] = list(self._states)

    def _empty(self) -> None:
        for path in self._home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def suffer(self, case: str) -> list[str]:
        """What is wrong after a cut that left the state CASE."""
        state = self._states[case]
        write_out(state, self._home)
        lacking = self.subject.lacking(state.promised)
        if lacking:
            return [f"{word} (before any retry)" for word in lacking]
        status = FAILED
        for attempt in range(1, RETRIES + 1):
            status, _ = disturbed(partial(self._retry, attempt))
            if status == DONE:
                return [word for word in self.subject.wrong() if not self._is_stale_lock(word)]
        return ["stuck: put off for ever" if status == FAILED else f"stuck: ended with {status}"]

    def _is_stale_lock(self, word: str) -> bool:
        """Whether what WORD tells of is a lock that whoever wants it next removes."""
        litter, _, name = word.partition(": ")
        path = str(self.subject.home / name)
        return litter == "litter" and name.endswith(".lock") and remove_if_stale(path)

    def _retry(self, attempt: int) -> None:
        journal._BOOT[:] = ["another boot"]
        # What waits for a lock that nobody can have held since the cut waits in vain.
        from mdeliver import limits

        limits.LOCK_WAIT_S = 1
        self.subject.act(attempt)


def _distinct(recording: Recording, zeros: bool) -> Iterator[State]:
    """Every state of every moment, each disk once for what had been promised by then."""
    disk = Disk(recording, zeros=zeros)
    seen: set[object] = set()
    for at, op in enumerate([None, *recording.ops]):
        if op is not None:
            disk.do(op)
        for state in disk.states(at):
            names = frozenset(state.names.items())
            contents = frozenset((number, state.contents.get(number)) for _, number in names)
            known = hash((names, contents, state.promised))
            if known not in seen:
                seen.add(known)
                yield state
