"""What may happen to a home between a fault and the retry.

Each event does its deed and says what that changes in the accounts: messages that must be in both
places on top of what was expected, and messages that a person has taken out of a place, which
count as if they were still there: a retry that brings them again has doubled them.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.faults.agents import Agent
from tests.local8 import Person, as_handed_over, environment, from_line, hand_over, identity

_OTHER = b"From: <other@example.net>\nSubject: other\nMessage-ID: <other@example.net>\n\nOther.\n"
_OTHER_AT = 1_700_000_100

# Only what has no server: the pop3 program runs on standard input as the user it is started by.
_DOVECOT_CONF = """\
base_dir = {home}/.pop3
log_path = /dev/stderr
protocols = pop3
ssl = no
mail_location = mbox:~/.pop3:INBOX=~/mbox
mbox_write_locks = fcntl dotlock
"""


class Happened(NamedTuple):
    """What an event changes in the accounts."""

    arrived: tuple[bytes, ...] = ()
    from_mbox: tuple[bytes, ...] = ()
    from_maildir: tuple[bytes, ...] = ()


Event = Callable[[Agent, Person], Happened]


def _nothing(agent: Agent, person: Person) -> Happened:
    return Happened()


def _another_delivery(agent: Agent, person: Person) -> Happened:
    """The same agent delivers another message."""
    message = as_handed_over(_OTHER, person)
    handed = agent.handed(message, _OTHER_AT)
    answer = hand_over(agent.prepare(person), handed, environment(person), person)
    assert answer.verdict == "sent", answer
    return Happened((message,))


def _foreign_delivery(agent: Agent, person: Person) -> Happened:
    """Another program appends to the mbox as Postfix does, and files into the Maildir."""
    message = as_handed_over(_OTHER, person)
    mbox = person.home / "mbox"
    with mbox.open("ab") as appended:
        fcntl.lockf(appended, fcntl.LOCK_EX)
        os.chown(mbox, person.uid, person.gid)
        appended.write(from_line(at=_OTHER_AT) + message + b"\n")
    new = _maildir_directory(person, "Maildir/new")
    for name in ("tmp", "cur"):
        _maildir_directory(person, f"Maildir/{name}")
    (new / f"{_OTHER_AT}.M1P1.foreign").write_bytes(message)
    return Happened((message,))


def _pop3_reads(agent: Agent, person: Person) -> Happened:
    """A POP3 client downloads and leaves the mail there; Dovecot rewrites heads in the mbox."""
    _pop3(person, delete=False)
    return Happened()


def _pop3_deletes(agent: Agent, person: Person) -> Happened:
    """A POP3 client downloads and deletes."""
    return Happened(from_mbox=_pop3(person, delete=True))


def _imap_moves(agent: Agent, person: Person) -> Happened:
    """An IMAP client reads everything and archives it."""
    archive = _maildir_directory(person, "Maildir/.Archive/cur")
    for path in _in_inbox(person):
        path.rename(archive / f"{path.name.partition(':')[0]}:2,S")
    return Happened()


def _imap_deletes(agent: Agent, person: Person) -> Happened:
    """An IMAP client deletes everything."""
    gone = []
    for path in _in_inbox(person):
        gone.append(path.read_bytes())
        path.unlink()
    return Happened(from_maildir=tuple(gone))


EVENTS: Mapping[str, Event] = {
    "nothing": _nothing,
    "another": _another_delivery,
    "foreign": _foreign_delivery,
    "pop3-reads": _pop3_reads,
    "pop3-deletes": _pop3_deletes,
    "imap-moves": _imap_moves,
    "imap-deletes": _imap_deletes,
}


def _maildir_directory(person: Person, name: str) -> Path:
    directory = person.home
    for step in Path(name).parts:
        directory /= step
        if not directory.exists():
            directory.mkdir(mode=0o700)
            os.chown(directory, person.uid, person.gid)
    return directory


def _in_inbox(person: Person) -> Iterator[Path]:
    for name in ("new", "cur"):
        yield from sorted((person.home / "Maildir" / name).glob("*"))


def _pop3(person: Person, *, delete: bool) -> tuple[bytes, ...]:
    """Download everything with Dovecot's pop3 program; returns the messages with LF line ends."""
    _maildir_directory(person, ".pop3")
    configuration = person.home / ".pop3" / "dovecot.conf"
    configuration.write_text(_DOVECOT_CONF.format(home=person.home))
    count = (person.home / "mbox").read_bytes().count(b"\nFrom ") + 1
    commands = [f"RETR {number}" for number in range(1, count + 1)]
    commands += [f"DELE {number}" for number in range(1, count + 1) if delete]
    done = subprocess.run(
        ["/usr/lib/dovecot/pop3", "-c", str(configuration)],
        input="".join(f"{command}\r\n" for command in [*commands, "QUIT"]).encode(),
        capture_output=True,
        env={"HOME": str(person.home), "USER": person.name, "PATH": "/usr/bin:/bin"},
        cwd="/",
        timeout=300,
        check=False,
        **identity(person),
    )
    assert done.stdout.endswith(b"+OK Logging out.\r\n") or b"deleted" in done.stdout, done
    return tuple(_retrieved(done.stdout.replace(b"\r\n", b"\n")))


def _retrieved(replies: bytes) -> Iterator[bytes]:
    """Messages in the replies of a session (RFC 1939: lines end with one that is a dot)."""
    lines: list[bytes] | None = None
    for line in replies.splitlines(keepends=True):
        if lines is None:
            lines = [] if line.startswith(b"+OK ") and line.endswith(b" octets\n") else None
        elif line == b".\n":
            yield b"".join(lines)
            lines = None
        else:
            lines.append(line.removeprefix(b"."))
