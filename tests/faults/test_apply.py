"""`mdeliver apply` killed at, or failing in, every system call: then done again, or undone.

After another apply all is as after one that nobody disturbed; after --undo all is as it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdeliver import system
from mdeliver.deliver import journal
from mdeliver.envelope import Envelope
from mdeliver.history import apply, records
from mdeliver.history.folders import Folder
from mdeliver.history.held import Held
from mdeliver.history.steps import Deliverer
from mdeliver.history.wishes import Deed, Spot, Wish
from mdeliver.letter import letter_of
from mdeliver.plan import File
from tests.faults.seam import DONE, FAILED, KILLED, Fault, Kind, disturbed
from tests.mboxreader import read_mbox

pytestmark = pytest.mark.faults


class Account:
    """A user with a Maildir of five messages, and what is to become of each."""

    def __init__(self, home: Path) -> None:
        # A process asks for it once: all attempts shall make the same calls.
        journal.boot_id()
        self.home = home
        self.state = home / "state"
        self.maildir = home / "Maildir"
        for part in ("new", "cur", "tmp"):
            (self.maildir / part).mkdir(parents=True)
        self.state.mkdir()
        self.put("new/1.M1P1.host", b"Subject: moved\n\none\n")
        self.put("cur/2.M1P1.host:2,S", b"Subject: moved and copied\n\nFrom two\n")
        self.put("cur/3.M1P1.host:2,RS", b"Subject: discarded\n\nthree\n")
        self.put("new/4.M1P1.host", b"Subject: marked\n\nfour\n")
        self.put("new/5.M1P1.host", b"Subject: into an mbox\n\nfive\n")
        (home / "archive").write_bytes(b"From x@y Tue Nov 14 22:13:20 2023\n\nbefore\n\n")
        root = str(self.maildir)
        trash = File("maildir", f"{root}/.Trash", root, None, "Trash", (), None)
        self.folder = Folder("inbox", root, root, trash)
        envelope = Envelope("ann", str(home), os.geteuid())
        self.deliverer = Deliverer(envelope, str(self.state), "host", "")

    def put(self, name: str, octets: bytes) -> None:
        (self.maildir / name).write_bytes(octets)

    def spot(self, folder: str, *flags: str) -> Spot:
        return Spot("maildir", f"{self.maildir}/.{folder}", str(self.maildir), flags)

    def wishes(self) -> Iterator[Wish]:
        """What rules want done with what is in the inbox now."""
        archive = Spot("mbox", str(self.home / "archive"), str(self.home / "archive"), ())
        wanted: dict[str, tuple[Deed, Spot | None, tuple[str, ...], tuple[Spot, ...]]] = {
            "1": ("moved", self.spot("Lists", "flagged"), ("flagged",), ()),
            "2": ("moved", self.spot("Lists"), (), (self.spot("Copies", "seen"),)),
            "3": ("discarded", self.spot("Trash"), (), ()),
            "4": ("marked", None, ("seen",), ()),
            "5": ("moved", self.spot("Trash"), (), (archive,)),
        }
        held = Held()
        for path in sorted(self.maildir.glob("[nc][eu][wr]/*")):
            deed, target, flags, copies = wanted[path.name[0]]
            letter = letter_of(path.read_bytes())
            files = [(s, File(s.store, s.path, s.root, None, None, s.flags, None)) for s in copies]
            left = tuple([spot for spot, file in files if not held(file, letter)])
            if deed == "marked" and path.name.endswith("S"):
                continue
            size, sent = letter.size, "a@example.net"
            yield Wish(str(path), size, deed, target, flags, left, sent, 1_700_000_000.0, ())

    def apply(self) -> None:
        """As `mdeliver apply --yes`."""
        with records.alone(str(self.state)):
            for interrupted in apply.interrupted(str(self.state)):
                assert interrupted.state == "open"
                apply.finish(interrupted, self.deliverer)
            wanted = list(self.wishes())
            if wanted:
                apply.apply(wanted, self.folder, self.deliverer, lambda _count: None)

    def undo_all(self) -> None:
        """As `mdeliver apply --undo`, as often as there is anything to undo."""
        with records.alone(str(self.state)):
            for applied in reversed(records.records(str(self.state))):
                if applied.state != "undone":
                    apply.undo(applied, self.deliverer, lambda _count: None, partial=False)

    def disturbed(self, what: str, fault: Fault | None) -> tuple[int, list[str]]:
        """Do `apply` or `undo_all` in a child, with one fault; its status and its system calls."""
        return disturbed(getattr(self, what), fault)

    def listing(self) -> dict[str, bytes]:
        """Every file of mail with its octets; a copy's name is its own each time."""
        found = {}
        for path in sorted(self.maildir.rglob("*")):
            name = str(path.relative_to(self.maildir))
            if path.is_file() and name != "subscriptions":
                copied = ".Copies/" in name and ":" in name
                found["a copy" if copied else name] = path.read_bytes()
            assert path.parent.name != "tmp", f"litter: {name}"
        stored = [one.message for one in read_mbox((self.home / "archive").read_bytes())]
        found["archive"] = b"\0".join(stored)
        return found


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process's writes are the kernel's: syncing is counted, and takes no time here."""
    monkeypatch.setattr(system, "fsync", lambda _fd: None)
    monkeypatch.setattr(system, "fdatasync", lambda _fd: None)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "undisturbed")


def _kills(calls: list[str]) -> Iterator[Fault]:
    """Before every call; and in the middle of those that can be done by halves."""
    for number, name in enumerate(calls):
        yield Fault(number, "kill before")
        if name == "write":
            yield Fault(number, "kill after")


def test_an_apply_that_is_killed_is_finished_or_undone(account: Account, tmp_path: Path) -> None:
    before = account.listing()
    status, calls = account.disturbed("apply", None)
    assert status == DONE
    assert {"rename", "unlink", "write", "mkdir", "fsync"} < set(calls)
    after = account.listing()
    # The one that was moved, marked, discarded and copied is there once in each place.
    assert sorted(after.values()).count(b"Subject: moved and copied\n\nFrom two\n") == 2
    wrong = []
    for fault in _kills(calls):
        for recovery, wanted in (("apply", after), ("undo_all", before)):
            trial = Account(tmp_path / f"{fault.number}-{fault.kind[-5:]}-{recovery}")
            assert trial.disturbed("apply", fault)[0] == KILLED
            getattr(trial, recovery)()
            if trial.listing() != wanted:
                wrong.append(f"{fault} at {calls[fault.number]}, {recovery}: {trial.listing()}")
    assert not wrong, "\n".join(wrong)


def test_an_undo_that_is_killed_is_finished(account: Account, tmp_path: Path) -> None:
    before = account.listing()
    account.apply()
    status, calls = account.disturbed("undo_all", None)
    assert status == DONE
    assert account.listing() == before
    wrong = []
    for fault in _kills(calls):
        trial = Account(tmp_path / f"{fault.number}-{fault.kind[-5:]}")
        trial.apply()
        assert trial.disturbed("undo_all", fault)[0] == KILLED
        trial.undo_all()
        if trial.listing() != before:
            wrong.append(f"{fault} at {calls[fault.number]}: {trial.listing()}")
    assert not wrong, "\n".join(wrong)


def test_an_apply_that_fails_is_finished_or_undone(account: Account, tmp_path: Path) -> None:
    before = account.listing()
    _, calls = account.disturbed("apply", None)
    after = account.listing()
    wrong = []
    for number, name in enumerate(calls):
        recovery, wanted = (("apply", after), ("undo_all", before))[number % 2]
        kind: Kind = "ENOSPC" if number % 4 < 2 else "EIO"
        trial = Account(tmp_path / f"{number}")
        status, _ = trial.disturbed("apply", Fault(number, kind))
        assert status in (DONE, FAILED), f"{number}: {name}"
        getattr(trial, recovery)()
        if trial.listing() != wanted:
            wrong.append(f"{kind} at {number}, {name}, {recovery}: {trial.listing()}")
    assert not wrong, "\n".join(wrong)
