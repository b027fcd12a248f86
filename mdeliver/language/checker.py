"""Find the errors that need more than grammar: names, types, captures, places.

Method      one walk from top to bottom with what is certainly set at each point: after an `if`,
            what all branches that go on have set. So a name or capture that some path leaves
            unset is found, and the evaluator need not look.
Fails with  findings E301-E333; nothing is raised.
Silence     after a syntax error names may seem unknown that are not: E301-E303 and E325 are then
            held back, and so is a second finding about a line.
See also    values.py (kinds of values), actioncheck.py, evaluate.py (which relies on all of this)
"""

from __future__ import annotations

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.language import syntax, values
from mdeliver.language.actioncheck import check_action, check_program
from mdeliver.language.parse_tests import ADDRESS_FIELDS
from mdeliver.language.parse_values import plain_text
from mdeliver.language.scope import MANY, Known, State, has_folder, merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DISPOSES = frozenset(
    (
        syntax.FileTo,
        syntax.Keep,
        syntax.ForwardTo,
        syntax.PipeTo,
        syntax.Discard,
        syntax.Reject,
        syntax.Defer,
    )
)
VARIABLES = frozenset(("user", "home", "sent", "year", "month", "day"))
_PARTS = ("", " name", " address", " domain", " local part")
BRACE_FIELDS = frozenset(
    ["subject", "list-id", "extension", "size", "date", "weekday", "time"]
    + [field + part for field in ADDRESS_FIELDS for part in _PARTS]
)
_NAME_CODES = frozenset(("E301", "E302", "E303", "E325"))


def check(
    statements: Iterable[syntax.Statement],
    texts: Mapping[str, str],
    known: Iterable[Diagnostic] = (),
) -> list[Diagnostic]:
    """All errors in STATEMENTS; TEXTS has each file's text, KNOWN the syntax errors."""
    checker = Checker(texts, known)
    checker.statements(statements)
    return checker.findings


class Checker:
    __slots__ = ("_bad", "_broken", "_maybe", "_texts", "findings", "path_lets", "state")

    def __init__(self, texts: Mapping[str, str], known: Iterable[Diagnostic]) -> None:
        self._texts = texts
        self._bad = {(f.place.file, f.place.line) for f in known}
        self._broken = bool(self._bad)
        self._maybe: dict[str, int] = {}
        """Names set somewhere above, and in which line: for the words of an error."""
        self.path_lets: set[str] = set()
        """Lets in the paths of mailboxes, which are filled in at each use."""
        self.findings: list[Diagnostic] = []
        self.state = State()

    def report(self, code: str, message: str, place: Span, hint: str = "") -> None:
        if (place.file, place.line) in self._bad or (self._broken and code in _NAME_CODES):
            return
        lines = self._texts.get(place.file, "").split("\n")
        source = lines[place.line - 1].removesuffix("\r") if place.line <= len(lines) else ""
        self.findings.append(Diagnostic(code, "error", message, place, source, hint))

    # --- statements --------------------------------------------------------------------------

    def statements(self, statements: Iterable[syntax.Statement]) -> None:
        for statement in statements:
            if isinstance(statement, syntax.If):
                self._if(statement)
            elif isinstance(statement, syntax.Do):
                self._do(statement)
            elif isinstance(statement, syntax.Let):
                self._let(statement)
            elif isinstance(statement, syntax.Mailbox):
                self._mailbox(statement)
            elif isinstance(statement, syntax.Inbox):
                self._inbox(statement)
            elif isinstance(statement, syntax.MeIs):
                for value in statement.values:
                    for of in set(self.kinds(value)) - {"text", "me", "lines"}:
                        self.report("E305", f"me needs addresses, not a {of}", value.span)
            elif isinstance(statement, syntax.Include):
                self.statements(statement.body or ())

    def _if(self, statement: syntax.If) -> None:
        before = self.state
        captures = before.captures
        ends: list[State] = []
        for branch in statement.branches:
            self.state = before.copy()
            if branch.condition is not None:
                self.state.captures = self._expr(branch.condition)
            self.statements(branch.block)
            ends.append(self.state)
        self.state = before.copy()
        self.statements(statement.otherwise or ())
        ends.append(self.state)
        going_on = [end for end in ends if not end.ended]
        self.state = merge(going_on or ends)
        self.state.captures = captures
        self.state.ended = before.ended or not going_on

    def _do(self, statement: syntax.Do) -> None:
        action = statement.action
        if isinstance(action, syntax.FileTo):
            for target in action.targets:
                self._target(target)
        elif not isinstance(action, (syntax.Keep, syntax.Discard)):
            check_action(self, action)
        if not statement.also and type(action) in _DISPOSES:
            self.state.ended = True

    def _let(self, statement: syntax.Let) -> None:
        count = 0
        kinds: set[str] = set()
        captures: set[int] = set()
        for value in statement.values:
            known = self._known(value)
            count += known.count
            kinds |= known.kinds
            captures |= known.captures
        if count > MANY:
            message = f"{statement.name} has more than {MANY} values"
            self.report("E324", message, statement.span, "names within it count with all theirs")
            count = MANY
        if statement.name in self.path_lets and (count > 1 or kinds - {"text"}):
            message = f"{statement.name} is part of a mailbox's path and so is one text"
            self.report("E304", message, statement.span, "choose another name")
        known = Known(count, frozenset(kinds), frozenset(captures))
        self.state.lets = {**self.state.lets, statement.name: known}
        self._maybe[statement.name] = statement.span.line

    def _known(self, value: syntax.Value) -> Known:
        if isinstance(value, syntax.Name):
            return self._named(value)
        if isinstance(value, syntax.Range):
            kinds = self.kinds(value)
            return Known(1, frozenset(kinds), frozenset((0,)))
        kinds = self.kinds(value)
        # A good regex without captures leaves those before it, as 0 says.
        captures = values.captures_of(value, self._report_value)
        return Known(1, frozenset(kinds), frozenset((captures,)))

    def _mailbox(self, statement: syntax.Mailbox) -> None:
        name, store = statement.name, statement.store
        self._path(store, later=True)
        if store.kind == "mbox" and name in self.state.inbox and not has_folder(store):
            message = f"the inbox is a folder of {name}, and this mbox has none"
            self.report("E312", message, statement.span, "define the inbox anew after it")
        self.state.mailboxes = {**self.state.mailboxes, name: (store,)}
        self._maybe["mailbox " + name] = statement.span.line

    def _inbox(self, statement: syntax.Inbox) -> None:
        captures = self.state.captures
        self.state.captures = -1
        kept = any(isinstance(target, syntax.InboxTarget) for target in statement.targets)
        folders = set(self.state.inbox if kept else ())
        for target in statement.targets:
            self._target(target, later=True)
            if isinstance(target, syntax.FolderTarget) and target.steps:
                folders.add(target.mailbox)
        self.state.inbox = frozenset(folders)
        self.state.captures = captures

    # --- places ------------------------------------------------------------------------------

    def _target(self, target: syntax.Target, later: bool = False) -> None:
        if isinstance(target, syntax.Store):
            self._path(target, later)
        elif isinstance(target, syntax.FolderTarget):
            stores = self.state.mailboxes.get(target.mailbox)
            if stores is None:
                self._unknown_mailbox(target)
                stores = ()
            for step in target.steps:
                self.text(step, later=later)
                self._step(target, step, stores)
            if target.steps and any(s.kind == "mbox" and not has_folder(s) for s in stores):
                hint = 'an mbox in whose path {folder} stands has folders: mbox "~/Mail/{folder}"'
                message = f"{target.mailbox} is an mbox and has no folders"
                self.report("E312", message, target.span, hint)

    def _step(
        self, target: syntax.FolderTarget, step: syntax.Text, stores: tuple[syntax.Store, ...]
    ) -> None:
        """The literal part of a folder step: separators in it would make two of one."""
        words = "".join([part for part in step.parts if isinstance(part, str)])
        if "/" in words:
            hint = f'write {target.mailbox}/"a"/"b" for a folder within a folder'
            self.report("E313", "a folder's name has no / in it", step.span, hint)
        elif "." in words and any(s.kind == "maildir" and not has_folder(s) for s in stores):
            hint = "write / between a folder and the folder within it"
            message = f"a folder of {target.mailbox} has no . in its name (it is a Maildir++)"
            self.report("E313", message, step.span, hint)

    def _path(self, store: syntax.Store, later: bool) -> None:
        if not store.path.parts:
            self.report("E313", f"this {store.kind} has no path", store.path.span)
        self.text(store.path, folder=True, later=later)

    def _unknown_mailbox(self, target: syntax.FolderTarget) -> None:
        from mdeliver.language import hints

        name = target.mailbox
        line = self._maybe.get("mailbox " + name)
        if line:
            message = f"some way to this line leaves the mailbox {name} undefined"
            self.report("E303", message, target.span, f"line {line} does not always run")
            return
        hint = hints.did_you_mean(name, self.state.mailboxes)
        if name in self.state.lets:
            hint = f"{name} is a let; write mailbox {name} = … for a place"
        elif not hint:
            hint = f'define it first: mailbox {name} = maildir "~/…"'
            if not target.steps:
                hint = f"write imap/{name} for a folder, or {hint}"
        self.report("E302", f"there is no mailbox {name} above this line", target.span, hint)

    # --- conditions --------------------------------------------------------------------------

    def _expr(self, expression: syntax.Expr) -> int:
        """Check; the captures that are certainly set where it holds."""
        before = self.state.captures
        if isinstance(expression, syntax.Test):
            return self._test(expression)
        if isinstance(expression, syntax.And):
            for operand in expression.operands:
                self.state.captures = self._expr(operand)
            return self.state.captures
        if isinstance(expression, syntax.Or):
            counts = []
            for operand in expression.operands:
                self.state.captures = before
                counts.append(self._expr(operand))
            return min(counts)
        if isinstance(expression, syntax.Not):
            self._expr(expression.operand)
            return before
        if isinstance(expression, syntax.ProgramSucceeds):
            check_program(self, expression.argv)
        if isinstance(expression, syntax.Authentication):
            values.check_results(expression, self._report_value)
        elif isinstance(expression, syntax.DuplicateWithin):
            values.check_period(expression.period, self._report_value)
        return before

    def _test(self, test: syntax.Test) -> int:
        before = self.state.captures
        names: list[str] = []
        for field in test.fields:
            if isinstance(field, syntax.Text):
                self.text(field)
                names.append("a text")
            else:
                if values.check_operator(field.name, test.operator, self._report_value, field.span):
                    names.append(field.name)
        if names == ["weekday"]:
            for value in test.values:
                values.check_weekday(value, self._report_value)
            return before
        counts = []
        for value in test.values:
            known = self._known(value)
            for field_name in names:
                for kind in known.kinds:
                    values.check_value(field_name, test.operator, value, kind, self._report_value)
            if test.operator == "matches":
                counts += [count or before for count in known.captures]
        return min(counts) if counts and not test.negated else before

    def _report_value(self, code: str, message: str, place: Span, hint: str) -> None:
        self.report(code, message, place, hint)

    # --- values and texts --------------------------------------------------------------------

    def kinds(self, value: syntax.Value) -> Iterable[str]:
        """The kinds of VALUE, names looked up and braces checked."""
        if isinstance(value, syntax.Text):
            self.text(value)
            return ("text",)
        if isinstance(value, syntax.Name):
            return self._named(value).kinds
        if isinstance(value, syntax.Range):
            name = values.named(value)
            if name is not None:
                self.report("E321", "the ends of a range are written out", name.span)
                return ()
            for end in (value.low, value.high):
                if isinstance(end, syntax.Text):
                    self.text(end)
        if isinstance(value, syntax.Lines) and plain_text(value.path) is None:
            self.report("E316", "a file of lines is named without braces", value.path.span)
        return (values.kind_of(value),)

    def _named(self, name: syntax.Name) -> Known:
        known = self.state.lets.get(name.name)
        if known is not None:
            return known
        line = self._maybe.get(name.name)
        if line:
            message = f"some way to this line leaves {name.name} unset"
            self.report("E303", message, name.span, f"the let in line {line} does not always run")
        else:
            from mdeliver.language import hints

            hint = hints.did_you_mean(name.name, self.state.lets)
            hint = hint or f'write "{name.name}" if it is a text'
            if name.name in ("empty", "blank", "nothing", "null"):
                hint = 'write "" for the empty text, or does not exist'
            self.report("E301", f"nothing above is called {name.name}", name.span, hint)
        return Known(1, frozenset(), frozenset((99,)))

    def text(self, text: syntax.Text, *, folder: bool = False, later: bool = False) -> None:
        """Check the braces of TEXT. `folder`: {folder} has a meaning; `later`: filled in later."""
        for part in text.parts:
            if type(part) is syntax.Brace:
                self._brace(part, folder, later)

    def _brace(self, brace: syntax.Brace, folder: bool, later: bool) -> None:
        name = brace.name
        known = self.state.lets.get(name)
        if name.isdigit():
            self._capture(brace, later)
        elif known is not None:
            if known.count != 1 or not known.kinds <= {"text", "number", "quantity"}:
                hint = "a brace takes a let of one text"
                self.report("E304", f"{name} is not one text", brace.span, hint)
            elif later:
                self.path_lets.add(name)
        elif name in VARIABLES or name in BRACE_FIELDS or (folder and name == "folder"):
            return
        elif name in self._maybe:
            hint = f"the let in line {self._maybe[name]} does not always run"
            self.report("E303", f"some way to this line leaves {name} unset", brace.span, hint)
        else:
            from mdeliver.language import hints

            hint = hints.did_you_mean(name, (*VARIABLES, *BRACE_FIELDS, *self.state.lets))
            if name == "folder":
                hint = "{folder} stands only in the path of a mailbox"
            self.report("E325", f"{{{name}}} is nothing that is known here", brace.span, hint)

    def _capture(self, brace: syntax.Brace, later: bool) -> None:
        name, captures = brace.name, self.state.captures
        if later:
            hint = "write the place where the message is filed"
            self.report("E303", f"{{{name}}} is not kept for later lines", brace.span, hint)
        elif not name.isascii() or len(name) > 4 or not 1 <= int(name) <= captures:
            hint = "captures come from (*) or (?) in the last matches of the condition"
            if captures > 0:
                hint = f"{captures} here at most; on some way perhaps fewer than you wrote"
            self.report("E303", f"some way to this line leaves {{{name}}} unset", brace.span, hint)
