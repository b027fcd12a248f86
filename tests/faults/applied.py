"""`mdeliver apply` as a subject of faults: moves, marks, copies, and a copy into an mbox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mdeliver.deliver import journal
from mdeliver.envelope import Envelope
from mdeliver.history import apply, records
from mdeliver.history.folders import Folder
from mdeliver.history.held import Held
from mdeliver.history.steps import Deliverer
from mdeliver.history.wishes import Deed, Spot, Wish
from mdeliver.letter import letter_of
from mdeliver.plan import File
from tests.faults.subject import Subject, litter_in, unlike
from tests.mboxreader import read_mbox

BEFORE: dict[str, bytes] = {
    "new/1.M1P1.host": b"Subject: moved\n\none\n",
    "cur/2.M1P1.host:2,S": b"Subject: moved and copied\n\nFrom two\n",
    "cur/3.M1P1.host:2,RS": b"Subject: discarded\n\nthree\n",
    "new/4.M1P1.host": b"Subject: marked\n\nfour\n",
    "new/5.M1P1.host": b"Subject: into an mbox\n\nfive\n",
    "archive": b"\nbefore\n",
}
ONE, TWO, THREE, FOUR, FIVE, _ = BEFORE.values()
AFTER = {
    "a copy": TWO,
    ".Copies/maildirfolder": b"",
    ".Lists/cur/1.M1P1.host:2,F": ONE,
    ".Lists/cur/2.M1P1.host:2,S": TWO,
    ".Lists/maildirfolder": b"",
    ".Trash/cur/3.M1P1.host:2,RS": THREE,
    ".Trash/maildirfolder": b"",
    ".Trash/new/5.M1P1.host": FIVE,
    "cur/4.M1P1.host:2,S": FOUR,
    "archive": BEFORE["archive"] + b"\0" + FIVE,
}


class Applied(Subject):
    """`mdeliver apply` over a Maildir of five messages, each of which has another fate."""

    wanted = AFTER

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.state = home / "state"
        self.maildir = home / "Maildir"
        root = str(self.maildir)
        trash = File("maildir", f"{root}/.Trash", root, None, "Trash", (), None)
        self.folder = Folder("inbox", root, root, trash)
        envelope = Envelope("ann", str(home), os.geteuid())
        self.deliverer = Deliverer(envelope, str(self.state), "host", "")

    def prepare(self) -> None:
        # A process asks for it once: all attempts shall make the same calls.
        journal.boot_id()
        for part in ("new", "cur", "tmp"):
            (self.maildir / part).mkdir(parents=True)
        self.state.mkdir()
        for name, octets in BEFORE.items():
            if name != "archive":
                self.write(f"Maildir/{name}", octets)
        self.write("archive", b"From x@y Tue Nov 14 22:13:20 2023\n\nbefore\n\n")

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

    def act(self, attempt: int) -> None:
        self.apply()
        self.say("applied")

    def lacking(self, promised: frozenset[str]) -> list[str]:
        """No message is ever without a name; and what was said to be done is."""
        mail = [octets for name, octets in self.files() if name != "subscriptions"]
        lost = [
            f"lost: {octets!r}" for octets in (ONE, TWO, THREE, FOUR, FIVE) if octets not in mail
        ]
        if promised:
            lost += [word for word in self.wrong() if not word.startswith("litter")]
        return lost

    def wrong(self) -> list[str]:
        # A folder that was removed, and comes back empty after a power cut, is not worth a sync.
        wrong = unlike(self.listing(), self.wanted) + litter_in(self.home)
        return [word for word in wrong if not word.endswith("maildirfolder")]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name and octets of every file in the Maildir."""
        for path in sorted(self.maildir.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.maildir)), path.read_bytes()

    def listing(self) -> dict[str, bytes]:
        """Every file of mail with its octets; a copy's name is its own each time."""
        found = {}
        for path in sorted(self.maildir.rglob("*")):
            name = str(path.relative_to(self.maildir))
            if path.is_file() and name != "subscriptions":
                copied = ".Copies/" in name and ":" in name
                found["a copy" if copied else name] = path.read_bytes()
        stored = [one.message for one in read_mbox((self.home / "archive").read_bytes())]
        found["archive"] = b"\0".join(stored)
        return found


class Undone(Applied):
    """`mdeliver apply --undo` of that."""

    wanted = BEFORE

    def prepare(self) -> None:
        super().prepare()
        self.apply()

    def act(self, attempt: int) -> None:
        self.undo_all()
        self.say("undone")
