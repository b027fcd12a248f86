"""What is put through faults: a home, a deed that is struck, and what must be true after it.

A new one is a class with `prepare`, `act` and `wrong`, and a line in SUBJECTS; every way of
striking (calls.py, powercut.py, and the file systems of tests/torture) takes it from there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mdeliver import agent
from mdeliver.outcome import Deferral
from mdeliver.settings import Site
from tests.faults import account
from tests.faults.box import file_of
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


class Bounced(Exception):
    """A message was given back to its sender, though no rule says so."""


class Subject:
    """One home and one deed."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def prepare(self) -> None:
        """Make the home."""
        raise NotImplementedError

    def act(self, attempt: int) -> Sequence[str]:
        """Do the deed; attempt 0 is struck, later ones are what Postfix, cron or a user does then.

        Returns what it has said to be done. Raises OSError or Deferral where it has not done it.
        """
        raise NotImplementedError

    def lacking(self, promised: frozenset[str]) -> list[str]:
        """What is wrong of what was PROMISED, with nothing done since."""
        return []

    def wrong(self) -> list[str]:
        """What is wrong after an act that nothing has disturbed: lost, doubled, torn, litter."""
        raise NotImplementedError

    def write(self, name: str, octets: bytes) -> None:
        """A file in the home, and the directories above it."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(octets)
        path.chmod(0o600)


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

    def act(self, attempt: int) -> Sequence[str]:
        handed = from_line(at=1_700_000_000 + 600 * attempt) + self.message
        os.dup2(file_of(handed), 0)
        settings = str(self.home / "mdeliver.toml")
        check(agent.deliver(["--settings", settings], self.environ))
        return ["struck"]

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
            found += account.faults_in(
                folder, lambda folder=folder: self._in(folder), [*before, self.message]
            )
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


def check(outcome: object) -> None:
    """Raise where OUTCOME, of a delivery, is no success."""
    status, line = outcome.exit_status, outcome.line  # type: ignore[attr-defined]
    if status == 75:
        raise Deferral(line)
    if status:
        raise Bounced(line)


_OWN_LOCKS = ("pop-sync.lock",)


def litter_in(home: Path) -> list[str]:
    """Files that no clean run leaves."""
    return [
        f"litter: {path.relative_to(home)}"
        for path in sorted(home.rglob("*"))
        if path.is_file()
        and path.name not in _OWN_LOCKS
        and (
            path.name.endswith((".lock", ".new", "-journal"))
            or path.name.startswith(".spool")
            or path.parent.name in ("tmp", "filtered")
        )
    ]


SITE = Site(hostname="host", syslog="/nowhere")

SUBJECTS: dict[str, type[Subject]] = {
    "direct": Direct,
    "direct-unended": Unended,
    "direct-fresh": Fresh,
}
