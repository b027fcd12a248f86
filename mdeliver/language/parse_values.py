"""Read tokens: the present one, what is expected, and the small parts of every statement.

Grammar     values, value, one, targets, target, place, flags, name, STR, QUANT, ID
Recovers    at the line's end: `fail` notes a finding and unwinds to whoever can go on, always
            within the parser. A line in which the lexer found something gets no second finding.
See also    parse_tests.py (conditions), parser.py (statements)
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.language import syntax
from mdeliver.language.lexer import Lexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from mdeliver.language.lexer import Token

RESERVED = frozenset((
    "and", "or", "not", "if", "elif", "else", "is", "to", "as", "exactly", "lines", "inbox",
    "maildir", "mbox", "me",
))  # fmt: skip
LITERALS = frozenset(("str", "regex", "num", "quant", "clock", "date"))
_FLAGS = ("seen", "flagged", "answered", "draft")


class Stop(Exception):
    """Unwinds to the statement or condition that recovers. Never leaves the parser."""


class ValueParser:
    """The tokens of a text and where we are in them; values, targets and flags."""

    __slots__ = (
        "at", "bad_lines", "depth", "file", "findings", "kind", "lines", "lines_of", "tokens",
        "value",
    )  # fmt: skip

    def __init__(self, text: str, file: str, depth: int = 0) -> None:
        lexed = Lexer(text, file)
        self.file = file
        self.lines = lexed.lines
        self.tokens = lexed.tokens
        self.findings = lexed.findings
        self.bad_lines = lexed.bad_lines
        self.depth = depth
        self.lines_of: list[syntax.Lines] = []
        self.at = 0
        self.kind: str = self.tokens[0][0]
        self.value: Any = self.tokens[0][1]

    # --- the present token -------------------------------------------------------------------

    def advance(self) -> None:
        """Go on to the next token; the last one, `end`, stays."""
        if self.kind != "end":
            self.at += 1
            token = self.tokens[self.at]
            self.kind = token[0]
            self.value = token[1]

    def following(self, steps: int = 1) -> Token:
        """The token STEPS after the present one."""
        return self.tokens[min(self.at + steps, len(self.tokens) - 1)]

    def accept(self, word: str) -> bool:
        """Step over WORD if it stands here."""
        if self.kind == "id" and self.value == word:
            self.advance()
            return True
        return False

    def expect(self, *words: str) -> None:
        """Step over WORDS, or fail at the first that does not stand here."""
        for word in words:
            if not (self.kind == "id" and self.value == word):
                self.fail_expected(f'"{word}"')
            self.advance()

    def span(self, start: int) -> Span:
        """From token START to the last one that was stepped over, on START's line."""
        _, _, line, column, end = self.tokens[start]
        last = self.tokens[self.at - 1] if self.at > start else self.tokens[start]
        if last[2] != line:
            return Span(self.file, line, column, len(self.lines[line - 1]) + 1)
        return Span(self.file, line, column, max(last[4], end))

    def here(self) -> Span:
        """The place of the present token."""
        _, _, line, column, end = self.tokens[self.at]
        return Span(self.file, line, column, end)

    # --- findings ----------------------------------------------------------------------------

    def report(self, code: str, message: str, hint: str = "", place: Span | None = None) -> None:
        """Note an error, here unless PLACE says where, and go on."""
        place = place or self.here()
        if place.line not in self.bad_lines and len(self.findings) < limits.FINDINGS:
            source = self.lines[place.line - 1]
            self.findings.append(Diagnostic(code, "error", message, place, source, hint))

    def fail(self, code: str, message: str, hint: str = "", place: Span | None = None) -> NoReturn:
        """Note an error and unwind to whoever recovers."""
        self.report(code, message, hint, place)
        raise Stop

    def fail_expected(self, what: str, code: str = "E202", hint: str = "") -> NoReturn:
        """Fail with "expected WHAT, found …"."""
        from mdeliver.language import hints

        token, before = self.tokens[self.at], self.tokens[self.at - 1]
        if self.at and before[0] in (",", "=") and before[2] < token[2]:
            # The line went on for that sign alone: that is where something is missing.
            place = Span(self.file, before[2], before[3], before[4])
            self.fail(code, f'expected {what} after "{before[0]}"', hint, place)
        self.fail(code, hints.expected(what, token), hint)

    def deeper(self) -> None:
        """Enter a block, a parenthesis or a `not`; whoever calls leaves it with `depth -= 1`."""
        if self.depth >= limits.NESTING_DEPTH:
            message = f"more than {limits.NESTING_DEPTH} levels of blocks, parentheses and not"
            self.fail("E217", message, "split the rule, or give its parts names of their own")
        self.depth += 1

    # --- values ----------------------------------------------------------------------------

    def values(self) -> tuple[syntax.Value, ...]:
        """values = value {"," value}"""
        values = [self._value()]
        while self.kind == ",":
            self.advance()
            values.append(self._value())
        return tuple(values)

    def _value(self) -> syntax.Value:
        """value = one ["to" one]"""
        start = self.at
        low = self.one()
        if not self.accept("to"):
            return low
        return syntax.Range(low, self.one(), self.span(start))

    def one(self) -> syntax.One:
        """one = STR|REGEX|name|NUM|QUANT|CLOCK|DATE | "lines" "of" STR | "me" """
        kind, value = self.kind, self.value
        if kind in LITERALS:
            self.advance()
            literal: syntax.One = value
            return literal
        if kind == "id":
            start = self.at
            if value == "me":
                self.advance()
                return syntax.Me(self.span(start))
            if value == "lines":
                self.advance()
                self.expect("of")
                lines = syntax.Lines(self.text("a file's name"), self.span(start))
                self.lines_of.append(lines)
                return lines
            if value not in RESERVED:
                self.advance()
                return syntax.Name(value, self.span(start))
        from mdeliver.language import hints

        return self.fail_expected("a value", "E213", hints.value(self.tokens[self.at]))

    def text(self, what: str) -> syntax.Text:
        """A quoted text, WHAT it is for."""
        if self.kind != "str":
            self.fail_expected(f"{what} in quotes", "E220")
        text: syntax.Text = self.value
        self.advance()
        return text

    def texts(self, what: str) -> tuple[syntax.Text, ...]:
        """STR {STR}"""
        texts = [self.text(what)]
        while self.kind == "str":
            texts.append(self.value)
            self.advance()
        if self.kind == ",":
            self.fail("E216", "a program's arguments have no comma between them", "use spaces")
        return tuple(texts)

    def quantity(self, what: str) -> syntax.Quantity:
        """QUANT"""
        if self.kind != "quant":
            self.fail_expected(what, hint="a number with a unit, such as 7d or 20M")
        value: syntax.Quantity = self.value
        self.advance()
        return value

    def identifier(self, what: str) -> str:
        """ID: a word that may be a keyword elsewhere"""
        if self.kind != "id":
            self.fail_expected(what, hint="a name has no quotes" if self.kind == "str" else "")
        word: str = self.value
        self.advance()
        return word

    def name(self, what: str) -> str:
        if self.kind == "id" and self.value in RESERVED:
            message = f"{self.value} has a meaning of its own and cannot be a name"
            self.fail("E214", message, "choose another name")
        return self.identifier(what)

    def equals(self, example: str) -> None:
        """The equals sign of a definition; EXAMPLE shows one where it is missing."""
        if self.kind != "=":
            from mdeliver.language import hints

            self.fail("E221", hints.expected('"="', self.tokens[self.at]), f"write {example}")
        self.advance()

    # --- targets and flags -----------------------------------------------------------------

    def targets(self) -> tuple[syntax.Target, ...]:
        """targets = target {"," target}"""
        targets = [self._target()]
        while self.kind == ",":
            self.advance()
            targets.append(self._target())
        return tuple(targets)

    def _target(self) -> syntax.Target:
        """target = name | PATH | "inbox" | place"""
        start, kind, value = self.at, self.kind, self.value
        if kind == "path":
            name, steps = value
            if name in RESERVED:
                hint = "name one mailbox, such as imap/Folder"
                self.fail("E219", f"{name} has no folders", hint)
            self.advance()
            return syntax.FolderTarget(name, steps, self.span(start))
        place = self.place()
        if place is not None:
            return place
        if kind == "id" and value == "inbox":
            self.advance()
            return syntax.InboxTarget(self.span(start))
        if kind == "id" and value not in RESERVED:
            self.advance()
            return syntax.FolderTarget(value, (), self.span(start))
        hint = "write a mailbox's name and perhaps a folder: imap/Sent"
        if kind == "str":
            hint = 'write maildir or mbox before a path; a folder is imap/"Big and odd"'
        return self.fail_expected("a mailbox or folder", "E219", hint)

    def place(self) -> syntax.Store | None:
        """place = ("maildir" | "mbox") STR; None where none begins here"""
        start, word = self.at, self.value
        if not (self.kind == "id" and (word == "maildir" or word == "mbox")):
            return None
        self.advance()
        path = self.text(f"the path of the {word}")
        return syntax.Store("maildir" if word == "maildir" else "mbox", path, self.span(start))

    def as_flags(self) -> tuple[syntax.Flag, ...]:
        """["as" flags]"""
        return self.flags() if self.accept("as") else ()

    def flags(self) -> tuple[syntax.Flag, ...]:
        """flags = ID {"," ID}"""
        flags: list[Any] = []
        while True:
            place, word = self.here(), self.identifier("a flag such as seen")
            if word not in _FLAGS:
                from mdeliver.language import hints

                hint = hints.did_you_mean(word, _FLAGS) or f"flags are {', '.join(_FLAGS)}"
                self.report("E307", f"{word} is no flag", hint, place)
            elif word in flags:
                self.report("E308", f"{word} stands here twice", "once is enough", place)
            else:
                flags.append(word)
            if self.kind != ",":
                return tuple(flags)
            self.advance()


def plain_text(text: syntax.Text) -> str | None:
    """The text if it has no braces."""
    if any(isinstance(part, syntax.Brace) for part in text.parts):
        return None
    return "".join(part for part in text.parts if isinstance(part, str))
