"""`pop-sync` killed at, or failing in, every system call; then it looks again.

After the second look all is as after one that nobody disturbed, whatever happened to the first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.popsync import sync
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.settings import PopSync
from tests.faults.seam import DONE, FAILED, KILLED, Fault, Kind, disturbed

pytestmark = pytest.mark.faults

FROM = b"From a@b.example Tue Nov 14 22:13:20 2023\n"


class Account:
    """A user with four messages: two downloaded by POP3, one removed by it, one left alone."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state, self.maildir, self.mbox = home / "state", home / "Maildir", home / "mbox"
        self.state.mkdir(parents=True)
        for part in ("new", "cur", "tmp"):
            (self.maildir / part).mkdir(parents=True)
        messages = {n: b"Message-ID: <%d@x>\n\nbody %d\n" % (n, n) for n in (1, 2, 3, 4)}
        for n, octets in messages.items():
            part = "new" if n % 2 else "cur"
            (self.maildir / part / f"{n}.M1P1.host{'' if n % 2 else ':2,'}").write_bytes(octets)
        self.mbox.write_bytes(b"".join(FROM + octets + b"\n" for octets in messages.values()))
        self.look()
        seen = [messages[n].replace(b"\n\n", b"\nStatus: RO\n\n", 1) for n in (1, 2)]
        left = [FROM + octets + b"\n" for octets in (*seen, messages[4])]
        self.mbox.write_bytes(b"".join(left))

    def look(self) -> None:
        """As `mdeliver pop-sync --once`."""
        choices = PopSync(downloaded="archive", archive="Archive/x")
        maildirs = (str(self.maildir),)
        mine = sync.Account("ann", str(self.state), "h", (str(self.mbox),), maildirs, choices)
        with sync.alone(mine.state):
            ledger = Ledger(mine.state, keep=True)
            try:
                sync.look(mine, ledger, lambda _change: None, do=True)
            finally:
                ledger.close()

    def disturbed(self, fault: Fault | None) -> tuple[int, list[str]]:
        """Look in a child, with one fault; its status and its system calls."""
        return disturbed(self.look, fault)

    def listing(self) -> dict[str, bytes]:
        """Every message, and the mbox; no lock is left."""
        assert not list(self.home.glob("*.lock"))
        found = {
            str(path.relative_to(self.maildir)): path.read_bytes()
            for path in sorted(self.maildir.rglob("*.host*"))
        }
        return {**found, "mbox": self.mbox.read_bytes()}


def test_killed_or_failing_at_every_call(tmp_path: Path) -> None:
    undisturbed = Account(tmp_path / "undisturbed")
    status, calls = undisturbed.disturbed(None)
    assert status == DONE
    assert {"rename", "mkdir", "fsync", "fcntl"} < set(calls)
    wanted = undisturbed.listing()
    assert sorted(wanted) == [
        ".Archive.x/cur/1.M1P1.host:2,S", ".Archive.x/cur/2.M1P1.host:2,S",
        ".Archive.x/cur/3.M1P1.host:2,S", "cur/4.M1P1.host:2,", "mbox",
    ]  # fmt: skip
    kinds: tuple[Kind, ...] = ("kill before", "kill after", "EIO", "ENOSPC")
    wrong = []
    for number, name in enumerate(calls):
        kind = kinds[number % 4]
        trial = Account(tmp_path / f"{number}-{kind[-6:]}")
        status, _ = trial.disturbed(Fault(number, kind))
        # A call that fails by itself is not killed after it was done.
        if status not in (KILLED, DONE, FAILED):
            wrong.append(f"{kind} at {number}, {name}: status {status}")
        trial.look()
        if trial.listing() != wanted:
            wrong.append(f"{kind} at {number}, {name}: {sorted(trial.listing())}")
    assert not wrong, "\n".join(wrong)
