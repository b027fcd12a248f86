"""How long a worker says that a message took: its own time, and nobody else's."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mdeliver.history import account
from mdeliver.lmtp import rounds
from mdeliver.lmtp.rounds import Brought, Kept
from mdeliver.outcome import Outcome
from tests.unit.lmtp.test_rounds import Task, go_round, home

__all__ = ["home"]


class Clock:
    """A clock that goes on where a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


def durations(home: Path) -> dict[str, float]:
    lines = map(json.loads, (home / "state" / "log").read_text().splitlines())
    return {said["subject"]: said["duration_s"] for said in lines}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (rounds, account):
        monkeypatch.setattr(module, "time", made)
    return made


def test_each_is_told_to_have_taken_its_own_time(home: Path, clock: Clock) -> None:
    """And not that of those who came after it in the round."""
    with (home / ".config" / "mdeliver" / "rules").open("a") as rules:
        rules.write('if subject starts with "alone": discard\n')

    class Slow(Task):
        def open(self) -> Brought:
            clock.now_s += 1
            return super().open()

        def answer(self, outcome: Outcome) -> None:
            clock.now_s += 16
            super().answer(outcome)

    go_round(Kept(), *[Slow(home, name, []) for name in ("alone 1", "alone 2", "one", "two")])
    # Those filed together wait for one another, and the second for the first one's answer.
    assert durations(home) == {"alone 1": 17, "alone 2": 17, "one": 18, "two": 33}


def test_a_refusal_by_bad_rules_took_its_own_time(home: Path, clock: Clock) -> None:
    (home / ".config" / "mdeliver" / "rules").write_text("file in\n")

    class Slow(Task):
        def open(self) -> Brought:
            clock.now_s += 1
            return super().open()

    go_round(Kept(), *[Slow(home, name, []) for name in ("one", "two", "three")])
    lines = (home / "state" / "log").read_text().splitlines()
    assert [json.loads(line)["duration_s"] for line in lines] == [1, 1, 1]
