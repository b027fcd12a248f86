"""Take an mbox apart without loading it: where each message is, and its octets.

Format      mboxrd, as mdeliver and qmail write it: what is read back is what was delivered. In an
            mbox of others (Postfix, Dovecot, mutt, a mail service's export) lines that somebody
            else's quoting left alone stay as they are.
Begins      a message does so at the file's start, or after an empty line, with a line `From …`
            that has a weekday and a time of day in it (RFC 4155 wants asctime(3); mail programs
            add zones and shuffle the words). `From ` anywhere else is text.
Tolerates   CRLF throughout, empty lines before the first message, a last message without its empty
            line, a Content-Length (nobody believes it), an mbox that grows meanwhile: what is
            there when a piece is read counts.
Memory      one buffer for finding, one message for reading.
See also    deliver/mboxrd.py, which writes the format; RFC 4155, mbox(5)
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from collections.abc import Iterator
from typing import NamedTuple

from mdeliver import durable

_BUFFER_BYTES = 1 << 20

_FROM_LINE_BYTES = 2048
"""A longer line is no From_ line: an address has at most 256 octets (RFC 5321 4.5.3.1.3)."""

_MARK = b"\nFrom "

_FROM_LINE = re.compile(
    rb"From [^\n]*\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? [^\n]*\b\d\d?:\d\d\b[^\n]*"
)

_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

_DATE = re.compile(
    rb"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +"
    rb"(?:(?P<month>[A-Z][a-z]{2}) +(?P<day>\d\d?)|(?P<day_>\d\d?) +(?P<month_>[A-Z][a-z]{2}))\b"
    rb"(?P<rest>.*)",
    re.DOTALL,
)
_CLOCK = re.compile(rb"\b(\d\d?):(\d\d)(?::(\d\d))?\b")
_YEAR = re.compile(rb"(?<![\d+-])\d{4}\b")
_ZONE = re.compile(rb"([+-])(\d\d)(\d\d)\b")

_QUOTED = re.compile(rb"^>(?=>*From )", re.MULTILINE)


class Entry(NamedTuple):
    """Where one message stands: offset of its From_ line, and after its last octet."""

    start: int
    end: int


def entries(fd: int, begin: int = 0) -> Iterator[Entry]:
    """Every message of the mbox FD, in order; none where it does not begin like an mbox.

    begin  offset of a message's From_ line: those before it are left out
    """
    start = -1
    read = begin
    # The line end that is not there stands before the file, so that its first line is like any.
    buffer = b"\n\n"
    offset = begin - len(buffer)
    search_from = 0
    at_end = False
    while not at_end:
        piece = durable.read_at(fd, _BUFFER_BYTES, read)
        if read == begin and not _FROM_LINE.match(piece.lstrip(b"\r\n")[:_FROM_LINE_BYTES]):
            return
        read += len(piece)
        at_end = len(piece) < _BUFFER_BYTES
        buffer += piece
        # A From_ line that could go on after the buffer is judged in the next round.
        judged = len(buffer) if at_end else len(buffer) - _FROM_LINE_BYTES
        found = buffer.find(_MARK, search_from, judged)
        while found >= 0:
            if _begins(buffer, found):
                if start >= 0:
                    yield Entry(start, offset + found + 1)
                start = offset + found + 1
            found = buffer.find(_MARK, found + 1, judged)
        # Kept: where the next mark can begin, and the two octets before, which say what line it is.
        kept_from = judged - len(_MARK) + 1 - 2
        search_from = 2
        offset += kept_from
        buffer = buffer[kept_from:]
    if start >= 0:
        yield Entry(start, read)


def _begins(buffer: bytes, newline: int) -> bool:
    """Whether a message begins after the line end at index NEWLINE."""
    before = buffer[max(0, newline - 2) : newline]
    empty_line_before = before.endswith(b"\n") or before == b"\n\r"
    line = buffer[newline + 1 : newline + 1 + _FROM_LINE_BYTES]
    return empty_line_before and _FROM_LINE.match(line) is not None


def is_mbox(fd: int) -> bool:
    """Whether FD is an mbox of several messages.

    One message with a From_ line in front, as local(8) hands it over, is a message.
    """
    found = entries(fd)
    return next(found, None) is not None and next(found, None) is not None


def read_entry(fd: int, entry: Entry) -> bytes:
    """The message at ENTRY with its From_ line, the quoting undone.

    Raises ValueError where no From_ line is there any more: somebody has rewritten the mbox.
    """
    octets = durable.read_at(fd, entry.end - entry.start, entry.start)
    if not octets.startswith(b"From "):
        raise ValueError("the mbox was changed while it was read")
    for empty_line in (b"\n\n", b"\n\r\n"):
        if octets.endswith(empty_line):
            octets = octets[: 1 - len(empty_line)]
            break
    return _unquoted(octets) if b"\n>" in octets else octets


def _unquoted(octets: bytes) -> bytes:
    """OCTETS with the mboxrd quoting undone.

    Piece by piece: of two million quoted lines the regex keeps thirty times their octets.
    """
    pieces = []
    start = 0
    while start < len(octets):
        end = octets.find(b"\n", start + _BUFFER_BYTES) + 1 or len(octets)
        pieces.append(_QUOTED.sub(b"", octets[start:end]))
        start = end
    return b"".join(pieces)


def is_folder_internal(octets: bytes) -> bool:
    """Whether it is no mail but what UW-IMAP and its heirs keep about the folder."""
    return b"\nX-IMAP" in octets[:4096] and b"FOLDER INTERNAL DATA" in octets[:4096]


def sender_of(from_line: bytes) -> str | None:
    """The envelope sender in a From_ line; "" for MAILER-DAEMON, None where there is none."""
    words = from_line.split()
    if len(words) < 2 or words[0] != b"From" or words[1] == b"-":
        return None
    sender = words[1].decode("utf-8", "surrogateescape")
    return "" if sender.upper() == "MAILER-DAEMON" else sender


def arrival_of(from_line: bytes) -> float | None:
    """When the message arrived by its From_ line, seconds since 1970; None where it cannot be read.

    Local time, as mbox(5) has it, unless a numeric zone is there.
    """
    date = _DATE.search(from_line)
    clock = _CLOCK.search(date["rest"]) if date else None
    year = _YEAR.search(date["rest"], clock.end()) if date and clock else None
    if date and not year:
        year = _YEAR.search(date["rest"])
    month = (date["month"] or date["month_"]) if date else None
    if not date or not clock or not year or month not in _MONTHS:
        return None
    day = int(date["day"] or date["day_"])
    hour, minute, second = (int(part or 0) for part in clock.groups())
    when = (int(year[0]), _MONTHS.index(month) + 1, day, hour, minute, second, 0, 0, -1)
    zone = _ZONE.search(date["rest"])
    try:
        if zone is None:
            return time.mktime(when)
        offset_s = int(zone[2]) * 3600 + int(zone[3]) * 60
        return timegm(when) - offset_s * (-1 if zone[1] == b"-" else 1)
    except (ValueError, OverflowError):
        return None
