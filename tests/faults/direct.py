"""A message for an mbox and a Maildir, from end to end, as a subject of faults."""

from __future__ import annotations

import os
from functools import partial

from mdeliver import agent
from mdeliver.outcome import Deferral, Outcome
from tests.faults import account
from tests.faults.box import file_of
from tests.faults.subject import Bounced, Subject, litter_in
from tests.local8 import from_line

RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
"""
EARLIER = b"Subject: earlier\n\nearlier\n"

MESSAGE = b"""\
Return-Path: <sender@example.net>
Received: from client.example.net by host.example.org id 4XyZ; Tue, 14 Nov 2023 22:13:20 +0000
From: <sender@example.net>
Subject: struck
Message-ID: <struck@example.net>

From the start
>From quoted
"""


class Direct(Subject):
    """A message for both places, as mailbox_command brings it."""

    rules = RULES
    message = MESSAGE
    mbox_before = from_line(at=1_699_999_000) + EARLIER + b"\n"
    folders: tuple[str, ...] = ("Maildir",)
    """Where the message must be besides the mbox."""

    def prepare(self) -> None:
        self.write(".config/mdeliver/rules", self.rules.encode())
        self.write("mdeliver.toml", b'[site]\nhostname = "host"\n[log]\nsyslog = "/nowhere"\n')
        self.write("mbox", self.mbox_before)
        for part in ("new", "cur", "tmp"):
            (self.home / "Maildir" / part).mkdir(parents=True, mode=0o700)
        self.write("Maildir/cur/1.M1P1.host:2,S", EARLIER)

    @property
    def environ(self) -> dict[str, str]:
        """As local(8) makes it."""
        return {
            "USER": "nobody-here", "HOME": str(self.home), "SENDER": "sender@example.net",
            "RECIPIENT": "ann@example.org", "DOMAIN": "example.org",
        }  # fmt: skip

    def act(self, attempt: int) -> None:
        handed = from_line(at=1_700_000_000 + 600 * attempt) + self.message
        os.dup2(file_of(handed), 0)
        settings = str(self.home / "mdeliver.toml")
        check(agent.deliver(["--settings", settings], self.environ))
        self.say("struck")

    def lacking(self, promised: frozenset[str]) -> list[str]:
        if not promised:
            return []
        return [word for word in self.wrong() if not word.startswith(("litter", "doubled"))]

    def wrong(self) -> list[str]:
        expected = [EARLIER, self.message] if self.mbox_before else [self.message]
        found = account.faults_in(
            "mbox", lambda: account.in_mbox(self.home / "mbox", "mboxrd"), expected
        )
        for folder in self.folders:
            before = [EARLIER] if folder == "Maildir" else []
            found += account.faults_in(folder, partial(self._in, folder), [*before, self.message])
        return found + litter_in(self.home)

    def _in(self, folder: str) -> list[bytes]:
        parts = [self.home / folder / part for part in ("new", "cur")]
        return [p.read_bytes() for part in parts if part.is_dir() for p in sorted(part.iterdir())]


class Unended(Direct):
    """The mbox has a last message without its line ends, and the message is a page or two."""

    mbox_before = from_line(at=1_699_999_000) + EARLIER[:-1]
    message = MESSAGE + b"".join(b"%05d line of a letter that is longer\n" % n for n in range(250))


class Fresh(Direct):
    """Nothing is there yet: Maildir, folders and mbox are made on the way."""

    rules = RULES + "also file to imap/Lists/New as seen\n"
    mbox_before = b""
    folders = ("Maildir", "Maildir/.Lists.New")

    def prepare(self) -> None:
        self.write(".config/mdeliver/rules", self.rules.encode())
        self.write("mdeliver.toml", b'[site]\nhostname = "host"\n[log]\nsyslog = "/nowhere"\n')

    def _in(self, folder: str) -> list[bytes]:
        before = [EARLIER] if folder == "Maildir" else []
        return before + super()._in(folder)


def check(outcome: Outcome) -> None:
    """Raise where OUTCOME is no success."""
    if outcome.exit_status == 75:
        raise Deferral(outcome.line)
    if outcome.exit_status:
        raise Bounced(outcome.line)
