"""Records behave as frozen, slotted dataclasses do."""

from __future__ import annotations

import pytest

from mdeliver.record import Record


class Stamp(Record):
    """A record with a default and a place."""

    country: str
    cents: int = 85
    span: str = "here"


def test_fields_are_given_in_order_by_name_or_by_default() -> None:
    stamp = Stamp("DE", span="there")
    assert (stamp.country, stamp.cents, stamp.span) == ("DE", 85, "there")
    assert repr(stamp) == "Stamp(country='DE', cents=85, span='there')"


def test_what_is_missing_unknown_or_too_much_is_refused() -> None:
    with pytest.raises(TypeError, match="needs a value for country"):
        Stamp()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no field colour"):
        Stamp("DE", colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="or has it twice"):
        Stamp("DE", country="FR")  # type: ignore[misc]
    with pytest.raises(TypeError, match="takes 3 fields, not 4"):
        Stamp("DE", 1, "here", 2)  # type: ignore[call-arg]


def test_nothing_can_be_changed() -> None:
    stamp = Stamp("DE")
    with pytest.raises(AttributeError, match="frozen"):
        stamp.cents = 1  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del stamp.cents
    assert not hasattr(stamp, "__dict__")
    assert stamp.replace(cents=1) == Stamp("DE", 1)


def test_equality_is_of_all_fields_but_the_place() -> None:
    assert Stamp("DE") == Stamp("DE", span="there")
    assert hash(Stamp("DE")) == hash(Stamp("DE", span="there"))
    assert Stamp("DE") != Stamp("FR")
    assert Stamp("DE") != "DE"


def test_a_pattern_takes_it_apart() -> None:
    match Stamp("DE", 1):
        case Stamp("DE", cents):
            assert cents == 1


def test_fields_of_a_base_come_first() -> None:
    class Block(Stamp):
        rows: int = 2

    block = Block("DE", 85, "here", 5)
    assert (block.country, block.rows) == ("DE", 5)
    assert Block("DE").rows == 2
    assert Block("DE", rows=2) == Block("DE", span="there")
    assert Block("DE") != Stamp("DE")
