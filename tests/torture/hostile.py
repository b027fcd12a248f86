"""Hostile input at length: each target of the fuzzer has its share of the time, in rounds.

Time        FUZZ seconds for all targets together, two hours if it is not set
Goes on     where it was: a round that was done is not done again, and the next one begins with the
            corpus (.fuzz/) that those before it have left
Broke       is a target by octets that are kept as a case (tests/cases/fuzz/TARGET)
See also    tests/fuzz; tests/properties/test_fuzz.py, the slice of it in every run
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz import run
from tests.fuzz.targets import TARGETS
from tests.torture.stories import CannotBeHad, Opened, Story

ROUNDS = 4
LEAST_S = 5
"""A shorter round would do little but load what it is to break."""

_SECONDS = int(os.environ.get("FUZZ", "7200"))


class Fuzzed:
    """One target, ROUNDS times."""

    def __init__(self, target: str, seconds: int = _SECONDS) -> None:
        """SECONDS for all targets together."""
        self._target = target
        self._share_s = max(LEAST_S, seconds // (ROUNDS * len(TARGETS)))
        rounds = [f"{self._share_s} s, round {n} of {ROUNDS}" for n in range(1, ROUNDS + 1)]
        self.cases: Sequence[str] = rounds

    def suffer(self, case: str) -> list[str]:
        """What broke the target in one round."""
        found = run.run(self._target, self._share_s).found
        return [f"broke {self._target}: {found}"] if found else []


def fuzzed(target: str) -> Callable[[Path], Opened]:
    """The story of a target."""

    @contextmanager
    def opened(_top: Path) -> Iterator[Story]:
        if find_spec("atheris") is None:
            raise CannotBeHad("atheris is not installed (make .venv/.stamps/fuzz installs it)")
        yield Fuzzed(target)

    return opened
