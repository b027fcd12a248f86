"""One message as procmail has it in memory, and as it writes it.

Head        ends behind the first empty line; a NUL byte before it makes all of the message head.
Searched    folds are one line: only the newline becomes a space.
mbox        each `From ` at the beginning of a line gets a `>`; Content-Length, where there is one,
            says how much of the body is left alone, and is corrected.
"""

from __future__ import annotations

import re

from mdeliver.record import Record

_CONTENT_LENGTH = re.compile(rb"\nContent-Length:", re.IGNORECASE)
_NUMBER_WIDTH = 25
_FOLD = re.compile(rb"\n(?=[ \t])")


class Mail(Record):
    """A message, its From_ line included.

    octets     all of it, Content-Length corrected
    body_at    where the body begins
    quoted_at  from where on lines of the body are quoted
    start_at   behind the first character that is no newline
    """

    octets: bytes
    body_at: int
    quoted_at: int
    start_at: int

    @property
    def head(self) -> bytes:
        """What `H` searches: with the empty line, folds joined."""
        return _FOLD.sub(b" ", self.octets[: self.body_at])

    @property
    def body(self) -> bytes:
        """What `B` searches."""
        return self.octets[self.body_at :]

    @property
    def both(self) -> bytes:
        """What `HB` searches."""
        return self.head + self.body


def read_mail(octets: bytes) -> Mail:
    """OCTETS as procmail reads them from its standard input."""
    start = 0
    while start < len(octets) and octets[start] == 10:
        start += 1
    start = min(start + 1, len(octets))
    nul = octets.find(b"\0", start)
    end = octets.find(b"\n\n", start - 1 if start > 1 else start, nul if nul >= 0 else len(octets))
    body_at = len(octets) if end < 0 else end + 2
    quoted_at = max(0, body_at - 1)
    if length := _CONTENT_LENGTH.search(b"\n" + octets[:body_at]):
        octets, skipped = _with_length(octets, length.end() - 1, body_at)
        quoted_at = body_at + skipped
    return Mail(octets, body_at, quoted_at, start)


def _with_length(octets: bytes, at: int, body_at: int) -> tuple[bytes, int]:
    """OCTETS with the length behind the `:` at AT corrected, and how much of the body it covers."""
    end = octets.find(b"\n", at)
    end = len(octets) if end < 0 else end
    places = min(end - at, _NUMBER_WIDTH + 1)
    length = len(octets) - body_at
    if len(octets) > 1 and octets[-2:-1] == b"\n":
        length -= 1
    length = max(length, 0)
    number = str(length).rjust(places).encode()
    covered = length
    if len(number) > places:
        number = b"9" * places
        covered = int(number or b"0")
    field = number + b" " * (end - at - places)
    return octets[:at] + field + octets[end:], covered


def skip_from_line(octets: bytes) -> bytes:
    """OCTETS without the From_ line and the `>` lines behind it."""
    if not octets.startswith(b"From "):
        return octets
    while True:
        end = octets.find(b"\n")
        if end < 0:
            return b""
        octets = octets[end + 1 :]
        if not octets.startswith(b">"):
            return octets


def with_last_newline(octets: bytes, raw: bool) -> bytes:
    """OCTETS as procmail ends what it writes: with an empty line, unless the recipe is RAW."""
    if raw or (len(octets) > 1 and octets.endswith(b"\n\n")):
        return octets
    return octets + b"\n"


def quoted(mail: Mail, part: bytes, offset: int) -> bytes:
    """PART of MAIL, which begins at OFFSET, as it goes into an mbox."""
    pieces: list[bytes] = []
    at = 0
    while at < len(part):
        found = _next_from(part, mail, offset, at)
        if found < 0:
            break
        pieces += [part[at : found + 1], b">"]
        at = found + 1
    return b"".join([*pieces, part[at:]])


def _next_from(part: bytes, mail: Mail, offset: int, at: int) -> int:
    """Where in PART, from AT on, the next newline is that a `From ` follows; -1 if none is."""
    head_end = mail.body_at - offset
    if at < head_end:
        begin = max(at, mail.start_at - offset)
        found = _before_nul(part, begin, head_end)
        if found >= 0:
            return found
    return _before_nul(part, max(at, mail.quoted_at - offset), len(part))


def _before_nul(part: bytes, begin: int, end: int) -> int:
    """procmail looks with functions for C strings: a NUL ends them."""
    found = part.find(b"\nFrom ", begin, end)
    # No further than that: a body may be nothing but such lines.
    return -1 if found < 0 or part.find(b"\0", begin, found) >= 0 else found
