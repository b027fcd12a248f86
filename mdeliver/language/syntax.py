"""The syntax tree of the rule language: one record per production of mdeliver-rules(5).

The parser makes it, the printer writes it back (`parse(print(tree)) == tree`), the checker and
the evaluator read it. It says what stands in the file and nothing about what it means. Places
(`span`) take no part in equality. There is no node for parentheses: the tree's shape holds them.
"""

from __future__ import annotations

from mdeliver.diagnostic import Span
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Flag = Literal["seen", "flagged", "answered", "draft"]
    Comparison = Literal[
        "is", "contains", "starts with", "ends with", "matches", "exists", ">", "<", ">=", "<="
    ]

# --- texts and values ------------------------------------------------------------------------


class Brace(Record):
    """`{name}` or `{lower name}` in a text: a capture ("1"), a let, a field ("from domain"), ..."""

    name: str
    lower: bool
    span: Span


class Plain(str):
    """A glob's own character written with `\\` before it: in `matches "\\*"` it is itself."""

    __slots__ = ()


class Text(Record):
    """A quoted text, or a bare folder step: plain pieces (escapes undone) and braces, in order."""

    parts: tuple[str | Brace, ...]
    span: Span


class Regex(Record):
    """`/…/`; the pattern with `\\/` already turned into `/`."""

    pattern: str
    span: Span


class Name(Record):
    """A name used as a value: what a `let` said."""

    name: str
    span: Span


class Me(Record):
    """The word `me` used as a value."""

    span: Span


class Number(Record):
    """A bare whole or decimal number, as written."""

    digits: str
    span: Span


class Quantity(Record):
    """A number with a unit: K M G (of 1024) or s m h d w."""

    digits: str
    unit: str
    span: Span


class Clock(Record):
    """A time of day, such as 22:00."""

    hour: int
    minute: int
    span: Span


class Date(Record):
    """A day, such as 2026-08-01."""

    year: int
    month: int
    day: int
    span: Span


class Lines(Record):
    """`lines of "FILE"`: each line of the file is a value."""

    path: Text
    span: Span


class Range(Record):
    """`LOW to HIGH`."""

    low: One
    high: One
    span: Span


# --- tests -----------------------------------------------------------------------------------


class Field(Record):
    """A field of the message or its envelope.

    name   "subject", "from", "header", "any header", "attachment", "size", ... as in the grammar
    part   "address", "name", "domain", "local part" or "type" where one is written, else ""
    header the header's name where `name` is "header", else ""; `header "A", "B"` is two Fields
    """

    name: str
    part: str
    header: str
    span: Span


class Test(Record):
    """`FIELDS [does not] OPERATOR [exactly] VALUES`; a quoted text may stand for a field."""

    fields: tuple[Field | Text, ...]
    operator: Comparison
    negated: bool
    exactly: bool
    values: tuple[Value, ...]
    span: Span


class SentByMe(Record):
    span: Span


class AddressedToMe(Record):
    span: Span


class DuplicateWithin(Record):
    period: Quantity
    span: Span


class Automatic(Record):
    span: Span


class MailingList(Record):
    span: Span


class ProgramSucceeds(Record):
    argv: tuple[Text, ...]
    span: Span


class Authentication(Record):
    """`spf|dkim|dmarc|arc RESULT, …`."""

    method: str
    results: tuple[str, ...]
    span: Span


class Not(Record):
    operand: Expr
    span: Span


class And(Record):
    """Two or more operands, left to right; nested only where parentheses stood."""

    operands: tuple[Expr, ...]
    span: Span


class Or(Record):
    """Two or more operands, left to right; nested only where parentheses stood."""

    operands: tuple[Expr, ...]
    span: Span


# --- places ----------------------------------------------------------------------------------


class Store(Record):
    """`maildir "PATH"` or `mbox "PATH"`."""

    kind: Literal["maildir", "mbox"]
    path: Text
    span: Span


class FolderTarget(Record):
    """`MAILBOX` or `MAILBOX/STEP/STEP`."""

    mailbox: str
    steps: tuple[Text, ...]
    span: Span


class InboxTarget(Record):
    span: Span


# --- actions ---------------------------------------------------------------------------------


class FileTo(Record):
    targets: tuple[Target, ...]
    flags: tuple[Flag, ...]
    span: Span


class Keep(Record):
    flags: tuple[Flag, ...]
    span: Span


class ForwardTo(Record):
    addresses: tuple[Value, ...]
    span: Span


class PipeTo(Record):
    argv: tuple[Text, ...]
    span: Span


class FilterThrough(Record):
    argv: tuple[Text, ...]
    span: Span


class Run(Record):
    argv: tuple[Text, ...]
    span: Span


class Discard(Record):
    span: Span


class Reject(Record):
    text: Text | None
    span: Span


class Defer(Record):
    text: Text | None
    span: Span


class Mark(Record):
    flags: tuple[Flag, ...]
    span: Span


class SetHeader(Record):
    line: Text
    span: Span


class AddHeader(Record):
    line: Text
    span: Span


class RemoveHeader(Record):
    names: tuple[Text, ...]
    span: Span


class ReplyWith(Record):
    """`reply with "text"`, or `reply with file "PATH"`; `every` is None where not written."""

    text: Text
    is_file: bool
    every: Quantity | None
    span: Span


class Log(Record):
    text: Text
    span: Span


# --- statements ------------------------------------------------------------------------------


class Do(Record):
    """An action as a statement, with or without `also`."""

    also: bool
    action: Action
    span: Span


class Let(Record):
    name: str
    values: tuple[Value, ...]
    span: Span


class Mailbox(Record):
    name: str
    store: Store
    span: Span


class Inbox(Record):
    targets: tuple[Target, ...]
    span: Span


class MeIs(Record):
    values: tuple[Value, ...]
    span: Span


class Include(Record):
    """`include "PATH"`. `body` is what the file holds once it has been read, else None."""

    path: Text
    body: tuple[Statement, ...] | None
    span: Span


class Branch(Record):
    """`if EXPR:` or `elif EXPR:` with its block."""

    condition: Expr
    block: tuple[Statement, ...]
    span: Span


class If(Record):
    """`otherwise` is None where there is no else."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Statement, ...] | None
    span: Span


if TYPE_CHECKING:
    One = Text | Regex | Name | Me | Number | Quantity | Clock | Date | Lines
    Value = One | Range
    Fact = (
        SentByMe
        | AddressedToMe
        | DuplicateWithin
        | Automatic
        | MailingList
        | ProgramSucceeds
        | Authentication
    )
    Expr = Or | And | Not | Test | Fact
    Target = FolderTarget | InboxTarget | Store
    Action = (
        FileTo
        | Keep
        | ForwardTo
        | PipeTo
        | FilterThrough
        | Run
        | Discard
        | Reject
        | Defer
        | Mark
        | SetHeader
        | AddHeader
        | RemoveHeader
        | ReplyWith
        | Log
    )
    Statement = Do | Let | Mailbox | Inbox | MeIs | Include | If


class Program(Record):
    """Checked statements of all rules files in order, without any error: built-in, site's, user's.

    tables: the lines of each `lines of` file, as (the file that names it, its path there, the lines
    joined by line ends); replies: likewise for `reply with file`; notice: why newer rules wait.
    """

    statements: tuple[Statement, ...]
    tables: tuple[tuple[str, str, str], ...] = ()
    replies: tuple[tuple[str, str, str], ...] = ()
    notice: str = ""
