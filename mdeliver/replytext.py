"""The text of an automatic reply, which may begin with Subject and From.

    Subject: On holiday until Monday
    From: Ann <ann@example.org>

    I read your message next week.

Only what the rules themselves write counts as a field: what a brace brings in comes from outside,
and a message that chose From could answer in anybody's name.
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.addresses import can_be_sent_to, parse_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.addresses import Address

_FIELDS = ("subject", "from")

_OUTSIDE = "\0"
"""Stands before what came from outside, while lines are looked at; no text has it."""


def split_reply(pieces: Iterable[tuple[bool, str]]) -> tuple[str, str, str]:
    """Subject, From and body of the text that PIECES make; "" for a field that is not there.

    pieces  whether it came from outside, and its text
    """
    text = "".join(
        [
            _OUTSIDE + _one_line(piece) if outside else piece.replace(_OUTSIDE, "")
            for outside, piece in pieces
        ]
    )
    lines = text.replace("\r\n", "\n").split("\n")
    found: dict[str, str] = {}
    while lines:
        name, colon, value = lines[0].partition(":")
        name = name.lower()
        if not colon or name not in _FIELDS or name in found:
            break
        found[name] = value.replace(_OUTSIDE, "").strip()
        del lines[0]
    if found and lines and not lines[0].strip():
        del lines[0]
    body = "\n".join(lines).replace(_OUTSIDE, "").rstrip() + "\n"
    return found.get("subject", ""), found.get("from", ""), body.lstrip("\n")


def wrong_reply(pieces: Iterable[tuple[bool, str]]) -> str:
    """What is wrong with such a text, "" if nothing is."""
    pieces = list(pieces)
    if sum([len(piece) for _outside, piece in pieces]) > limits.REPLY_TEXT:
        return f"a reply has no more than {limits.REPLY_TEXT} characters"
    _subject, author, body = split_reply(pieces)
    if not body.strip():
        return "the reply has no text"
    if author and not any(outside for outside, _piece in pieces) and author_of(author) is None:
        return f'From is one address, not "{author}"'
    return ""


def author_of(text: str) -> Address | None:
    """The address that the field From says, if it is one."""
    found = parse_addresses(text, 2)
    if len(found) != 1 or not found[0].domain or not can_be_sent_to(found[0].text):
        return None
    return found[0]


def _one_line(text: str) -> str:
    return " ".join(text.replace(_OUTSIDE, "").split("\n"))
