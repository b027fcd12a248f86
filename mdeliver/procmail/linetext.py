"""procmail's expressions as sed(1) and grep(1) have them, which look at one line at a time.

Why         rules compare what is decoded. What asks how a message is packed, or how often a
            header stands there, is asked of sed(1) by `program … succeeds`.
Same        on lines; a fold is two of them. Case is left to the option that ignores it.
Fails with  Unsayable where an expression goes over the end of a line
"""

from __future__ import annotations

import re

from mdeliver.procmail.pattern import (
    Char,
    Choice,
    Class,
    Dot,
    Edge,
    Newline,
    Repeat,
    Sequence,
    parse_pattern,
)
from mdeliver.procmail.wording import Fact, Unsayable, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.pattern import Node

_SPECIAL = frozenset("\\.+*?()|[]{}^$")


def line_expression(text: str) -> str:
    """TEXT as a POSIX extended expression with GNU's `\\W`."""
    tree = parse_pattern(text)
    if tree.invalid:
        raise Unsayable(f"an expression that is not valid: {tree.invalid}")
    return _of(tree.node, True, True)


def body_has(text: str, exactly: bool) -> Fact:
    """A condition: some line of the body, as it came, matches TEXT."""
    return _sed(f"1,/^$/bx; {_address(text, exactly)}q; :x; $q1")


def head_has_times(text: str, times: int, exactly: bool) -> Fact:
    """A condition: so many lines of the head match TEXT."""
    marks = "x" * times
    return _sed(f"/^$/q1; {_address(text, exactly)}!bx; x; s/$/x/; /{marks}/q; x; :x; $q1")


def sed_arguments(text: str) -> frozenset[tuple[str, ...]]:
    """The calls of sed(1) that stand in the rules TEXT, which a converter made."""
    found = _SED.findall(text)
    return frozenset(("sed", "-nE", re.sub(r"\\(.)", r"\1", script)) for script in found)


_SED = re.compile(r'(?<!\\)program "sed" "-nE" "((?:[^"\\]|\\.)*)" succeeds')


def _sed(script: str) -> Fact:
    # It ends with 0 at once where it finds something, with 1 at the end.
    return Fact(f'program "sed" "-nE" {quote(script)} succeeds')


def _address(text: str, exactly: bool) -> str:
    return f"/{line_expression(text).replace('/', '[/]')}/{'' if exactly else 'I'}"


def _of(node: Node, first: bool, last: bool) -> str:
    """NODE; FIRST, LAST: whether the line's beginning and end are next to it."""
    match node:
        case Char(char) if char >= " " or char == "\t":
            return f"\\{char}" if char in _SPECIAL else char
        case Dot():
            return "."
        case Class():
            return _class(node)
        case Newline() if first or last:
            return "^" if first and node.sign == "^" else "$" if last else "^"
        case Edge():
            return "(^|\\W)" if first else "(\\W|$)" if last else "(^|\\W|$)"
        case Sequence(items):
            end = len(items) - 1
            return "".join(
                [_of(x, first and not n, last and n == end) for n, x in enumerate(items)]
            )
        case Choice(options):
            return f"({'|'.join([_of(option, first, last) for option in options])})"
        case Repeat(item, sign):
            inner = _of(item, False, False)
            return f"{inner}{sign}" if isinstance(item, Char | Class | Dot) else f"({inner}){sign}"
        case _:
            raise Unsayable("an expression that goes over the end of a line")


def _class(node: Class) -> str:
    """A class: `]` stands first in it, `[`, `^` and `-` last."""
    if any(not (" " <= c <= "~" or c == "\t") for pair in node.ranges for c in pair):
        raise Unsayable("bytes that are no ASCII in a [class]")
    if not node.ranges:
        raise Unsayable("a [class] without an end")
    singles = [low for low, high in node.ranges if low == high]
    ranges = "".join([f"{low}-{high}" for low, high in node.ranges if low != high])
    plain = "".join([c for c in singles if c not in "][^-"]).replace("\\", "\\\\")
    first, last = ("".join([c for c in some if c in singles]) for some in ("]", "[^-"))
    inside = f"{first}{plain}{ranges}{last}"
    if inside == "^" and not node.negated:
        return "\\^"
    return f"[{'^' if node.negated else ''}{inside}]"
