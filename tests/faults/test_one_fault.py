"""A slice of all single faults, small enough for every run; inject.py does all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.faults.between import EVENTS
from tests.faults.inject import Bench, Result, spread, suffer_all
from tests.faults.strace import KILL, Point
from tests.installation import LDA, lacking, open_directory, recipient, unreachable

pytestmark = pytest.mark.faults

# Calls that change what is on disk or who may: all their faults are in every run.
CHANGING = frozenset(
    "write writev pwrite64 fsync fdatasync ftruncate rename renameat2 link linkat unlink unlinkat "
    "mkdir mkdirat fcntl flock fork vfork clone clone3 execve wait4 pipe2 exit_group".split()
)
MAKING_VISIBLE = frozenset("pwrite64 fdatasync fsync rename renameat2 linkat link unlink".split())
OTHERS = 60
POP3_SESSIONS = 8
JOBS = os.cpu_count() or 1


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Homes with mail in them, and every fault that a delivery can suffer."""
    yield from _bench(fresh=False)


@pytest.fixture(scope="module")
def fresh_bench() -> Iterator[Bench]:
    """Empty homes."""
    yield from _bench(fresh=True)


@pytest.fixture(params=["none kept yet", "kept before"])
def keeping_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Rules that are kept after the delivery, or found kept."""
    fresh = request.param == "none kept yet"
    yield from _bench(fresh=fresh, agent="mdeliver-lda keeping rules")


@pytest.fixture
def program_bench() -> Iterator[Bench]:
    """A filter that says something else on each run, two places, a pipe and a run."""
    yield from _bench(fresh=False, agent="mdeliver-lda with programs")


def _bench(*, fresh: bool, agent: str = "mdeliver-lda") -> Iterator[Bench]:
    if shutil.which("strace") is None:
        lacking("strace is not installed (Debian: strace)")
    top = open_directory("faults")
    try:
        if why := unreachable(LDA, recipient(top / "somebody")):
            lacking(why)
        yield Bench(agent, top, fresh=fresh)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def failures(results: Iterator[Result]) -> list[str]:
    """What went wrong, one line a fault; some faults must have happened at all."""
    suffered = [result for result in results if result.fired]
    assert suffered
    return [f"{r.point}: {'; '.join(r.wrong)} (at {r.where})" for r in suffered if r.wrong]


def changing(bench: Bench) -> list[Point]:
    return [point for point in bench.points if point.call in CHANGING]


def test_faults_at_the_calls_that_change_something(bench: Bench) -> None:
    assert failures(suffer_all(bench, changing(bench), jobs=JOBS)) == []


def test_faults_at_some_of_the_other_calls(bench: Bench) -> None:
    others = [point for point in bench.points if point.call not in CHANGING]
    assert failures(suffer_all(bench, spread(others, OTHERS, seed=1), jobs=JOBS)) == []


def test_faults_in_an_empty_home(fresh_bench: Bench) -> None:
    points = [point for point in changing(fresh_bench) if point.what in (KILL, "EIO", "ENOSPC")]
    assert failures(suffer_all(fresh_bench, spread(points, OTHERS, seed=2), jobs=JOBS)) == []


def test_faults_around_kept_rules(keeping_bench: Bench) -> None:
    assert ".cache/mdeliver/rules" in keeping_bench.clean_files
    points = [point for point in changing(keeping_bench) if point.what in (KILL, "EIO", "ENOSPC")]
    assert failures(suffer_all(keeping_bench, spread(points, OTHERS, seed=3), jobs=JOBS)) == []


def test_faults_around_programs(program_bench: Bench) -> None:
    bench = program_bench
    points = [p for p in changing(bench) if p.what in (KILL, "EIO", "ENOSPC", "ENOMEM")]
    assert failures(suffer_all(bench, spread(points, OTHERS, seed=4), jobs=JOBS)) == []


@pytest.mark.parametrize("event", [event for event in EVENTS if event != "nothing"])
def test_kills_with_something_happening_before_the_retry(bench: Bench, event: str) -> None:
    """Two windows are known: a copy whose deed was done but not yet marked, deleted by a person."""
    kills = [point for point in changing(bench) if point.what == KILL]
    if event.startswith("pop3"):
        need_pop3()
        # Dovecot takes its time over a dead process's dotlock.
        kills = spread([p for p in kills if p.call in MAKING_VISIBLE], POP3_SESSIONS, seed=3)
    wrong = failures(suffer_all(bench, kills, event, jobs=JOBS))
    if event.endswith("deletes") and len(wrong) == 1:
        assert "doubled" in wrong[0]
        assert '"c", 1' in wrong[0], "not the mark after the deed"
    else:
        assert wrong == []


@pytest.mark.parametrize("event", ["nothing", "another", "pop3-reads"])
def test_a_kill_in_the_midst_of_the_append(bench: Bench, event: str) -> None:
    point = bench.after_append
    assert point is not None, "no write of the From_ line was seen"
    length = len(bench.message)
    cuts = [1, 4, 5, 40, 41, length // 2, length - 1, length, length + 40]
    if event.startswith("pop3"):
        need_pop3()
        # A tear within the From_ line that a POP3 server has rewritten is known not to be mended.
        cuts = [60, length // 2, length - 1]
    wrong = []
    for torn_at in cuts:
        result = bench.suffer(point, event, torn_at)
        wrong += [f"cut at {torn_at}: {word}" for word in result.wrong]
    assert wrong == []


def need_pop3() -> None:
    if not os.path.exists("/usr/lib/dovecot/pop3"):
        lacking("Dovecot's pop3 is not installed (Debian: dovecot-pop3d)")
