"""Every system call of the real programs, struck from outside with strace.

The deliveries are those of tests/faults/inject.py; of the other programs, faults stop them and they
are run again, as cron, systemd or a user does.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.agents import AGENTS
from tests.faults.inject import Bench
from tests.faults.strace import ALWAYS, Point, looking_on, points_of
from tests.faults.subject import Subject
from tests.faults.subjects import SUBJECTS
from tests.faults.warm import Warm
from tests.installation import LDA, open_directory, recipient, unreachable
from tests.torture.filesystems import empty
from tests.torture.stories import CannotBeHad, Opened, Story

_RETRIES = 2
_HANGS_S = 60

OUTSIDE = tuple(name for name in AGENTS if name.startswith("mdeliver"))


class Struck:
    """One agent, and every fault that strace can bring to a delivery of it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._points = {str(point): point for point in bench.all_points}
        self.cases: Sequence[str] = list(self._points)

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        return self._bench.suffer(self._points[case]).wrong


class StruckDeed:
    """One subject's deed, from outside: SQLite and imports included.

    What it does before it touches its home is the interpreter's start, and left out.
    """

    def __init__(self, name: str, home: Path, warm: Warm) -> None:
        self._of, self._home, self._warm = SUBJECTS[name], home, warm
        self._log = home.parent / "trace"
        self._fresh()
        assert self._attempt(0, None) == 0, self._log.read_text()[-2000:]
        points = points_of(self._log.read_text(errors="replace"), more=ALWAYS)
        self._points = {str(point): point for point in points}
        self.cases: Sequence[str] = list(self._points)

    def _fresh(self) -> Subject:
        empty(self._home)
        subject = self._of(self._home)
        subject.prepare()
        return subject

    def _attempt(self, number: int, point: Point | None) -> int:
        """How attempt NUMBER ended, under strace, with a fault if POINT says. May raise."""
        pid = self._warm.begin(number)
        try:
            with looking_on(pid, self._log, point):
                os.kill(pid, signal.SIGCONT)
                return self._warm.ended(_HANGS_S)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._warm.ended(_HANGS_S)
            raise

    def _retry(self, number: int) -> int:
        os.kill(self._warm.begin(number), signal.SIGCONT)
        return self._warm.ended(_HANGS_S)

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        subject = self._fresh()
        try:
            status = self._attempt(0, self._points[case])
            attempt = 0
            while status != 0 and attempt < _RETRIES:
                attempt += 1
                status = self._retry(attempt)
        except TimeoutError:
            return ["stuck: it hangs"]
        return subject.wrong() if status == 0 else [f"stuck: ended with {status}"]


def deed(name: str) -> Callable[[Path], Opened]:
    """The story of the subject NAME from outside."""

    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        if shutil.which("strace") is None:
            raise CannotBeHad("strace is not installed")
        (top / "home").mkdir()
        with Warm(name, top / "home") as warm:
            yield StruckDeed(name, top / "home", warm)

    return opened


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
