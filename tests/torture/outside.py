"""Every system call of the real programs, struck from outside with strace.

The deliveries are those of tests/faults/inject.py; of the other programs, faults stop them and they
are run again, as cron, systemd or a user does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.agents import AGENTS
from tests.faults.inject import Bench
from tests.installation import LDA, open_directory, recipient, unreachable
from tests.torture.stories import CannotBeHad, Opened, Story

OUTSIDE = tuple(name for name in AGENTS if name.startswith("mdeliver"))


class Struck:
    """One agent, and every fault that strace can bring to a delivery of it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._points = {str(point): point for point in bench.points}
        self.cases: Sequence[str] = list(self._points)

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        return self._bench.suffer(self._points[case]).wrong


def outside(agent: str) -> Callable[[Path], Opened]:
    """The story of AGENT."""

    @contextmanager
    def opened(_top: Path) -> Iterator[Story]:
        if shutil.which("strace") is None:
            raise CannotBeHad("strace is not installed")
        # Deliveries run as somebody who must reach it.
        top = open_directory("outside")
        try:
            if why := unreachable(LDA, recipient(top / "somebody")):
                raise CannotBeHad(why)
            yield Struck(Bench(agent, top))
        finally:
            shutil.rmtree(top, ignore_errors=True)

    return opened
