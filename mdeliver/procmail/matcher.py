"""Match procmail's regular expressions as procmail does.

Text        bytes; case is ASCII's. Before the text, and after it, stands one newline that is not
            there: `^` and `$` can take it.
Whether     is asked of RE2, in linear time, by an equivalent pattern.
End         of a match is the first place where any match ends: scores count by it. It comes from
            an automaton made as it is needed.
MATCH       the match that ends first decides where MATCH begins (of several the leftmost), and
            goes on as far as it can from there or further left.
See also    pattern.py, procmailrc(5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import re2

from mdeliver.procmail.automaton import Automaton, Found
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
    Pattern,
    Repeat,
    Sequence,
    members,
)

if TYPE_CHECKING:
    from mdeliver.procmail.pattern import Node


class Matcher:
    """One expression made ready.

    ignore_case  whether ASCII letters match in both cases
    """

    def __init__(self, pattern: Pattern, ignore_case: bool) -> None:
        self.ignore_case = ignore_case
        self.has_mark = _has_mark(pattern.node)
        self._node = pattern.node
        self._quick: Any = None
        self._program: Automaton | None = None

    def matches(self, text: bytes) -> bool:
        """Whether TEXT matches."""
        if self._quick is None:
            options = re2.Options()
            options.log_errors = False
            options.encoding = re2.Options.Encoding.LATIN1
            options.max_mem = 64 << 20
            words = quick_pattern(self._node, self.ignore_case)
            try:
                self._quick = re2.compile(words.encode("ascii"), options)
            except re2.error:
                self._quick = False
        if self._quick is False or self._falls_through():
            return self.find(text, 0) is not None
        padded = b"\n" + (text.lower() if self.ignore_case else text) + b"\n"
        return self._quick.search(padded) is not None

    def _falls_through(self) -> bool:
        return self.has_mark and self._automaton().is_odd

    def _automaton(self) -> Automaton:
        if self._program is None:
            self._program = Automaton(self._node, self.ignore_case)
        return self._program

    def find(self, text: bytes, start: int) -> Found | None:
        """The match in TEXT from START on that ends first; see MATCH above."""
        seen = text.lower() if self.ignore_case else text
        if not self.has_mark:
            end = self._automaton().first_end(seen, start)
            return None if end is None else Found(end, None)
        return self._automaton().marked(seen, start, text)


def _has_mark(node: Node) -> bool:
    match node:
        case Mark():
            return True
        case Sequence(items) | Choice(items):
            return any(_has_mark(item) for item in items)
        case Repeat(item, _):
            return _has_mark(item)
        case _:
            return False


# --- by RE2 ------------------------------------------------------------------------------------


def quick_pattern(node: Node, ignore_case: bool) -> str:
    """RE2's words for NODE on a text (in lower case, if case is ignored) between two newlines."""
    match node:
        case Char(char):
            return _hex(ord(char.lower() if ignore_case and char.isascii() else char))
        case Class():
            return _set(members(node, ignore_case))
        case Dot():
            return "[^\\n]"
        case Newline():
            return "\\n"
        case BeginText():
            return "(?:\\A\\n)"
        case EndText():
            return "(?:\\n\\z)"
        case Edge():
            return "[^a-zA-Z0-9_]"
        case Mark():
            return ""
        case Sequence(items):
            return "".join([_grouped(item, ignore_case) for item in items])
        case Choice(options):
            return "|".join([quick_pattern(option, ignore_case) for option in options])
        case Repeat(item, sign):
            return f"(?:{quick_pattern(item, ignore_case)}){sign}"
        case _:
            raise AssertionError(node)


def _grouped(node: Node, ignore_case: bool) -> str:
    words = quick_pattern(node, ignore_case)
    return f"(?:{words})" if isinstance(node, Choice) else words


def _hex(code: int) -> str:
    return f"\\x{code:02x}"


def _set(codes: frozenset[int]) -> str:
    if not codes:
        return "[^\\x00-\\xff]"
    made = []
    ordered = sorted(codes)
    first = last = ordered[0]
    for code in [*ordered[1:], 1000]:
        if code == last + 1:
            last = code
            continue
        made.append(f"{_hex(first)}-{_hex(last)}")
        first = last = code
    return f"[{''.join(made)}]"
