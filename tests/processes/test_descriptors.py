"""Standard descriptors that are closed or cannot take anything: no message bounces or vanishes."""

from __future__ import annotations

import pytest

from tests.local8 import Answer, hand_over
from tests.processes.conftest import Home


def with_redirection(home: Home, redirection: str) -> Answer:
    """A delivery by a shell that changes a descriptor first."""
    command = ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *home.command]
    return hand_over(command, home.handed(), home.environ, home.person)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", ">/dev/full 2>&1"])
def test_a_closed_or_full_output_changes_nothing(either: Home, redirection: str) -> None:
    assert with_redirection(either, redirection).status == 0
    assert either.holds_once()


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", ">/dev/full 2>&1"])
def test_a_deferral_that_cannot_be_told_is_one_still(either: Home, redirection: str) -> None:
    either.write_rules("nonsense\n")
    assert with_redirection(either, redirection).status == 75
    assert either.is_empty


@pytest.mark.parametrize("redirection", ["<&-", "<&- >&- 2>&-"])
def test_without_an_input_nothing_is_delivered(either: Home, redirection: str) -> None:
    assert with_redirection(either, redirection).status == 75
    assert either.is_empty


def test_an_input_that_python_cannot_start_with_defers(home: Home) -> None:
    """Python itself ends with 1 here; the launcher knows better."""
    assert with_redirection(home, "</").status == 75
    assert home.is_empty
