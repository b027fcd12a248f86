"""Which copy in the Maildir belongs to a message of the mbox.

First     the decision log: each delivery's line says what went where. It is taken over into the
          ledger whenever we look, so that its rotation loses nothing.
Found     by the unique name, in the folder it was delivered to, else in any other: an IMAP client
          may have moved it or changed its flags, which are behind the name.
Else      for mail delivered before, or without a log, or moved by a server that gives new names:
          a message of about that size with the same Message-ID and the same octets.
See also  history/account.py, which writes the log; ledger.py, carry.py
"""

from __future__ import annotations

import errno
import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mdeliver import durable, system
from mdeliver.deliver import mboxrd
from mdeliver.deliver.mboxfind import head_length
from mdeliver.history import decisions
from mdeliver.history.steps import unique_of
from mdeliver.popsync.entry import (
    CopyAt,
    content_of,
    hash_of_from_line,
    message_id_of,
    short_hash,
)
from mdeliver.popsync.ledger import Delivered, Download, Ledger

_FIRST_OCTETS = 1024
"""So much of the first line of a log tells it from others: it begins with time and message."""

LOG_BYTES = 256 << 20
"""So much of one file of the log is taken over; the settings keep it far below."""

_LETTERS = {"draft": "D", "flagged": "F", "answered": "R", "seen": "S"}

SERVERS_LINES_BYTES = 400
"""Servers' lines (Status, Content-Length) that the sender wrote, and that sizes do not count."""


# --- the log -----------------------------------------------------------------------------------


def take_over(state: str, ledger: Ledger, mboxes: Iterable[str]) -> None:
    """Bring what is new in the decision log into LEDGER; within its transaction."""
    wanted = frozenset(mboxes)
    paths = decisions.paths(state)
    last, octets = ledger.taken()
    files = [(path, _identity(path)) for path in paths]
    at = next((n for n, (_path, identity) in enumerate(files) if identity == last), -1)
    for path, identity in files[max(at, 0) :]:
        if not identity:
            continue
        begin = octets if identity == last else 0
        text, end = _lines(path, begin)
        ledger.add_deliveries(_deliveries(text, wanted))
        ledger.note_taken(identity, end)


def _identity(path: str) -> str:
    """Which file of the log PATH is, whatever it is called by now; "" where it has no line yet.

    The inode of a file that is gone serves again; but no two begin with the same decision.
    """
    try:
        fd = durable.open_own_file(path, create=False)
    except FileNotFoundError:
        return ""
    try:
        status = system.fstat(fd)
        first, end, _rest = durable.read_at(fd, _FIRST_OCTETS, 0).partition(b"\n")
        if not end and len(first) < _FIRST_OCTETS:
            return ""
        return f"{status.st_dev}:{status.st_ino}:{short_hash(first).hex()}"
    finally:
        durable.close_read(fd)


def _lines(path: str, begin: int) -> tuple[bytes, int]:
    """What PATH has from BEGIN on as far as lines are whole, and where that ends.

    Of what is huge, which no delivery has written, only the end is looked at.
    """
    try:
        fd = durable.open_own_file(path, create=False)
    except FileNotFoundError:
        return b"", begin
    try:
        begin = max(begin, durable.size_of(fd) - LOG_BYTES)
        octets = durable.read_at(fd, LOG_BYTES, begin)
    finally:
        durable.close_read(fd)
    whole = octets[: octets.rfind(b"\n") + 1]
    return whole, begin + len(whole)


def _deliveries(text: bytes, mboxes: frozenset[str]) -> Iterator[Delivered]:
    for line in text.splitlines():
        if b'"from_line"' not in line:
            continue
        try:
            said = json.loads(line)
            yield from _of_line(said, mboxes)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # torn by a full disk, or no line of ours


def _of_line(said: Mapping[str, Any], mboxes: frozenset[str]) -> Iterator[Delivered]:
    files = [action for action in said["actions"] if action.get("action") == "file"]
    copies = tuple([_copy(file) for file in files if file.get("name")])
    for file in files:
        if file["store"] == "mbox" and file["path"] in mboxes and "from_line" in file and copies:
            from_line = system.to_octets(file["from_line"])
            yield Delivered(
                file["path"],
                hash_of_from_line(from_line),
                str(said["message_id"]),
                int(file["offset"]),
                int(file["length"]) - len(from_line) - 1,
                copies,
            )


def _copy(file: Mapping[str, Any]) -> CopyAt:
    path, name = str(file["path"]), str(file["name"])
    letters = "".join([_LETTERS[flag] for flag in file["flags"] if flag in _LETTERS])
    above, _, last = path.rpartition("/")
    # Maildir++: a folder lies beside the inbox's own cur; a Maildir may itself begin with a dot.
    is_folder = last.startswith(".") and system.is_directory(system.join(above, "cur"))
    return CopyAt(above if is_folder else path, path, name, letters)


# --- the Maildir -------------------------------------------------------------------------------


class Shelves:
    """What is in the folders of Maildirs, read once while many messages are looked for."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, str]] = {}
        self._sizes: dict[str, list[tuple[int, str]]] = {}

    def find(self, copy: CopyAt) -> str | None:
        """Where COPY is now."""
        for folder in self._order(copy.root, copy.folder):
            path = self._messages(folder).get(copy.name)
            if path is not None:
                return path
        return None

    def delivered(self, delivery: Delivered) -> bytes | None:
        """The message that DELIVERY put into a Maildir; None where it is there no longer."""
        for copy in delivery.copies:
            path = self.find(copy)
            octets = read_message(path) if path is not None else None
            if octets is not None:
                return octets
        return None

    def alike(self, roots: Iterable[str], download: Download) -> str | None:
        """A message that is what was downloaded: in the inbox, else in any folder."""
        return next((path for root in roots for path in self.all_alike(root, download)), None)

    def all_alike(self, root: str, download: Download) -> Iterator[str]:
        """All messages that are what was downloaded, those in the inbox of ROOT first."""
        if not download.content:
            return
        least = download.bytes - download.quoted - 2
        most = download.bytes + SERVERS_LINES_BYTES
        for folder in self._order(root, root):
            for size, path in self._from_size(folder, least):
                if size > most:
                    break
                if _is_it(path, download):
                    yield path

    def moved(self, path: str, target: str) -> None:
        """The message PATH is called TARGET now."""
        unique, size = unique_of(path), _size_of(target)
        old, new = (system.dirname(system.dirname(name)) for name in (path, target))
        if old in self._folders:
            self._folders[old].pop(unique, None)
        if new in self._folders:
            self._folders[new][unique_of(target)] = target
        if (size, path) in self._sizes.get(old, ()):
            self._sizes[old].remove((size, path))
        if new in self._sizes:
            insort(self._sizes[new], (size, target))

    def _from_size(self, folder: str, least: int) -> list[tuple[int, str]]:
        """Size and path of the messages in FOLDER that have at least LEAST octets, in order."""
        if folder not in self._sizes:
            paths = self._messages(folder).values()
            self._sizes[folder] = sorted((_size_of(path), path) for path in paths)
        sizes = self._sizes[folder]
        return sizes[bisect_left(sizes, (least, "")) :]

    def _order(self, root: str, first: str) -> Iterator[str]:
        yield first
        if root != first:
            yield root
        for name in sorted(durable.names_in(root)):
            folder = system.join(root, name)
            if name.startswith(".") and name not in (".", "..") and folder != first:
                yield folder

    def _messages(self, folder: str) -> dict[str, str]:
        if folder not in self._folders:
            self._folders[folder] = {
                unique_of(name): system.join(folder, part, name)
                for part in ("new", "cur")
                for name in durable.names_in(system.join(folder, part))
            }
        return self._folders[folder]


def _size_of(path: str) -> int:
    """Octets of the message; most names say it (Maildir++)."""
    _, _, size = unique_of(path).partition(",S=")
    size = size.partition(",")[0]
    if size.isdecimal():
        return int(size)
    try:
        return system.lstat(path).st_size
    except FileNotFoundError:
        return -1


def _is_it(path: str, download: Download) -> bool:
    octets = read_message(path)
    if octets is None or message_id_of(octets[: head_length(octets)]) != download.message_id:
        return False
    return content_of(b"".join(mboxrd.framed_text([octets]))) == download.content


def read_message(path: str) -> bytes | None:
    """The octets of the message; None where it is not there, or is none that we may read.

    Raises OSError: what cannot be read now may be what was looked for.
    """
    flags = system.O_RDONLY | system.O_CLOEXEC | system.O_NOFOLLOW | system.O_NONBLOCK
    try:
        fd = system.open(path, flags)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.EACCES):
            raise
        return None
    try:
        status = system.fstat(fd)
        return durable.read_at(fd, status.st_size, 0) if system.is_regular(status) else None
    finally:
        durable.close_read(fd)
