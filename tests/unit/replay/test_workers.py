"""Answers in order, from one process or several; a worker that dies is noticed."""

from __future__ import annotations

import os

import pytest

from mdeliver.replay.workers import WorkerDied, answers

# Python 3.12 warns of forks beside the threads that the test runner has.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.mark.parametrize("workers", [None, 1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 300])
def test_order(workers: int | None, count: int) -> None:
    found = answers(range(count), lambda number: number * number, workers=workers)
    assert list(found) == [number * number for number in range(count)]


def test_several_processes_take_part() -> None:
    assert len(set(answers(range(200), lambda _number: os.getpid(), workers=2))) == 2


def test_a_worker_that_dies_is_noticed() -> None:
    def ask(number: int) -> int:
        if number == 150:
            os._exit(9)
        return number

    with pytest.raises(WorkerDied):
        list(answers(range(300), ask, workers=2))


def test_an_answer_may_be_left_unread() -> None:
    found = answers(range(3000), lambda _number: "x" * 10_000, workers=2)
    assert next(iter(found)) == "x" * 10_000
