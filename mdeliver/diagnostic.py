"""Errors and warnings about rules as values: a stable code, a place, words and a hint.

A Diagnostic is never raised; whoever reads a rules file collects all of them. `render` shows one
as compilers do: file:line:col, the source line, a caret, and how to mend it.
"""

from __future__ import annotations

from mdeliver.outcome import one_line
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Level = Literal["error", "warning"]


WIDEST = 400
"""Characters of a source line that are shown."""


class Span(Record):
    """A place in a rules file. Lines and columns count from 1, columns in characters.

    file        path as the administrator knows it
    line        line of the first character
    column      column of the first character
    end_column  column after the last character, on the same line
    """

    file: str
    line: int
    column: int
    end_column: int

    def __init__(self, file: str, line: int, column: int, end_column: int) -> None:
        # Every second record of a tree is a place: this is worth its own way (setters below).
        _set_file(self, file)
        _set_line(self, line)
        _set_column(self, column)
        _set_end_column(self, end_column)

    @property
    def where(self) -> str:
        """FILE:LINE, as plans, traces and logs name a rule."""
        return f"{self.file}:{self.line}"


_set_file, _set_line, _set_column, _set_end_column = Span._setters


class Diagnostic(Record):
    """One finding.

    code     stable, such as "E102" (errors) or "W201" (warnings)
    level    error or warning
    message  one sentence: what is wrong and what was expected
    place    where
    source   the source line, "" if there is none
    hint     how to mend it, "" if nothing more is known
    """

    code: str
    level: Level
    message: str
    place: Span
    source: str = ""
    hint: str = ""

    @property
    def line(self) -> str:
        """The finding on one line."""
        hint = f" ({self.hint})" if self.hint else ""
        p = self.place
        place = f"{p.file}:{p.line}:{p.column}"
        return one_line(f"{place}: {self.level} {self.code}: {self.message}{hint}")


def render(finding: Diagnostic) -> str:
    """The finding over several lines: place, message, source line, caret, hint."""
    p = finding.place
    lines = [finding.replace(hint="").line]
    if finding.source:
        # Of a line of a megabyte what stands around the place.
        cut = max(0, p.column - 1 - WIDEST // 2) if len(finding.source) > WIDEST else 0
        source = finding.source[cut : cut + WIDEST]
        # Tabs stay tabs in the padding, so that the caret stands under its character.
        before = "".join("\t" if c == "\t" else " " for c in source[: p.column - 1 - cut])
        caret = "^" * max(1, min(p.end_column - cut, len(source) + 1) - (p.column - cut))
        lines += [f"    {_shown(source)}", f"    {before}{caret}"]
    if finding.hint:
        lines.append(one_line(f"    hint: {finding.hint}"))
    return "\n".join(lines)


def _shown(source: str) -> str:
    """SOURCE as a terminal can be given it: whoever checks rules may not have written them."""
    return "".join([c if c.isprintable() or c == "\t" else "\ufffd" for c in source])
