"""Numbers in texts; the rest of the operators is in tests/cases/explain/tests.test."""

from __future__ import annotations

import pytest

from mdeliver.conditions.texts import first_number, number_of
from mdeliver.diagnostic import Span
from mdeliver.language.syntax import Number, Quantity
from tests.cputime import cpu_limit

HERE = Span("rules", 1, 1, 2)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Yes, score=7.3 required=5", 7.3),
        ("-0.1", -0.1),
        ("score=-.5", -0.5),
        ("part-5", 5),
        ("1.2.3", 1.2),
        ("7.", 7),
        ("v.5", 5),
        ("  .25x", 0.25),
        ("- 5", 5),
        ("2026-08-01", 2026),
        ("1e5", 1),
        ("٣", None),  # not an ASCII digit
        ("none", None),
        ("", None),
    ],
)
def test_first_number(text: str, number: float | None) -> None:
    assert first_number(text) == number


@pytest.mark.parametrize(
    ("unit", "number"),
    [("K", 1536), ("M", 1572864), ("G", 1610612736), ("s", 1.5), ("m", 90), ("h", 5400),
     ("d", 129600), ("w", 907200)],
)  # fmt: skip
def test_units(unit: str, number: float) -> None:
    assert number_of(Quantity("1.5", unit, HERE)) == number
    assert number_of(Number("1.5", HERE)) == 1.5


def test_numbers_of_a_megabyte() -> None:
    with cpu_limit(5):
        assert first_number("x" * 1_000_000) is None
        first_number("9" * 1_000_000)
        first_number("-" * 1_000_000 + "1")
