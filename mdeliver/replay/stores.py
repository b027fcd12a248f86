"""Messages where they lie: in files, Maildirs and mboxes; found first, read one by one.

Reads       only. Nothing is locked, moved or marked: a mailbox in use may be looked at.
Arrival     a message in a mailbox arrived when the mailbox says (the From_ line; a Maildir file's
            time of change, as IMAP's INTERNALDATE), a file that is just a file arrives now.
Fails with  OSError, with words in it, for what cannot be read; a message that a mail client
            renamed meanwhile is found again by its unique name.
See also    maildir(5), mboxread.py
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mdeliver import durable, limits, system
from mdeliver.letter import Letter, letter_of, read_letter
from mdeliver.replay import mboxread
from mdeliver.replay.mboxread import Entry

STANDARD_INPUT = "-"


class Stored(NamedTuple):
    """A message that can be read.

    name       what it is called: its path, or PATH#NUMBER in an mbox
    path       the file that it is in; "-" for standard input
    entry      where in that file, if it is an mbox
    in_maildir whether it is a file of a Maildir
    """

    name: str
    path: str
    entry: Entry | None = None
    in_maildir: bool = False

    @property
    def in_mailbox(self) -> bool:
        """Whether it was found by naming a mailbox, not by its own name."""
        return self.in_maildir or self.entry is not None


class Arrived(NamedTuple):
    """A message that was read, and when it arrived: seconds since 1970, None for now."""

    letter: Letter
    arrived_s: float | None


def find(path: str, *, folders: bool) -> Iterator[Stored]:
    """The messages that PATH is or holds, in the order of the mailbox.

    folders  whether a Maildir's Maildir++ folders are looked into as well
    Raises OSError where there is nothing to read, or a directory is no Maildir.
    """
    if path == STANDARD_INPUT:
        yield Stored(path, path)
    elif os.path.isdir(path):
        yield from _in_maildir(path)
        if folders:
            for name in sorted(os.listdir(path)):
                inner = os.path.join(path, name)
                if name.startswith(".") and _is_maildir(inner):
                    yield from _in_maildir(inner)
    else:
        fd = _open(path)
        try:
            if not mboxread.is_mbox(fd):
                yield Stored(path, path)
                return
            for number, entry in enumerate(mboxread.entries(fd), 1):
                if number == 1 and mboxread.is_folder_internal(durable.read_at(fd, 4096, 0)):
                    continue
                yield Stored(f"{path}#{number}", path, entry)
        finally:
            durable.close_read(fd)


def _is_maildir(path: str) -> bool:
    return any(os.path.isdir(os.path.join(path, box)) for box in ("new", "cur"))


def _in_maildir(path: str) -> Iterator[Stored]:
    if not _is_maildir(path):
        raise OSError(errno.EINVAL, "a directory that is no Maildir", path)
    for box in ("new", "cur"):
        for name in sorted(durable.names_in(os.path.join(path, box))):
            if not name.startswith("."):
                file = os.path.join(path, box, name)
                yield Stored(file, file, in_maildir=True)


def _open(path: str) -> int:
    # O_NONBLOCK: a FIFO among the files must not make us wait for ever.
    fd = system.open(path, system.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    if stat.S_ISDIR(system.fstat(fd).st_mode):
        durable.close_read(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return fd


class Reader:
    """Reads stored messages; keeps the mbox open that it read last."""

    def __init__(self) -> None:
        self._mbox = ("", -1)

    def read(self, stored: Stored) -> Arrived:
        """The message. Raises OSError."""
        if stored.path == STANDARD_INPUT:
            return Arrived(_closed(0), None)
        if stored.entry is not None:
            return self._from_mbox(stored.path, stored.entry)
        fd = _open_message(stored)
        try:
            arrived_s = system.fstat(fd).st_mtime if stored.in_maildir else None
            return Arrived(_closed(fd), arrived_s)
        finally:
            durable.close_read(fd)

    def close(self) -> None:
        """Let go of the mbox."""
        if self._mbox[1] >= 0:
            durable.close_read(self._mbox[1])
        self._mbox = ("", -1)

    def _from_mbox(self, path: str, entry: Entry) -> Arrived:
        if self._mbox[0] != path:
            self.close()
            self._mbox = (path, _open(path))
        try:
            letter = letter_of(mboxread.read_entry(self._mbox[1], entry))
        except ValueError as error:
            raise OSError(errno.ESTALE, str(error), path) from None
        return Arrived(letter, mboxread.arrival_of(letter.from_line))


def _open_message(stored: Stored) -> int:
    try:
        return _open(stored.path)
    except FileNotFoundError:
        if not stored.in_maildir:
            raise
        # maildir(5): a client that reads it moves it to cur and adds flags after ":2,".
        box, name = os.path.split(stored.path)
        unique = name.partition(":")[0]
        for other in durable.names_in(os.path.join(os.path.dirname(box), "cur")):
            if other.partition(":")[0] == unique:
                return _open(os.path.join(os.path.dirname(box), "cur", other))
        raise


def _closed(fd: int) -> Letter:
    """The letter on FD, in memory however large: there is one at a time, and rules may see all."""
    letter = read_letter(fd, tempfile.gettempdir())
    if letter.memory is not None:
        return letter
    try:
        return letter.replace(memory=b"".join(letter.chunks()), spool=-1)
    finally:
        letter.close()


def read_text(path: str) -> str:
    """A text file of the user's, such as cases. Raises OSError, ValueError where it is no UTF-8."""
    fd = _open(path)
    try:
        octets = durable.read_at(fd, limits.RULES_BYTES + 1, 0)
    finally:
        durable.close_read(fd)
    if len(octets) > limits.RULES_BYTES:
        raise OSError(errno.EFBIG, f"larger than {limits.RULES_BYTES >> 20} MB", path)
    return octets.decode()


def letter_in(path: str | Path) -> Letter:
    """The message in a file of its own."""
    return Reader().read(Stored(str(path), str(path))).letter
