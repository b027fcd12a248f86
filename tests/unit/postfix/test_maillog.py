"""Lines of the log: whose they are, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from mdeliver.postfix.maillog import LINE_BYTES, Clock, Entry, Wanted, entries

WANTED = Wanted({b"qmgr": rb"\w+: removed"})


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def seconds(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


def test_a_date_without_a_year_is_in_local_time() -> None:
    clock = Clock(seconds(2026, 11, 22))
    assert clock.seconds(b"Nov  2 10:00:00") == seconds(2026, 11, 2, 9)
    assert clock.seconds(b"Jul 14 10:00:00") == seconds(2026, 7, 14, 8)


def test_no_line_is_younger_than_its_file() -> None:
    clock = Clock(seconds(2026, 1, 2))
    assert clock.seconds(b"Dec 31 23:00:00") == seconds(2025, 12, 31, 22)
    assert clock.seconds(b"Jan  1 00:00:00") == seconds(2025, 12, 31, 23)


def test_a_clock_may_have_been_put_right() -> None:
    assert Clock(seconds(2026, 12, 31, 22)).seconds(b"Jan  1 01:00:00") == seconds(2027, 1, 1)


def test_a_leap_day_is_in_a_leap_year() -> None:
    assert Clock(seconds(2026, 11, 22)).seconds(b"Feb 29 01:00:00") == seconds(2024, 2, 29)


@pytest.mark.parametrize(
    "stamp",
    [
        *(b"", b"Foo 1 10:00:00", b"Feb 30 10:00:00", b"Nov 22 25:00:00", b"2026-13-01T00:00:00Z"),
        *(b"@", b"@999999999999999999999999", b"0001-01-01T00:00:00+14:00", b"2026-11-22\xff"),
        b"9999-01-01T00:00:00Z",
    ],
)
def test_what_is_no_date(stamp: bytes) -> None:
    assert Clock(seconds(2026, 11, 22)).seconds(stamp) is None


def test_only_what_is_wanted_is_an_entry() -> None:
    lines = (
        b"Nov 22 10:00:00 mail postfix/qmgr[1]: A: from=<x>, size=1",
        b"Nov 22 10:00:00 mail postfix/smtpd[1]: A: removed",
        b"Nov 22 10:00:00 mail postfix-in/qmgr[1]: A: removed",
    )
    (entry,) = entries(b"\n".join(lines), WANTED)
    assert entry == Entry(b"Nov 22 10:00:00", b"qmgr", b"A: removed")


def test_a_long_line_is_cut() -> None:
    line = b"Nov 22 10:00:00 mail postfix/qmgr[1]: A: removed" + b"x" * 100_000
    (entry,) = entries(line, WANTED)
    assert len(entry.text) == LINE_BYTES
