"""Warnings about rules that are valid and yet probably not what was meant.

Runs        in `mdeliver check` only, over a Program without errors; a delivery never looks.
Honest      a lint speaks only where it is certain of what it says, save W406-W408, which ask.
Fails with  nothing; the findings are warnings W401-W413.
See also    findings.py for what each code means
"""

from __future__ import annotations

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.language import syntax
from mdeliver.language.argvlints import argv_findings
from mdeliver.language.checker import BRACE_FIELDS, VARIABLES
from mdeliver.language.parse_tests import ADDRESS_FIELDS
from mdeliver.language.parse_values import plain_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_DISPOSES = (
    syntax.FileTo
    | syntax.Keep
    | syntax.ForwardTo
    | syntax.PipeTo
    | syntax.Discard
    | syntax.Reject
    | syntax.Defer
)
_ENVELOPE = ("sender", "recipient")


def lint(
    program: syntax.Program, texts: Mapping[str, str], complete: Iterable[str]
) -> list[Diagnostic]:
    """Warnings about PROGRAM in the order of its lines.

    texts     each file's text, for the source lines; others (the built-in one) are not judged
    complete  files that nobody else builds on, so that what they define is for themselves: not
              the site's, and no included one
    """
    linter = _Linter(texts)
    linter.block(program.statements, 0)
    linter.unused(frozenset(complete))
    order = list(texts)
    found = [f for f in dict.fromkeys(linter.findings) if f.place.file in texts]
    found.sort(key=lambda f: (order.index(f.place.file), f.place.line, f.place.column))
    return found


class _Linter:
    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts
        self.findings: list[Diagnostic] = []
        self.mailboxes: dict[str, syntax.Mailbox] = {}
        self.unused_mailboxes: dict[str, syntax.Mailbox] = {}
        self.lets: dict[str, syntax.Let] = {}
        self.unused_lets: dict[str, syntax.Let] = {}
        self.depth = 0

    def warn(self, code: str, message: str, place: Span, hint: str = "") -> None:
        lines = self.texts.get(place.file, "").split("\n")
        source = lines[place.line - 1].removesuffix("\r") if place.line <= len(lines) else ""
        self.findings.append(Diagnostic(code, "warning", message, place, source, hint))

    # --- statements --------------------------------------------------------------------------

    def block(self, statements: Iterable[syntax.Statement], deeper: int = 1) -> bool:
        """Judge a block; whether the rules always end in it."""
        self.depth += deeper
        ended: Span | None = None
        warned = False
        for statement in statements:
            if ended is not None and not warned and not _defines(statement):
                warned = True
                hint = f"line {ended.line} ends the rules for every message that comes this far"
                if statement.span.file != ended.file:
                    hint = f"{ended.where} ends the rules for every message that comes this far"
                self.warn("W401", "this line is never reached", statement.span, hint)
            if self.statement(statement) and ended is None:
                ended = statement.span
        self.depth -= deeper
        return ended is not None

    def statement(self, statement: syntax.Statement) -> bool:
        match statement:
            case syntax.If():
                return self._if(statement)
            case syntax.Do():
                self._action(statement.action)
                return not statement.also and isinstance(statement.action, _DISPOSES)
            case syntax.Let():
                self._let(statement)
            case syntax.Mailbox():
                self._mailbox(statement)
            case syntax.Inbox():
                for target in statement.targets:
                    self._target(target)
                self._twice(statement.targets, "target", statement.span)
            case syntax.MeIs():
                self._values(statement.values)
                self._twice(statement.values, "address", statement.span)
            case syntax.Include():
                self._text(statement.path)
                return self.block(statement.body or (), 0)
        return False

    def _if(self, statement: syntax.If) -> bool:
        ended = True
        earlier: list[syntax.Expr] = []
        for branch in statement.branches:
            self._expression(branch.condition)
            if any(branch.condition == condition for condition in earlier):
                message = "this condition stood above already: its block is never reached"
                self.warn("W401", message, branch.span)
            earlier.append(branch.condition)
            ended &= self.block(branch.block)
        if statement.otherwise is None:
            return False
        return self.block(statement.otherwise) and ended

    def _let(self, statement: syntax.Let) -> None:
        self._values(statement.values)
        name = statement.name
        before = self.unused_lets.get(name)
        if before is not None and before.span.file == statement.span.file and not self.depth:
            message = f"{name} is set again before any line used it"
            self.warn("W405", message, statement.span, f"line {before.span.line} set it first")
        if name in BRACE_FIELDS or name in VARIABLES:
            message = f"{{{name}}} now means this let and no longer what it meant before"
            self.warn("W405", message, statement.span, "choose another name")
        self.lets[name] = self.unused_lets[name] = statement
        self._twice(statement.values, "value", statement.span)

    def _mailbox(self, statement: syntax.Mailbox) -> None:
        self._text(statement.store.path)
        name = statement.name
        before = self.mailboxes.get(name)
        if before is not None and before.span.file == statement.span.file and not self.depth:
            hint = f"it stands for another place from line {before.span.line} on; choose two names"
            if before.store == statement.store:
                hint = f"line {before.span.line} says the same"
            self.warn("W405", f"the mailbox {name} is defined a second time", statement.span, hint)
        self.mailboxes[name] = self.unused_mailboxes[name] = statement

    def unused(self, complete: frozenset[str]) -> None:
        """Say what was defined for nothing in COMPLETE files, once everything has been seen."""
        for mailbox in self.unused_mailboxes.values():
            # The built-in inbox is made of these two.
            if mailbox.name not in ("imap", "pop3") and mailbox.span.file in complete:
                message = f"no rule uses the mailbox {mailbox.name}"
                self.warn("W403", message, mailbox.span, "name it in file to, or leave it out")
        for let in self.unused_lets.values():
            if let.span.file in complete:
                self.warn("W404", f"no line uses {let.name}", let.span, "leave it out")

    # --- actions and targets -----------------------------------------------------------------

    def _action(self, action: syntax.Action) -> None:
        match action:
            case syntax.FileTo():
                for target in action.targets:
                    self._target(target)
                self._twice(action.targets, "target", action.span)
                self._flags_for_nothing(action)
            case syntax.Reject() | syntax.Defer():
                if action.text is not None:
                    self._text(action.text)
                    self._status(action.text)
            case syntax.ForwardTo():
                self._values(action.addresses)
            case syntax.PipeTo() | syntax.FilterThrough() | syntax.Run():
                self._argv(action.argv)
            case syntax.SetHeader() | syntax.AddHeader():
                self._text(action.line)
            case syntax.ReplyWith() | syntax.Log():
                self._text(action.text)

    def _target(self, target: syntax.Target) -> None:
        match target:
            case syntax.FolderTarget():
                self.unused_mailboxes.pop(target.mailbox, None)
                for step in target.steps:
                    self._text(step)
            case syntax.Store():
                self._text(target.path)

    def _flags_for_nothing(self, action: syntax.FileTo) -> None:
        """Flags reach Maildirs only."""
        kinds = {self._kind(target) for target in action.targets}
        if action.flags and kinds == {"mbox"}:
            message = "an mbox keeps no flags"
            self.warn("W410", message, action.span, "flags reach Maildirs only; leave out as …")

    def _kind(self, target: syntax.Target) -> str:
        if isinstance(target, syntax.Store):
            return target.kind
        if isinstance(target, syntax.FolderTarget) and target.mailbox in self.mailboxes:
            return self.mailboxes[target.mailbox].store.kind
        return ""

    def _status(self, text: syntax.Text) -> None:
        first = text.parts[0] if text.parts else ""
        word = first.split()[0] if isinstance(first, str) and first.split() else ""
        if len(word) == 3 and word.isdecimal() and word[0] in "45":
            hint = 'write an enhanced status: "5.7.1 …"'
            message = f"{word} is sent as a word, not as the code of the reply"
            self.warn("W411", message, text.span, hint)

    # --- conditions --------------------------------------------------------------------------

    def _expression(self, expression: syntax.Expr) -> None:
        match expression:
            case syntax.And() | syntax.Or():
                for operand in expression.operands:
                    self._expression(operand)
                self._twice(expression.operands, "test", expression.span)
                if isinstance(expression, syntax.And):
                    self._contradiction(expression)
            case syntax.Not():
                self._expression(expression.operand)
            case syntax.Test():
                self._test(expression)
            case syntax.ProgramSucceeds():
                self._argv(expression.argv)

    def _contradiction(self, expression: syntax.And) -> None:
        """`a and not a`, and two sizes that exclude each other."""
        operands = expression.operands
        for index, operand in enumerate(operands):
            for other in operands[index + 1 :]:
                if _opposite(operand, other) or _sizes_exclude(operand, other):
                    message = "both of these tests never hold together"
                    self.warn("W402", message, other.span, "did you mean or?")
                    return

    def _test(self, test: syntax.Test) -> None:
        for field in test.fields:
            if isinstance(field, syntax.Text):
                self._text(field)
        self._twice(test.fields, "field", test.span)
        self._values(test.values)
        self._twice(test.values, "value", test.span)
        self._never(test)
        self._perhaps_meant(test)

    def _never(self, test: syntax.Test) -> None:
        """A value that none of the fields can ever have."""
        fields = [f for f in test.fields if isinstance(f, syntax.Field)]
        bare = [f for f in fields if f.name in ADDRESS_FIELDS and f.part != "name"]
        if not bare or len(bare) != len(test.fields) or test.operator not in _SPACELESS:
            return
        for value, words in self._texts_of(test.values):
            field = bare[0]
            # A quoted local part may hold a space; nobody has one, and it would have quotes.
            if " " in words.strip() and '"' not in words:
                hint = f"names are in: {field.name} name"
                message = f"{_shown(field)} is a bare address and has no space in it"
                self.warn("W402", message, value.span, hint)
            elif field.part in ("domain", "local part") and "@" in words:
                hint = f"leave out {field.part}, or the part around the @"
                message = f"{_shown(field)} has no @ in it"
                self.warn("W402", message, value.span, hint)
            elif _lacks_domain(test, field, words):
                hint = f"write {field.name} domain or {field.name} local part, or all of it"
                message = f"{_shown(field)} is a whole address, mostly with an @"
                self.warn("W408", message, value.span, hint)

    def _perhaps_meant(self, test: syntax.Test) -> None:
        """What is valid and may be right, but seldom is."""
        for field in test.fields:
            if not isinstance(field, syntax.Field):
                continue
            if field.name == "recipient" and field.part in ("", "address", "name"):
                self._recipient(field, test)
            elif field.name == "from" and field.part == "domain" and test.operator == "is":
                for value, words in self._texts_of(test.values):
                    if words.lower() in _SENDS_FROM_SUBDOMAINS and not test.negated:
                        hint = f'matches "*.{words}" holds for its subdomains'
                        message = f"mail of {words} comes from its subdomains too"
                        self.warn("W406", message, value.span, hint)

    def _recipient(self, field: syntax.Field, test: syntax.Test) -> None:
        """The envelope's recipient is this user: lists and other people are in recipients."""
        if field.part == "name":
            hint = "recipients name is the name in To and Cc"
            self.warn("W407", "the envelope's recipient has no name", field.span, hint)
            return
        for value, words in self._texts_of(test.values):
            local = words.lower().partition("@")[0]
            for separator in "-._":
                local = local.replace(separator, " ")
            # ann+lists@ is ann's own.
            if "+" not in local and _LIST_WORDS & set(local.split()):
                hint = "recipients is To, Cc and the like together"
                message = "recipient is the envelope's, which is this user and no list"
                self.warn("W407", message, value.span, hint)
                return

    # --- values ------------------------------------------------------------------------------

    def _values(self, values: Iterable[syntax.Value]) -> None:
        for value in values:
            match value:
                case syntax.Text():
                    self._text(value)
                case syntax.Name():
                    self.unused_lets.pop(value.name, None)
                case syntax.Range():
                    self._values((value.low, value.high))

    def _text(self, text: syntax.Text) -> None:
        for part in text.parts:
            if isinstance(part, syntax.Brace):
                self.unused_lets.pop(part.name, None)

    def _texts_of(self, values: Iterable[syntax.Value]) -> Iterator[tuple[syntax.Value, str]]:
        """The values that are texts without braces."""
        for value in values:
            if isinstance(value, syntax.Text):
                words = plain_text(value)
                if words is not None:
                    yield value, words

    def _argv(self, argv: tuple[syntax.Text, ...]) -> None:
        for text in argv:
            self._text(text)
        for finding in argv_findings(argv, self.lets):
            self.warn(*finding)

    def _twice(self, nodes: Iterable[syntax.Value | object], what: str, place: Span) -> None:
        seen: set[object] = set()
        for node in nodes:
            if node in seen:
                where = getattr(node, "span", place)
                self.warn("W409", f"this {what} stands here twice", where, "once is enough")
                return
            seen.add(node)


_SPACELESS = ("is", "contains", "starts with", "ends with")
_LIST_WORDS = frozenset(["list", "lists", "announce", "users", "devel", "all", "everyone"])
# Well-known senders whose mail really comes from subdomains as well as from the bare domain.
_SENDS_FROM_SUBDOMAINS = frozenset(
    [
        *("amazon.com", "amazon.de", "amazon.co.uk", "ebay.com", "paypal.com", "linkedin.com"),
        *("facebook.com", "google.com", "apple.com", "microsoft.com", "netflix.com"),
    ]
)


def _shown(field: syntax.Field) -> str:
    return f"{field.name} {field.part}" if field.part else field.name


def _lacks_domain(test: syntax.Test, field: syntax.Field, words: str) -> bool:
    """Whether an address is compared with a word; the envelope's may be local user names."""
    whole = test.operator == "is" and field.part in ("", "address")
    return whole and bool(words) and "@" not in words and field.name not in _ENVELOPE


def _defines(statement: syntax.Statement) -> bool:
    """Definitions after an end do no harm: site rules often come first, and files are shared."""
    return isinstance(statement, syntax.Mailbox | syntax.Inbox | syntax.MeIs)


def _opposite(one: syntax.Expr, other: syntax.Expr) -> bool:
    if isinstance(one, syntax.Not) and one.operand == other:
        return True
    if isinstance(other, syntax.Not) and other.operand == one:
        return True
    return (
        isinstance(one, syntax.Test)
        and isinstance(other, syntax.Test)
        and one.replace(negated=not one.negated) == other
    )


def _sizes_exclude(one: syntax.Expr, other: syntax.Expr) -> bool:
    """`size > 20M and size < 10M`."""
    low = high = None
    for test in (one, other):
        if not isinstance(test, syntax.Test) or len(test.values) != 1 or len(test.fields) != 1:
            return False
        field, value = test.fields[0], test.values[0]
        if not isinstance(field, syntax.Field) or field.name != "size":
            return False
        if not isinstance(value, syntax.Number | syntax.Quantity):
            return False
        units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
        unit = units.get(value.unit, 1) if isinstance(value, syntax.Quantity) else 1
        if test.operator in (">", ">="):
            low = float(value.digits) * unit
        elif test.operator in ("<", "<="):
            high = float(value.digits) * unit
    return low is not None and high is not None and low > high
