"""The octets of one message as they came, read once and copied as often as places ask.

Guarantee   what `chunks` gives is what came in, octet for octet, without the From_ line.
Memory      limits.MEMORY_BYTES plus the head, however large the message: what is larger goes
            through one buffer into a file without a name, on the state directory's file system.
Fails with  OSError (a full disk while spooling); nothing is left behind.
See also    message.py, which reads the head's meaning
"""

from __future__ import annotations

from _blake2 import blake2b

from mdeliver import durable, limits, system
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SPOOL = -1


class Letter(Record):
    """One message.

    from_line  the From_ line that came before it, with its newline; b"" if none came
    head       its head up to and including the empty line, or its first limits.HEAD_BYTES octets
    head_cut   whether the head is longer than that
    size       octets, the From_ line not counted
    digest     a hash of these octets
    memory     all of it, if it is small
    spool      descriptor of the nameless file that holds it, if it is not
    front      what stands in place of the beginning of the spool (edits.py)
    body_at    how much of the spool that is
    """

    from_line: bytes
    head: bytes
    head_cut: bool
    size: int
    digest: bytes
    memory: bytes | None
    spool: int
    front: bytes = b""
    body_at: int = 0

    def chunks(self) -> Iterator[bytes]:
        """The message in pieces, from its beginning; may be asked for again."""
        if self.memory is not None:
            if self.memory:
                yield self.memory
        else:
            if self.front:
                yield self.front
            rest = self.size - len(self.front)
            yield from durable.read_chunks(self.spool, rest, limits.COPY_BYTES, self.body_at)

    def close(self) -> None:
        """Let go of the spool."""
        if self.spool != NO_SPOOL:
            system.close(self.spool)


def read_letter(fd: int, spool_directory: str) -> Letter:
    """Read FD to its end.

    spool_directory  where a message too large for memory is put meanwhile
    """
    start, at_end = _read_up_to(fd, limits.COPY_BYTES)
    from_line, start = _split_from_line(start)
    pieces = [start]
    size = len(start)
    digest = blake2b(start, digest_size=16)
    while not at_end and size <= limits.MEMORY_BYTES:
        piece = system.read(fd, limits.COPY_BYTES)
        at_end = not piece
        digest.update(piece)
        pieces.append(piece)
        size += len(piece)
    memory = b"".join(pieces)
    del pieces
    if at_end:
        head, cut = head_of(memory)
        return Letter(from_line, head, cut, size, digest.digest(), memory, NO_SPOOL)
    spool = durable.create_nameless(spool_directory)
    try:
        durable.write_all(spool, memory)
        del memory
        while piece := system.read(fd, limits.COPY_BYTES):
            digest.update(piece)
            durable.write_all(spool, piece)
            size += len(piece)
        head, cut = head_of(durable.read_at(spool, limits.HEAD_BYTES + 1, 0))
    except BaseException:
        system.close(spool)
        raise
    return Letter(from_line, head, cut, size, digest.digest(), None, spool)


def letter_of(octets: bytes) -> Letter:
    """OCTETS, which may begin with a From_ line, as a letter: a message out of a mailbox."""
    from_line, memory = _split_from_line(octets)
    head, cut = head_of(memory)
    digest = blake2b(memory, digest_size=16).digest()
    return Letter(from_line, head, cut, len(memory), digest, memory, NO_SPOOL)


def letter_in(fd: int, *, from_line: bool) -> Letter:
    """What is in the file FD as a letter: it is read if it is small, else FD becomes the spool.

    from_line  whether it may begin with a From_ line, as what programs give; that is dropped
    The digest is b"": it is not what came in. FD is closed, or closed with the letter.
    """
    try:
        size = durable.size_of(fd)
        start = durable.read_at(fd, limits.HEAD_BYTES + limits.COPY_BYTES, 0)
        dropped, start = _split_from_line(start) if from_line else (b"", start)
        head, cut = head_of(start)
        if size <= limits.MEMORY_BYTES:
            system.close(fd)
            return Letter(b"", head, cut, len(start), b"", start, NO_SPOOL)
    except BaseException:
        durable.close_read(fd)
        raise
    skipped = len(dropped)
    read = skipped + len(head)
    return Letter(b"", head, cut, size - skipped, b"", None, fd, front=head, body_at=read)


def _read_up_to(fd: int, count: int) -> tuple[bytes, bool]:
    """At least one read, and more until COUNT octets or the end, for a pipe gives small pieces; and
    whether the end was reached."""
    piece = system.read(fd, count)
    pieces = [piece]
    size = len(piece)
    while piece and size < count:
        piece = system.read(fd, count - size)
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces), not piece


def _split_from_line(start: bytes) -> tuple[bytes, bytes]:
    """Part the From_ line, which local(8) puts before the message, from what follows."""
    if not start.startswith(b"From "):
        return b"", start
    end = start.find(b"\n") + 1
    if end == 0:
        # No line end in the first buffer: whatever it is, it is not local(8)'s.
        return b"", start
    return start[:end], start[end:]


def head_of(start: bytes) -> tuple[bytes, bool]:
    """The head at the beginning of START, and whether it is cut off by the limit.

    It ends with the first empty line, which may end in CRLF; a message may have no body, and its
    first line may be empty.
    """
    if start.startswith((b"\n", b"\r\n")):
        return start[: start.index(b"\n") + 1], False
    ends = [
        end + len(mark)
        for mark in (b"\n\n", b"\n\r\n")
        if (end := start.find(mark, 0, limits.HEAD_BYTES)) >= 0
    ]
    if ends:
        return start[: min(ends)], False
    return start[: limits.HEAD_BYTES], len(start) > limits.HEAD_BYTES
