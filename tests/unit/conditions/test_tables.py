"""Tests against files of lines hold exactly when they hold for one of the lines as a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.conditions.tables import Table
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.glob import Glob, fold
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.tables import table_of
from mdeliver.message import Message
from mdeliver.settings import Site
from tests.cputime import cpu_limit

MANY = "\n".join(f"user{n}@host{n % 977}.example" for n in range(100_000))
ENVELOPE = Envelope("ann", "/home/ann", 1000)


def discards(rules: str, head: str, files: dict[str, str]) -> bool:
    compiled = compile_rules([Source("/r/rules", rules)], files.__getitem__)
    assert compiled.program is not None, compiled.findings
    message = Message(head.encode() + b"\n", 1)
    decision = evaluate(compiled.program, message, ENVELOPE, Site(), 0.0, explain=False)
    return decision.plan.verdict.fate == "discard"


@given(
    st.lists(st.text("aB*?", min_size=1, max_size=5), max_size=6),
    st.text("abB*?x", max_size=8),
    st.booleans(),
)
def test_as_the_texts_themselves(values: list[str], text: str, exactly: bool) -> None:
    table = Table("\n".join(values), exactly)
    seen = text if exactly else fold(text)
    wanted = values if exactly else [fold(value) for value in values]
    assert table.holds("is", seen) is (seen in wanted)
    assert table.holds("contains", seen) is any(value in seen for value in wanted)
    assert table.holds("starts with", seen) is any(seen.startswith(value) for value in wanted)
    assert table.holds("ends with", seen) is any(seen.endswith(value) for value in wanted)
    globs = [Glob((value,), exactly) for value in values]
    assert table.holds("matches", seen) is any(glob.match(text) is not None for glob in globs)


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ('from is lines of "t", "x"', True),
        ('from is exactly lines of "t"', False),
        ('from is not lines of "t"', False),
        ('from domain matches lines of "../r/t"', True),
        ('subject contains lines of "t"', True),
        ("from is x", True),
        ("to is me", True),
        ("addressed to me", True),
        ('cc is lines of "empty"', False),
    ],
)
def test_in_rules(condition: str, held: bool) -> None:
    lines = "# c\nANN@example.org  # me\r\n\n*.org\nlunch\n"
    files = {"/r/t": lines, "/r/../r/t": lines, "/r/empty": "\n# nothing\n"}
    rules = f'me = lines of "t"\nlet x = lines of "t"\nif {condition}: discard\n'
    head = "From: ann@example.org\nTo: ann@example.org\nSubject: Lunch?\n"
    assert discards(rules, head, files) is held


def test_captures_of_lines_are_nobodys() -> None:
    rules = 'if from matches "(*)@*" and subject matches lines of "t" and "{1}" is "bob": discard\n'
    assert discards(rules, "From: bob@example.org\nSubject: xy\n", {"/r/t": "(*)y\n(?)(?)"})


def test_a_hundred_thousand_lines() -> None:
    with cpu_limit(10):
        text, findings = table_of(MANY.replace("\n", "  # no\n"), "t")
        assert (text.count("\n"), findings) == (99_999, [])
    with cpu_limit(3):
        table = Table(text, False)
        assert table.holds("is", "user99999@host345.example")
    # A line of the table after the other would take minutes.
    with cpu_limit(10):
        for n in range(10_000):
            assert not table.holds("is", f"nobody{n}@x")
            assert not table.holds("ends with", f"nobody{n}@host1.example")
        assert not table.holds("contains", "nobody@x " * 20_000)
