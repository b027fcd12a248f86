"""Read a Sieve script (RFC 5228) into commands with their places and the comments before them.

Tokens      are sievelib's; its parser knows neither the places of commands nor all extensions, so
            the generic grammar of section 8.2 is read here:
              command = identifier arguments (";" / block)
              arguments = *argument [test / test-list]
Fails with  findings, as values; what stands behind an error is not read.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.record import Record

DEPTH = 60
"""Blocks and tests within each other."""

SCRIPT_BYTES = 1 << 20
"""Of a script: Pigeonhole, too, takes no larger ones (sieve_max_script_size)."""

DIGITS = 18
"""Of a number: enough for any size that a message has."""


class Command(Record):
    """A command or a test.

    name       lower case
    arguments  tags (":copy"), numbers, texts and lists of texts, in order
    tests      the tests that it has
    block      None where it ends in `;`, and for tests
    comments   that stood before it
    """

    name: str
    arguments: tuple[str | int | Text | tuple[str, ...], ...]
    tests: tuple[Command, ...]
    block: tuple[Command, ...] | None
    comments: tuple[str, ...]
    span: Span


class Text(str):
    """A quoted text; a bare str among the arguments is a tag."""

    __slots__ = ()


class Script(Record):
    """A whole script; `last` are the comments at its end."""

    name: str
    commands: tuple[Command, ...]
    last: tuple[str, ...]
    findings: tuple[Diagnostic, ...]


class _Wrong(Exception):
    """Something that is no Sieve; where, and what was expected."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


def read_script(text: str, name: str) -> Script:
    """Read TEXT, which findings call NAME."""
    reading = _Reading(text, name)
    commands: list[Command] = []
    findings: list[Diagnostic] = []
    try:
        if len(text) > SCRIPT_BYTES:
            raise _Wrong(0, f"the script is larger than {SCRIPT_BYTES >> 20} MB")
        reading.tokens = list(reading.scan())
        while not reading.ends():
            commands.append(reading.command(0))
    except _Wrong as wrong:
        span = reading.span(wrong.at)
        line = text.split("\n")[span.line - 1]
        findings.append(Diagnostic("S101", "error", wrong.message, span, line[:400]))
    return Script(name, tuple(commands), tuple(reading.comments), tuple(findings))


class _Reading:
    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.tokens: list[tuple[str, str, int]] = []
        self.at = 0
        self.comments: list[str] = []
        self.starts = [0, *[found.end() for found in re.finditer("\n", text)]]
        """Where each line begins."""

    def scan(self) -> list[tuple[str, str, int]]:
        """The tokens with their places, in octets of UTF-8."""
        from sievelib.parser import Lexer, ParseError, Parser

        lexer = Lexer(Parser.lrules)
        found = []
        octets = self.text.encode()
        where = read = 0
        try:
            for kind, value in lexer.scan(octets):
                where += len(octets[read : lexer.pos].decode(errors="ignore"))
                read = lexer.pos
                found.append((kind, value.decode(), where))
        except ParseError as error:
            where = len(octets[: lexer.pos].decode(errors="ignore"))
            raise _Wrong(where, str(error).removeprefix("parsing error: ")) from None
        return found

    def span(self, at: int) -> Span:
        line = bisect_right(self.starts, at)
        column = at - self.starts[line - 1] + 1
        return Span(self.name, line, column, column + 1)

    def skip_comments(self) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at][0].endswith("_comment"):
            kind, value, _ = self.tokens[self.at]
            value = value[1:] if kind == "hash_comment" else value[2:-2]
            self.comments += [f" {line.strip(' *')}" for line in value.strip().split("\n")]
            self.at += 1

    def ends(self) -> bool:
        self.skip_comments()
        return self.at >= len(self.tokens)

    def kind(self) -> str:
        self.skip_comments()
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, *kinds: str) -> tuple[str, str, int]:
        kind = self.kind()
        if kind not in kinds:
            where = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
            raise _Wrong(where, f"expected {' or '.join(k.replace('_', ' ') for k in kinds)}")
        self.at += 1
        return self.tokens[self.at - 1]

    def command(self, depth: int) -> Command:
        _, name, where = self.take("identifier")
        comments, self.comments = self.comments, []
        arguments, tests = self.arguments(depth)
        block: tuple[Command, ...] | None = None
        if self.kind() == "left_cbracket":
            if depth > DEPTH:
                raise _Wrong(where, f"more than {DEPTH} blocks within each other")
            self.take("left_cbracket")
            inner: list[Command] = []
            while self.kind() not in ("right_cbracket", ""):
                inner.append(self.command(depth + 1))
            self.take("right_cbracket")
            block = tuple(inner)
        else:
            self.take("semicolon", "left_cbracket")
        span = self.span(where)
        return Command(name.lower(), arguments, tests, block, tuple(comments), span)

    def arguments(
        self, depth: int
    ) -> tuple[tuple[str | int | Text | tuple[str, ...], ...], tuple[Command, ...]]:
        found: list[str | int | Text | tuple[str, ...]] = []
        while True:
            kind = self.kind()
            if kind in ("string", "multiline", "tag", "number"):
                _, value, where = self.take(kind)
                if kind == "number" and len(value) > DIGITS:
                    raise _Wrong(where, f"a number has at most {DIGITS} digits")
                found.append(_argument(kind, value))
            elif kind == "left_bracket":
                found.append(self.texts())
            elif kind == "identifier":
                return tuple(found), (self.test(depth + 1),)
            elif kind == "left_parenthesis":
                return tuple(found), self.tests(depth + 1)
            else:
                return tuple(found), ()

    def texts(self) -> tuple[str, ...]:
        self.take("left_bracket")
        made: list[str] = []
        while self.kind() != "right_bracket":
            made.append(str(_argument(*self.take("string")[:2])))
            if self.kind() != "right_bracket":
                self.take("comma")
        self.take("right_bracket")
        return tuple(made)

    def test(self, depth: int) -> Command:
        _, name, where = self.take("identifier")
        if depth > DEPTH:
            raise _Wrong(where, f"more than {DEPTH} tests within each other")
        arguments, tests = self.arguments(depth)
        return Command(name.lower(), arguments, tests, None, (), self.span(where))

    def tests(self, depth: int) -> tuple[Command, ...]:
        self.take("left_parenthesis")
        made = [self.test(depth)]
        while self.kind() == "comma":
            self.take("comma")
            made.append(self.test(depth))
        self.take("right_parenthesis")
        return tuple(made)


def _argument(kind: str, value: str) -> str | int | Text:
    if kind == "tag":
        return value.lower()
    if kind == "number":
        power = {"K": 10, "M": 20, "G": 30}.get(value[-1].upper(), 0)
        return int(value.rstrip("KMGkmg")) << power
    if kind == "multiline":
        lines = value.replace("\r\n", "\n").split("\n")[1:-1]
        return Text("\n".join([line[1:] if line.startswith("..") else line for line in lines]))
    return Text(re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL))
