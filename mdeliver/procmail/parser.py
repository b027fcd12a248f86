"""Read a procmailrc: any text gives a tree and findings, never an exception.

Reads       as procmail does, which skips what it does not understand; what it skips is a finding.
Findings    P101 ... P112, with their places; "error" where mail may go another way than written.
Limits      NESTING blocks within each other; what is deeper is one Skipped.
See also    syntax.py, words.py; procmailrc(5)
"""

from __future__ import annotations

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.procmail.syntax import (
    FLAGS,
    Assignment,
    Block,
    Brace,
    Comment,
    Condition,
    File,
    Folder,
    Forward,
    Head,
    Pipe,
    Recipe,
    Skipped,
    Words,
)
from mdeliver.procmail.words import ONE, SPLIT, Read, is_name_char, read_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.syntax import Item

NESTING = 60
"""Blocks within blocks."""

LINE_BYTES = 2048
"""procmail's LINEBUF: what is longer it cuts off."""

FINDINGS = 1000
"""Findings that are kept."""


def parse_procmailrc(text: str, name: str) -> File:
    """Read TEXT (one character for each byte), which findings call NAME."""
    return _Parser(text, name).file()


class _Open:
    """A block under way."""

    def __init__(self, head: Head, parts: tuple[Condition | Comment, ...], brace: Brace) -> None:
        self.head = head
        self.parts = parts
        self.brace = brace


class _Parser:
    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.at = 0
        self.lines = [0]
        self.findings: list[Diagnostic] = []
        self.blocks: list[tuple[_Open | None, list[Item]]] = [(None, [])]
        at = text.find("\n")
        while at >= 0:
            self.lines.append(at + 1)
            at = text.find("\n", at + 1)

    # --- places and findings

    def span(self, start: int, end: int) -> Span:
        from bisect import bisect_right

        line = bisect_right(self.lines, start)
        first = self.lines[line - 1]
        line_end = self.lines[line] - 1 if line < len(self.lines) else len(self.text)
        return Span(
            self.name, line, start - first + 1, max(start + 1, min(end, line_end)) - first + 1
        )

    def report(
        self, code: str, message: str, span: Span, hint: str = "", level: str = "error"
    ) -> None:
        if len(self.findings) < FINDINGS:
            first = self.lines[span.line - 1]
            source = self.text[first:].partition("\n")[0] if first < len(self.text) else ""
            found = Diagnostic(code, level, message, span, source[:400], hint)  # type: ignore[arg-type]
            self.findings.append(found)

    # --- the file

    def file(self) -> File:
        while self.at < len(self.text):
            self.statement()
        while len(self.blocks) > 1:
            opened, _items = self.blocks[-1]
            assert opened is not None
            self.report(
                "P104", "this block is never closed", opened.brace.span, "add a line with }"
            )
            self.close(None)
        self.look_at_bytes()
        self.findings.sort(key=lambda finding: (finding.place.line, finding.place.column))
        return File(self.name, tuple(self.blocks[0][1]), tuple(self.findings))

    def look_at_bytes(self) -> None:
        if (at := self.text.find("\0")) >= 0:
            self.report("P109", "this is no text: there is a NUL byte", self.span(at, at + 1))
        if (at := self.text.find("\r\n")) >= 0:
            hint = (
                "procmail takes the CR as part of the line; remove it, for example with tr -d '\\r'"
            )
            self.report("P108", "lines end in CR LF", self.span(at, at + 1), hint)

    @property
    def items(self) -> list[Item]:
        return self.blocks[-1][1]

    def statement(self) -> None:
        start = self.at
        self.white()
        char = self.text[self.at : self.at + 1]
        if char in ("", "\n"):
            self.at += len(char)
            self.items.append(Comment("", self.text[start : self.at], self.span(start, self.at)))
        elif char == "#":
            self.items.append(self.comment(start))
        elif char == ":":
            self.recipe(start)
        elif char == "}":
            self.at += 1
            self.close(Brace(self.text[start : self.at], self.span(self.at - 1, self.at)))
        else:
            self.assignment(start)

    def white(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1

    def comment(self, start: int) -> Comment:
        begin = self.at
        end = self.line_end()
        self.at = min(end + 1, len(self.text))
        text = self.text[begin + 1 : end]
        return Comment(text, self.text[start : self.at], self.span(begin, end))

    def line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def close(self, brace: Brace | None) -> None:
        """A `}`, or the end of the file in its place."""
        opened, items = self.blocks[-1]
        if opened is None:
            assert brace is not None
            self.items.append(brace)
            self.report("P103", "this } closes nothing", brace.span)
            return
        self.blocks.pop()
        block = Block(opened.brace, tuple(items), brace, opened.brace.span)
        self.items.append(Recipe(opened.head, opened.parts, block, opened.head.span))

    # --- assignments

    def assignment(self, start: int) -> None:
        begin = self.at
        while is_name_char(self.text[self.at : self.at + 1] or " "):
            self.at += 1
        name = self.text[begin : self.at]
        after = self.text[self.at : self.at + 1]
        if not name or name[0].isdigit() or (after and after not in " \t\n="):
            # procmail skips a word, then looks again: what follows may be a recipe.
            if not name or name[0].isdigit():
                self.at = self.line_end()
            span = self.span(begin, self.at)
            self.items.append(Skipped(self.text[start : self.at], span))
            self.report("P105", "this is neither a recipe nor an assignment", span, "", "warning")
            return
        self.white()
        value: Words | None = None
        if self.text[self.at : self.at + 1] == "=":
            self.at += 1
            read = read_words(self.text, self.at, ONE)
            self.take(read, begin)
            value = read.words
        span = self.span(begin, self.at)
        comment = self.rest_of_line()
        self.items.append(Assignment(name, value, comment, self.text[start : self.at], span))

    def rest_of_line(self) -> str:
        """A comment behind an assignment on its line, and the line's end."""
        if self.text[self.at - 1 : self.at] == "\n":
            return ""
        at = self.at
        while self.text[at : at + 1] in (" ", "\t") and at < len(self.text):
            at += 1
        if self.text[at : at + 1] == "#":
            self.at = at
            end = self.line_end()
            comment = self.text[at + 1 : end]
            self.at = min(end + 1, len(self.text))
            return comment
        if self.text[at : at + 1] == "\n":
            self.at = at + 1
        return ""

    def take(self, read: Read, begin: int) -> None:
        self.at = read.end
        if not read.closed:
            self.report(
                "P101",
                "a quote or brace is never closed",
                self.span(begin, begin + 1),
            )

    # --- recipes

    def recipe(self, start: int) -> None:
        begin = self.at
        self.at += 1
        read = read_words(self.text, self.at, SPLIT)
        self.take(read, begin)
        head = self.head(read, start, begin)
        parts, missing = self.conditions(head)
        if missing:
            self.report("P102", "this recipe has no action", head.span, "", "warning")
            self.items.append(Recipe(head, parts, None, head.span))
            return
        self.action(head, parts)

    def head(self, read: Read, start: int, begin: int) -> Head:
        span = self.span(begin, self.at)
        source = self.text[start : self.at]
        text = _head_text(self.text[begin + 1 : self.at])
        digits = len(text) - len(text.lstrip("0123456789"))
        flags: set[str] = set()
        lock: str | None = None
        rest = text[digits:]
        while rest := rest.lstrip(" \t"):
            if rest[0] == ":":
                names = rest[1:].split()
                lock = names[0] if names else ""
                rest = " ".join(names[1:])
                break
            if rest[0] not in FLAGS:
                break
            flags.add(rest[0])
            rest = rest[1:]
        if rest.strip():
            self.report(
                "P106",
                f"no flags of a recipe: {rest.strip()}",
                span,
                f"flags are {FLAGS}",
                "warning",
            )
        ordered = "".join([flag for flag in FLAGS if flag in flags])
        return Head(
            ordered, lock, int(text[: min(digits, 4)]) if digits else -1, read.comment, source, span
        )

    def conditions(self, head: Head) -> tuple[tuple[Condition | Comment, ...], bool]:
        """The conditions, and whether another recipe begins where the action should."""
        count = head.count
        if count < 0:
            count = 0 if set(head.flags) & set("AaEe") else 1
        parts: list[Condition | Comment] = []
        skipped_empty = False
        while True:
            start = self.at
            self.white()
            count -= 1
            char = self.text[self.at : self.at + 1]
            if char != "*" and count < 0:
                if char == "#":
                    parts.append(self.comment(start))
                    continue
                if char == "\n":
                    self.at += 1
                    parts.append(Comment("", self.text[start : self.at], self.span(start, start)))
                    skipped_empty = True
                    continue
                self.at = start
                return tuple(parts), skipped_empty and char == ":"
            if not char:
                self.at = start
                return tuple(parts), False
            parts.append(self.condition(start, char == "*"))

    def condition(self, start: int, starred: bool) -> Condition:
        begin = self.at
        self.at += starred
        self.white()
        text = self.folded_line()
        span = self.span(begin, self.at)
        return Condition(text, self.text[start : self.at], span)

    def folded_line(self) -> str:
        """The rest of the line and, behind a `\\`, the lines after it."""
        made: list[str] = []
        while True:
            end = self.line_end()
            line = self.text[self.at : end]
            self.at = min(end + 1, len(self.text))
            if len(line) >= LINE_BYTES:
                hint = f"procmail cuts lines at {LINE_BYTES} bytes unless LINEBUF is larger"
                self.report(
                    "P112", "a very long line", self.span(end - len(line), end), hint, "warning"
                )
            if not line.endswith("\\") or end == len(self.text):
                made.append(line)
                return "".join(made)
            # A line that is nothing but the backslash leaves just its line end.
            made.append("\n" if line == "\\" else f"{line}\n")

    # --- actions

    def action(self, head: Head, parts: tuple[Condition | Comment, ...]) -> None:
        start = self.at
        self.white()
        begin = self.at
        char = self.text[begin : begin + 1]
        action: Folder | Forward | Pipe | None
        if not char:
            self.at = start
            self.report("P102", "the file ends before the action of this recipe", head.span)
            action = None
        elif char == "{" and self.text[begin + 1 : begin + 2] in (" ", "\t", "\n"):
            self.open_block(head, parts, start)
            return
        elif char == "!":
            self.at += 1
            read = read_words(self.text, self.at, SPLIT)
            self.take(read, begin)
            action = Forward(read.words, read.comment, *self.source(start, begin))
        elif char == "|":
            self.at += 1
            action = self.pipe(start, begin, "")
        else:
            action = self.folder(start, begin)
        self.items.append(Recipe(head, parts, action, head.span))

    def source(self, start: int, begin: int) -> tuple[str, Span]:
        return self.text[start : self.at], self.span(begin, self.at)

    def pipe(self, start: int, begin: int, capture: str) -> Pipe:
        command = self.folded_line()
        return Pipe(command, capture, *self.source(start, begin))

    def open_block(self, head: Head, parts: tuple[Condition | Comment, ...], start: int) -> None:
        begin = self.at
        self.at += 2
        if len(self.blocks) > NESTING:
            # What is that deep is nobody's rules, and would be too deep for whoever reads the tree.
            span = self.span(begin, begin + 1)
            self.report("P110", f"more than {NESTING} blocks within each other", span)
            self.at = len(self.text)
            self.items.append(Recipe(head, parts, None, head.span))
            self.items.append(Skipped(self.text[start:], span))
            return
        brace = Brace(*self.source(start, begin))
        self.blocks.append((_Open(head, parts, brace), []))

    def folder(self, start: int, begin: int) -> Folder | Pipe:
        """A folder, or `NAME=|program`."""
        at = begin
        while is_name_char(self.text[at : at + 1] or " "):
            at += 1
        name = self.text[begin:at]
        while self.text[at : at + 1] in (" ", "\t") and at < len(self.text):
            at += 1
        if name and not name[0].isdigit() and self.text[at : at + 1] == "=":
            at += 1
            while self.text[at : at + 1] in (" ", "\t") and at < len(self.text):
                at += 1
            if self.text[at : at + 1] == "|":
                self.at = at + 1
                return self.pipe(start, begin, name)
        if self.text[begin] == "{":
            hint = "write a space or a new line after the {"
            self.report(
                "P107",
                "this { opens no block, it begins the name of a folder",
                self.span(begin, begin + 1),
                hint,
            )
        read = read_words(self.text, begin, SPLIT)
        self.take(read, begin)
        return Folder(read.words, read.comment, *self.source(start, begin))


def _head_text(line: str) -> str:
    """A recipe's first line without its comment."""
    for at, char in enumerate(line):
        if char == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at]
    return line.rstrip("\n")
