"""Globs: the whole text, as little as possible, captures in the text's own case."""

from __future__ import annotations

import pytest

from mdeliver.glob import Glob, fold
from mdeliver.scene import Filled


@pytest.mark.parametrize(
    ("glob", "text", "captures"),
    [
        ("*", "", ()),
        ("?", "", None),
        ("(*)", "All", ("All",)),
        ("(*).lists.example.org", "Postfix.LISTS.example.org", ("Postfix",)),
        ("*.example.org", "example.org", None),
        ("(*)-(*)", "a-b-c", ("a", "b-c")),
        ("(*)-(*)-c", "a-b-c", ("a", "b")),
        ("a(?)c(*)", "aBcd", ("B", "d")),
        ("[a-z]", "b", None),
        ("[a-z]", "[a-z]", ()),
        ("(a)", "(a)", ()),
        ("a", "ab", None),
        ("*a", "ba\n", None),
        ("*a*", "b\na\n", ()),
    ],
)
def test_match(glob: str, text: str, captures: tuple[str, ...] | None) -> None:
    assert Glob((glob,), exactly=False).match(text) == captures


def test_exactly() -> None:
    assert Glob(("A*",), exactly=True).match("ab") is None
    assert Glob(("A*",), exactly=True).match("Ab") == ()


def test_what_a_brace_brought_in_is_no_pattern() -> None:
    glob = Glob((Filled("*"), "-*"), exactly=False)
    assert glob.match("*-x") == ()
    assert glob.match("a-x") is None


@pytest.mark.parametrize(
    ("one", "other"), [("ΟΔΟΣ", "οδος"), ("Ä", "ä"), ("ẞ", "ß"), ("K", "k"), ("I", "i")]
)
def test_fold(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert fold("ß") != fold("ss")
