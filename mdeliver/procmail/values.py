"""The part of an expression that is compared with one text, and the words for it.

A Core knows whether the text's beginning and end are fixed; from that and from what is between
them come the operator and the values.
"""

from __future__ import annotations

from mdeliver.procmail.pattern import Char, Choice, Dot, Edge, Mark, Newline, Repeat, Sequence
from mdeliver.procmail.re2text import Re2Text, literal
from mdeliver.procmail.wording import END, REF, Test, Unsayable, quote, regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.pattern import Node
    from mdeliver.procmail.wording import Expr

_LISTED = 24
"""Values that are listed; more are one expression."""

_ADDRESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-@=")


class Core:
    """ITEMS, to be looked for in a text; ends are trimmed of what says nothing."""

    def __init__(
        self, items: list[Node], *, starts: bool, ends: bool, exactly: bool, in_body: bool = False
    ) -> None:
        self.exactly = exactly
        self.in_body = in_body
        self.starts, self.ends = starts, ends
        self.mark: int | None
        self.items = list(items)
        self.mark = self._trim()
        self.edges = (False, False)
        self.literal = literal(Sequence(tuple(self.items))) if self.mark is None else None
        self.addresses = self._addresses()
        """The addresses that this is about, none if it is about something else."""

    def _trim(self) -> int | None:
        """Take `.*` off both ends, and a `$` off the end; where a mark is, None without one."""
        items = self.items
        if not self.in_body:
            while items and _is_line_end(items[-1]):
                items.pop()
                self.ends = True
            if self.ends:
                while items and _is_optional_space(items[-1]):
                    items.pop()
        marks = [n for n, item in enumerate(items) if isinstance(item, Mark)]
        if len(marks) > 1:
            raise Unsayable(r"more than one \/")
        if marks:
            return marks[0]
        while items and _is_any(items[-1]):
            items.pop()
            self.ends = False
        if not self.starts:
            while items and _is_any(items[0]):
                items.pop(0)
        return None

    def _addresses(self) -> tuple[str, ...]:
        items = list(self.items)
        if self.mark is not None or self.in_body:
            return ()
        left = self.starts or (
            bool(items) and (items[0] == Char("<") or isinstance(items[0], Edge))
        )
        if items and (items[0] == Char("<") or isinstance(items[0], Edge)):
            items.pop(0)
        right = self.ends or (
            bool(items) and (items[-1] == Char(">") or isinstance(items[-1], Edge))
        )
        if items and (items[-1] == Char(">") or isinstance(items[-1], Edge)):
            items.pop()
        found = _texts(items) or ()
        if not all(text.count("@") == 1 and not set(text) - _ADDRESS for text in found):
            return ()
        whole = [text.partition("@")[0] and "." in text.partition("@")[2] for text in found]
        self.edges = (left and all(text[0] != "@" for text in found), right and all(whole))
        return found

    @property
    def variable(self) -> str | None:
        """The variable that this is, perhaps as a word of its own; None if it is more."""
        text = literal(Sequence(tuple([i for i in self.items if not isinstance(i, Edge)])))
        if self.mark is not None or not text or not text.startswith(REF):
            return None
        return text if text.endswith(END) and text.count(REF) == 1 else None

    @property
    def is_loose(self) -> bool:
        """Whether it may stand anywhere in the text."""
        return not self.starts and not self.ends and self.mark is None

    def values(self) -> tuple[str, ...] | None:
        """The literal texts that this is, None if it is none or too many."""
        return _texts(self.items)

    def glob(self) -> str | None:
        """A glob that says the same, None if there is none."""
        pieces = [""]
        for item in self.items:
            text = literal(item)
            if text is not None:
                pieces[-1] += text
            elif item == Repeat(Dot(), "*"):
                pieces.append("")
            else:
                return None
        if len(pieces) < 2 or "" in pieces:
            return None
        inside = "*".join([quote(piece, is_glob=True)[1:-1] for piece in pieces])
        return f'"{"" if self.starts else "*"}{inside}{"" if self.ends else "*"}"'

    def pattern(self, prefix: str = "") -> tuple[str, bool]:
        """The expression in RE2's words, and whether it captures."""
        writer = Re2Text(self.in_body)
        head = "^" if self.starts and not _begins_line(self.items) else ""
        tail = "$" if self.ends else ""
        open_start = not self.starts and not prefix
        if self.mark is None:
            made = writer.of(self.items, starts=True, ends=True)
            return regex(prefix + head + made + tail), False
        left, right = self.items[: self.mark], self.items[self.mark + 1 :]
        if open_start:
            while left and _is_any(left[0]):
                left.pop(0)
        before = writer.of(left, starts=True, ends=False, lazy=True)
        after = writer.of(right, starts=False, ends=True)
        return regex(f"{prefix}{head}{before}({after}){tail}"), True


def _texts(items: list[Node]) -> tuple[str, ...] | None:
    """The literal texts that ITEMS are, None if they are none or too many."""
    made = [""]
    for item in items:
        options = item.options if isinstance(item, Choice) else (item,)
        found = [literal(option) for option in options]
        if None in found or len(made) * len(found) > _LISTED:
            return None
        made = [a + (b or "") for a in made for b in found]
    return tuple(dict.fromkeys(made))


def _is_line_end(node: Node) -> bool:
    return isinstance(node, Newline)


def _is_any(node: Node) -> bool:
    return isinstance(node, Repeat) and node.item == Dot() and node.sign == "*"


def _is_optional_space(node: Node) -> bool:
    return isinstance(node, Repeat) and node.sign in "*?" and literal(node.item) in (" ", "\t")


def _begins_line(items: list[Node]) -> bool:
    return bool(items) and isinstance(items[0], Newline)


def test_of(fields: str, core: Core) -> Expr:
    """The test of FIELDS for CORE."""
    if core.addresses and not fields.startswith(("header", "any", "subject", "list-id")):
        operator = "starts with" if core.starts else "ends with" if core.ends else "contains"
        operator = "is" if all(core.edges) else operator
        return Test(fields, operator, tuple(map(quote, core.addresses)), core.exactly)
    values = core.values() if core.mark is None else None
    if values is not None and not any(_odd(value, core) for value in values):
        return _plain(fields, core, values)
    glob = core.glob() if core.mark is None and fields != "body" else None
    if glob is not None:
        return Test(fields, "matches", (glob,), core.exactly)
    pattern, captures = core.pattern()
    return Test(fields, "matches", (pattern,), core.exactly, captures=captures)


def _odd(value: str, core: Core) -> bool:
    """Whether VALUE is not the same in a text without white space at its ends."""
    if any(c < " " and c not in "\x01\x02" for c in value):
        return True
    if core.in_body:
        return False
    return value != value.strip() and REF not in value


def _plain(fields: str, core: Core, values: tuple[str, ...]) -> Expr:
    quoted = tuple([quote(value) for value in values])
    if "" in values and not (core.starts and core.ends):
        return Test(fields, "exists", ())
    operator = {
        (True, True): "is",
        (True, False): "starts with",
        (False, True): "ends with",
        (False, False): "contains",
    }[core.starts, core.ends]
    return Test(fields, operator, quoted, core.exactly)
