"""Findings as they are shown."""

from __future__ import annotations

import pytest

from mdeliver.diagnostic import Diagnostic, Span, render
from mdeliver.language.compile import Source, compile_rules

ESCAPE = "\x1b[2J\x1b]0;owned\x07"


def test_a_finding_is_shown_with_a_caret_under_its_place() -> None:
    found = Diagnostic("E1", "error", "no", Span("rules", 3, 2, 4), "\tabc", "say yes")
    assert render(found) == "rules:3:2: error E1: no\n    \tabc\n    \t^^\n    hint: say yes"


@pytest.mark.parametrize("odd", [ESCAPE, "\u202egnp.exe", "\r", "\x9b2J", "\u2028"])
def test_no_rules_file_speaks_to_the_terminal(odd: str) -> None:
    """The administrator looks at rules that any user may have written."""
    text = f'if subject is "{odd}": keep\nlet a = lines of "{odd}"\nmailbox "{odd}" {odd}\n'
    findings = compile_rules([Source("rules", text)], lambda _path: "").findings
    assert findings
    for finding in findings:
        assert finding.line.isprintable()
        assert all(line.isprintable() for line in render(finding).split("\n")), render(finding)


def test_what_is_made_visible_keeps_the_caret_in_its_place() -> None:
    found = Diagnostic("E1", "error", "no", Span("rules", 1, 3, 4), "\x1b x", "")
    assert render(found).split("\n")[1:] == ["    \ufffd x", "      ^"]


def test_of_a_line_of_a_megabyte_what_stands_around_the_place_is_shown() -> None:
    line = "a" * 500_000 + "b" + "c" * 500_000
    shown = render(Diagnostic("E1", "error", "no", Span("rules", 1, 500_001, 500_002), line, ""))
    _place, source, caret = shown.split("\n")
    assert len(source) < 500
    assert source[caret.index("^")] == "b"
