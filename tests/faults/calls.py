"""Every system call of a subject's deed fails, or kills, in process; then it is done again.

Cases   NUMBER KIND: the number of the call, and what happens at it (seam.py)
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.faults.seam import DONE, FAILED, KILLED, KINDS, Fault, Kind, disturbed
from tests.faults.subject import Subject
from tests.faults.subjects import SUBJECTS

RETRIES = 2

NFS: dict[Kind, frozenset[str]] = {
    "done, EEXIST": frozenset({"link", "mkdir"}),
    "done, ENOENT": frozenset({"rename", "unlink", "rmdir"}),
    "done, EIO": frozenset({"link", "mkdir", "rename", "unlink", "rmdir", "write", "pwrite",
                            "ftruncate", "fsync", "fdatasync", "close", "open"}),
    "ESTALE": frozenset({"open", "read", "pread", "write", "pwrite", "fsync", "fdatasync", "fstat",
                         "lstat", "stat", "listdir", "rename", "link", "unlink", "ftruncate"}),
}  # fmt: skip
"""What NFS does at which calls: an answer is lost, the request is sent again, and the second answer
is to what the first has changed; or the server has forgotten the file."""

ALARMS: tuple[Kind, ...] = ("alarm before", "alarm after")


class Calls:
    """One subject; see Story."""

    def __init__(self, subject: str, home: Path, kinds: Sequence[Kind] = KINDS) -> None:
        self._of = SUBJECTS[subject]
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        clean = self._fresh()
        status, self.calls = disturbed(lambda: clean.act(0))
        wrong = clean.wrong()
        assert status == DONE, f"{subject} ended with {status}"
        assert not wrong, wrong
        self.cases: Sequence[str] = [
            f"{number} {kind}"
            for kind in kinds
            for number, name in enumerate(self.calls)
            if kind not in NFS or name in NFS[kind]
        ]

    def _fresh(self) -> Subject:
        for path in self._home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        subject = self._of(self._home)
        subject.prepare()
        return subject

    def suffer(self, case: str) -> list[str]:
        """What is wrong after the fault CASE and the retry."""
        number, _, kind = case.partition(" ")
        subject = self._fresh()
        fault = Fault(int(number), kind)  # type: ignore[arg-type]  # KINDS made the word
        status, _ = disturbed(partial(subject.act, 0), fault)
        attempt = 0
        while status in (FAILED, KILLED) and attempt < RETRIES:
            attempt += 1
            status, _ = disturbed(partial(subject.act, attempt))
        name = self.calls[int(number)]
        if status != DONE:
            word = "stuck" if status in (FAILED, KILLED) else "bounced"
            return [f"{word} at {name}: ended with {status}"]
        return [f"{word} (at {name})" for word in subject.wrong()]
