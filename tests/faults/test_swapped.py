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
from functools import partial
from pathlib import Path

import pytest

from mdeliver.deliver.transaction import deliver_files
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.plan import File
from tests.faults.seam import DONE, FAILED
from tests.faults.swapped import PRECIOUS, PUT, in_child, put_back

pytestmark = pytest.mark.faults

EVERY = 1 if os.environ.get("MDELIVER_FAULTS") == "all" else 61
"""Before every how many-th call; with MDELIVER_FAULTS=all before each."""

MESSAGE = b"Received: x\nMessage-ID: <1@a>\nSubject: swapped\n\nbody of it\n"


PLACES = (
    "mbox", "state/journal", "Maildir/subscriptions", "Maildir/maildirsize", "Maildir/new",
    "Maildir/tmp", "Maildir/.Work", "Maildir",
)  # fmt: skip


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


def copies(home: Path) -> tuple[int, int]:
    """How often the message is in the mbox, and in Maildirs, also in one that was taken away."""
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "mbox"]
    return (home / "mbox").read_bytes().count(MESSAGE), [p.read_bytes() for p in files].count(
        MESSAGE
    )


@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_written_to_what_was_put_there(tmp_path: Path, place: str, put: str) -> None:
    if put == "hard link" and place not in ("mbox", "state/journal", "Maildir/subscriptions"):
        place = "Maildir/maildirsize"
    make_home(tmp_path / "count")
    status, calls = in_child(partial(deliver, tmp_path / "count"), lambda _number: None)
    assert status == DONE
    assert calls > 40
    first = (list(PUT).index(put) * 3 + PLACES.index(place)) % EVERY
    for at in range(first, calls, EVERY):
        home = tmp_path / f"at{at}"
        make_home(home)
        path, aside, victim = home / place, home / "aside", home / "victim"

        def swap(
            number: int, at: int = at, path: Path = path, aside: Path = aside, victim: Path = victim
        ) -> None:
            if number == at:
                path.rename(aside)
                PUT[put](path, victim)

        status, _ = in_child(partial(deliver, home), swap)
        assert status in (DONE, FAILED), (at, status)
        assert victim.read_bytes() == PRECIOUS, at
        foreign = put == "foreign" and path.is_file() and path.stat().st_uid == 65534
        assert not foreign or path.read_bytes() == PRECIOUS, at
        put_back(path, aside)
        if status == FAILED:
            deliver(home)
        assert copies(home) == (1, 2), (at, status)
