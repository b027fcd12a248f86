"""`mdeliver pop-sync` as a subject of faults: what was downloaded is archived in the Maildir."""

from __future__ import annotations

from pathlib import Path

from mdeliver.outcome import Deferral
from mdeliver.popsync import sync
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.settings import PopSync
from tests.faults.subject import Subject, litter_in, unlike

FROM = b"From a@b.example Tue Nov 14 22:13:20 2023\n"
MESSAGES = {n: b"Message-ID: <%d@x>\n\nbody %d\n" % (n, n) for n in (1, 2, 3, 4)}
_SEEN = [MESSAGES[n].replace(b"\n\n", b"\nStatus: RO\n\n", 1) for n in (1, 2)]
AFTER = {
    ".Archive.x/cur/1.M1P1.host:2,S": MESSAGES[1],
    ".Archive.x/cur/2.M1P1.host:2,S": MESSAGES[2],
    ".Archive.x/cur/3.M1P1.host:2,S": MESSAGES[3],
    "cur/4.M1P1.host:2,": MESSAGES[4],
    "mbox": b"".join([FROM + octets + b"\n" for octets in (*_SEEN, MESSAGES[4])]),
}


class Downloaded(Subject):
    """Four messages: two downloaded by POP3, one removed by it, one left alone."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.state, self.maildir, self.mbox = home / "state", home / "Maildir", home / "mbox"

    def prepare(self) -> None:
        self.state.mkdir(parents=True)
        for part in ("new", "cur", "tmp"):
            (self.maildir / part).mkdir(parents=True)
        for n, octets in MESSAGES.items():
            self.write(
                f"Maildir/new/{n}.M1P1.host" if n % 2 else f"Maildir/cur/{n}.M1P1.host:2,", octets
            )
        self.write("mbox", b"".join([FROM + octets + b"\n" for octets in MESSAGES.values()]))
        self.act(0)
        self.write("mbox", AFTER["mbox"])

    def act(self, attempt: int) -> None:
        choices = PopSync(downloaded="archive", archive="Archive/x")
        maildirs = (str(self.maildir),)
        mine = sync.Account("ann", str(self.state), "h", (str(self.mbox),), maildirs, choices)
        with sync.alone(mine.state):
            ledger = Ledger(mine.state, keep=True)
            try:
                looked = sync.look(mine, ledger, lambda _change: None, do=True)
            finally:
                ledger.close()
        if looked.troubles:
            raise Deferral("; ".join(looked.troubles))

    def lacking(self, promised: frozenset[str]) -> list[str]:
        """No message is ever without a name."""
        mail = [path.read_bytes() for path in self.maildir.rglob("*.host*")]
        return [f"lost: {octets!r}" for octets in MESSAGES.values() if octets not in mail]

    def wrong(self) -> list[str]:
        there = {
            str(path.relative_to(self.maildir)): path.read_bytes()
            for path in sorted(self.maildir.rglob("*.host*"))
        }
        return unlike({**there, "mbox": self.mbox.read_bytes()}, AFTER) + litter_in(self.home)
