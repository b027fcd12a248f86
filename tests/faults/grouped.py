"""Messages that a worker of the LMTP server delivers together, as a subject of faults."""

from __future__ import annotations

import time
from pathlib import Path

from mdeliver import durable
from mdeliver.envelope import Envelope
from mdeliver.letter import Letter, letter_of
from mdeliver.lmtp.jobs import Job, letter_for
from mdeliver.lmtp.rounds import Brought, Kept, Round
from mdeliver.outcome import Deferral, Outcome
from mdeliver.settings import Site
from tests.faults import account
from tests.faults.subject import Bounced, Subject, litter_in
from tests.local8 import from_line
from tests.mboxreader import quote

RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
if subject contains "two": also file to imap/Work as seen
"""
EARLIER = b"Subject: earlier\n\nearlier\n"
NAMES = ("one", "two", "three", "four")
_LONG = b"".join(b"%05d line of a letter that is longer\n" % n for n in range(150))


def _came(name: str) -> bytes:
    head = f"From: <a@example.net>\nSubject: {name}\nMessage-ID: <{name}@example.net>\n\n"
    return head.encode() + (_LONG if name == "three" else b"From the start\n")


def stored(name: str) -> bytes:
    """The message NAME as it is in a mailbox."""
    added = b"Return-Path: <a@example.net>\nDelivered-To: ann@example.org\n"
    return added + _came(name)


class _Task:
    """One of the messages, as the worker's loop has it."""

    limit_s = 900

    def __init__(self, subject: Grouped, name: str) -> None:
        self._subject = subject
        self._name = name
        self._letter: Letter | None = None
        self.outcome: Outcome | None = None

    def open(self) -> Brought:
        """The message."""
        subject, octets = self._subject, _came(self._name)
        job = Job(
            1, "", "a@example.net", "ann@example.org", "", "", f"4{self._name}", "", "", "", "",
            letter_of(octets).digest, len(octets), octets,
        )  # fmt: skip
        self._letter = letter_for(job, -1, time.time())
        envelope = Envelope(
            "ann", str(subject.home), 0, sender=job.sender, recipient=job.recipient,
            queue_id=job.queue_id,
        )  # fmt: skip
        state = str(subject.home / ".local/state/mdeliver")
        durable.make_directory(state)
        return Brought(self._letter, envelope, subject.site, state, {"HOME": str(subject.home)})

    def is_wanted(self) -> bool:
        """Postfix waits."""
        return True

    def answer(self, outcome: Outcome) -> None:
        """The front tells Postfix."""
        self.outcome = outcome
        if outcome.exit_status == 0:
            self._subject.say(self._name)

    def close(self) -> None:
        """Let go of it."""
        if self._letter is not None:
            self._letter.close()


class Grouped(Subject):
    """Four messages for two or three places each, one of them longer than a page."""

    zeros = False
    site = Site(hostname="host", syslog="/nowhere")

    def prepare(self) -> None:
        self.write(".config/mdeliver/rules", RULES.encode())
        self.write("mbox", from_line(at=1_699_999_000) + EARLIER + b"\n")
        for part in ("new", "cur", "tmp"):
            (self.home / "Maildir" / part).mkdir(parents=True, mode=0o700)
        self.write("Maildir/cur/1.M1P1.host:2,S", EARLIER)

    def act(self, attempt: int) -> None:
        this = Round(Kept())
        tasks = [_Task(self, name) for name in NAMES]
        for task in tasks:
            this.take(task)
        this.end()
        for task in tasks:
            outcome = task.outcome
            if outcome is None or outcome.exit_status == 75:
                raise Deferral(outcome.line if outcome else "no answer")
            if outcome.exit_status:
                raise Bounced(outcome.line)

    def lacking(self, promised: frozenset[str]) -> list[str]:
        # The mbox may be torn behind what was promised.
        mbox = (self.home / "mbox").read_bytes()
        there = {"Maildir": _in(self.home / "Maildir"), "Work": _in(self.home / "Maildir/.Work")}
        wrong = [f"lost mbox: {name}" for name in promised if quote(stored(name)) not in mbox]
        wrong += [f"lost: {name}" for name in promised if stored(name) not in there["Maildir"]]
        if "two" in promised and stored("two") not in there["Work"]:
            wrong.append("lost Work: two")
        return wrong

    def wrong(self) -> list[str]:
        return self._account(frozenset(NAMES)) + litter_in(self.home)

    def _account(self, names: frozenset[str]) -> list[str]:
        expected = [EARLIER, *[stored(name) for name in NAMES if name in names]]
        work = [stored("two")] if "two" in names else []
        mbox, maildir = self.home / "mbox", self.home / "Maildir"
        return [
            *account.faults_in("mbox", lambda: account.in_mbox(mbox, "mboxrd"), expected),
            *account.faults_in("Maildir", lambda: _in(maildir), expected),
            *account.faults_in("Work", lambda: _in(maildir / ".Work"), work),
        ]


def _in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for part in ("new", "cur") for path in (folder / part).glob("*")]
