"""Options of all tests, and a failed test that takes what it leaves open with it.

Hypothesis   the same examples in every run where CI is set, else fresh ones; never a deadline:
             what is slow is so because of whatever else runs on this machine
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fresh", settings.get_profile("default"), deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
if settings.get_current_profile_name() == "default":
    settings.load_profile("fresh")

_FAILURES = pytest.StashKey[list[BaseException]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-cases",
        action="store_true",
        help="rewrite what tests/cases/ expect with what is now; read the diff before committing",
    )


@pytest.fixture
def update_cases(request: pytest.FixtureRequest) -> bool:
    """Whether case files are to be rewritten."""
    return bool(request.config.getoption("--update-cases"))


@pytest.fixture(autouse=True)
def _own_umask_alarm_and_lock_file() -> Iterator[None]:
    """A delivery in this process sets the umask, an alarm that would ring in another test, and as
    a worker what its lock files are made of."""
    before = os.umask(0o022)
    yield
    os.umask(before)
    signal.alarm(0)
    if dotlock := sys.modules.get("mdeliver.dotlock"):
        dotlock.stop_keeping()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember what a test fails with; from here on its leftovers are nobody's fault."""
    report = yield
    if call.excinfo is not None and not isinstance(call.excinfo.value, pytest.skip.Exception):
        item.stash.setdefault(_FAILURES, []).append(call.excinfo.value)
        sys.unraisablehook = _unheard
    return report


def _unheard(_unraisable: sys.UnraisableHookArgs) -> None:
    """What is open when it is collected has no say."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Collect what a failed test leaves before the next test begins, and only then.

    A traceback keeps sockets, files and processes open that a test which failed had no time to
    close. They are collected some tests later, and the ResourceWarning of each, an error here,
    would be said of the test that happens to run. So it is done at once, unheard. After a test
    that passed all is heard, as ever.
    """
    heard = sys.unraisablehook
    try:
        return (yield)
    finally:
        if _FAILURES in item.stash:
            _let_go(item.stash[_FAILURES])
            del item.stash[_FAILURES]
            sys.last_value = sys.last_traceback = None
            gc.collect()
        sys.unraisablehook = heard


def _let_go(failures: list[BaseException]) -> None:
    """Empty the frames that these keep: a fixture that was not made keeps its exception for all."""
    kept = {}
    while failures:
        failure = failures.pop()
        if id(failure) not in kept:
            kept[id(failure)] = failure
            failures += [e for e in (failure.__cause__, failure.__context__) if e is not None]
    for failure in kept.values():
        for frame, _line in traceback.walk_tb(failure.__traceback__):
            try:
                frame.clear()
            except RuntimeError:
                continue  # pytest's own, which runs
            frame.f_locals.values()  # makes the copy that reports were written from anew
