"""Globs against a reference that tries everything, shortest stars first."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from mdeliver.glob import Glob, fold
from tests.cputime import cpu_limit

PIECES = st.lists(
    st.sampled_from(["a", "b", "ab", "A", "?", "*", "(*)", "(?)", "(", ")", "ß", "Σ"]), max_size=8
)
TEXTS = st.text("abAßẞΣ\N{GREEK SMALL LETTER SIGMA}ς()", max_size=12)


def reference(glob: list[str], text: str) -> tuple[str, ...] | None:
    """The meaning as the language states it, in the obvious and exponential way."""
    if not glob:
        return () if not text else None
    first, rest = glob[0], glob[1:]
    captured = first in ("(*)", "(?)")
    if first in ("*", "(*)"):
        lengths = list(range(len(text) + 1))
    elif first in ("?", "(?)"):
        lengths = [1] if text else []
    else:
        lengths = [len(first)] if fold(text[: len(first)]) == fold(first) else []
    for length in lengths:
        more = reference(rest, text[length:])
        if more is not None:
            return ((text[:length],) if captured else ()) + more
    return None


@given(PIECES, TEXTS)
@example(["(*)", "a", "(*)", "a", "?"], "aaaa")
def test_globs_mean_what_the_reference_says(pieces: list[str], text: str) -> None:
    written = "".join(pieces)
    # The pieces may have grown together: "(" "?" ")" is "(?)".
    tokens: list[str] = []
    at = 0
    while at < len(written):
        width = 3 if written[at : at + 3] in ("(*)", "(?)") else 1
        tokens.append(written[at : at + width])
        at += width
    assert Glob((written,), exactly=False).match(text) == reference(tokens, text)


@given(st.text(max_size=30), st.text(max_size=30))
def test_folding_keeps_the_length(one: str, two: str) -> None:
    assert len(fold(one)) == len(one)
    assert fold(one + two) == fold(one) + fold(two)
    assert fold(fold(one)) == fold(one)


def test_no_glob_is_exponential() -> None:
    with cpu_limit(10):
        assert Glob(("(*)a" * 30 + "b",), exactly=False).match("a" * 100_000) is None
        assert Glob(("*a?" * 30 + "b*",), exactly=False).match("a" * 100_000) is None
