"""Which messages are in an mbox, and which POP3 has downloaded; a known one is not read again.

Known      A message is known by its From_ line and its own header lines; those that POP3 servers
           write (Status, X-UID, ...) come, go and change. Messages may have moved, in any order.
Cost       The first look reads the file once. After that the header of each message is held
           against a hash of what it was; bodies are read of new messages only.
Whole      A file that does not begin with a From_ line is being written by somebody who takes no
           locks, or is no mbox: NotWhole. A last message without its empty line may be the first
           half of one: it is left out until it is whole, or has stood there for a while.
Downloaded `R` in Status, which Dovecot writes after RETR (TOP leaves `O`), or gone from the file.
See also   sync.py, which holds the locks; mboxfind.py; replay/mboxread.py; mbox(5)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from mmap import ACCESS_READ, mmap
from typing import NamedTuple

from mdeliver import durable
from mdeliver.deliver.mboxfind import head_length, own_lines
from mdeliver.limits import LOG_TEXT
from mdeliver.message import Message, plain_text
from mdeliver.replay.mboxread import entries, is_folder_internal

_SEEN = re.compile(rb"^status:[^\n]*R", re.IGNORECASE | re.MULTILINE)
_QUOTED = b"\n>From "
_HEAD_WINDOW = 16 << 10
_HASHED_AT_ONCE = 1 << 20


class NotWhole(Exception):
    """The file is no mbox at the moment; the text says what is wrong."""


class Entry(NamedTuple):
    """One message in an mbox.

    key         hash of From_ line and own header lines
    from_line   hash of the From_ line
    head_bytes  length of From_ line and header, the empty line included, as they stand there
    head_hash   hash of these octets
    length      octets from the From_ line to the next message
    own_bytes   octets of the message: without From_ line and the lines that POP3 servers write
    message_id  the field, decoded as the decision log has it; "" if there is none
    content     hash of the message without From_ line, servers' lines and line ends at its end
    quoted      how many lines may have been quoted
    seen        whether a POP3 server says that it was downloaded
    """

    key: bytes
    from_line: bytes
    head_bytes: int
    head_hash: bytes
    length: int
    own_bytes: int
    message_id: str
    content: bytes
    quoted: int
    seen: bool


class Found(NamedTuple):
    """What an mbox holds now.

    entries   in the order of the file: index among those known before, or None, and the entry
    vanished  indexes of those that were known and are gone
    torn      whether a last message was left out, as not whole yet
    """

    entries: list[tuple[int | None, Entry]]
    vanished: list[int]
    torn: bool = False


def look(fd: int, before: Sequence[Entry], *, trust_tail: bool) -> Found:
    """Find what is in the mbox FD now, which nobody changes meanwhile. Raises NotWhole.

    before      what was there at the last look
    trust_tail  a last message without an empty line counts
    """
    size = durable.size_of(fd)
    if size == 0:
        return Found([], list(range(len(before))))
    with mmap(fd, size, access=ACCESS_READ) as file:
        if file[:5] != b"From ":
            raise NotWhole(f"it begins with {file[:20]!r}")
        return _Walk(fd, file, before).run(trust_tail)


class _Walk:
    """One way through the file, from message to message."""

    def __init__(self, fd: int, file: mmap, before: Sequence[Entry]) -> None:
        self._fd = fd
        self._file = file
        self._size = len(file)
        self._before = before
        self._taken = bytearray(len(before))
        self._by_key: dict[bytes, list[int]] = {}
        for number, entry in enumerate(before):
            self._by_key.setdefault(entry.key, []).append(number)
        self._scan: Iterator[tuple[int, int]] = iter(())
        self._scan_at = -1

    def run(self, trust_tail: bool) -> Found:
        found: list[tuple[int | None, Entry]] = []
        at = expected = 0
        while at < self._size:
            while expected < len(self._before) and self._taken[expected]:
                expected += 1
            known = expected if expected < len(self._before) else None
            if known is not None and self._is_unchanged(at, self._before[known]):
                entry = self._before[known]
            else:
                known, entry = self._read(at)
            if known is not None:
                self._taken[known] = 1
            found.append((known, entry))
            at += entry.length
        vanished = [n for n, taken in enumerate(self._taken) if not taken]
        torn = not trust_tail and found[-1][0] is None and not self._ends_whole()
        return Found(found[:-1] if torn else found, vanished, torn)

    def _ends_whole(self) -> bool:
        return self._file[max(0, self._size - 3) :].endswith((b"\n\n", b"\n\r\n"))

    def _is_unchanged(self, at: int, entry: Entry) -> bool:
        end = at + entry.length
        if end != self._size and self._file[end : end + 5] != b"From ":
            return False
        if len(self._by_key[entry.key]) > 1:
            return False
        return _hash(self._file[at : at + entry.head_bytes]) == entry.head_hash

    def _read(self, at: int) -> tuple[int | None, Entry]:
        """The message that begins AT, and its index if it is known."""
        head = self._head(at)
        left = [n for n in self._by_key.get(key_of(head), ()) if not self._taken[n]]
        if len(left) == 1 and len(self._by_key[key_of(head)]) == 1:
            old = self._before[left[0]]
            length = old.length - old.head_bytes + len(head)
            end = at + length
            if end == self._size or self._file[end - 1 : end + 5] == b"\nFrom ":
                return left[0], old._replace(
                    head_bytes=len(head),
                    head_hash=_hash(head),
                    length=length,
                    seen=_is_seen(head),
                )
        entry = self._fresh(at, head)
        # One header over several bodies, which only a sender without a mail server can bring about.
        same = [n for n in left if self._before[n].content == entry.content]
        alone = left if len(left) == 1 and not same else []
        return next(iter(same or alone), None), entry

    def _head(self, at: int) -> bytes:
        window = _HEAD_WINDOW
        while True:
            octets = self._file[at : at + window]
            # The From_ line first: the empty line of a message without header stands behind it.
            after = octets.find(b"\n") + 1
            length = after + head_length(octets[after:])
            if length < len(octets) or at + window >= self._size:
                return octets[:length]
            window *= 4

    def _fresh(self, at: int, head: bytes) -> Entry:
        if self._scan_at != at:
            self._scan = iter(entries(self._fd, at))
        span = next(self._scan, None)
        if span is None:
            raise NotWhole(f"at {at} there is no From_ line but {self._file[at : at + 20]!r}")
        self._scan_at = span[1]
        return self._entry(at, span[1], head)

    def _entry(self, start: int, end: int, head: bytes) -> Entry:
        head = head[: end - start]
        from_line, own = _parted(head)
        body_end = end
        while body_end > start + len(head) and self._file[body_end - 1] in b"\r\n":
            body_end -= 1
        content = blake2b(own.rstrip(b"\r\n"), digest_size=16)
        quoted = 0
        for at in range(start + len(head), body_end, _HASHED_AT_ONCE):
            piece = self._file[at : min(at + _HASHED_AT_ONCE, body_end)]
            content.update(piece)
            quoted += piece.count(_QUOTED)
        return Entry(
            key_of(head),
            _hash(from_line),
            len(head),
            _hash(head),
            end - start,
            end - start - len(head) + len(own),
            message_id_of(own),
            content.digest(),
            quoted + 1,
            _is_seen(head),
        )


def _parted(head: bytes) -> tuple[bytes, bytes]:
    """From_ line, and own header lines."""
    from_line, end, rest = head.partition(b"\n")
    return from_line + end, own_lines(rest)


def key_of(head: bytes) -> bytes:
    """What a message is known by, from its From_ line and header."""
    return blake2b(b"".join(_parted(head)), digest_size=16).digest()


def hash_of_from_line(line: bytes) -> bytes:
    """As `Entry.from_line`; LINE without its line end."""
    return _hash(line + b"\n")


def content_of(framed: bytes) -> bytes:
    """As `Entry.content`, of FRAMED: a message as it stands in an mbox below its From_ line."""
    length = head_length(framed)
    content = blake2b(own_lines(framed[:length]).rstrip(b"\r\n"), digest_size=16)
    content.update(framed[length:].rstrip(b"\r\n"))
    return content.digest()


def message_id_of(head: bytes) -> str:
    """The Message-ID in HEAD, as the decision log has it."""
    for value in Message(head, len(head)).raw("message-id"):
        return plain_text(value[:LOG_TEXT])
    return ""


def says_seen(head: bytes) -> bool:
    """Whether HEAD of a message has a Status line that says it was read."""
    return _SEEN.search(head) is not None


def _is_seen(head: bytes) -> bool:
    # What UW-IMAP keeps about the folder is no message, whatever its status.
    return says_seen(head) and not is_folder_internal(head)


def _hash(octets: bytes) -> bytes:
    return blake2b(octets, digest_size=12).digest()
