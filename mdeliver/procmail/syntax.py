"""The syntax tree of a procmailrc: what stands in the file, with its places, nothing lost.

Text        one character for one byte (Latin-1), as procmail reads it.
Guarantee   every character of the file is in the `source` of exactly one leaf, in order:
            `unparse(tree)` is the file.
See also    parser.py, which makes it; procmailrc(5)
"""

from __future__ import annotations

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS = "HBDAaEehbfcwWir"
"""All flags of recipes, as procmailrc(5) lists them."""

# --- words -----------------------------------------------------------------------------------


class Literal(Record):
    """Text that stands for itself, quotes and escapes undone; an empty one begins a word."""

    text: str


class Gap(Record):
    """White space between two words."""


class Variable(Record):
    """`$NAME`, `${NAME}`, `$\\NAME` or a special one such as `$=`.

    quoted   whether it stands in double quotes: then its value is not split into words
    literal  `$\\NAME`: the value with every sign of a regular expression escaped
    """

    name: str
    quoted: bool
    literal: bool = False


class Alternate(Record):
    """`${NAME:-words}` and its like; `sign` is one of `-` `:-` `+` `:+`."""

    name: str
    sign: str
    pieces: tuple[Piece, ...]
    quoted: bool


class Backtick(Record):
    """A program's output."""

    command: str
    quoted: bool


if TYPE_CHECKING:
    Piece = Literal | Gap | Variable | Alternate | Backtick


class Words(Record):
    """Words as procmail's own shell-like parser reads them."""

    pieces: tuple[Piece, ...]

    @property
    def plain(self) -> str | None:
        """The text, words joined by a space, if nothing in it has to be expanded."""
        made = []
        for piece in self.pieces:
            if isinstance(piece, Literal):
                made.append(piece.text)
            elif isinstance(piece, Gap):
                made.append(" ")
            else:
                return None
        return "".join(made)


# --- leaves ----------------------------------------------------------------------------------


class Comment(Record):
    """A comment, or blank lines (then `text` is "")."""

    text: str
    source: str
    span: Span


class Skipped(Record):
    """What procmail skips because it means nothing."""

    source: str
    span: Span


class Assignment(Record):
    """`NAME=value`, or a bare `NAME`, which unsets it (`value` is None).

    comment  what follows on the line
    """

    name: str
    value: Words | None
    comment: str
    source: str
    span: Span


class Head(Record):
    """`:0flags:lock`.

    flags    those that are set, in the order of FLAGS
    lock     None without a local lock, "" where procmail chooses the name
    count    the number of conditions of the old syntax, -1 where none is written
    comment  what follows on the line
    """

    flags: str
    lock: str | None
    count: int
    comment: str
    source: str
    span: Span


class Condition(Record):
    """One `* condition`; `text` is what is behind the star, lines still folded."""

    text: str
    source: str
    span: Span


class Folder(Record):
    """A folder, perhaps several; `comment` is what follows on the line."""

    words: Words
    comment: str
    source: str
    span: Span


class Forward(Record):
    """`! address …`."""

    words: Words
    comment: str
    source: str
    span: Span


class Pipe(Record):
    """`| program`; `capture` is the variable that gets its output, "" if none does."""

    command: str
    capture: str
    source: str
    span: Span


class Brace(Record):
    """`{` or `}` with the white space around it."""

    source: str
    span: Span


# --- what has parts ----------------------------------------------------------------------------


class Block(Record):
    """`{ … }`; `close` is None where it is missing."""

    open: Brace
    items: tuple[Item, ...]
    close: Brace | None
    span: Span


class Recipe(Record):
    """A recipe; `action` is None where the file ends too early."""

    head: Head
    parts: tuple[Condition | Comment, ...]
    action: Folder | Forward | Pipe | Block | None
    span: Span

    @property
    def conditions(self) -> list[Condition]:
        """The conditions without the comments between them."""
        return [part for part in self.parts if isinstance(part, Condition)]


if TYPE_CHECKING:
    Item = Comment | Skipped | Assignment | Recipe | Brace
    Action = Folder | Forward | Pipe | Block


class File(Record):
    """A whole procmailrc and what is wrong with it."""

    name: str
    items: tuple[Item, ...]
    findings: tuple[Diagnostic, ...]


def leaves(items: tuple[Item, ...]) -> Iterator[str]:
    """The sources of all leaves in order."""
    for item in items:
        if not isinstance(item, Recipe):
            yield item.source
            continue
        yield item.head.source
        for part in item.parts:
            yield part.source
        action = item.action
        if isinstance(action, Block):
            yield action.open.source
            yield from leaves(action.items)
            if action.close is not None:
                yield action.close.source
        elif action is not None:
            yield action.source


def unparse(file: File) -> str:
    """FILE as it was written."""
    return "".join(leaves(file.items))
