"""`mdeliver pop-sync` as a subject of faults where it changes the mbox: both ways, and all mail."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from mdeliver.outcome import Deferral
from mdeliver.popsync import fill
from tests.faults.subject import Subject, litter_in
from tests.popsyncbox import Mail


class _WithMail(Subject):
    """A user whose choices are CHOICES, and whose mbox holds the messages AFTER in the end."""

    CHOICES: ClassVar[dict[str, Any]] = {}
    AFTER: ClassVar[list[int]] = []

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.mail = Mail(home / "ann", **self.CHOICES)

    def act(self, attempt: int) -> None:
        # What came a moment ago need not be waited for.
        with mock.patch.object(fill, "_SETTLED_S", -1.0):
            looked = self.mail.look()
        if looked.troubles:
            raise Deferral("; ".join(looked.troubles))

    def lacking(self, promised: frozenset[str]) -> list[str]:
        """The mbox has what it had before, whole, whatever else is there by now."""
        # Behind them it may be torn.
        here = self.mail.mbox.read_bytes()
        kept = [n for n in self.mail.numbers if n in self.AFTER]
        return [f"lost: {n}" for n in kept if b"\n\nbody %d\n" % n not in here]

    def wrong(self) -> list[str]:
        here = sorted(self.mail.in_mbox())
        wrong = [] if here == self.AFTER else [f"the mbox has {here}, not {self.AFTER}"]
        return wrong + litter_in(self.home) + self._temporary()

    def _temporary(self) -> list[str]:
        return [f"litter: {path}" for path in self.home.rglob("*.pop-sync")]


class TakenOut(_WithMail):
    """Five messages: two deleted in IMAP leave the mbox, the one that POP3 has stays."""

    CHOICES: ClassVar[dict[str, Any]] = {"both_ways": True, "downloaded": "read"}
    AFTER: ClassVar[list[int]] = [1, 3, 5]

    def prepare(self) -> None:
        self.mail.deliver(1, 2, 3, 4, 5)
        self.mail.pop3(1)
        self.act(0)
        self.mail.imap(1, folder="gone")
        self.mail.imap(2, folder="gone")
        self.mail.imap(4, folder=".Trash")
        self.mail.numbers = [1, 3, 5]


class PutThere(_WithMail):
    """Two messages are in both stores, two are in the Maildir only until POP3 gets all mail."""

    CHOICES: ClassVar[dict[str, Any]] = {"pop3_gets": "all mail"}
    AFTER: ClassVar[list[int]] = [1, 2, 3, 4]

    def prepare(self) -> None:
        self.mail.deliver(1, 2)
        self.mail.deliver(3, 4, mbox=False)
        self.mail.numbers = [1, 2]
