"""Deeds of a subject in processes that are ready at once: forked from one that has imported it.

Usage   python -m tests.faults.warm SUBJECT HOME
        Each line on standard input is the number of an attempt. A child is forked for it, which
        stops; its pid is printed. Whoever looks on attaches, and lets it go on (SIGCONT). Then its
        exit status is printed, as `act` has it; negative: the signal that ended it.
See also  act.py, which starts an interpreter for each; torture/outside.py
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from mdeliver import limits
from mdeliver.outcome import Deferral
from tests.faults.subjects import SUBJECTS


class Warm:
    """The process, from the other side."""

    def __init__(self, subject: str, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm", subject, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(300)

    def begin(self, attempt: int) -> int:
        """The pid of a process that is stopped before the deed."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % attempt)
        self._process.stdin.flush()
        return self._number(300)

    def ended(self, timeout_s: float) -> int:
        """How it ended. Raises TimeoutError."""
        return self._number(timeout_s)

    def _number(self, timeout_s: float) -> int:
        out = self._process.stdout
        assert out is not None
        if not select.select([out], [], [], timeout_s)[0]:
            raise TimeoutError
        return int(out.readline())


def main() -> int:
    """The command line; see the module."""
    name, home = sys.argv[1:]
    answers = os.dup(1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.close(answers)
            os.kill(os.getpid(), signal.SIGSTOP)
            return _act(name, Path(home), int(line))
        os.waitpid(child, os.WUNTRACED)
        os.write(answers, b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))
    return 0


def _act(name: str, home: Path, attempt: int) -> int:
    # Nobody else has any: what waits for one, as for a file that munmap(2) did not let go of, waits
    # in vain until it gives up.
    limits.LOCK_WAIT_S = 5
    try:
        SUBJECTS[name](home).act(attempt)
    except (OSError, Deferral):
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
