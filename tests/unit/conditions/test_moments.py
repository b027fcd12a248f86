"""Days and times of the arrival; the plain cases are in tests/cases/explain/moments.test."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.message import Message
from mdeliver.settings import Site

MIDNIGHT_S = 1_793_577_600  # 2026-11-02 00:00:00 UTC, a Monday
HOUR_S = 3600


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def holds(condition: str, now_s: float) -> bool:
    source = Source("rules", f"if {condition}: discard\n")
    program = compile_rules([source], lambda _path: "").program
    assert program is not None
    envelope = Envelope("ann", "/home/ann", 1000)
    decision = evaluate(program, Message(b"\n", 1), envelope, Site(), now_s, explain=False)
    return decision.plan.verdict.fate == "discard"


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("condition", "seconds", "held"),
    [
        ("time is 22:00 to 7:00", 7 * HOUR_S + 59, True),
        ("time is 22:00 to 7:00", 7 * HOUR_S + 60, False),
        ("time is 22:00 to 7:00", 22 * HOUR_S, True),
        ("time is 22:00 to 7:00", 22 * HOUR_S - 1, False),
        ("time is 22:00 to 7:00", 0, True),
        ("time > 7:00", 7 * HOUR_S + 59, False),
        ("weekday is saturday to sunday", -1, True),
        ("weekday is saturday to sunday", 0, False),
        ("weekday is sunday to monday", 24 * HOUR_S - 1, True),
        ("date is 2026-11-02 to 2026-11-02", 24 * HOUR_S - 1, True),
        ("date is 2026-11-02 to 2026-11-02", 24 * HOUR_S, False),
    ],
)
def test_both_ends_belong_to_a_range(condition: str, seconds: int, held: bool) -> None:
    assert holds(condition, MIDNIGHT_S + seconds) is held


def test_local_time(zone: pytest.MonkeyPatch) -> None:
    zone.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
    time.tzset()
    assert holds("weekday is sunday and time is 19:00 and date is 2026-11-01", MIDNIGHT_S)
