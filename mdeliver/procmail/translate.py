"""An expression of procmail's as a condition of the rule language, in plain words where it can be.

Same        the value of a header is compared as the rules have it: unfolded, decoded, without the
            white space at its ends. On headers written as usual (`Name: value`) the condition
            holds exactly where the expression matches, save what MIGRATING.md lists.
Words       a literal text becomes `contains`, `starts with`, `ends with` or `is`; literals with
            `.*` between them a glob; what has an address in it is asked of the address.
Fails with  Unsayable
"""

from __future__ import annotations

import re

from mdeliver.procmail.mailer import from_mailer
from mdeliver.procmail.pattern import (
    BeginText,
    Char,
    Choice,
    Class,
    Dot,
    EndText,
    Newline,
    Repeat,
    Sequence,
    parse_pattern,
)
from mdeliver.procmail.values import Core, test_of
from mdeliver.procmail.wording import REF, Constant, Fact, Test, Unsayable, any_of, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.pattern import Node
    from mdeliver.procmail.wording import Expr

_MACROS = (("^FROM_DAEMON", "\x05"), ("^TO_", "\x03"), ("^TO", "\x04"), ("^FROM_MAILER", "\x06"))
_DAEMON, _TO_ADDRESS, _TO_WORD, _MAILER = "\x05", "\x03", "\x04", "\x06"
_NAMES = 40

HEAD_LINES = "^^(.+$)*"


def marked_macros(text: str) -> str:
    """TEXT with procmail's keywords as one character each."""
    for key, mark in _MACROS:
        at = text.find(key)
        while at >= 0 and not (at and text[at - 1] == "\\"):
            text = text[:at] + mark + text[at + len(key) :]
            at = text.find(key)
    return text


def header_condition(text: str, exactly: bool) -> Expr:
    """TEXT, an expression that the head is searched for, as a condition."""
    if not text:
        return Constant(True)
    tree = parse_pattern(marked_macros(text))
    if tree.invalid:
        raise Unsayable(f"an expression that is not valid: {tree.invalid}")
    return any_of([_header(items, exactly) for items in alternatives(tree.node)])


def alternatives(node: Node) -> list[list[Node]]:
    """NODE as alternatives that each begin with what they are anchored to."""
    match node:
        case Choice(options):
            return [items for option in options for items in alternatives(option)]
        case Sequence(()):
            return [[]]
        case Sequence(items):
            first, rest = items[0], list(items[1:])
            if first == Sequence(()):
                return alternatives(Sequence(tuple(rest)))
            if isinstance(first, Sequence):
                return alternatives(Sequence((*first.items, *rest)))
            if isinstance(first, Choice) and rest and _anchors(first):
                return [
                    items
                    for option in first.options
                    for items in alternatives(Sequence((option, *rest)))
                ]
            return [list(items)]
        case _:
            return [[node]]


def _anchors(node: Node) -> bool:
    """Whether NODE can begin with a line's beginning or a keyword."""
    match node:
        case Newline() | Char("\x03" | "\x04" | "\x05" | "\x06"):
            return True
        case Choice(options):
            return any(_anchors(option) for option in options)
        case Sequence(items):
            return bool(items) and _anchors(items[0])
        case _:
            return False


def _header(items: list[Node], exactly: bool) -> Expr:
    first = items[0] if items else None
    rest = _flat(items[1:])
    match first:
        case None:
            return Constant(True)
        case Char("\x05"):
            if rest:
                raise Unsayable("something behind ^FROM_DAEMON")
            return Fact("automatic")
        case Char("\x06"):
            if rest:
                raise Unsayable("something behind ^FROM_MAILER")
            if exactly:
                raise Unsayable("^FROM_MAILER with the flag D")
            return from_mailer()
        case Char("\x03" | "\x04"):
            return _recipients(rest, exactly, first.char == _TO_ADDRESS)
        case Newline():
            return _line(rest, exactly)
        case BeginText():
            return _first_line(rest, exactly)
        case _:
            return _anywhere(_flat(items), exactly)


def _flat(items: list[Node]) -> list[Node]:
    """ITEMS with sequences within them unpacked."""
    made: list[Node] = []
    for item in items:
        made += _flat(list(item.items)) if isinstance(item, Sequence) else [item]
    return made


def _anywhere(items: list[Node], exactly: bool) -> Expr:
    """Something that may stand anywhere in the head."""
    core = Core(items, starts=False, ends=False, exactly=exactly)
    return test_of("any header", core)


def _first_line(items: list[Node], exactly: bool) -> Expr:
    """What follows a `^^`: the From_ line, which every message has there."""
    started = [item.char.lower() for item in items[:5] if isinstance(item, Char)]
    if any(char != wanted for char, wanted in zip(started, "from ", strict=False)):
        # Such as `^^rom `, from the time when procmail lost that letter.
        return Constant(False)
    if "".join(started) == "from " or ("".join(started) == "from" and _is_space(items[4])):
        return _value(["From "], items[5:], exactly)
    if "".join(started[:4]) == "from" and items[4:5] == [Repeat(Dot(), "*")]:
        return _value(["From "], items[4:], exactly)
    raise Unsayable("^^ before something else than the From_ line")


def behind_head(text: str, exactly: bool) -> Expr | None:
    """TEXT, searched for in head and body, where it begins with the lines of the head; else None.

    `^^(.+$)*` goes no further than the empty line: what follows is a line of the head, or, behind
    one more `^`, the beginning of the body.
    """
    if not text.startswith(HEAD_LINES):
        return None
    rest = text[len(HEAD_LINES) :]
    if rest.startswith("^"):
        return body_condition(f"^{rest}", exactly)
    return header_condition("^" + rest, exactly)


# --- one header ------------------------------------------------------------------------------


def _line(items: list[Node], exactly: bool) -> Expr:
    """What follows a `^`."""
    first = items[0] if items else None
    if isinstance(first, Choice) and any(_has_colon(option) for option in first.options):
        return any_of([_line(_flat([option, *items[1:]]), exactly) for option in first.options])
    if isinstance(first, Choice) and items[1:2] == [Repeat(Dot(), "*")]:
        names = _names(items[:1])
        if any(name.lower() == "from" for name in names):
            # `From.*` is the From_ line as well.
            return any_of([_line(_flat([option, *items[1:]]), exactly) for option in first.options])
        if names and all(name.lower() in WHOLE_NAMES for name in names):
            return _value(names, items[1:], exactly)
    for at, item in enumerate(items):
        if isinstance(item, Class) and not item.negated and _says_space_or_colon(item):
            both = [_line([*items[:at], Char(c), *items[at + 1 :]], exactly) for c in ": "]
            return any_of(both)
        if item == Char(":"):
            names = _names(items[:at])
            if names:
                return _value(names, items[at + 1 :], exactly)
        if not isinstance(item, Char | Choice | Repeat | Sequence):
            break
    started = "".join([i.char for i in items[:5] if isinstance(i, Char)])
    if started.lower() == "from ":
        return _value(["From "], items[5:], exactly)
    if started.lower() == "from" and len(items) > 4 and _is_space(items[4]):
        return _value(["From "], items[5:], exactly)
    if started.lower() == "from" and len(items) > 4 and items[4] == Repeat(Dot(), "*"):
        return _value(["From", "From "], items[4:], exactly)
    dots = next((n for n, item in enumerate(items) if item == Repeat(Dot(), "*")), 0)
    names = _names(items[:dots])
    if names and all(name.lower() in WHOLE_NAMES for name in names):
        return _value(names, items[dots:], exactly)
    core = Core([Newline("^"), *items], starts=True, ends=False, exactly=exactly)
    return test_of("any header", core)


def _has_colon(node: Node) -> bool:
    match node:
        case Char(":"):
            return True
        case Sequence(items):
            return any(_has_colon(item) for item in items)
        case Choice(options):
            return any(_has_colon(option) for option in options)
        case _:
            return False


def _says_space_or_colon(node: Class) -> bool:
    return {low for low, high in node.ranges if low == high} == {" ", ":"}


def _names(items: list[Node]) -> list[str]:
    """All header names that ITEMS can be, none if there are others."""
    names = [""]
    for item in items:
        options = _spellings(item)
        if not options or len(names) * len(options) > _NAMES:
            return []
        names = [name + option for name in names for option in options]
    legal = all(name and not set(name) - _NAME_CHARACTERS for name in names)
    return list(dict.fromkeys(names)) if legal else []


_NAME_CHARACTERS = frozenset(map(chr, range(33, 127))) - {":"}


def _spellings(node: Node) -> list[str]:
    match node:
        case Char(char):
            return [char]
        case Sequence(items):
            made = [""]
            for item in items:
                made = [a + b for a in made for b in _spellings(item)][: _NAMES + 1]
            return made
        case Choice(options):
            return [text for option in options for text in _spellings(option)]
        case Repeat(item, "?"):
            return [*_spellings(item), ""]
        case _:
            return []


def _value(names: list[str], items: list[Node], exactly: bool) -> Expr:
    """What follows the colon of the headers NAMES; "From " is the From_ line."""
    first = items[0] if items else None
    if isinstance(first, Choice) and any(_begins_open(option) for option in first.options):
        return any_of(
            [_value(names, _flat([option, *items[1:]]), exactly) for option in first.options]
        )
    starts = True
    rest = list(items)
    while rest and (_is_space(rest[0]) or (rest[0] == Dot() and rest is not items and starts)):
        # Behind the colon stands a space, which is no part of the value.
        if rest[0] == Dot() and len(rest) != len(items):
            break
        rest.pop(0)
    while rest and isinstance(rest[0], Repeat) and rest[0].item == Dot() and rest[0].sign != "?":
        rest.pop(0)
        starts = False
    core = Core(rest, starts=starts, ends=False, exactly=exactly)
    if core.ends and "From " in names:
        # The From_ line ends with the date.
        names = [name for name in names if name != "From "]
    if core.variable and not starts and all(name.lower() in ADDRESSES for name in names):
        fields = ", ".join([f"{ADDRESSES[name.lower()]} local part" for name in names])
        return Test(fields, "is", (quote(core.variable),), exactly)
    found = [test_of(fields, core) for fields in field_groups(names, core) if fields]
    if "From " in names and _says_null_sender(core):
        found.append(Test("sender", "is", ('""',)))
    return any_of(found)


def _says_null_sender(core: Core) -> bool:
    """Whether CORE matches what the From_ line has for nobody, and not an empty text."""
    try:
        pattern = re.compile(core.pattern()[0][1:-1], 0 if core.exactly else re.IGNORECASE)
    except (Unsayable, re.error):
        return False
    return bool(pattern.search("MAILER-DAEMON")) and not pattern.search("")


def _begins_open(node: Node) -> bool:
    first = node.items[0] if isinstance(node, Sequence) and node.items else node
    return _is_space(first) or (isinstance(first, Repeat) and first.item == Dot())


def _is_space(node: Node) -> bool:
    match node:
        case Char(" " | "\t"):
            return True
        case Class(False, ranges):
            return {low for low, _ in ranges} | {high for _, high in ranges} <= {" ", "\t"}
        case Repeat(item, _):
            return _is_space(item)
        case _:
            return False


WHOLE_NAMES = frozenset(
    """to cc bcc subject sender reply-to return-path list-id delivered-to mailing-list
    x-mailing-list x-beenthere resent-to resent-cc resent-from x-original-to""".split()
)
"""Headers that `^To.*x`, without a colon, is about; no other one that is in use begins so."""

ADDRESSES = {"from": "from", "to": "to", "cc": "cc", "reply-to": "reply-to"}


def field_groups(names: list[str], core: Core) -> list[str]:
    """NAMES as fields of the language, those that can stand in one list together."""
    address = bool(core.addresses)
    plain: list[str] = []
    headers: list[str] = []
    for name in names:
        lower = name.lower()
        if name == "From ":
            plain.append("sender")
        elif lower == "subject":
            plain.append("subject")
        elif lower == "list-id" and core.is_loose:
            plain.append("list-id")
        elif address and lower in ADDRESSES:
            plain.append(ADDRESSES[lower])
        else:
            headers.append(quote(name))
    if headers:
        plain.append(f"header {', '.join(headers)}")
    return [", ".join(reversed(plain)) if "sender" in plain else ", ".join(plain)]


def _recipients(items: list[Node], exactly: bool, whole: bool) -> Expr:
    """What follows ^TO_ (an address) or ^TO (a word)."""
    core = Core(items, starts=False, ends=False, exactly=exactly)
    if items and items[0] == Repeat(Dot(), "*"):
        # What has to stand before the keyword's word is anything then.
        return test_of("recipients", core)
    if core.addresses and not any(address.startswith("@") for address in core.addresses):
        return Test("recipients", "is", tuple(map(quote, core.addresses)), exactly)
    if core.variable:
        return Test("recipients local part", "is", (quote(core.variable),), exactly)
    if core.literal is not None and REF in core.literal:
        return Test("recipients", "contains", (quote(core.literal),), exactly)
    if core.literal == "":
        return Test("recipients", "exists", ())
    before = r"(?:^|[^-a-zA-Z0-9_.])" if whole else r"(?:^|[^a-zA-Z])"
    pattern, captures = core.pattern(prefix=before)
    return Test("recipients", "matches", (pattern,), exactly, captures=captures)


def body_condition(text: str, exactly: bool) -> Expr:
    """TEXT, an expression that the body is searched for, as a condition."""
    if not text:
        return Constant(True)
    tree = parse_pattern(marked_macros(text))
    if tree.invalid:
        raise Unsayable(f"an expression that is not valid: {tree.invalid}")
    found = []
    options = tree.node.options if isinstance(tree.node, Choice) else (tree.node,)
    for option in options:
        core = Core(_flat([option]), starts=False, ends=False, exactly=exactly, in_body=True)
        found.append(test_of("body", core))
    return any_of(found)


def text_condition(text: str, subject: str, exactly: bool) -> Expr:
    """TEXT, an expression that the text SUBJECT (as it stands in a rule) is searched for."""
    if not text:
        return Constant(True)
    tree = parse_pattern(text)
    if tree.invalid:
        raise Unsayable(f"an expression that is not valid: {tree.invalid}")
    found = []
    options = tree.node.options if isinstance(tree.node, Choice) else (tree.node,)
    for option in options:
        items = _flat([option])
        starts = bool(items) and _is_begin(items[0])
        ends = len(items) > starts and _is_end(items[-1])
        inner = items[starts : len(items) - ends]
        found.append(test_of(subject, Core(inner, starts=starts, ends=ends, exactly=exactly)))
    return any_of(found)


def _is_begin(node: Node) -> bool:
    return isinstance(node, Newline | BeginText | EndText)


def _is_end(node: Node) -> bool:
    return isinstance(node, Newline | EndText)
