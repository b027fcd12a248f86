"""Keys change one step at a time, and nothing is signed with what DNS does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.audit.names import Names, ZoneFiles
from mdeliver.dkim import keys, record, rotation
from mdeliver.dkim.rotation import DAY_S


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "dkim")


def zone(directory: str) -> Names:
    """DNS with every key that is here."""
    lines = []
    for key in keys.registered(directory):
        value = record.value_of(*keys.public_octets(key.path(directory)))
        lines.append(record.in_zone(key.name, value))
    return ZoneFiles(["zone"], ["\n".join(lines) + "\n"])


def rotate(directory: str, names: Names, days: int = 180) -> list[rotation.Move]:
    older_than_s = days * DAY_S
    return rotation.rotate(
        directory, "example.org", "ed25519", names, older_than_s=older_than_s, bits=0, group=None
    )


def states(directory: str) -> list[str]:
    return [key.state for key in keys.registered(directory)]


def aged(directory: str, days: int) -> None:
    """All that is known of the keys is DAYS older."""
    known = keys.registered(directory)
    keys.register(directory, [key._replace(since_s=key.since_s - days * DAY_S) for key in known])


def test_from_the_first_key_to_the_end_of_it(directory: str) -> None:
    nothing = ZoneFiles(["zone"], [""])
    (move,) = rotate(directory, nothing)
    assert (move.done, states(directory)) == (True, ["new"])
    (move,) = rotate(directory, nothing)
    assert (move.done, states(directory)) == (False, ["new"])
    assert "no record is published" in move.words
    rotate(directory, zone(directory))
    assert states(directory) == ["signing"]
    assert rotate(directory, zone(directory)) == []

    aged(directory, 200)
    rotate(directory, zone(directory))
    assert states(directory) == ["signing", "new"]
    rotate(directory, zone(directory))
    assert states(directory) == ["retired", "signing"]
    old, _now = keys.registered(directory)
    assert Path(old.path(directory)).exists()

    aged(directory, 29)
    assert rotate(directory, zone(directory)) == []
    aged(directory, 1)
    (move,) = rotate(directory, zone(directory))
    assert "take its record out of DNS" in move.words
    assert states(directory) == ["signing"]
    assert not Path(old.path(directory)).exists()


def test_a_record_of_another_key_is_none(directory: str) -> None:
    rotate(directory, ZoneFiles(["zone"], [""]))
    (key,) = keys.registered(directory)
    other = record.in_zone(key.name, record.value_of("ed25519", bytes(32)))
    (move,) = rotate(directory, ZoneFiles(["zone"], [other + "\n"]))
    assert "of another key" in move.words
    assert states(directory) == ["new"]


def test_dns_that_does_not_answer_is_no_permission(directory: str) -> None:
    rotate(directory, ZoneFiles(["zone"], [""]))
    elsewhere = "$ORIGIN example.com.\n@ IN SOA ns hostmaster 1 1 1 1 1\n"
    (move,) = rotate(directory, ZoneFiles(["zone"], [elsewhere]))
    assert "nobody knows" in move.words
    assert states(directory) == ["new"]
