"""tests/cases/rejects/*.test: lines of Postfix's log, and what is read in them and said of them.

A case has the log, and what is expected: `--- events` as one line each, or `--- report` as people
read it. `pytest tests/cases --update-cases`
rewrites what is expected; read the diff.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator

import pytest

from mdeliver.postfix import rejects, rejectstext
from mdeliver.postfix.events import Event, events
from mdeliver.postfix.history import History
from mdeliver.postfix.maillog import Clock
from tests.casefile import Case, cases, update_case

WRITTEN_S = calendar.timegm((2026, 11, 30, 12, 0, 0))
TOP = 5


@pytest.fixture(autouse=True)
def _local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The logs are of Greenwich, wherever the tests run."""
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(case: Case) -> list[Event]:
    return list(events(case.text.encode(), Clock(WRITTEN_S)))


def as_line(event: Event) -> str:
    """Kind, time and every field that says something."""
    moment = time.strftime("%m-%d %H:%M:%S", time.gmtime(event.time_s))
    fields = event._asdict()
    del fields["time_s"]
    said = [f"{name}={value}" for name, value in fields.items() if value not in ("", None, False)]
    said += [f"{name}=" for name in ("sender",) if fields.get(name) == ""]
    return f"{type(event).__name__} {moment}  {'  '.join(said)}\n"


def report(case: Case) -> str:
    history = History()
    history.add_all(read(case))
    findings = rejects.find(history)
    lines = rejectstext.report(findings, lambda _colour, words: words, TOP, every=True)
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("case", cases("rejects"), ids=str)
def test_case(case: Case, update_cases: bool) -> None:
    assert case.sections
    said = {
        "events": lambda: "".join(as_line(event) for event in read(case)),
        "report": lambda: report(case),
    }
    found = {name: said[name]() for name in case.sections}
    if update_cases:
        case.sections = found
        update_case(case)
    assert case.sections == found
