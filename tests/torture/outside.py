"""Every system call of the real programs, struck from outside with strace.

The deliveries are those of tests/faults/inject.py; of the other programs, faults stop them and they
are run again, as cron, systemd or a user does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.agents import AGENTS
from tests.faults.inject import Bench
from tests.faults.strace import points_of, strike, trace
from tests.faults.subject import Subject
from tests.faults.subjects import SUBJECTS
from tests.installation import LDA, open_directory, recipient, unreachable
from tests.local8 import Person
from tests.torture.filesystems import empty
from tests.torture.stories import CannotBeHad, Opened, Story

_RETRIES = 2

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


class StruckDeed:
    """One subject's deed in a process of its own, interpreter and SQLite included.

    What it does before it touches its home is left out: it is the interpreter's start.
    """

    def __init__(self, name: str, home: Path) -> None:
        self._of, self._name, self._home = SUBJECTS[name], name, home
        self._log = home.parent / "trace"
        self._me = Person("me", home, os.geteuid(), os.getegid())
        self._fresh()
        answer = trace(
            self._log, [], self._command(0), b"", dict(os.environ), self._me, 60, cwd=os.getcwd()
        )
        assert answer.status == 0, answer
        points = points_of(self._log.read_text(errors="replace"), begin=f"{home}/")
        self._points = {str(point): point for point in points}
        self.cases: Sequence[str] = list(self._points)

    def _fresh(self) -> Subject:
        empty(self._home)
        subject = self._of(self._home)
        subject.prepare()
        return subject

    def _command(self, attempt: int) -> list[str]:
        return [sys.executable, "-m", "tests.faults.act", self._name, str(self._home), str(attempt)]

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        subject = self._fresh()
        environ = dict(os.environ)
        first, point = self._command(0), self._points[case]
        try:
            struck = strike(point, self._log, first, b"", environ, self._me, 60, cwd=os.getcwd())
        except subprocess.TimeoutExpired:
            return ["stuck: it hangs"]
        status = struck.answer.status
        attempt = 0
        while status != 0 and attempt < _RETRIES:
            attempt += 1
            done = subprocess.run(self._command(attempt), capture_output=True, check=False)
            status = done.returncode
        return subject.wrong() if status == 0 else [f"stuck: ended with {status}"]


def deed(name: str) -> Callable[[Path], Opened]:
    """The story of the subject NAME from outside."""

    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        if shutil.which("strace") is None:
            raise CannotBeHad("strace is not installed")
        (top / "home").mkdir()
        yield StruckDeed(name, top / "home")

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
