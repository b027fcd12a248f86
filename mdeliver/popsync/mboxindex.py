"""Which messages are in an mbox, and which POP3 has downloaded; a known one is not read again.

Cost       The first look reads the file once. After that, blocks of messages are held against the
           few octets by which they show a change (blocks.py); in a block that has changed, the
           header of each message against a hash of what it was; bodies are read of new messages
           only. Messages may have moved, in any order.
Whole      A file that does not begin with a From_ line is being written by somebody who takes no
           locks, or is no mbox: NotWhole. A last message without its empty line may be the first
           half of one: it is left out until it is whole, or has stood there for a while.
Downloaded `R` in Status, which Dovecot writes after RETR (TOP leaves `O`), or gone from the file.
See also   sync.py, which holds the locks; noting.py; replay/mboxread.py; mbox(5)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from typing import NamedTuple

from mdeliver import durable
from mdeliver.deliver.mboxfind import head_length
from mdeliver.popsync.blocks import Block, Octets
from mdeliver.popsync.entry import Entry, Known, entry_of, key_of, short_hash
from mdeliver.replay.mboxread import entries

_HEAD_WINDOW = 16 << 10
_HASHED_AT_ONCE = 1 << 20


class NotWhole(Exception):
    """The file is no mbox at the moment; the text says what is wrong."""


class Seen(NamedTuple):
    """A message that was read: what was known of it, if it was, and its entry now."""

    known: Known | None
    entry: Entry


class Found(NamedTuple):
    """What an mbox holds now, in the order of the file.

    parts     blocks that are as they were, and between them what was read
    broken    blocks that are not there as they were
    vanished  messages of these that are gone
    torn      whether a last message was left out, as not whole yet
    """

    parts: list[Block | list[Seen]]
    broken: list[Block]
    vanished: list[Known]
    torn: bool = False


class Pieces:
    """The octets of a file that is not mapped: who cuts it meanwhile cannot end this process."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, _ = key.indices(self._size)
        return durable.read_at(self._fd, stop - start, start)


@contextmanager
def mapped(fd: int) -> Iterator[Octets]:
    """The octets of the file FD, which is not cut meanwhile."""
    size = durable.size_of(fd)
    if size == 0:
        yield b""
        return
    with mmap(fd, size, access=ACCESS_READ) as file:
        yield file


def look(
    fd: int,
    file: Octets,
    before: Sequence[Block],
    load: Callable[[Block], list[Known]],
    *,
    trust_tail: bool,
) -> Found:
    """Find what is in the mbox FD now, which nobody changes meanwhile. Raises NotWhole.

    file        what is mapped of it
    before      what was there at the last look
    load        the messages of a block
    trust_tail  a last message without an empty line counts
    """
    if len(file) == 0:
        return Found([], list(before), [known for block in before for known in load(block)])
    if file[:5] != b"From ":
        raise NotWhole(f"it begins with {file[:20]!r}")
    try:
        return _Walk(fd, file, before, load).run(trust_tail)
    except NotWhole:
        if not before:
            raise
        # A line of text that begins with From stood where a message was expected to end.
        return _Walk(fd, file, before, load, trust_blocks=False).run(trust_tail)


class _Walk:
    """One way through the file, from block to block, and where they have changed by message."""

    def __init__(
        self,
        fd: int,
        file: Octets,
        before: Sequence[Block],
        load: Callable[[Block], list[Known]],
        *,
        trust_blocks: bool = True,
    ) -> None:
        self._fd = fd
        self._trust_blocks = trust_blocks
        self._file = file
        self._size = len(file)
        self._before = before
        self._load = load
        self._first = {block.first: n for n, block in enumerate(before)}
        self._next = 0
        """Index of the block that is expected next."""
        self._broken: list[Block] = []
        self._known: list[Known] = []
        """The messages of these."""
        self._taken = bytearray()
        self._expected = 0
        """Index of the message that is expected next."""
        self._by_key: dict[bytes, list[int]] = {}
        self._scan: Iterator[tuple[int, int]] = iter(())
        self._scan_at = -1

    def run(self, trust_tail: bool) -> Found:
        stretch: list[Seen] = []
        parts: list[Block | list[Seen]] = [stretch]
        at = 0
        while at < self._size:
            if self._expected >= len(self._known) and self._next < len(self._before):
                block = self._before[self._next]
                self._next += 1
                if self._stands_at(block, at):
                    stretch = []
                    parts += [block, stretch]
                    at += block.length
                    continue
                self._open(block)
            seen = self._message(at)
            if seen is not None:
                stretch.append(seen)
                at += seen.entry.length
        for block in self._before[self._next :]:
            self._open(block)
        self._settle(parts)
        torn = not trust_tail and self._is_torn(stretch)
        if torn:
            stretch.pop()
        vanished = [
            known for known, taken in zip(self._known, self._taken, strict=True) if not taken
        ]
        return Found([part for part in parts if part], self._broken, vanished, torn)

    def _stands_at(self, block: Block, at: int) -> bool:
        return self._trust_blocks and block.stands_at(self._file, at)

    def _open(self, block: Block) -> None:
        """Take in the messages of BLOCK, which is not as it was."""
        self._broken.append(block)
        self._expected = len(self._known)
        for known in self._load(block):
            self._by_key.setdefault(known.entry.key, []).append(len(self._known))
            self._known.append(known)
        self._taken.extend(bytes(len(self._known) - len(self._taken)))

    def _is_torn(self, last: list[Seen]) -> bool:
        """Whether the file ends in a new message, one of LAST, without its empty line."""
        if not last or last[-1].known is not None:
            return False
        end = self._file[max(0, self._size - 3) : self._size]
        return not end.endswith((b"\n\n", b"\n\r\n"))

    # --- one message -------------------------------------------------------------------------

    def _message(self, at: int) -> Seen | None:
        """The message that begins AT; None where it is the first of a block that is as it was."""
        if self._expected < len(self._known) and self._is_unchanged(at, self._expected):
            return self._take(self._expected, self._known[self._expected].entry)
        head = self._head(at)
        key = key_of(head)
        number = self._first.get(key, -1)
        if number >= self._next and self._stands_at(self._before[number], at):
            for block in self._before[self._next : number]:
                self._open(block)
            self._next = number
            self._expected = len(self._known)
            return None
        return self._read(at, head, key)

    def _take(self, index: int, entry: Entry) -> Seen:
        self._taken[index] = 1
        self._expected = index + 1
        while self._expected < len(self._known) and self._taken[self._expected]:
            self._expected += 1
        return Seen(self._known[index], entry)

    def _is_unchanged(self, at: int, index: int) -> bool:
        known = self._known[index]
        entry = known.entry
        end = at + entry.length
        if self._taken[index] or known.twin or len(self._by_key[entry.key]) > 1:
            return False
        if end != self._size and self._file[end - 1 : end + 5] != b"\nFrom ":
            return False
        return short_hash(self._file[at : at + entry.head_bytes]) == entry.head_hash

    def _read(self, at: int, head: bytes, key: bytes) -> Seen:
        """The message that begins AT with HEAD; what is known of it, so far."""
        same = self._by_key.get(key, [])
        left = [index for index in same if not self._taken[index]]
        if len(left) == 1 and len(same) == 1 and not self._known[left[0]].twin:
            entry = self._known[left[0]].entry.with_head(head)
            end = at + entry.length
            if end == self._size or self._file[end - 1 : end + 5] == b"\nFrom ":
                return self._take(left[0], entry)
        entry = self._fresh(at, head)
        index = self._same_as(entry)
        return Seen(None, entry) if index is None else self._take(index, entry)

    def _same_as(self, entry: Entry) -> int | None:
        """Index of the known message that ENTRY is."""
        left = [index for index in self._by_key.get(entry.key, ()) if not self._taken[index]]
        # One header over several bodies, which only a sender without a mail server can bring about.
        alike = [index for index in left if self._known[index].entry.content == entry.content]
        alone = left if len(left) == 1 and not alike else []
        return next(iter(alike or alone), None)

    def _settle(self, parts: list[Block | list[Seen]]) -> None:
        """Recognise what has moved up from a block that was opened only later."""
        if len(self._taken) == sum(self._taken):
            return
        for part in parts:
            if isinstance(part, Block):
                continue
            for n, seen in enumerate(part):
                index = self._same_as(seen.entry) if seen.known is None else None
                if index is not None:
                    part[n] = self._take(index, seen.entry)

    # --- the file ----------------------------------------------------------------------------

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
        end = self._scan_at = span[1]
        head = head[: end - at]
        return entry_of(head, end - at, self._body(at + len(head), end))

    def _body(self, start: int, end: int) -> Iterator[bytes]:
        while end > start and self._file[end - 1 : end] in (b"\r", b"\n"):
            end -= 1
        for at in range(start, end, _HASHED_AT_ONCE):
            yield self._file[at : min(at + _HASHED_AT_ONCE, end)]
