"""Standard output that can be lost: a full disk, a closed descriptor, a reader that has gone.

Guarantee   what a command could not print ends it with one line and EX_IOERR, never with a
            traceback, with Python's own 120, or with 0 as if all had been said.
Silent      where a reader has read enough, as in `mdeliver log | head`.
Exception   OutputLost is no OSError: commands catch those of files and servers, and would say that
            a mailbox is full.
See also    __main__.py, which has a delivery's own way; sysexits.h
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from mdeliver.outcome import one_line

EX_IOERR = 74


class OutputLost(Exception):
    """Standard output takes nothing; NUMBER is the errno."""

    def __init__(self, number: int) -> None:
        super().__init__("it is closed" if number == errno.EBADF else os.strerror(number))
        self.number = number


class _Output(io.TextIOWrapper):
    """Standard output that raises OutputLost."""

    def write(self, text: str) -> int:
        """Print TEXT, perhaps later."""
        try:
            return super().write(text)
        except OSError as error:
            raise OutputLost(error.errno or errno.EIO) from None

    def flush(self) -> None:
        """Print now what was kept."""
        try:
            super().flush()
        except OSError as error:
            raise OutputLost(error.errno or errno.EIO) from None


class _Closed(io.TextIOBase):
    """Standard output that was closed before we began."""

    encoding = "utf-8"
    _wanted = False

    def writable(self) -> bool:
        """It looks like any other."""
        return True

    def write(self, _text: str) -> NoReturn:
        """Fail."""
        self._wanted = True
        raise OutputLost(errno.EBADF)

    def flush(self) -> None:
        """Fail where something was to be printed."""
        if self._wanted:
            raise OutputLost(errno.EBADF)


@contextmanager
def watched() -> Iterator[None]:
    """Have OutputLost raised where it is lost, and end the process where nobody has caught it."""
    closed = sys.stdout is None
    _open_all()
    if closed:
        sys.stdout = _Closed()
    elif isinstance(sys.stdout, io.TextIOWrapper):
        encoding, errors, by_lines = (
            sys.stdout.encoding,
            sys.stdout.errors,
            sys.stdout.line_buffering,
        )
        sys.stdout = _Output(sys.stdout.detach(), encoding, errors, line_buffering=by_lines)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputLost as lost:
        if lost.number != errno.EPIPE:
            _complain(f"mdeliver: standard output: {one_line(str(lost))}\n")
        _drop()
        sys.exit(EX_IOERR)


def _complain(line: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        _to_null(2)


def _open_all() -> None:
    """A descriptor that is closed becomes /dev/null: else a file would get its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _to_null(descriptor)


def _drop() -> None:
    """Send what is still kept nowhere: Python tries again when it ends, and would fail again."""
    if isinstance(sys.stdout, _Closed):
        sys.stdout = None
    _to_null(1)


def _to_null(descriptor: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened == descriptor:
        os.set_inheritable(descriptor, True)
    else:
        os.dup2(opened, descriptor)
        os.close(opened)
