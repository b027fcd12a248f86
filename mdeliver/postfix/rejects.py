"""The report on what Postfix refused: what to look at first, and counts by every side of it.

Order       own faults, likely false positives, perhaps, came through later, rightly; in each what
            weighs most, then what was tried most often.
See also    history.py, judgement.py, remedies.py; rejectstext.py prints it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from heapq import nlargest, nsmallest
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from mdeliver.postfix.events import Refusal
from mdeliver.postfix.history import Attempt, History
from mdeliver.postfix.judgement import LEVELS, Judgement, Level, judge
from mdeliver.postfix.remedies import remedy_for


class Case(NamedTuple):
    """An attempt and what is thought of it."""

    attempt: Attempt
    judgement: Judgement


class Row(NamedTuple):
    """Counts of one value of a side.

    tries     refusals
    attempts  what they come to, with tries that belong together counted once
    """

    value: str
    tries: int
    attempts: int


class Findings(NamedTuple):
    """Every attempt, by level. In no order: see first_of."""

    by_level: dict[Level, list[Case]]

    @property
    def every(self) -> Iterator[Case]:
        """All of them, in no order within a level."""
        return chain.from_iterable(self.by_level.values())


def find(history: History, about: str = "") -> Findings:
    """Judge every attempt.

    about  only those that have this text in them
    """
    by_level: dict[Level, list[Case]] = {level: [] for level in LEVELS}
    for attempt in history.attempts.values():
        if not about or is_about(attempt, about):
            judgement = judge(attempt, history)
            by_level[judgement.level].append(Case(attempt, judgement))
    return Findings(by_level)


def first_of(chosen: Sequence[Case], most: int | None = None) -> list[Case]:
    """The first of CHOSEN in the order of the report; all of them where MOST is None."""
    # Of a million, ten are shown.
    return sorted(chosen, key=_rank) if most is None else nsmallest(most, chosen, key=_rank)


def _rank(case: Case) -> tuple[int, int, float]:
    return -case.judgement.weight, -case.attempt.count, case.attempt.first_s


def is_about(attempt: Attempt, about: str) -> bool:
    """Whether the text ABOUT stands in any side of ATTEMPT, or in the reply, in any case."""
    last = attempt.last
    values = (
        *(last.check, last.client_name, last.client, last.helo),
        *(last.sender or "", last.recipient or "", last.reply),
    )
    return not about or any(about.lower() in value.lower() for value in values)


_VALUES: dict[str, Callable[[Refusal], str | None]] = {
    "check": lambda last: last.check,
    "client": lambda last: f"{last.client_name or 'unknown'}[{last.client}]",
    "helo": lambda last: last.helo or None,
    "sender": lambda last: "<>" if last.sender == "" else last.sender,
    "recipient": lambda last: last.recipient,
}
SIDES = tuple(_VALUES)
"""What refusals can be counted by. What an attempt had not said yet is not counted."""


def counted_by(side: str, chosen: Iterable[Case], most: int | None = None) -> tuple[list[Row], Row]:
    """Counts by one of SIDES, the largest first; and of all the others together, by their number.

    most  how many rows; None for all
    """
    value_of = _VALUES[side]
    counts: dict[str, list[int]] = {}
    for attempt, _judgement in chosen:
        value = value_of(attempt.last)
        if value is None:
            continue
        known = counts.get(value)
        if known is None:
            counts[value] = [attempt.count, 1]
        else:
            known[0] += attempt.count
            known[1] += 1
    largest = nlargest(len(counts) if most is None else most, counts.items(), key=itemgetter(1))
    rows = [Row(value, *count) for value, count in largest]
    tries = sum([count[0] for count in counts.values()]) - sum(row.tries for row in rows)
    attempts = sum([count[1] for count in counts.values()]) - sum(row.attempts for row in rows)
    return rows, Row(str(len(counts) - len(rows)), tries, attempts)


# --- for programs ----------------------------------------------------------------------------


def case_as_object(case: Case) -> dict[str, Any]:
    """One attempt as JSON has it; times in UTC."""
    attempt, judgement = case
    last = attempt.last
    remedy = remedy_for(attempt)
    return {
        "level": judgement.level,
        "weight": judgement.weight,
        "reasons": judgement.reasons,
        "action": last.action,
        "check": last.check,
        "stage": last.stage,
        "client_name": last.client_name or None,
        "client_address": last.client,
        "client_addresses": attempt.clients,
        "helo": last.helo or None,
        "sender": last.sender,
        "recipient": last.recipient,
        "tries": attempt.count,
        "first": _utc(attempt.first_s),
        "last": _utc(last.time_s),
        "reply": last.reply,
        "advice": remedy.advice,
        "file": remedy.file or None,
        "line": remedy.line or None,
        "setting": remedy.setting or None,
    }


def row_as_object(side: str, row: Row) -> dict[str, Any]:
    """One row of counts as JSON has it."""
    return {side: row.value, "tries": row.tries, "attempts": row.attempts}


def _utc(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")
