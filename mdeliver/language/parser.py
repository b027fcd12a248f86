"""Parse a rules text into its syntax tree, or into all that is wrong with it.

Makes       Parsed(statements, findings): `statements` is what could be read, complete exactly
            when there are no findings. Any text whatever gives a Parsed, never an exception.
Grammar     file, stmt, block, simple, action, as, flags, targets, target, place
Recovers    at the end of a line; a block that belongs to a broken line is still read, so that
            all errors of a file are reported at once.
See also    parse_tests.py (conditions), lexer.py, mdeliver-rules(5)
"""

from __future__ import annotations

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.language import syntax
from mdeliver.language.parse_tests import TestParser
from mdeliver.language.parse_values import Stop
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_ACTIONS = frozenset((
    "file", "keep", "forward", "pipe", "discard", "reject", "defer", "mark", "set", "add",
    "remove", "filter", "run", "reply", "log",
))  # fmt: skip
_FINAL = frozenset(("discard", "reject", "defer"))


class Parsed(Record):
    """What stands in one rules text; `has_includes` and `lines_of`: files that belong to it."""

    statements: tuple[syntax.Statement, ...]
    findings: tuple[Diagnostic, ...]
    has_includes: bool
    lines_of: tuple[syntax.Lines, ...]


def parse(text: str, file: str, depth: int = 0) -> Parsed:
    """Parse TEXT, which findings call FILE; DEPTH blocks are already open around it."""
    parser = Parser(text, file, depth)
    statements = parser.file_statements()
    findings = parser.findings
    if len(findings) > 1:
        findings.sort(key=lambda finding: (finding.place.line, finding.place.column))
    return Parsed(statements, tuple(findings), parser.has_includes, tuple(parser.lines_of))


class Parser(TestParser):
    """Statements and actions."""

    __slots__ = ("has_includes",)

    def __init__(self, text: str, file: str, depth: int) -> None:
        super().__init__(text, file, depth)
        self.has_includes = False

    def file_statements(self) -> tuple[syntax.Statement, ...]:
        """file = {stmt}"""
        statements: list[syntax.Statement] = []
        while self.kind != "end":
            statements += self._statements()
            if self.kind == "dedent":
                self.advance()
        return tuple(statements)

    def _statements(self) -> list[syntax.Statement]:
        """Statements up to the end of their block; broken ones are reported and left out."""
        statements: list[syntax.Statement] = []
        # Blocks that belong to no sound line: read as if they stood at this level.
        stray = 0
        while True:
            kind = self.kind
            if kind == "nl":
                self.advance()
            elif kind == "indent":
                self.report("E204", "unexpected indentation", "only a block after : is indented")
                stray += 1
                self.advance()
            elif kind == "dedent" and stray:
                stray -= 1
                self.advance()
            elif kind == "dedent" or kind == "end":
                return statements
            else:
                depth = self.depth
                try:
                    statements.append(self._statement())
                except Stop:
                    self.depth = depth
                    stray += self._recover()

    def _recover(self) -> int:
        """Go to the next line; 1 if it opens a block that the broken line announced."""
        while self.kind not in ("nl", "end"):
            if self.kind in ("indent", "dedent"):
                return 0
            self.advance()
        if self.kind == "nl":
            self.advance()
        if self.kind == "indent":
            self.advance()
            return 1
        return 0

    def _statement(self) -> syntax.Statement:
        start, word = self.at, self.value if self.kind == "id" else ""
        statement: syntax.Statement
        if word == "if":
            return self._if()
        if word in _ACTIONS or word == "also" or word == "let":
            statement = self._simple()
        elif word == "mailbox":
            statement = self._mailbox()
        elif word == "inbox":
            self.advance()
            self.equals("inbox = imap, pop3")
            statement = syntax.Inbox(self.targets(), self.span(start))
        elif word == "me":
            self.advance()
            self.equals('me = "ann@example.org"')
            statement = syntax.MeIs(self.values(), self.span(start))
        elif word == "include":
            self.advance()
            self.has_includes = True
            statement = syntax.Include(self.text("a file's name"), None, self.span(start))
        elif word == "elif" or word == "else":
            hint = "the line above it in the same block must be its if"
            self.fail("E206", f"{word} without an if", hint)
        else:
            self._no_statement()
        self._line_end()
        return statement

    def _no_statement(self) -> NoReturn:
        from mdeliver.language import hints

        token = self.tokens[self.at]
        hint = hints.statement(token, self.following())
        self.fail("E201", f"{hints.describe(token)} begins no line of rules", hint)

    def _line_end(self) -> None:
        if self.kind == "nl":
            self.advance()
        elif self.kind != "end":
            from mdeliver.language import hints

            token = self.tokens[self.at]
            hint = "one statement stands on a line"
            if token[0] == "id" and token[1] == "if":
                hint = "the condition comes first: if …: and then the action"
            elif token[0] == "id" and token[1] == "as":
                hint = "as and its flags stand once, at the end"
            elif token[0] in ("path", "str"):
                hint = hints.one_more(self.tokens, self.at)
            elif self.tokens[self.at - 2][0] in (",", "="):
                hint = f"the {self.tokens[self.at - 2][0]} before it made the line go on"
            self.fail("E216", f"unexpected {hints.describe(token)}", hint)

    # --- if ----------------------------------------------------------------------------------

    def _if(self) -> syntax.Statement:
        """ "if" expr ":" block {"elif" expr ":" block} ["else" ":" block]"""
        start = self.at
        branches = [self._branch()]
        otherwise = None
        while self.kind == "id":
            if self.value == "elif":
                branches.append(self._branch())
                continue
            if self.value != "else":
                break
            if self.following()[1] == "if" and self.following()[0] == "id":
                self.report("E207", "else if is one word here", "write elif")
                self.advance()
                branches.append(self._branch())
                continue
            self.advance()
            otherwise = self._block("else")
            if self.kind == "id" and self.value in ("elif", "else"):
                self.report("E206", f"{self.value} after else", "else comes last, and once")
                continue
            break
        return syntax.If(tuple(branches), otherwise, self._line_span(start))

    def _branch(self) -> syntax.Branch:
        start, word = self.at, self.value
        self.advance()
        depth = self.depth
        condition: Any = None
        try:
            condition = self.expr()
            place = self.span(start)
        except Stop:
            self.depth = depth
            place = self._line_span(start)
            while self.kind not in (":", "nl", "end", "indent", "dedent"):
                self.advance()
            if self.kind == "nl":
                # The broken condition swallowed its colon, perhaps; its block may follow.
                return syntax.Branch(condition, self._indented(word, True), place)
        return syntax.Branch(condition, self._block(word), place)

    def _line_span(self, start: int) -> Span:
        """From token START to the end of its line."""
        _, _, line, column, end = self.tokens[start]
        return Span(self.file, line, column, max(end, len(self.lines[line - 1]) + 1))

    def _block(self, word: str) -> tuple[syntax.Statement, ...]:
        """ ":" block, block = simple NL | NL INDENT stmt {stmt} DEDENT"""
        if self.kind == ":":
            self.advance()
        else:
            self._no_colon()
        if self.kind == "nl" or self.kind == "end":
            return self._indented(word, False)
        token = self.value if self.kind == "id" else ""
        depth = self.depth
        try:
            if token in ("if", "mailbox", "inbox", "me", "include"):
                hint = "it needs a line of its own, indented"
                self.fail("E205", f"{token} cannot stand on this line", hint)
            if not (token in _ACTIONS or token in ("also", "let")):
                self._no_statement()
            statement = self._simple()
            self._line_end()
        except Stop:
            self.depth = depth
            if self._recover():
                self._rest_of_block()
            return ()
        if self.kind == "indent":
            message = "a block stands either on the line of its if or below it, not both"
            self.report("E204", message, "put the first action on a line of its own")
            self.advance()
            self._rest_of_block()
        return (statement,)

    def _no_colon(self) -> None:
        """Where `:` should be: go on without it if the block is plain to see."""
        from mdeliver.language import hints

        token = self.tokens[self.at]
        ends = self.kind in ("nl", "end") or self.value in (*_ACTIONS, "also", "let")
        hint = "write : before the block"
        if not ends:
            hint = hints.after_test(self.tokens, self.at)
        expected = '":"' if ends else '"and", "or" or ":"'
        self.report("E203", hints.expected(expected, token), hint)
        if not ends:
            while self.kind not in (":", "nl", "end"):
                self.advance()
            if self.kind == ":":
                self.advance()

    def _indented(self, word: str, broken: bool) -> tuple[syntax.Statement, ...]:
        """NL INDENT stmt {stmt} DEDENT; no block is no second error after a BROKEN condition."""
        if self.kind == "nl":
            self.advance()
        if self.kind != "indent":
            if not broken:
                hint = "what it does stands indented below it, or after the colon"
                place = self._line_span(max(self.at - 1, 0))
                self.report("E205", f"{word} has no block", hint, place)
            return ()
        if self._too_deep():
            return ()
        self.advance()
        self.depth += 1
        statements = self._statements()
        self.depth -= 1
        if self.kind == "dedent":
            self.advance()
        return tuple(statements)

    def _too_deep(self) -> bool:
        """Whether one block more would be too much; if so it is reported and stepped over."""
        try:
            self.deeper()
        except Stop:
            opened = 0
            while self.kind != "end":
                opened += (self.kind == "indent") - (self.kind == "dedent")
                self.advance()
                if not opened:
                    break
            return True
        self.depth -= 1
        return False

    def _rest_of_block(self) -> None:
        """Read a block that belongs nowhere, only for the errors in it."""
        if self._too_deep():
            return
        self.depth += 1
        self._statements()
        self.depth -= 1
        if self.kind == "dedent":
            self.advance()

    # --- simple statements -------------------------------------------------------------------

    def _simple(self) -> syntax.Statement:
        """simple = "let" name "=" values | ["also"] action"""
        start = self.at
        if self.accept("let"):
            name = self.name("a name")
            self.equals(f'let {name} = "…"')
            return syntax.Let(name, self.values(), self.span(start))
        also = self.accept("also")
        if also and self.kind == "id" and self.value in _FINAL:
            hint = f"it ends the rules; leave out also, or put {self.value} on its own line"
            self.report("E218", f"also cannot stand before {self.value}", hint)
        if not (self.kind == "id" and self.value in _ACTIONS):
            from mdeliver.language import hints

            word = self.value if self.kind == "id" else ""
            hint = hints.did_you_mean(word, hints.ACTIONS) if word else ""
            if word in ("let", "if"):
                hint = f"{word} stands without also"
            self.fail_expected("an action after also", hint=hint)
        action = self._action()
        return syntax.Do(also, action, self.span(start))

    def _mailbox(self) -> syntax.Statement:
        """ "mailbox" name "=" place"""
        start = self.at
        self.advance()
        name = self.name("a mailbox's name")
        self.equals(f'mailbox {name} = maildir "~/Maildir"')
        place = self.place()
        if place is None:
            hint = 'write maildir "~/Maildir" or mbox "~/mbox"'
            self.fail_expected("maildir or mbox", hint=hint)
        return syntax.Mailbox(name, place, self.span(start))

    # --- actions -----------------------------------------------------------------------------

    def _action(self) -> syntax.Action:
        start, word = self.at, self.value
        self.advance()
        if word == "file":
            self._file_to()
            targets = self.targets()
            return syntax.FileTo(targets, self.as_flags(), self.span(start))
        if word == "keep":
            return syntax.Keep(self.as_flags(), self.span(start))
        if word == "forward":
            self.expect("to")
            return syntax.ForwardTo(self.values(), self.span(start))
        if word == "pipe":
            self.expect("to")
            return syntax.PipeTo(self.texts("a program's name"), self.span(start))
        if word == "discard":
            return syntax.Discard(self.span(start))
        if word in ("reject", "defer"):
            text = self.text("a text") if self.kind == "str" else None
            made = syntax.Reject if word == "reject" else syntax.Defer
            return made(text, self.span(start))
        return self._later_action(start, word)

    def _later_action(self, start: int, word: str) -> syntax.Action:
        """The actions that change a message or tell others of it."""
        if word == "mark":
            self.accept("as")
            return syntax.Mark(self.flags(), self.span(start))
        if word == "filter":
            self.expect("through")
            return syntax.FilterThrough(self.texts("a program's name"), self.span(start))
        if word == "run":
            return syntax.Run(self.texts("a program's name"), self.span(start))
        if word in ("set", "add"):
            self.expect("header")
            line = self.text('a line such as "X-Seen: yes"')
            made = syntax.SetHeader if word == "set" else syntax.AddHeader
            return made(line, self.span(start))
        if word == "remove":
            self.expect("header")
            names = [self.text("a header's name")]
            while self.kind == ",":
                self.advance()
                names.append(self.text("a header's name"))
            return syntax.RemoveHeader(tuple(names), self.span(start))
        if word == "reply":
            self.expect("with")
            is_file = self.accept("file")
            text = self.text("a file's name" if is_file else "a text")
            every = self.quantity("a time such as 7d") if self.accept("every") else None
            return syntax.ReplyWith(text, is_file, every, self.span(start))
        return syntax.Log(self.text("a text"), self.span(start))

    def _file_to(self) -> None:
        if self.accept("to"):
            return
        if self.kind == "id" and self.value in ("in", "into", "under", "at"):
            self.report("E208", f"file {self.value} is not said here", "write file to")
            self.advance()
            return
        self.fail_expected('"to"', hint="write file to imap/Folder")
