"""A recipient's home, and deliveries into it by the installed program."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.installation import LDA, lacking, open_directory, recipient, unreachable
from tests.lmtpserver import MDELIVER, Server
from tests.local8 import Answer, Person, as_handed_over, environment, from_line, hand_over
from tests.mboxreader import read_mbox

STORES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
"""

MESSAGE = b"From: <a@example.net>\nTo: <b@example.org>\nSubject: hello\n\nHow are you?\n"


class Home:
    """A recipient with ~/Maildir and ~/mbox as inbox, and the command that delivers there."""

    def __init__(self, path: Path, command: Sequence[str]) -> None:
        self.path = path
        self.person: Person = recipient(path)
        self.command = list(command)
        self.rules = path / ".config" / "mdeliver" / "rules"
        self.write_rules("")

    def write_rules(self, text: str) -> None:
        """Make the stores and TEXT the recipient's rules."""
        self.rules.parent.mkdir(parents=True, exist_ok=True)
        self.rules.write_text(STORES + text)
        for made in (self.rules, self.rules.parent, self.rules.parent.parent):
            self.give(made)
        self.rules.chmod(0o600)

    def give(self, path: Path) -> Path:
        """Make PATH, but never what a link points to, the recipient's."""
        os.chown(path, self.person.uid, self.person.gid, follow_symlinks=False)
        return path

    @property
    def environ(self) -> dict[str, str]:
        """What Postfix would export."""
        return environment(self.person)

    def handed(self, message: bytes = MESSAGE, *, at: float = 1_700_000_000) -> bytes:
        """MESSAGE as it comes on standard input."""
        return from_line(at=at) + as_handed_over(message, self.person)

    def deliver(
        self, message: bytes = MESSAGE, *, at: float = 1_700_000_000, **changes: str
    ) -> Answer:
        """Bring MESSAGE; CHANGES go to the environment."""
        environ = self.environ | changes
        return hand_over(self.command, self.handed(message, at=at), environ, self.person)

    def in_mbox(self) -> list[bytes]:
        """Whole messages of the mbox."""
        mbox = self.path / "mbox"
        return [stored.message for stored in read_mbox(mbox.read_bytes())] if mbox.exists() else []

    def in_maildir(self, folder: str = "") -> list[bytes]:
        """Messages of the Maildir or one of its folders (".Lists")."""
        maildir = self.path / "Maildir" / folder
        files = [*maildir.glob("new/*"), *maildir.glob("cur/*")]
        return [path.read_bytes() for path in sorted(files)]

    def holds_once(self, message: bytes = MESSAGE) -> bool:
        """Whether MESSAGE is in both places once, and nothing else is."""
        stored = [as_handed_over(message, self.person)]
        return self.in_mbox() == stored and self.in_maildir() == stored

    @property
    def is_empty(self) -> bool:
        """Whether neither place has a message, nor a temporary or lock file."""
        lock, tmp = self.path / "mbox.lock", self.path / "Maildir" / "tmp"
        left = [*tmp.glob("*")] if tmp.exists() else []
        return not (self.in_mbox() or self.in_maildir() or left or lock.exists())


@pytest.fixture
def top() -> Iterator[Path]:
    """A directory that the recipient can traverse; what is mounted in it is the test's to undo."""
    made = open_directory("process")
    try:
        if why := unreachable(LDA, recipient(made / "somebody")):
            lacking(why)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def home(top: Path) -> Home:
    """A recipient whose mailbox_command is mdeliver-lda."""
    return Home(top / "home", [str(LDA)])


@pytest.fixture
def make() -> Iterator[Callable[..., Server]]:
    """Makes servers that are gone after the test."""
    top = open_directory("lmtp")
    servers: list[Server] = []

    def make_server(**settings: Any) -> Server:
        servers.append(Server(top, **settings))
        return servers[-1]

    try:
        if why := unreachable(MDELIVER, recipient(top / "somebody")):
            lacking(why)
        yield make_server
    finally:
        for server in servers:
            if server.process is not None and server.process.poll() is None:
                server.kill()
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(params=["mdeliver-lda", "mdeliver deliver"])
def either(top: Path, request: pytest.FixtureRequest) -> Home:
    """A recipient, once with the launcher and once with the direct path."""
    program, *words = request.param.split()
    return Home(top / "home", [str(LDA.parent / program), *words])


def deferral(answer: Answer) -> str:
    """The line of an answer that defers the message: one line with a code of class 4."""
    line = answer.output.decode()
    assert answer.verdict == "deferred", answer
    assert answer.status == 75, answer
    assert line.startswith("4."), line
    assert line.endswith("\n"), line
    assert line.count("\n") == 1, line
    return line
