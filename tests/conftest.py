"""Options of all tests."""

from __future__ import annotations

import os
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
def _own_umask() -> Iterator[None]:
    """A delivery in this process sets the umask; the tests after it make files for other users."""
    before = os.umask(0o022)
    yield
    os.umask(before)
