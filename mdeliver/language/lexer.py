"""Cut a rules text into tokens, with indentation as in Python.

Makes       (kind, value, line, column, end column) tuples, all counted from 1. Kinds: `id`, `str`
            (a Text), `path` (name, steps), `regex` (a Regex), `num`, `quant`, `clock`, `date`,
            `cmp`, the characters `, = : ( )` themselves, and `nl`, `indent`, `dedent`, `end`.
Fails with  findings E101-E114; nothing is raised, whatever the text. A line with such a finding
            is named in `bad_lines`, so that the parser does not complain of it a second time.
Speed       runs once per delivered message: plain loops and str.find, no `re`; everything that
            only a mistake needs is in hints.py.
See also    mdeliver-rules(5), section Text
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.language.syntax import Brace, Number, Plain, Quantity, Regex, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mdeliver.language.syntax import Clock, Date

    Token = tuple[str, Any, int, int, int]

_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_WORD = _LETTERS | _DIGITS | frozenset("_-")
_STEP_END = frozenset(' \t/",:()\\}')
_CONTINUES = frozenset(("and", "or", "not"))
_BLOCK_WORDS = frozenset(("if", "elif", "else"))
UNITS = frozenset("KMGsmhdw")
_GLOB_MARKS = "*?()"


class Lexer:
    """The tokens of one rules text, and what was wrong with it."""

    __slots__ = (
        "bad_lines", "depth", "file", "findings", "indents", "line", "lines", "number",
        "tokens", "white",
    )  # fmt: skip

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        # A BOM is what some editors on Windows leave behind.
        self.lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
        self.tokens: list[Token] = []
        self.findings: list[Diagnostic] = []
        self.bad_lines: set[int] = set()
        self.indents = [""]
        self.white = ""
        self.depth = 0
        self.line = ""
        self.number = 0
        self._read_lines()

    def report(self, code: str, message: str, start: int, end: int, hint: str = "") -> None:
        """Note a mistake in the present line, from index START to before END."""
        self.bad_lines.add(self.number)
        if len(self.findings) < limits.FINDINGS:
            place = Span(self.file, self.number, start + 1, max(end, start + 1) + 1)
            self.findings.append(Diagnostic(code, "error", message, place, self.line, hint))

    def _read_lines(self) -> None:
        tokens = self.tokens
        continued = False
        for number, line in enumerate(self.lines, 1):
            body = line.lstrip(" \t")
            if not body or body[0] == "#":
                continue
            self.line = line
            self.number = number
            start = len(line) - len(body)
            if not continued or (self.depth and _first_word(body) in _BLOCK_WORDS):
                if continued:
                    self.depth = 0
                    tokens.append(("nl", "", number - 1, 1, 2))
                if body[0] in "ao" and tokens and _first_word(body) in ("and", "or"):
                    if tokens[-1][0] == "nl":
                        tokens.pop()
                elif self.indents[-1] != line[:start]:
                    self._indentation(line[:start])
            before = len(tokens)
            self._read_line(line, start)
            if len(tokens) == before:
                continue
            kind, value = tokens[-1][:2]
            continued = (
                self.depth > 0
                or kind == ","
                or kind == "="
                or (kind == "id" and value in _CONTINUES)
            )
            if not continued:
                tokens.append(("nl", "", number, len(line) + 1, len(line) + 2))
        number = max(self.number, 1)
        if continued:
            tokens.append(("nl", "", number, len(self.line) + 1, len(self.line) + 2))
        for _ in self.indents[1:]:
            tokens.append(("dedent", "", number, 1, 2))
        tokens.append(("end", "", number, len(self.line) + 1, len(self.line) + 2))

    def _indentation(self, white: str) -> None:
        """Turn a line's leading white space, which differs from the line's before, into tokens."""
        mixed = " " in white and "\t" in white
        if white and not mixed:
            self.white = self.white or white[0]
            mixed = white[0] != self.white
        if mixed:
            self.report(
                "E108", "tabs and spaces are mixed", 0, len(white), "indent with spaces only"
            )
        indents = self.indents
        place = (self.number, 1, len(white) + 1)
        if white.startswith(indents[-1]) and not mixed:
            indents.append(white)
            self.tokens.append(("indent", white, *place))
            return
        # After a mixture only the width says what may have been meant.
        width = len(white.expandtabs())
        if mixed and width > len(indents[-1].expandtabs()):
            indents.append(white)
            self.tokens.append(("indent", white, *place))
            return
        while len(indents) > 1 and len(indents[-1].expandtabs()) > width:
            indents.pop()
            self.tokens.append(("dedent", white, *place))
        if not mixed and indents[-1] != white:
            hint = "the lines of one block begin with the same white space"
            message = "this line is indented like no line above that it could belong to"
            self.report("E109", message, 0, len(white), hint)

    def _read_line(self, line: str, i: int) -> None:
        """Append the tokens of LINE from index I on."""
        append = self.tokens.append
        number = self.number
        n = len(line)
        while i < n:
            c = line[i]
            if c == " " or c == "\t":
                i += 1
            elif c in _LETTERS or (c > "\x7f" and c.isalpha()):
                j = i + 1
                while j < n and line[j] in _WORD:
                    j += 1
                if j < n and line[j] > "\x7f":
                    j = _word_end(line, j)
                if j < n and line[j] == "/":
                    i = self._path(line, i, j)
                else:
                    append(("id", line[i:j], number, i + 1, j + 1))
                    i = j
            elif c == '"':
                i, text = self._text(line, i)
                append(("str", text, number, text.span.column, i + 1))
            elif (
                c == ","
                or c == ":"
                or (c == "=" and line[i : i + 2] not in ("==", "=>", "=<", "=~"))
            ):
                if c == ":":
                    # No test has a colon: whatever parenthesis is open was forgotten.
                    self.depth = 0
                append((c, c, number, i + 1, i + 2))
                i += 1
            elif c == "(" or c == ")":
                self.depth = max(0, self.depth + (1 if c == "(" else -1))
                append((c, c, number, i + 1, i + 2))
                i += 1
            elif c in _DIGITS or (c == "-" and i + 1 < n and line[i + 1] in _DIGITS):
                i = self._number(line, i)
            elif (c == ">" or c == "<") and line[i : i + 2] != "<>":
                j = i + 2 if line[i + 1 : i + 2] == "=" else i + 1
                append(("cmp", line[i:j], number, i + 1, j + 1))
                i = j
            elif c == "/":
                i = self._regex(line, i)
            elif c == "#" and (i == 0 or line[i - 1] in " \t"):
                return
            else:
                i = self._strange(line, i)

    def _strange(self, line: str, i: int) -> int:
        """A character that begins nothing: say so, and go on with what was probably meant."""
        from mdeliver.language import hints

        meant = hints.strange(line, i)
        self.report(meant.code, meant.message, i, meant.end, meant.hint)
        for word in meant.words:
            self.tokens.append(("id", word, self.number, i + 1, meant.end + 1))
        if meant.text is not None:
            text = Text((meant.text,), Span(self.file, self.number, i + 1, meant.end + 1))
            self.tokens.append(("str", text, self.number, i + 1, meant.end + 1))
        return meant.end

    def _text(self, line: str, i: int) -> tuple[int, Text]:
        """The quoted text that begins at I, and the index after it."""
        end = line.find('"', i + 1)
        plain = line[i + 1 : end]
        if end >= 0 and "\\" not in plain and "{" not in plain and plain.isprintable():
            parts = (plain,) if plain else ()
            return end + 1, Text(parts, Span(self.file, self.number, i + 1, end + 2))
        return self._text_parts(line, i)

    def _text_parts(self, line: str, i: int) -> tuple[int, Text]:
        """A quoted text with escapes or braces in it, or without its end."""
        parts: list[str | Brace] = []
        piece = ""
        j = i + 1
        n = len(line)
        while j < n and line[j] != '"':
            c = line[j]
            if c == "{":
                j, brace = self._brace(line, j)
                if brace is not None:
                    parts += (piece, brace)
                    piece = ""
            elif c == "\\" and j + 1 < n:
                escaped = self._escape(line, j)
                if isinstance(escaped, Plain):
                    parts += (piece, escaped)
                    piece = ""
                else:
                    piece += escaped
                j += 2
            else:
                if (c < " " and c != "\t") or c == "\x7f":
                    self.report("E101", "a text holds no control characters", j, j + 1)
                piece += c
                j += 1
        parts.append(piece)
        if j >= n:
            self.report("E102", 'this text has no closing "', i, n, 'write " at its end')
        else:
            j += 1
        text = Text(tuple(p for p in parts if p), Span(self.file, self.number, i + 1, j + 1))
        return j, text

    def _escape(self, line: str, j: int) -> str:
        c = line[j + 1]
        if c == "n":
            return "\n"
        if c.isalnum():
            hint = "only \\n is one; write \\\\ for the character \\ itself"
            self.report("E103", f"\\{c} means nothing in a text", j, j + 2, hint)
        return Plain(c) if c in _GLOB_MARKS else c

    def _brace(self, line: str, i: int) -> tuple[int, Brace | None]:
        """`{name}` at I, and the index after it; a brace that is not one has been reported."""
        end = line.find("}", i, i + limits.BRACE_CHARACTERS)
        words = line[i + 1 : end].split() if end >= 0 else []
        if not words or not all(_is_brace_word(word) for word in words):
            hint = "write \\{ in a text for the character { itself"
            end = end + 1 if end >= 0 and '"' not in line[i:end] else i + 1
            message = "expected a name between { and }, such as {1}, {user} or {from domain}"
            self.report("E104", message, i, end, hint)
            return end, None
        lower = len(words) > 1 and words[0] == "lower"
        span = Span(self.file, self.number, i + 1, end + 2)
        return end + 1, Brace(" ".join(words[lower:]), lower, span)

    def _path(self, line: str, i: int, j: int) -> int:
        """`NAME/step/step` with the name from I to J; the index after it."""
        name = line[i:j]
        steps = []
        n = len(line)
        while j < n and line[j] == "/":
            start = j + 1
            if start < n and line[start] == '"':
                j, text = self._text(line, start)
            else:
                j, text = self._bare_step(line, start)
            if not text.parts and j == start:
                hint = "a regex needs a space before its first /" if name == "matches" else ""
                self.report("E114", "expected a folder's name after /", i, max(j, i + 1), hint)
            steps.append(text)
        self.tokens.append(("path", (name, tuple(steps)), self.number, i + 1, j + 1))
        if j < n and (line[j] == '"' or line[j] not in _STEP_END):
            message = "a folder's name is either quoted as a whole or not at all"
            self.report("E114", message, i, j, 'such as imap/"Big and odd"')
        return j

    def _bare_step(self, line: str, i: int) -> tuple[int, Text]:
        parts: list[str | Brace] = []
        n = len(line)
        j = start = i
        while j < n:
            c = line[j]
            if c == "{":
                if start < j:
                    parts.append(line[start:j])
                j, brace = self._brace(line, j)
                if brace is not None:
                    parts.append(brace)
                start = j
            elif c in _STEP_END or (c > "\x7f" and c.isspace()) or c < " " or c == "\x7f":
                break
            else:
                j += 1
        if start < j:
            parts.append(line[start:j])
        return j, Text(tuple(parts), Span(self.file, self.number, i + 1, j + 1))

    def _regex(self, line: str, i: int) -> int:
        """`/regex/` at I; it ends at the next / without \\ before it. The index after it."""
        j = i + 1
        n = len(line)
        piece = start = j
        pattern = ""
        while j < n and line[j] != "/":
            if line[j] == "\\" and j + 1 < n:
                if line[j + 1] == "/":
                    pattern += line[piece:j]
                    piece = j + 1
                j += 2
            else:
                j += 1
        pattern += line[piece:j]
        if j >= n or start == j:
            message = "this regex has no closing /" if j >= n else "this regex is empty"
            self.report("E106", message, i, j + 1, "a / within a regex is written \\/")
        j = min(j + 1, n)
        end = _word_end(line, j) if j < n else j
        if end > j:
            hint = "tests ignore case by themselves; other flags stand inside: /(?s)…/"
            self.report("E107", "a regex has no letters after its closing /", j, end, hint)
        span = Span(self.file, self.number, i + 1, end + 1)
        self.tokens.append(("regex", Regex(pattern, span), self.number, i + 1, end + 1))
        return end

    def _number(self, line: str, i: int) -> int:
        """A number, or what begins with one: a quantity, a time of day, a day."""
        n = len(line)
        j = _digits_end(line, i + 1)
        c = line[j] if j < n else ""
        followed = j + 1 < n and line[j + 1] in _DIGITS
        clock = followed and c == ":"
        day = followed and c == "-"
        if followed and (clock or c == "."):
            j = _digits_end(line, j + 1)
        elif day:
            while j + 1 < n and line[j] == "-" and line[j + 1] in _DIGITS:
                j = _digits_end(line, j + 1)
        end = _word_end(line, j)
        written = line[i:end]
        span = Span(self.file, self.number, i + 1, end + 1)
        value: Clock | Date | Quantity | Number | None
        if clock or day:
            from mdeliver.language import values

            kind = "clock" if clock else "date"
            value = values.clock(written, span) if clock else values.date(written, span)
        elif end > j:
            unit = line[j:end]
            kind, value = "quant", Quantity(line[i:j], unit, span) if unit in UNITS else None
        else:
            kind, value = "num", Number(written, span)
        if value is None:
            from mdeliver.language import hints

            code, message, hint = hints.number(kind, written)
            self.report(code, message, i, end, hint)
            kind, value = "num", Number("0", span)
        self.tokens.append((kind, value, self.number, i + 1, end + 1))
        return end


def _first_word(body: str) -> str:
    return body[: _word_end(body, 0)]


def _word_end(line: str, i: int) -> int:
    n = len(line)
    while i < n and (line[i] in _WORD or (line[i] > "\x7f" and line[i].isalnum())):
        i += 1
    return i


def _digits_end(line: str, i: int) -> int:
    n = len(line)
    while i < n and line[i] in _DIGITS:
        i += 1
    return i


def _is_brace_word(word: str) -> bool:
    return all(c in _WORD or (c > "\x7f" and c.isalnum()) for c in word)
