"""Words of structured header fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.structured import words_of
from tests.cputime import cpu_limit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("no (really; no)", ["no"]),
        ('text/plain; charset="us (x); \\"ascii\\""', ["text/plain", ";", "charset", "=", "Q"]),
        ("a(b(c\\)d)e)f", ["a", "f"]),
        ("a (never closed; b=c", ["a"]),
        ('a="never; closed', ["a", "=", "Q"]),
        ("a) b\t=\nc", ["a", ")", "b", "=", "c"]),
        ("é=ü", ["é", "=", "ü"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert ["Q" if quoted else word for quoted, word in words_of(text)] == words


def test_what_stands_in_quotes_is_kept_as_it_is_meant() -> None:
    assert words_of('"a\\"; b\\\\ (c) "') == [(True, 'a"; b\\ (c) ')]


@given(st.text('";=()\\ \tab\n', max_size=60))
def test_any_text_has_words_without_comments_or_white_space(text: str) -> None:
    for quoted, word in words_of(text):
        assert quoted or (word and not set(word) & set('"( \t\n'))


def test_a_text_of_specials_only_is_quick() -> None:
    with cpu_limit(5):
        words_of(';="()\\' * 20_000)
