"""The octets that either side hands over: the same, or meant to differ, or a difference.

Compared    what goes into a place, to an address or to a program: the header field by field, the
            body octet by octet.
By design   what MIGRATING.md lists by its number; anything else is a difference that is told.
See also    proof.py
"""

from __future__ import annotations

from collections import Counter

from mdeliver.outcome import one_line
from mdeliver.procmail.formail import split_fields
from mdeliver.record import Record

AT_THE_END = "a newline at the end (18)"
LENGTH = "Content-Length (18)"
OLD = "the old field of a header that was replaced (18)"
ORDER = "the place of a header that was changed (23)"
ADDED = "a Message-ID or Date made up for mail without one (23)"

_SHOWN = 60


class Difference(Record):
    """How the octets of one delivery differ.

    designed  for which of the listed reasons
    other     what else differs, in words, "" if nothing does
    """

    designed: frozenset[str]
    other: str


SAME = Difference(frozenset(), "")


def difference(theirs: bytes, ours: bytes) -> Difference:
    """How THEIRS, without its From_ line, and OURS differ."""
    if theirs == ours:
        return SAME
    designed: set[str] = set()
    their_fields, their_body = _parts(theirs)
    our_fields, our_body = _parts(ours)
    if their_body != our_body:
        if their_body.rstrip(b"\n") != our_body.rstrip(b"\n"):
            return Difference(frozenset(), _bodies(their_body, our_body))
        designed.add(AT_THE_END)
    missing = Counter(their_fields) - Counter(our_fields)
    more = Counter(our_fields) - Counter(their_fields)
    if not missing and not more and their_fields != our_fields:
        designed.add(ORDER)
    for field in list(missing.elements()):
        name = field[0]
        if name == b"content-length":
            designed.add(LENGTH)
            more = Counter({f: n for f, n in more.items() if f[0] != name})
        elif name.startswith(b"old-"):
            designed.add(OLD)
        elif name in (b"message-id", b"date") and not any(f[0] == name for f in our_fields):
            designed.add(ADDED)
        else:
            return Difference(frozenset(), _header("only the original has", field))
    for field in more.elements():
        return Difference(frozenset(), _header("only the rules have", field))
    return Difference(frozenset(designed or {ORDER}), "")


def _parts(octets: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The fields of a message, unfolded, by their names in lower case; and its body."""
    end = octets.find(b"\n\n")
    head, body = (octets, b"") if end < 0 else (octets[: end + 1], octets[end + 2 :])
    fields, others = split_fields(head)
    found = []
    for field in fields:
        name, _, value = field.partition(b":")
        found.append((name.strip().lower(), b" ".join(value.split())))
    if others.strip():
        found.append((b"", others))
    return found, body


def _bodies(theirs: bytes, ours: bytes) -> str:
    pairs = zip(theirs.split(b"\n"), ours.split(b"\n"), strict=False)
    for number, (one, other) in enumerate(pairs, 1):
        if one != other:
            return f"line {number} of the body: {_short(one)} against {_short(other)}"
    return f"a body of {len(theirs)} octets against one of {len(ours)}"


def _header(whose: str, field: tuple[bytes, bytes]) -> str:
    return f"{whose} {_short(field[0] + b': ' + field[1])}"


def _short(octets: bytes) -> str:
    text = one_line(octets.decode("utf-8", "replace"))
    return f'"{text if len(text) <= _SHOWN else text[:_SHOWN] + "…"}"'
