"""A file of the delivery's is put in another's place between two of its system calls.

Before each call of a delivery in turn: the mbox, the journal, the lists beside them, the folders of
the Maildir become a symbolic link, a hard link, a FIFO, a device or somebody else's file. Nothing
is ever written to what was put there, nothing hangs, and the message is delivered or deferred; once
all is as it was, the retry delivers it, and no copy is there twice.

A directory's place may be taken by a link of its owner's to another directory of his: that is
followed, by no more rights than his.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mdeliver
from mdeliver import system
from mdeliver.deliver.transaction import deliver_files
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.outcome import Deferral
from mdeliver.plan import File

pytestmark = pytest.mark.faults

EVERY = 1 if os.environ.get("MDELIVER_FAULTS") == "all" else 61
"""Before every how many-th call; with MDELIVER_FAULTS=all before each."""

HANGS_S = 120
DONE, DEFERRED, BROKEN = 10, 11, 12
PRECIOUS = b"somebody else's\n"
MESSAGE = b"Received: x\nMessage-ID: <1@a>\nSubject: swapped\n\nbody of it\n"


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
        os.chown(path, 65534, 65534)


def _directory(path: Path, _victim: Path) -> None:
    path.mkdir()


PUT = (_link, _hard_link, _fifo, _device, _foreign, _directory)
PLACES = (
    "mbox", "state/journal", "Maildir/subscriptions", "Maildir/maildirsize", "Maildir/new",
    "Maildir/tmp", "Maildir/.Work", "Maildir",
)  # fmt: skip


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


def make_home(home: Path) -> None:
    """Stores and state of somebody who had mail before."""
    (home / "state").mkdir(parents=True)
    for folder in ("Maildir", "Maildir/.Work"):
        for part in ("tmp", "new", "cur"):
            (home / folder / part).mkdir(parents=True)
    (home / "Maildir/.Work/maildirfolder").touch()
    (home / "Maildir/maildirsize").write_text("1000000S\n10 1\n")
    (home / "Maildir/subscriptions").write_text("V\t2\n\nWork\n")
    (home / "mbox").write_bytes(b"From a Mon Nov 23 10:00:00 2026\nA: b\n\nold\n\n")
    (home / "victim").write_bytes(PRECIOUS)
    deliver(home, b"Message-ID: <0@a>\n\nbefore\n")


def deliver(home: Path, message: bytes = MESSAGE) -> None:
    """Into an mbox, an inbox and a folder, in this process."""
    maildir, mbox = str(home / "Maildir"), str(home / "mbox")
    places = (
        File("mbox", mbox, mbox, None, None, (), None),
        File("maildir", maildir, maildir, None, None, (), None),
        File("maildir", f"{maildir}/.Work", maildir, None, "Work", ("seen",), None),
    )
    letter = letter_of(b"From a Mon Nov 23 11:00:00 2026\n" + message)
    deliver_files(
        places, letter, Envelope("ann", str(home), os.geteuid()),
        state_directory=str(home / "state"), hostname="mx", now_s=1.7e9,
    )  # fmt: skip


def in_child(home: Path, before: Callable[[int], None]) -> tuple[int, int]:
    """How a delivery ends, and how many calls it makes; BEFORE is called before each."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(home, before, writing)
    os.close(writing)
    with open(reading, "rb") as told:
        calls = int(told.read() or b"0")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), calls


def _be_child(home: Path, before: Callable[[int], None], told: int) -> None:
    import signal

    status, seen = BROKEN, -1

    def count(number: int) -> None:
        nonlocal seen
        seen = number
        before(number)

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(HANGS_S)
    hooked = Hooked(count)
    for name, module in list(sys.modules.items()):
        if name.startswith("mdeliver.") and getattr(module, "system", None) is system:
            module.system = hooked  # type: ignore[attr-defined]  # who has imported it
    mdeliver.system = hooked  # type: ignore[assignment]  # no module, on purpose
    try:
        deliver(home)
        status = DONE
    except (OSError, Deferral):
        status = DEFERRED
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os.write(told, b"%d" % (seen + 1))
        os._exit(status)


def copies(home: Path) -> tuple[int, int]:
    """How often the message is in the mbox, and in Maildirs, also in one that was taken away."""
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "mbox"]
    return (home / "mbox").read_bytes().count(MESSAGE), [p.read_bytes() for p in files].count(
        MESSAGE
    )


@pytest.mark.parametrize("put", PUT, ids=lambda put: put.__name__.strip("_"))
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_written_to_what_was_put_there(
    tmp_path: Path, place: str, put: Callable[[Path, Path], None]
) -> None:
    if put is _hard_link and place not in ("mbox", "state/journal", "Maildir/subscriptions"):
        place = "Maildir/maildirsize"
    make_home(tmp_path / "count")
    status, calls = in_child(tmp_path / "count", lambda _number: None)
    assert status == DONE
    assert calls > 40
    first = (PUT.index(put) * 3 + PLACES.index(place)) % EVERY
    for at in range(first, calls, EVERY):
        home = tmp_path / f"at{at}"
        make_home(home)
        path, aside, victim = home / place, home / "aside", home / "victim"

        def swap(
            number: int, at: int = at, path: Path = path, aside: Path = aside, victim: Path = victim
        ) -> None:
            if number == at:
                path.rename(aside)
                put(path, victim)

        status, _ = in_child(home, swap)
        assert status in (DONE, DEFERRED), (at, status)
        assert victim.read_bytes() == PRECIOUS, at
        foreign = put is _foreign and path.is_file() and path.stat().st_uid == 65534
        assert not foreign or path.read_bytes() == PRECIOUS, at
        put_back(path, aside)
        if status == DEFERRED:
            deliver(home)
        assert copies(home) == (1, 2), (at, status)


def put_back(path: Path, aside: Path) -> None:
    """What was there before is there again; what was put there is gone."""
    if not aside.exists():
        return
    if path.is_dir() and not path.is_symlink():
        path.rename(aside.with_name("taken"))
    else:
        path.unlink(missing_ok=True)
    aside.rename(path)
