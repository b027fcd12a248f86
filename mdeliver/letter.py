"""The octets of one message as they came, read once and copied as often as places ask.

Guarantee   what `chunks` gives is what came in, octet for octet, without the From_ line.
Memory      limits.MEMORY_BYTES plus the head, however large the message: what is larger goes
            through one buffer into a file without a name, on the state directory's file system.
            A Maildir on the same file system takes that very file (maildir.py).
Once        while a large message passes through that buffer it is hashed, and looked through for
            lines that an mbox would have to quote: hardly any has one, and then nobody looks again.
Digest      of a large message it is SHA-256, for which processors have instructions: BLAKE2 would
            take a third of the whole delivery. Of a small one, BLAKE2b, which costs no import.
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

_DIGEST_BYTES = 16


class Letter(Record):
    """One message.

    from_line  the From_ line that came before it, with its newline; b"" if none came
    head       its head up to and including the empty line, or its first limits.HEAD_BYTES octets
    head_cut   whether the head is longer than that
    size       octets, the From_ line not counted
    digest     a hash of these octets, 16 octets long
    memory     all of it, if it is small
    spool      descriptor of the nameless file that holds it, if it is not
    front      what stands in place of the beginning of the spool (edits.py)
    body_at    how much of the spool that is
    mbox_end   what follows it in an mbox, if it is known that no line of it is quoted there; else
               b""
    flows      whether the disk has been told to begin with the spool
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
    mbox_end: bytes = b""
    flows: bool = False

    @property
    def is_file(self) -> bool:
        """Whether the spool is the message, octet for octet."""
        return self.spool != NO_SPOOL and not self.front and self.body_at == 0

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

    @property
    def is_kept(self) -> bool:
        """Whether a Maildir has taken the spool, as far as that can be known."""
        try:
            return self.spool != NO_SPOOL and system.fstat(self.spool).st_nlink > 0
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the spool; whatever took it has seen to it that it is on disk."""
        if self.spool != NO_SPOOL:
            durable.close_read(self.spool)


def read_letter(fd: int, spool_directory: str, *, lasts: bool = False) -> Letter:
    """Read FD to its end.

    spool_directory  where a message too large for memory is put meanwhile
    lasts            whether a Maildir will take that file, most likely: then the disk may begin
                     with it before all is read
    """
    start, at_end = _read_up_to(fd, limits.COPY_BYTES)
    from_line, start = _split_from_line(start)
    pieces = [start]
    size = len(start)
    while not at_end and size <= limits.MEMORY_BYTES:
        piece = system.read(fd, limits.COPY_BYTES)
        at_end = not piece
        pieces.append(piece)
        size += len(piece)
    memory = b"".join(pieces)
    del pieces
    if at_end:
        head, cut = head_of(memory)
        digest = blake2b(memory, digest_size=_DIGEST_BYTES).digest()
        return Letter(from_line, head, cut, size, digest, memory, NO_SPOOL)
    return _read_large(fd, from_line, memory, spool_directory, lasts)


def _read_large(
    fd: int, from_line: bytes, start: bytes, spool_directory: str, lasts: bool
) -> Letter:
    """What begins with START, and goes on in FD, as a letter that is in a spool."""
    from hashlib import sha256

    spool = durable.create_nameless(spool_directory)
    try:
        digest, quoted = sha256(), FromLines()

        def pieces() -> Iterator[bytes]:
            piece = start
            while piece:
                digest.update(piece)
                quoted.look_through(piece)
                yield piece
                piece = system.read(fd, limits.COPY_BYTES)

        write = durable.write_flowing if lasts else durable.write_chunks
        write(spool, pieces())
        size = durable.size_of(spool)
        head, cut = head_of(durable.read_at(spool, limits.HEAD_BYTES + 1, 0))
    except BaseException:
        system.close(spool)
        raise
    key = digest.digest()[:_DIGEST_BYTES]
    end = quoted.mbox_end
    return Letter(from_line, head, cut, size, key, None, spool, mbox_end=end, flows=lasts)


_SEAM = len(b"\nFrom ") - 1
"""So many octets of what is looked for may stand before the end of a piece."""


class FromLines:
    """Whether a text that is seen piece by piece has a line that begins with `>*From `.

    may_be    false if there is none; true where there may be one: `>From ` within a line counts
    """

    __slots__ = ("_last", "may_be")

    def __init__(self) -> None:
        self.may_be = False
        self._last = b"\n"

    def look_through(self, piece: bytes) -> None:
        """See the next PIECE."""
        if not self.may_be:
            # One needle for all that is there: most texts do without it.
            within = b"From " in piece and _has_from_line(piece)
            self.may_be = within or _has_from_line(self._last + piece[:_SEAM])
        self._last = (self._last + piece[-_SEAM:])[-_SEAM:]

    @property
    def mbox_end(self) -> bytes:
        """What follows the text in an mbox, if nothing in it is to be quoted; else b""."""
        if self.may_be:
            return b""
        return b"\n" if self._last.endswith(b"\n") else b"\n\n"


def _has_from_line(text: bytes) -> bool:
    return b"\nFrom " in text or b">From " in text


def letter_of(octets: bytes) -> Letter:
    """OCTETS, which may begin with a From_ line, as a letter: a message out of a mailbox."""
    from_line, memory = _split_from_line(octets)
    head, cut = head_of(memory)
    digest = blake2b(memory, digest_size=_DIGEST_BYTES).digest()
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
    end = start.find(b"\n\n", 0, limits.HEAD_BYTES)
    # An empty line in CRLF counts where it comes first; it may end where the other one begins.
    end_crlf = start.find(b"\n\r\n", 0, limits.HEAD_BYTES if end < 0 else end + 1)
    if end_crlf >= 0:
        return start[: end_crlf + 3], False
    if end >= 0:
        return start[: end + 2], False
    return start[: limits.HEAD_BYTES], len(start) > limits.HEAD_BYTES
