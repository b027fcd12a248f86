"""Something of a home is put in another's place between two system calls of a subject's deed.

Before each call in turn a rules file, a file of state, an mbox or a directory of the Maildir is
made a symbolic link, a hard link, a FIFO, a device, somebody else's file or a directory. Nothing is
ever written to what was put there, nothing hangs or bounces; once all is as it was, the retry
finishes the deed, and the account is as always. Of apply and pop-sync, which find other mail or
none while a folder is another one, it is that no message is lost or torn.

Cases   NUMBER PLACE by PUT: before which call (from 0), what, and what is put there
A directory's place may be taken by a link of its owner's to another directory of his: that is
followed, by no more rights than his. What was put into a directory that was not there to stay is
carried over to the one that is.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mdeliver
from mdeliver import limits, system
from mdeliver.outcome import Deferral
from tests.faults.seam import BROKEN, DONE, FAILED
from tests.faults.subject import Subject
from tests.faults.subjects import SUBJECTS

HANGS_S = 120
PRECIOUS = b"somebody else's\n"
_RETRIES = 2
_NOBODY = 65534


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _hard_link(path: Path, victim: Path) -> None:
    os.link(victim, path)


def _fifo(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def _device(path: Path, _victim: Path) -> None:
    path.symlink_to("/dev/full")


def _foreign(path: Path, _victim: Path) -> None:
    path.write_bytes(PRECIOUS)
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


def _directory(path: Path, _victim: Path) -> None:
    path.mkdir()


PUT: dict[str, Callable[[Path, Path], None]] = {
    "link": _link, "hard link": _hard_link, "FIFO": _fifo, "device": _device,
    "foreign": _foreign, "directory": _directory,
}  # fmt: skip

_STATE = ".local/state/mdeliver"
_STORES = ("mbox", "Maildir", "Maildir/new", "Maildir/cur", "Maildir/tmp")
_OF_RULES = (".config/mdeliver/rules", ".cache/mdeliver/rules")
_OF_STATE = (f"{_STATE}/journal", f"{_STATE}/log", f"{_STATE}/memory", _STATE)
PLACES: dict[str, tuple[str, ...]] = {
    "direct": (*_OF_RULES, *_OF_STATE, *_STORES, "Maildir/maildirsize", "Maildir/subscriptions"),
    "direct-fresh": (*_OF_RULES, *_OF_STATE, "mbox", "Maildir", "Maildir/.Lists.New"),
    "lmtp worker": (*_OF_RULES, *_OF_STATE, *_STORES, "Maildir/.Work"),
    "apply": ("state/applied", "state", "archive", "Maildir/cur", "Maildir/.Lists"),
    "pop-sync": ("state/pop-sync.db", "state/pop-sync.lock", "state", *_STORES),
}
"""What of which subject's home is swapped; what is not there yet, or no more, is only put there."""


_LOOKING = ("apply", "pop-sync")
"""They do what they find to do; what they do not find is there for the next."""


class Swapped:
    """One subject; see Story."""

    def __init__(self, subject: str, home: Path) -> None:
        self._name, self._of, self._home = subject, SUBJECTS[subject], home
        self._victim = home.parent / "victim"
        clean = self._fresh()
        status, calls = in_child(lambda: clean.act(0), lambda _number: None)
        assert (status, clean.wrong()) == (DONE, []), f"{subject} ended with {status}"
        self.cases: Sequence[str] = [
            f"{number} {place} by {put}"
            for place in PLACES[subject]
            for put in PUT
            for number in range(calls)
        ]

    def _fresh(self) -> Subject:
        _remove(self._home)
        self._home.mkdir(parents=True)
        self._victim.write_bytes(PRECIOUS)
        subject = self._of(self._home)
        subject.prepare()
        return subject

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        number, _, words = case.partition(" ")
        place, _, put = words.rpartition(" by ")
        subject = self._fresh()
        path, aside = self._home / place, self._home.parent / "aside"
        _remove(aside)

        def swap(at: int) -> None:
            if at == int(number) and path.parent.is_dir():
                if path.is_symlink() or path.exists():
                    path.rename(aside)
                PUT[put](path, self._victim)

        status, _ = in_child(lambda: subject.act(0), swap)
        wrong = self._harm(path, put)
        put_back(path, aside)
        for attempt in range(1, 1 + _RETRIES):
            if status == FAILED:
                status, _ = in_child(partial(subject.act, attempt), lambda _number: None)
        if status != DONE:
            hung = status in (FAILED, -signal.SIGKILL)
            return [*wrong, f"{'stuck' if hung else 'bounced'}: ended with {status}"]
        if self._name in _LOOKING:
            return wrong + subject.lacking(frozenset())
        # What was begun in a directory that has been taken away is out of reach.
        left = f"litter: {place.removesuffix('/tmp')}/" if put == "directory" else "?"
        return wrong + [
            word for word in subject.wrong() if not (word.startswith(left) and "/tmp/" in word)
        ]

    def _harm(self, path: Path, put: str) -> list[str]:
        """What was written to what is somebody else's."""
        victims = [self._victim]
        if put == "foreign" and path.is_file() and path.stat().st_uid == _NOBODY:
            victims.append(path)
        return [
            f"torn: somebody else's file has {victim.read_bytes()[:40]!r}"
            for victim in victims
            if victim.read_bytes() != PRECIOUS
        ]


class Hooked:
    """Stands for `mdeliver.system`: calls BEFORE with the number of each call from 0."""

    def __init__(self, before: Callable[[int], None]) -> None:
        self._before = before
        self._number = -1

    def __getattr__(self, name: str) -> Any:
        thing = getattr(system, name)
        if not callable(thing) or isinstance(thing, type):
            return thing

        def call(*arguments: Any, **named: Any) -> Any:
            self._number += 1
            self._before(self._number)
            return thing(*arguments, **named)

        return call


def in_child(deed: Callable[[], object], before: Callable[[int], None]) -> tuple[int, int]:
    """How DEED ends, and how many calls it makes; BEFORE is called before each."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(deed, before, writing)
    os.close(writing)
    with open(reading, "rb") as told:
        if not select.select([told], [], [], HANGS_S)[0]:
            os.kill(child, signal.SIGKILL)
        calls = int(told.read() or b"0")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), calls


def _be_child(deed: Callable[[], object], before: Callable[[int], None], told: int) -> None:
    status, seen = BROKEN, -1

    def count(number: int) -> None:
        nonlocal seen
        seen = number
        before(number)

    limits.LOCK_WAIT_S = 1  # nobody else holds any
    hooked = Hooked(count)
    for name, module in list(sys.modules.items()):
        if name.startswith("mdeliver.") and getattr(module, "system", None) is system:
            module.system = hooked  # type: ignore[attr-defined]  # who has imported it
    mdeliver.system = hooked  # type: ignore[assignment]  # no module, on purpose
    try:
        deed()
        status = DONE
    except (OSError, Deferral):
        status = FAILED
    except BaseException:
        traceback.print_exc()
    finally:
        os.write(told, b"%d" % (seen + 1))
        os._exit(status)


def put_back(path: Path, aside: Path) -> None:
    """What was there before is there again; what was put there is gone."""
    if not path.parent.is_dir():
        return
    if path.is_symlink() or path.is_fifo() or path.is_file():
        path.unlink()
    if not aside.exists():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        return
    taken = aside.with_name("taken")
    _remove(taken)
    if path.is_dir():
        path.rename(taken)
    aside.rename(path)
    for file in sorted(taken.rglob("*")):
        there = path / file.relative_to(taken)
        if file.is_file() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            file.rename(there)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
