"""procmail's regular expressions as syntax trees.

Dialect     egrep's, with its own ideas: `^` and `$` are one newline each, wherever they stand;
            `^^` is the beginning or, at the very end, the end of what is searched; `\\<` and `\\>`
            are one character that is no word character; `\\/` begins what goes to MATCH; in a class
            a backslash is itself; a second repetition sign is itself.
Guarantee   any text gives a tree: what procmail logs as invalid it uses all the same, up to the
            parenthesis that is too much.
See also    procmailrc(5), "Extended regular expressions"; matcher.py, translate.py
"""

from __future__ import annotations

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

DEPTH = 200
"""Parentheses within parentheses; more are no rule of a person's."""


class Char(Record):
    """One character, which stands for a byte (Latin-1)."""

    char: str


class Class(Record):
    """`[…]`: single characters and ranges, as (first, last)."""

    negated: bool
    ranges: tuple[tuple[str, str], ...]


class Dot(Record):
    """Any character but newline."""


class Newline(Record):
    """`^` or `$`: they both consume one newline; `sign` says which was written."""

    sign: str


class BeginText(Record):
    """`^^` where something follows: the newline before the first character."""


class EndText(Record):
    """`^^` as the last thing: the end of what is searched."""


class Edge(Record):
    """`\\<` or `\\>`: one character that is no letter, digit or `_`, a newline included."""

    sign: str


class Mark(Record):
    """`\\/`: what follows goes to MATCH."""


class Sequence(Record):
    items: tuple[Node, ...]


class Choice(Record):
    """`a|b`."""

    options: tuple[Node, ...]


class Repeat(Record):
    item: Node
    sign: Literal["*", "+", "?"]


if TYPE_CHECKING:
    Node = (
        Char
        | Class
        | Dot
        | Newline
        | BeginText
        | EndText
        | Edge
        | Mark
        | Sequence
        | Choice
        | Repeat
    )


class Pattern(Record):
    """A whole expression.

    node     its tree
    invalid  what is wrong with it in words, "" if nothing is
    """

    node: Node
    invalid: str


class TooDeep(ValueError):
    """More than DEPTH parentheses within each other."""


def parse_pattern(text: str) -> Pattern:
    """The tree of TEXT, macros expanded and the leading backslash dropped. Raises TooDeep."""
    reading = _Reading(text)
    node = reading.choice(0)
    invalid = reading.invalid
    if reading.at < len(text):
        invalid = "a ) without a ("
    return Pattern(_resolved(node, True), invalid)


class _Reading:
    """One expression under way."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.invalid = ""

    @property
    def next(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.at : self.at + 1]

    def choice(self, depth: int) -> Node:
        """Up to the `)` or the end, which is left."""
        if depth > DEPTH:
            raise TooDeep(f"more than {DEPTH} parentheses within each other")
        options = [self.sequence(depth)]
        while self.next == "|":
            self.at += 1
            options.append(self.sequence(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self, depth: int) -> Node:
        items: list[Node] = []
        while self.next not in ("", "|", ")"):
            item = self.item(depth)
            sign = self.next
            if sign and sign in "*+?":
                self.at += 1
                item = Repeat(item, sign)  # type: ignore[arg-type]
            items.append(item)
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def item(self, depth: int) -> Node:
        char = self.next
        self.at += 1
        match char:
            case "(":
                inner = self.choice(depth + 1)
                if self.next:
                    self.at += 1
                else:
                    self.invalid = "a ( without its )"
                return inner
            case "[":
                return self.char_class()
            case ".":
                return Dot()
            case "^" if self.next == "^":
                self.at += 1
                return BeginText()
            case "^" | "$":
                return Newline(char)
            case "\\":
                return self.escaped()
            case _:
                return Char(char)

    def escaped(self) -> Node:
        char = self.next or "\\"
        self.at += 1
        if char == "/":
            return Mark()
        return Edge(char) if char in "<>" else Char(char)

    def char_class(self) -> Node:
        """After the `[`; a class that is not closed ends with the text."""
        negated = self.next == "^"
        self.at += negated
        ranges: list[tuple[str, str]] = []
        if self.next in ("]", "-") and self.next:
            ranges.append((self.next, self.next))
            self.at += 1
        while (char := self.next) and char != "]":
            self.at += 1
            if char == "-" and self.next not in ("", "]") and ranges:
                # A range goes on from the last character, whatever that was part of.
                low = ranges[-1][1]
                if ranges[-1][0] == low <= self.next:
                    ranges.pop()
                ranges.append((low, self.next))
                self.at += 1
            else:
                ranges.append((char, char))
        self.at += 1
        # A range that runs backwards is just its last character.
        sound = [(low, high) if low <= high else (high, high) for low, high in ranges]
        return Class(negated, tuple(dict.fromkeys(sound)))


def _resolved(node: Node, final: bool) -> Node:
    """NODE with each `^^` that nothing can follow made the end of the text.

    final  whether nothing follows NODE
    """
    match node:
        case BeginText() if final:
            return EndText()
        case Sequence(items):
            last = len(items) - 1
            return Sequence(tuple([_resolved(x, final and n == last) for n, x in enumerate(items)]))
        case Choice(options):
            return Choice(tuple([_resolved(option, final) for option in options]))
        case Repeat(item, sign):
            return Repeat(_resolved(item, final and sign == "?"), sign)
        case _:
            return node


def members(node: Class, ignore_case: bool) -> frozenset[int]:
    """The bytes that NODE matches; with case ignored, both cases of each ASCII letter."""
    found: set[int] = set()
    for low, high in node.ranges:
        for code in range(ord(low), ord(high) + 1):
            found.add(code)
            if ignore_case and chr(code).isascii() and chr(code).isalpha():
                found.add(code ^ 0x20)
    if not node.negated:
        return frozenset(found)
    # A class that excludes never matches a newline, unless that is named: then it is toggled twice.
    return frozenset(range(256)) - found - {10}


# --- macros ----------------------------------------------------------------------------------

_HEADS = "(^((Original-)?(Resent-)?(To|Cc|Bcc)|(X-Envelope|Apparently(-Resent)?)-To):"
_SENDERS = "(((Resent-)?(From|Sender)|X-Envelope-From):|>?From )([^>]*[^(.%@a-z0-9])?"
_TAIL = "(([^).!:a-z0-9][-_a-z0-9]*)?[%@>\t ][^<)]*(\\(.*\\).*)?)?$([^>]|$)"

MACROS = (
    (
        "^FROM_DAEMON",
        "(^(Mailing-List:|Precedence:.*(junk|bulk|list)|To: Multiple recipients of |"
        + _SENDERS
        + "(Post(ma?(st(e?r)?|n)|office)|(send)?Mail(er)?|daemon|m(mdf|ajordomo)|n?uucp|"
        "LIST(SERV|proc)|NETSERV|o(wner|ps)|r(e(quest|sponse)|oot)|b(ounce|bs\\.smtp)|echo|mirror|"
        "s(erv(ices?|er)|mtp(error)?|ystem)|A(dmin(istrator)?|MMGR|utoanswer))" + _TAIL + "))",
    ),
    ("^TO_", _HEADS + "(.*[^-a-zA-Z0-9_.])?)"),
    ("^TO", _HEADS + "(.*[^a-zA-Z])?)"),
    (
        "^FROM_MAILER",
        "(^" + _SENDERS + "(Post(ma(st(er)?|n)|office)|(send)?Mail(er)?|daemon|mmdf|n?uucp|ops|"
        "r(esponse|oot)|(bbs\\.)?smtp(error)?|s(erv(ices?|er)|ystem)|A(dmin(istrator)?|MMGR))"
        + _TAIL
        + ")",
    ),
)
"""What procmail puts in the place of its keywords, in the order in which it looks for them."""


def expand_macros(text: str) -> tuple[str, bool]:
    """TEXT with its macros put in, and whether FROM_DAEMON was one: it makes case be ignored."""
    daemon = False
    number = 0
    while number < len(MACROS):
        key, put_in = MACROS[number]
        at = text.find(key)
        # Only the first one of each kind is looked at: if it is escaped, so are those after it.
        if at < 0 or (at > 0 and text[at - 1] == "\\"):
            number += 1
            continue
        text = text[:at] + put_in + text[at + len(key) :]
        daemon = daemon or number == 0
        number = 0
    return text, daemon
