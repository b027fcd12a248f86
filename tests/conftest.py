"""Options of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest


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
def _own_umask_and_alarm() -> Iterator[None]:
    """A delivery in this process sets the umask, and an alarm that would ring in another test."""
    before = os.umask(0o022)
    yield
    os.umask(before)
    signal.alarm(0)
