"""Find again, in an mbox, the copy that an earlier attempt may have appended.

Between that attempt and now a POP3 server may have rewritten the file: moved everything, added or
dropped its own header lines. So after a look at the recorded place the copy is known by its
From_ line and by its own words, the lines that servers change not counted.

Guarantee   a copy is called torn only if what is there is a beginning of our message, and the last
            thing in the file: cutting it off can take nobody else's mail.
Used by     mbox.py, on a retry only, with the mailbox locked
"""

from __future__ import annotations

from mdeliver import durable, limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from mmap import mmap
    from typing import Literal

    Found = tuple[Literal["whole", "torn", "absent"], int]

SERVERS_OWN = (b"status:", b"x-status:", b"x-uid:", b"x-imap", b"x-keywords:", b"content-length:")


def stands_at(fd: int, start: int, size: int, copy: Iterable[bytes]) -> Found:
    """Whether COPY stands at START of the file, whole or as a torn tail.

    A power cut may have put the size on disk and not the octets: then there are zeros for them.
    """
    offset = start
    verdict: Literal["whole", "torn"] = "whole"
    for piece in copy:
        there = durable.read_at(fd, len(piece), offset)
        offset += len(there)
        if there != piece:
            if not _is_left_of(piece, there):
                return "absent", start
            verdict = "torn"
    if verdict == "torn" and not start < size == offset:
        return "absent", start
    return verdict, start


def _is_left_of(octets: bytes, there: bytes) -> bool:
    """Whether THERE is what a cut may leave of OCTETS: less of them, and zeros for some."""
    return all(found in (wanted, 0) for found, wanted in zip(there, octets, strict=False))


def find_copy(fd: int, from_line: bytes, text: Callable[[], Iterator[bytes]]) -> Found:
    """Look for an entry anywhere in the file.

    from_line  its From_ line
    text       gives the pieces of what follows that line: quoted message and empty line
    """
    from mmap import ACCESS_READ, mmap

    size = durable.size_of(fd)
    if size == 0:
        return "absent", 0
    start = _start_of(text())
    head = start[: head_length(start)]
    with mmap(fd, size, access=ACCESS_READ) as file:
        at = 0 if file[: len(from_line)] == from_line else _next(file, from_line, 0)
        while at >= 0:
            verdict = _compare(file, at + len(from_line), size, text(), head)
            if verdict != "absent":
                return verdict, at
            at = _next(file, from_line, at + 1)
    return "absent", 0


def torn_tail_of(fd: int, start: int, length: int, from_line: bytes, size: int) -> bool:
    """Whether the file ends in a part of the entry that was to be LENGTH octets from START.

    Only its From_ line is known here, so that must be there, and no other message after it.
    """
    if not start < size < start + length:
        return False
    beginning = durable.read_at(fd, len(from_line) + 2, start)
    if not any(
        # Up to two newlines that mend the file come before it.
        _is_left_of(b"\n" * at + from_line, beginning)
        for at in range(3)
    ):
        return False
    # Past the start of our own From_ line, which the newlines that mend the file may precede.
    offset = start + 3
    while offset < size:
        piece = durable.read_at(fd, limits.COPY_BYTES, offset)
        if b"\nFrom " in piece:
            return False
        offset += max(1, len(piece) - 5) if offset + len(piece) < size else len(piece)
    return True


def _start_of(pieces: Iterator[bytes]) -> bytes:
    """As much of PIECES as a head may be long."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) > limits.HEAD_BYTES:
            break
    return start


def head_length(text: bytes) -> int:
    """Octets up to and including the first empty line of TEXT; all of it where there is none."""
    if text.startswith((b"\n", b"\r\n")):
        return text.index(b"\n") + 1
    ends = [at + len(end) for end in (b"\n\n", b"\n\r\n") if (at := text.find(end)) >= 0]
    return min(ends, default=len(text))


def _next(file: mmap, from_line: bytes, start: int) -> int:
    found = file.find(b"\n" + from_line, start)
    return found + 1 if found >= 0 else -1


def _compare(
    file: mmap, at: int, size: int, text: Iterator[bytes], head: bytes
) -> Literal["whole", "torn", "absent"]:
    """Compare what stands from AT of the file with TEXT, whose head is HEAD."""
    window = file[at : at + len(head) + limits.COPY_BYTES]
    head_end = at + head_length(window)
    ours, theirs = own_lines(head), own_lines(file[at:head_end])
    if ours != theirs:
        is_beginning = head_end >= size and ours.startswith(theirs.rstrip(b"\n"))
        return "torn" if is_beginning else "absent"
    offset = head_end
    skip = len(head)
    for piece in text:
        if skip >= len(piece):
            skip -= len(piece)
            continue
        body = piece[skip:]
        skip = 0
        there = file[offset : offset + len(body)]
        offset += len(there)
        if there != body:
            # A server may have ended the torn message with a newline of its own.
            is_beginning = offset >= size and body.startswith(there.rstrip(b"\n"))
            return "torn" if is_beginning else "absent"
    return "whole"


def own_lines(head: bytes) -> bytes:
    """HEAD without the fields that servers write, their continuation lines included."""
    kept: list[bytes] = []
    dropping = False
    for line in head.split(b"\n"):
        if not line.startswith((b" ", b"\t")):
            dropping = line.lower().startswith(SERVERS_OWN)
        if not dropping:
            kept.append(line)
    return b"\n".join(kept)
