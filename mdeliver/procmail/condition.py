"""The conditions of a recipe: weights, areas, expressions, sizes and programs, in any order.

Form        `* [weight^exponent] [!] [$] [AREA ??] (regex | < size | > size | ? program)`: each mark
            may stand before each other one, and `$` makes what it finds be read once more.
See also    procmailrc(5), procmailsc(5)
"""

from __future__ import annotations

import re

from mdeliver.record import Record

_NUMBER = re.compile(r"[ \t]*([-+]?)(\d*)(?:[.,](\d*))?")
_AREA = re.compile(r"([A-Za-z0-9_]+)[ \t]*\?\?[ \t]*")


class Read(Record):
    """A condition as far as it can be read without expanding anything.

    weight    (w, x) of `w^x`, None without one
    negated   whether it must not hold
    area      "", "H", "B", "HB", "BH" or a variable's name
    kind      "regex", "<", ">", "?" (program) or "$" (to be expanded, then read once more)
    text      the expression, the size, the command, or what is to be expanded
    """

    weight: tuple[float, float] | None
    negated: bool
    area: str
    kind: str
    text: str


def unfold(text: str) -> str:
    """TEXT with its folded lines joined: a `\\` at the end, and white space at the beginning."""
    return re.sub(r"\n[ \t]*", "\n", re.sub(r"\\\n[ \t]*", "", text))


def read_condition(text: str, before: Read | None = None) -> Read:
    """Read TEXT; BEFORE is what stood before a `$`."""
    weight, negated, area = (
        (before.weight, before.negated, before.area) if before else (None, False, "")
    )
    rest = text.rstrip(" \t")
    while True:
        mark = rest[:1]
        if mark and mark in "0123456789-+.,":
            found = _weight(rest)
            if found is None:
                return Read(weight, negated, area, "regex", unfold(rest))
            weight, rest = found
        elif mark == "\\":
            # A backslash at the beginning is dropped.
            return Read(weight, negated, area, "regex", unfold(rest[1:]))
        elif mark == "$":
            return Read(weight, negated, area, "$", unfold(rest[1:]))
        elif mark == "!":
            negated = not negated
            rest = rest[1:].lstrip(" \t")
        elif mark == "?":
            return Read(weight, negated, area, "?", rest[1:])
        elif mark and mark in "<>":
            return Read(weight, negated, area, mark, rest[1:])
        elif found_area := _AREA.match(rest):
            area, rest = found_area[1], rest[found_area.end() :]
        else:
            return Read(weight, negated, area, "regex", unfold(rest))


def _weight(text: str) -> tuple[tuple[float, float], str] | None:
    """`w^x` at the beginning of TEXT, and what follows."""
    weight = _number(text)
    if weight is None:
        return None
    rest = text[weight[1] :].lstrip(" \t")
    if not rest.startswith("^"):
        return None
    exponent = _number(rest[1:])
    if exponent is None:
        return None
    return (weight[0], exponent[0]), rest[1 + exponent[1] :].lstrip(" \t")


def _number(text: str) -> tuple[float, int] | None:
    """The number at the beginning of TEXT, added up as procmail does, and where it ends."""
    found = _NUMBER.match(text)
    if found is None or not (found[2] or found[3]):
        return None
    value, part = 0.0, 1.0
    for digit in found[2]:
        value = value * 10 + int(digit)
    for digit in found[3] or "":
        part /= 10
        value += part * int(digit)
    return (-value if found[1] == "-" else value), found.end()
