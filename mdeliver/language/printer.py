"""Write a syntax tree back as rules text, in the one canonical form.

Guarantee   `parse(print_rules(tree)) == tree` for every tree that a text can have.
Form        four spaces of indentation, every block on lines of its own, parentheses only where
            the tree needs them; comments and line breaks of the original are not kept.
See also    syntax.py; explain.py, which shows single lines by `line_of`
"""

from __future__ import annotations

from mdeliver.language import syntax
from mdeliver.language.syntax import Brace, Plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_INDENT = "    "
_NOT_IN_STEP = frozenset(' \t/",:()\\{}#=<>')


def print_rules(statements: Iterable[syntax.Statement]) -> str:
    """STATEMENTS as a rules text; an include stays the line that it was."""
    lines: list[str] = []
    _print_block(statements, "", lines)
    return "".join(f"{line}\n" for line in lines)


def line_of(node: syntax.Statement | syntax.Branch) -> str:
    """The first line of a statement or branch, without a block's colon: `if from is colleagues`."""
    match node:
        case syntax.Branch():
            return f"if {expression(node.condition)}"
        case syntax.If():
            return line_of(node.branches[0])
        case syntax.Do():
            return ("also " if node.also else "") + action(node.action)
        case syntax.Let():
            return f"let {node.name} = {_values(node.values)}"
        case syntax.Mailbox():
            return f"mailbox {node.name} = {_target(node.store)}"
        case syntax.Inbox():
            return f"inbox = {_targets(node.targets)}"
        case syntax.MeIs():
            return f"me = {_values(node.values)}"
        case syntax.Include():
            return f"include {text(node.path)}"
        case _:
            raise AssertionError(f"{type(node).__name__} is no statement")


def _print_block(statements: Iterable[syntax.Statement], white: str, lines: list[str]) -> None:
    for statement in statements:
        if not isinstance(statement, syntax.If):
            lines.append(white + line_of(statement))
            continue
        opening = ""
        for branch in statement.branches:
            lines.append(f"{white}{opening}{line_of(branch)}:")
            _print_block(branch.block, white + _INDENT, lines)
            opening = "el"
        if statement.otherwise is not None:
            lines.append(f"{white}else:")
            _print_block(statement.otherwise, white + _INDENT, lines)


# --- actions -------------------------------------------------------------------------------------


def action(node: syntax.Action) -> str:
    """An action without `also`."""
    match node:
        case syntax.FileTo():
            return f"file to {_targets(node.targets)}{_as(node.flags)}"
        case syntax.Keep():
            return f"keep{_as(node.flags)}"
        case syntax.ForwardTo():
            return f"forward to {_values(node.addresses)}"
        case syntax.PipeTo():
            return f"pipe to {_texts(node.argv)}"
        case syntax.FilterThrough():
            return f"filter through {_texts(node.argv)}"
        case syntax.Run():
            return f"run {_texts(node.argv)}"
        case syntax.Discard():
            return "discard"
        case syntax.Reject() | syntax.Defer():
            word = "reject" if isinstance(node, syntax.Reject) else "defer"
            return word if node.text is None else f"{word} {text(node.text)}"
        case _:
            return _later_action(node)


def _later_action(node: syntax.Action) -> str:
    match node:
        case syntax.Mark():
            return f"mark as {', '.join(node.flags)}"
        case syntax.SetHeader():
            return f"set header {text(node.line)}"
        case syntax.AddHeader():
            return f"add header {text(node.line)}"
        case syntax.RemoveHeader():
            return f"remove header {_texts(node.names, ', ')}"
        case syntax.ReplyWith():
            file = "file " if node.is_file else ""
            every = f" every {value(node.every)}" if node.every is not None else ""
            return f"reply with {file}{text(node.text)}{every}"
        case syntax.Log():
            return f"log {text(node.text)}"
        case _:
            raise AssertionError(f"{type(node).__name__} is no action")


def _as(flags: tuple[syntax.Flag, ...]) -> str:
    return f" as {', '.join(flags)}" if flags else ""


def _targets(targets: Iterable[syntax.Target]) -> str:
    return ", ".join(_target(target) for target in targets)


def _target(node: syntax.Target) -> str:
    match node:
        case syntax.InboxTarget():
            return "inbox"
        case syntax.Store():
            return f"{node.kind} {text(node.path)}"
        case syntax.FolderTarget():
            return "/".join([node.mailbox, *(_step(step) for step in node.steps)])
        case _:
            raise AssertionError(f"{type(node).__name__} is no target")


def _step(step: syntax.Text) -> str:
    """A folder step, quoted only where it must be."""
    for part in step.parts:
        if isinstance(part, Brace):
            continue
        if isinstance(part, Plain) or not part.isprintable() or not _NOT_IN_STEP.isdisjoint(part):
            return text(step)
    return "".join(_brace(p) if isinstance(p, Brace) else p for p in step.parts) or '""'


# --- conditions ----------------------------------------------------------------------------------


def expression(node: syntax.Expr) -> str:
    """A condition; parentheses where the tree's shape asks for them."""
    match node:
        case syntax.Or():
            return " or ".join(_operand(o, syntax.Or) for o in node.operands)
        case syntax.And():
            return " and ".join(_operand(o, syntax.And, syntax.Or) for o in node.operands)
        case syntax.Not():
            return f"not {_operand(node.operand, syntax.And, syntax.Or)}"
        case syntax.Test():
            return _test(node)
        case syntax.SentByMe():
            return "sent by me"
        case syntax.AddressedToMe():
            return "addressed to me"
        case syntax.DuplicateWithin():
            return f"duplicate within {value(node.period)}"
        case syntax.Automatic():
            return "automatic"
        case syntax.MailingList():
            return "mailing list"
        case syntax.ProgramSucceeds():
            return f"program {_texts(node.argv)} succeeds"
        case syntax.Authentication():
            return f"{node.method} {', '.join(node.results)}"
        case _:
            raise AssertionError(f"{type(node).__name__} is no condition")


def _operand(node: syntax.Expr, *enclosed: type[Any]) -> str:
    words = expression(node)
    return f"({words})" if isinstance(node, enclosed) else words


NEGATED = {
    "contains": "does not contain",
    "matches": "does not match",
    "starts with": "does not start with",
    "ends with": "does not end with",
    "exists": "does not exist",
    "is": "is not",
}


def _test(node: syntax.Test) -> str:
    operator = NEGATED[node.operator] if node.negated else node.operator
    words = [_fields(node.fields), operator]
    if node.exactly:
        words.append("exactly")
    if node.values:
        words.append(_values(node.values))
    return " ".join(words)


def _fields(fields: tuple[syntax.Field | syntax.Text, ...]) -> str:
    return ", ".join(text(f) if isinstance(f, syntax.Text) else field(f) for f in fields)


def field(node: syntax.Field) -> str:
    """A field: `from domain`, `header "X-Loop"`."""
    if node.name == "header":
        return f'header "{_escape(node.header)}"'
    return f"{node.name} {node.part}" if node.part else node.name


# --- values and texts ----------------------------------------------------------------------------


def _values(nodes: Iterable[syntax.Value]) -> str:
    return ", ".join(value(node) for node in nodes)


def value(node: syntax.Value) -> str:
    """A value as it stands in a rule."""
    match node:
        case syntax.Text():
            return text(node)
        case syntax.Regex():
            return f"/{slashes(node.pattern)}/"
        case syntax.Name():
            return node.name
        case syntax.Me():
            return "me"
        case syntax.Number():
            return node.digits
        case syntax.Quantity():
            return node.digits + node.unit
        case syntax.Clock():
            return f"{node.hour}:{node.minute:02}"
        case syntax.Date():
            return f"{node.year:04}-{node.month:02}-{node.day:02}"
        case syntax.Lines():
            return f"lines of {text(node.path)}"
        case syntax.Range():
            return f"{value(node.low)} to {value(node.high)}"
        case _:
            raise AssertionError(f"{type(node).__name__} is no value")


def text(node: syntax.Text) -> str:
    """A text in quotes, escapes and braces written out."""
    inside = "".join(_brace(p) if isinstance(p, Brace) else _escape(p) for p in node.parts)
    return f'"{inside}"'


def _texts(nodes: Iterable[syntax.Text], between: str = " ") -> str:
    return between.join(text(node) for node in nodes)


def _brace(node: Brace) -> str:
    return f"{{lower {node.name}}}" if node.lower else f"{{{node.name}}}"


def _escape(piece: str) -> str:
    if isinstance(piece, Plain):
        return "".join(f"\\{c}" for c in piece)
    for character in '\\"{':
        piece = piece.replace(character, "\\" + character)
    return piece.replace("\n", "\\n")


def slashes(pattern: str) -> str:
    """Every `/` of a regex gets its `\\`; pairs of `\\` stay pairs."""
    made = []
    escaped = False
    for character in pattern:
        if character == "/" and not escaped:
            made.append("\\")
        made.append(character)
        escaped = character == "\\" and not escaped
    return "".join(made)
