"""Some hundred messages of an mbox that are looked at, kept and written together.

Watched    A block remembers the few octets of the file that would be others if anything of
           interest had happened: the Message-ID line of its first and last message, and of each
           that was not downloaded that line and those that POP3 servers write. Messages that
           have the same Message-ID as others are watched whole.
           As long as these octets are the same, no message of the block is read, or even known.
Ends only  What was downloaded is not watched: nothing can follow from what becomes of it, and if
           it goes, those behind it move. Nor is what stands in a block in which no server has
           written yet: whichever is marked or goes, the last one is not where it was.
See also   mboxindex.py, ledger.py
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

from mdeliver.popsync.entry import CopyAt, Entry, Known

MESSAGES = 256
"""In one block at most."""

NAME_BYTES = 8


class Octets(Protocol):
    """A file that is mapped, or anything like it."""

    def __getitem__(self, key: slice, /) -> bytes: ...
    def __len__(self) -> int: ...


class Block(NamedTuple):
    """Messages that follow each other; its own are in the ledger.

    id       in the ledger
    length   octets in the file
    first    key of the first message
    watched  where it is looked: offset and count from the block's beginning, in turn
    digest   hash of what stands there
    names    a short hash of each message's Message-ID
    """

    id: int
    length: int
    first: bytes
    watched: bytes
    digest: bytes
    names: bytes

    @property
    def messages(self) -> int:
        """How many there are."""
        return len(self.names) // NAME_BYTES

    def stands_at(self, file: Octets, at: int) -> bool:
        """Whether it begins AT in FILE, as it was."""
        end = at + self.length
        if end > len(file) or (end < len(file) and file[end - 1 : end + 5] != b"\nFrom "):
            return False
        watched = array("Q", self.watched)
        return _digest(file, at, watched) == self.digest

    def may_have(self, name: bytes) -> bool:
        """Whether NAME is one of its names."""
        at = self.names.find(name)
        while at >= 0:
            if at % NAME_BYTES == 0:
                return True
            at = self.names.find(name, at + 1)
        return False


def block_of(id_: int, messages: Sequence[Known], file: Octets, at: int) -> Block:
    """The block of MESSAGES, the first of which begins AT in FILE."""
    watched = array("Q")
    start = 0
    is_written_to = any(known.entry.marked[1] for known in messages)
    for n, known in enumerate(messages):
        wanted = n in (0, len(messages) - 1) or (is_written_to and known.state != "downloaded")
        for begin, end in _watched(known) if wanted or known.twin else ():
            watched.append(start + begin)
            watched.append(end - begin)
        start += known.entry.length
    names = b"".join([name_of(known.entry) for known in messages])
    digest = _digest(file, at, watched)
    return Block(id_, start, messages[0].entry.key, watched.tobytes(), digest, names)


def _watched(known: Known) -> Iterator[tuple[int, int]]:
    entry = known.entry
    if known.twin:
        yield 0, entry.length
        return
    yield entry.named if entry.named[1] else (0, entry.head_bytes)
    if entry.marked[1]:
        yield entry.marked


def _digest(file: Octets, at: int, watched: array[int]) -> bytes:
    pairs = iter(watched)
    octets = [
        file[at + begin : at + begin + count] for begin, count in zip(pairs, pairs, strict=True)
    ]
    return blake2b(b"".join(octets), digest_size=16).digest()


def name_of(entry: Entry) -> bytes:
    """What tells most messages apart: a short hash of the Message-ID, or of the key."""
    return name_of_id(entry.message_id) if entry.message_id else entry.key[:NAME_BYTES]


def name_of_id(message_id: str) -> bytes:
    """As `name_of`, of a message with that Message-ID."""
    octets = message_id.encode("utf-8", "surrogateescape")
    return blake2b(octets, digest_size=NAME_BYTES).digest()


# --- as octets for the ledger ------------------------------------------------------------------

_SUM_BYTES = 16


def packed(messages: Sequence[Known]) -> bytes:
    """MESSAGES as octets."""
    octets = marshal.dumps(
        [(k.state, [tuple(c) for c in k.copies], k.twin, tuple(k.entry)) for k in messages]
    )
    return blake2b(octets, digest_size=_SUM_BYTES).digest() + octets


def unpacked(octets: bytes) -> list[Known]:
    """The messages that `packed` has made octets of. Raises ValueError where they are damaged."""
    total, rest = octets[:_SUM_BYTES], octets[_SUM_BYTES:]
    if blake2b(rest, digest_size=_SUM_BYTES).digest() != total:
        raise ValueError("its checksum is wrong")
    return [
        Known(state, tuple([CopyAt(*copy) for copy in copies]), twin, Entry(*entry))
        for state, copies, twin, entry in marshal.loads(rest)
    ]
