"""One message in an mbox: what it is known by, where its Status stands, what it holds.

Known by   its From_ line and its own header lines; those that POP3 servers write (Status, X-UID,
           ...) come, go and change.
See also   mboxindex.py, which finds them; blocks.py; mboxfind.py
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal, NamedTuple

from mdeliver.deliver.mboxfind import SERVERS_OWN, head_length, own_lines
from mdeliver.limits import LOG_TEXT
from mdeliver.message import Message, plain_text
from mdeliver.replay.mboxread import is_folder_internal

_SEEN = re.compile(rb"^status:[^\n]*R", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^message-id:[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_SERVERS_LINE = re.compile(
    rb"^(?:" + rb"|".join(SERVERS_OWN) + rb")[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = b"\n>From "

State = Literal["here", "downloaded", "marked when it came", "leaving"]
"""Of an entry. Marked when it came: its Status line says nothing, since the sender wrote it; only
when the message has gone was it downloaded. Leaving: we take it out of the mbox (bothways.py)."""


class CopyAt(NamedTuple):
    """A copy in a Maildir, as it was delivered.

    root, folder  the Maildir, and the folder in it (the same for its inbox)
    name          unique name
    letters       flags it was delivered with
    """

    root: str
    folder: str
    name: str
    letters: str


class Entry(NamedTuple):
    """One message as it stands in an mbox.

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
    named       where its Message-ID line begins and ends, from the From_ line on; 0, 0 for none
    marked      where the lines that POP3 servers write begin and end; 0, 0 for none
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
    named: tuple[int, int]
    marked: tuple[int, int]

    def with_head(self, head: bytes) -> Entry:
        """The same message with HEAD, in which servers have written other lines."""
        return self._replace(
            head_bytes=len(head),
            head_hash=short_hash(head),
            length=self.length - self.head_bytes + len(head),
            seen=_is_seen(head),
            named=_named(head),
            marked=_marked(head),
        )


class Known(NamedTuple):
    """A message of an mbox, and what is remembered of it.

    state   what became of it
    copies  where its copies were put; () where that is not known
    twin    whether another has its Message-ID, so that it takes more to tell them apart
    """

    state: State
    copies: tuple[CopyAt, ...]
    twin: bool
    entry: Entry


def entry_of(head: bytes, length: int, body: Iterable[bytes]) -> Entry:
    """The entry that begins with HEAD and takes LENGTH octets.

    body  what follows, in pieces, without the line ends at the end
    """
    from_line, own = _parted(head)
    key = blake2b(from_line + own, digest_size=16).digest()
    content = blake2b(own.rstrip(b"\r\n"), digest_size=16)
    quoted = 1
    for piece in body:
        content.update(piece)
        quoted += piece.count(_QUOTED)
    return Entry(
        key,
        short_hash(from_line),
        len(head),
        short_hash(head),
        length,
        length - len(head) + len(own),
        message_id_of(own),
        content.digest(),
        quoted,
        _is_seen(head),
        _named(head),
        _marked(head),
    )


def _named(head: bytes) -> tuple[int, int]:
    found = _MESSAGE_ID.search(head)
    return found.span() if found else (0, 0)


def _marked(head: bytes) -> tuple[int, int]:
    spans = [found.span() for found in _SERVERS_LINE.finditer(head)]
    return (spans[0][0], spans[-1][1]) if spans else (0, 0)


def _parted(head: bytes) -> tuple[bytes, bytes]:
    """From_ line, and own header lines."""
    from_line, end, rest = head.partition(b"\n")
    return from_line + end, own_lines(rest)


def key_of(head: bytes) -> bytes:
    """What a message is known by, from its From_ line and header."""
    return blake2b(b"".join(_parted(head)), digest_size=16).digest()


def hash_of_from_line(line: bytes) -> bytes:
    """As `Entry.from_line`; LINE without its line end."""
    return short_hash(line + b"\n")


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


def short_hash(octets: bytes) -> bytes:
    """What tells OCTETS from what they were at another time."""
    return blake2b(octets, digest_size=12).digest()
