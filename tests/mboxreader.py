"""A strict reader of mbox files, for accounting: what is not a whole message is an error.

Guarantee   `read_mbox` returns every message byte for byte as it was handed in, or raises Torn.
Framing     each message begins with a From_ line at the very start or after an empty line, ends
            with an empty line, and has its own lines that begin with `>*From ` quoted by one `>`
            (mboxrd). A line `From ` anywhere else is a torn message, not text.
Why not     the standard library's mailbox: it takes any `From ` line for a new message and never
            says that something is wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# RFC 4155 wants asctime(3) after the address; the address is quoted by nobody and may hold spaces.
_FROM_LINE = re.compile(
    rb"From .+ (Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
    rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d [0-2]\d:[0-5]\d:[0-6]\d \d{4}\n\Z"
)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_STARTS = re.compile(rb"^From [^\n]*\n?", re.MULTILINE)


class Torn(Exception):
    """The file is not a sequence of whole messages."""


class Stored(NamedTuple):
    """One message of an mbox: its From_ line with the newline, and the message without quoting."""

    from_line: bytes
    message: bytes


def read_mbox(content: bytes, *, quoting: str = "mboxrd") -> list[Stored]:
    """Take an mbox apart.

    content  the whole file
    quoting  "mboxrd" undoes the quoting of `From ` lines, "as is" leaves them (procmail, Dovecot)
    Raises Torn with the byte offset of what is wrong.
    """
    if not content:
        return []
    if not content.startswith(b"From "):
        raise Torn(f"does not begin with a From_ line but with {content[:60]!r}")
    starts = [found.start() for found in _STARTS.finditer(content)]
    stored = []
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        from_line, newline, rest = content[start:end].partition(b"\n")
        if not _FROM_LINE.match(from_line + newline):
            raise Torn(f"at {start}: this is no From_ line: {from_line[:80]!r}")
        if not rest.endswith(b"\n\n") and rest != b"\n":
            raise Torn(f"at {end}: no empty line after the message, but {content[:end][-60:]!r}")
        message = rest[:-1]
        if quoting == "mboxrd":
            message = _QUOTED.sub(rb"\1", message)
        stored.append(Stored(from_line + newline, message))
    return stored


def quote(message: bytes) -> bytes:
    """MESSAGE as mboxrd stores it between From_ line and the final empty line."""
    return re.sub(rb"^(>*From )", rb">\1", message, flags=re.MULTILINE)
