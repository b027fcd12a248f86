"""A record that was quickened is the record that it was."""

from __future__ import annotations

import inspect

import pytest

from mdeliver.envelope import Envelope
from mdeliver.lmtp.quickrecords import quicken
from mdeliver.record import Record


def kinds() -> tuple[type[Record], type[Record]]:
    """A class, quickened with what is derived from it."""

    class Stamp(Record):
        country: str
        cents: int = 85

    class Block(Stamp):
        rows: int = 2

    quicken([Stamp])
    return Stamp, Block


def test_fields_are_given_in_order_by_name_or_by_default() -> None:
    stamp, block = kinds()
    assert repr(stamp("DE")) == "Stamp(country='DE', cents=85)"
    assert repr(stamp(cents=1, country="DE")) == "Stamp(country='DE', cents=1)"
    assert repr(block("DE", rows=3)) == "Block(country='DE', cents=85, rows=3)"
    assert stamp("DE", 1).replace(cents=2) == stamp("DE", 2)
    assert stamp("DE") != block("DE")


def test_what_is_missing_unknown_or_too_much_is_refused() -> None:
    stamp, _block = kinds()
    for values, named in (((), {}), (("DE",), {"colour": 1}), (("DE", 1, 2), {})):
        with pytest.raises(TypeError):
            stamp(*values, **named)
    with pytest.raises(AttributeError, match="frozen"):
        stamp("DE").country = "FR"


def test_what_is_derived_later_has_its_own_fields() -> None:
    class Stamp(Record):
        country: str
        cents: int = 85

    quicken([Stamp])

    class Sheet(Stamp):
        rows: int = 2

    assert repr(Sheet("DE", 85, 3)) == "Sheet(country='DE', cents=85, rows=3)"
    quicken([Stamp])
    assert Sheet("DE", 85, 3) == Sheet("DE", rows=3)


def test_an_init_that_somebody_wrote_stays() -> None:
    class Doubled(Record):
        number: int

        def __init__(self, number: int) -> None:
            super().__init__(2 * number)

    quicken([Doubled])
    assert Doubled(2).number == 4


def test_where_a_default_stands_before_a_field_without_one_nothing_changes() -> None:
    class Odd(Record):
        first: int = 1
        second: int  # type: ignore[misc]  # the order is what is tried

    quicken([Odd])
    assert Odd(second=2).first == 1


def test_a_class_of_ours_has_its_fields_for_parameters() -> None:
    slow = Envelope.__init__
    try:
        quicken([Envelope])
        assert tuple(inspect.signature(Envelope).parameters) == Envelope._fields
    finally:
        type.__setattr__(Envelope, "__init__", slow)
