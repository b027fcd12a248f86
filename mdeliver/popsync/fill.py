"""POP3 is given all mail: what is in the inbox already is put into its mbox too, once.

When       a user's `pop3_gets` becomes "all mail"; when it has been something else in between,
           again, and then also what POP3 had downloaded and removed.
What       messages in the inbox of the Maildirs that are not in the mbox, the oldest first; not
           those that a client has marked as deleted. Other folders are for IMAP.
Each       is delivered by the deliverers and under their journal: killed and begun again, it is
           there once. Its copy in the Maildir is known from then on.
Fails with OSError, Deferral
See also   pop3choice.py; history/steps.py, which does the same for `mdeliver apply`
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mdeliver import durable, pop3choice, system
from mdeliver.deliver import mboxrd
from mdeliver.deliver.mboxfind import head_length
from mdeliver.envelope import Envelope
from mdeliver.history import steps
from mdeliver.history.records import Copied, Copy
from mdeliver.history.steps import Changed, Deliverer, letters_of, unique_of
from mdeliver.message import Message
from mdeliver.plan import File
from mdeliver.popsync.carry import Change
from mdeliver.popsync.entry import CopyAt, content_of, hash_of_from_line, message_id_of
from mdeliver.popsync.ledger import Delivered, Ledger
from mdeliver.popsync.links import read_message

_WORDS = "filled"
_ALL = pop3choice.CHOICES[1]
_SETTLED_S = 1.0
_AT_ONCE_S = 1.0
"""For so long messages are put there until something else may be done."""


class Filled(NamedTuple):
    """What was put into mboxes, and whether there is, or may be, more to come."""

    changes: list[Change]
    more: bool


class Filler:
    """Puts into the mboxes of the inbox what its Maildirs have; DO: or only says what."""

    def __init__(
        self, ledger: Ledger, envelope: Envelope, state: str, hostname: str, *, do: bool
    ) -> None:
        self._ledger = ledger
        self._envelope = envelope
        self._state = state
        self._hostname = hostname
        self._do = do

    def fill(self, choice: str, inbox: Sequence[File], looked_s: float) -> Filled:
        """Do some of what is to be done by the user's CHOICE, and what INBOX is.

        looked_s  when the look began that told what is in the mboxes, seconds since 1970
        """
        word, _, began = self._ledger.words(_WORDS).partition(" ")
        if choice != _ALL:
            if word:
                self._note("")
            return Filled([], more=False)
        if word == "done":
            return Filled([], more=False)
        if word != "since":
            began = f"{looked_s:.6f}"
            self._note(f"since {began}")
        filled = Filled([], more=False)
        roots = [file.path for file in inbox if file.store == "maildir"]
        for mbox in [file.path for file in inbox if file.store == "mbox"]:
            filled = self._fill(mbox, roots, began, looked_s, filled)
        if not filled.more:
            self._note(f"done {began}")
        return filled

    def _note(self, words: str) -> None:
        with self._ledger.transaction():
            self._ledger.note_words(_WORDS, words)

    def _fill(
        self, mbox: str, roots: Sequence[str], began: str, looked_s: float, filled: Filled
    ) -> Filled:
        until_s = float("inf")
        changes, more = filled
        for copy, path in self._missing(mbox, roots):
            # What has come, or was marked, since the look may be in the mbox, and nobody knows.
            if _changed_s(path) > looked_s - _SETTLED_S:
                more = True
                continue
            message_id = self._put(mbox, copy, path, began)
            if message_id is not None:
                changes.append(Change("put there", "all mail", message_id, mbox, path, mbox))
            if self._do:
                until_s = min(until_s, time.monotonic() + _AT_ONCE_S)
            if time.monotonic() > until_s:
                return Filled(changes, more=True)
        return Filled(changes, more)

    def _missing(self, mbox: str, roots: Sequence[str]) -> Iterator[tuple[CopyAt, str]]:
        """The messages of the inboxes ROOTS that are not in MBOX, as far as is known."""
        names: set[str] = set()
        contents: set[tuple[str, bytes]] = set()
        for block in self._ledger.blocks(mbox):
            for known in self._ledger.messages(block):
                names |= {copy.name for copy in known.copies}
                contents.add((known.entry.message_id, known.entry.content))
        names |= {copy.name for d in self._ledger.deliveries(mbox) for copy in d.copies}
        for copy, path in sorted(_messages(roots), key=lambda found: _arrived_s(found[1])):
            if copy.name not in names and "T" not in copy.letters:
                octets = read_message(path)
                if octets is not None and _name(octets) not in contents:
                    yield copy, path

    def _put(self, mbox: str, copy: CopyAt, path: str, began: str) -> str | None:
        """Put the message PATH into MBOX; its Message-ID, None where it was not there any more."""
        octets = read_message(path)
        if octets is None:
            return None
        head = octets[: head_length(octets)]
        message_id = message_id_of(head)
        if not self._do:
            return message_id
        try:
            status = system.lstat(path)
            arrived_s = status.st_mtime
            step = Copy(status.st_ino, path, "mbox", mbox, mbox, (), _sender(head), arrived_s)
            deliverer = Deliverer(self._envelope, self._state, self._hostname, f"pop-sync {began}")
            made = steps.copy(step, deliverer)
        except (FileNotFoundError, Changed):
            return None  # what a client has moved to another folder is not for POP3
        with self._ledger.transaction():
            self._ledger.add_deliveries(_delivered(mbox, copy, message_id, made))
        return message_id


def _messages(roots: Sequence[str]) -> Iterator[tuple[CopyAt, str]]:
    for root in roots:
        for part in ("new", "cur"):
            directory = system.join(root, part)
            for name in durable.names_in(directory):
                if not name.startswith("."):
                    path = system.join(directory, name)
                    yield CopyAt(root, root, unique_of(path), letters_of(path)), path


def _changed_s(path: str) -> float:
    """When it got this name."""
    try:
        return system.lstat(path).st_ctime
    except FileNotFoundError:
        return 0.0


def _arrived_s(path: str) -> float:
    try:
        return system.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _name(octets: bytes) -> tuple[str, bytes]:
    """What tells the message OCTETS from others in an mbox."""
    framed = b"".join(mboxrd.framed_text([octets]))
    return message_id_of(octets[: head_length(octets)]), content_of(framed)


def _sender(head: bytes) -> str:
    """The envelope sender that an MTA has written into the HEAD of a message."""
    found = Message(head, len(head)).addresses("return-path")
    return next((address.text for address in found), "")


def _delivered(mbox: str, copy: CopyAt, message_id: str, made: Copied) -> list[Delivered]:
    """What the log would say of it; [] where an earlier try had done it."""
    from_line = system.to_octets(made.from_line.rstrip("\n"))
    hashed = hash_of_from_line(from_line)
    return [
        Delivered(
            mbox, hashed, message_id, int(words[-2]), int(words[-1]) - len(from_line) - 1, (copy,)
        )
        for words in made.places
    ]
