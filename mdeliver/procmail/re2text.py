"""procmail's expressions as RE2's, for a single text: a header's value, a line, a body.

One line    a newline can only be the text's beginning or its end: `^` and `$`. What goes over it
            has no words.
Body        a newline in the middle is a newline; at the ends `^` and `$` hold at line ends.
"""

from __future__ import annotations

import re

from mdeliver.procmail.pattern import (
    BeginText,
    Char,
    Choice,
    Class,
    Dot,
    Edge,
    EndText,
    Mark,
    Newline,
    Repeat,
    Sequence,
)
from mdeliver.procmail.wording import END, REF, Unsayable, readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.pattern import Node

_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


def literal(node: Node) -> str | None:
    """The one text that NODE matches, None if there are others."""
    match node:
        case Char(char):
            return char
        case Sequence(items):
            made = [literal(item) for item in items]
            return None if None in made else "".join([m for m in made if m is not None])
        case Class(False, ((low, high),)) if low == high:
            return low
        case _:
            return None


def _may_be_nothing(node: Node) -> bool:
    match node:
        case Repeat(item, sign):
            return sign != "+" or _may_be_nothing(item)
        case Sequence(items):
            return all(_may_be_nothing(item) for item in items)
        case Choice(options):
            return any(_may_be_nothing(option) for option in options)
        case _:
            return False


def is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


class Re2Text:
    """Writes trees as RE2.

    in_body  whether a newline may stand within the text
    """

    def __init__(self, in_body: bool) -> None:
        self.in_body = in_body

    def of(self, items: list[Node], *, starts: bool, ends: bool, lazy: bool = False) -> str:
        """ITEMS one after the other.

        starts, ends  whether the text's beginning and end are theirs
        lazy          whether as little as possible is to be taken
        """
        made = []
        run = ""
        last = len(items) - 1
        for number, item in enumerate(items):
            if isinstance(item, Char) and (item.char >= " " or item.char in REF + END):
                run += item.char
                continue
            made.append(self.text(run))
            run = ""
            before = items[number - 1] if number else None
            after = items[number + 1] if number < last else None
            if isinstance(item, Edge):
                made.append(self.edge(before, after))
            else:
                made.append(self.one(item, starts and not number, ends and number == last, lazy))
        return "".join([*made, self.text(run)])

    def text(self, run: str) -> str:
        if REF in run:
            raise Unsayable("a variable within an expression")
        words = readable(run)
        if any("\x7f" <= char <= "\x9f" for char in words):
            # An octet that is no UTF-8, or a control character: a rule would ask for two octets.
            raise Unsayable("a control character within an expression")
        return _SPECIAL.sub(r"\\\1", words)

    def edge(self, before: Node | None, after: Node | None) -> str:
        first = literal(after) if after is not None else None
        if before is None and first and is_word(first[0]):
            return r"\b"
        last = literal(before) if before is not None else None
        if after is None and last and is_word(last[-1]):
            return r"\b"
        if before is None:
            return r"(?:^|\W)"
        if after is None:
            return r"(?:\W|$)"
        # What may be nothing leaves the text's beginning, or its end, next to it.
        return r"(?:^|\W|$)" if _may_be_nothing(before) or _may_be_nothing(after) else r"\W"

    def one(self, node: Node, starts: bool, ends: bool, lazy: bool) -> str:
        match node:
            case Char(char):
                if char == "\t":
                    return r"\t"
                raise Unsayable("a control character or a keyword within an expression")
            case Class():
                return self.char_class(node)
            case Dot():
                return "." if not self.in_body else r"[^\n]"
            case Newline(sign):
                return self.newline(sign, starts, ends)
            case BeginText() if starts and self.in_body:
                return r"\A"
            case EndText() if ends and self.in_body:
                return r"\z"
            case Sequence(items):
                return self.of(list(items), starts=starts, ends=ends, lazy=lazy)
            case Choice(options):
                made = [self.one_or_more(o, starts, ends, lazy) for o in options]
                return f"(?:{'|'.join(made)})"
            case Repeat(item, sign):
                inner = self.one_or_more(item, False, False, lazy)
                if not isinstance(item, Char | Class | Dot):
                    inner = (
                        f"(?:{inner})"
                        if not inner.startswith("(?:") or ")" in inner[:-1]
                        else inner
                    )
                return f"{inner}{sign}{'?' if lazy else ''}"
            case Mark():
                raise Unsayable(r"a \/ within parentheses")
            case _:
                raise Unsayable("^^ in the middle of an expression")

    def one_or_more(self, node: Node, starts: bool, ends: bool, lazy: bool) -> str:
        items: list[Node] = list(node.items) if isinstance(node, Sequence) else [node]
        return self.of(items, starts=starts, ends=ends, lazy=lazy)

    def newline(self, sign: str, starts: bool, ends: bool) -> str:
        if starts and sign == "^":
            return "^"
        if ends:
            return "$"
        if self.in_body:
            return "^" if starts else r"\n"
        raise Unsayable("an expression that goes over the end of a header line")

    def char_class(self, node: Class) -> str:
        made = []
        for low, high in node.ranges:
            if max(low, high) > "~" or min(low, high) < "\t":
                raise Unsayable("bytes that are no ASCII in a [class]")
            first = _in_class(low)
            made.append(first if low == high else f"{first}-{_in_class(high)}")
        if node.negated and self.in_body:
            made.append(r"\n")
        return f"[{'^' if node.negated else ''}{''.join(made)}]"


def _in_class(char: str) -> str:
    if char in "\\]^-[":
        return "\\" + char
    return {"\t": r"\t", "\n": r"\n"}.get(char, char)
