"""Byte-range locks on open files, and patience that ends.

Guarantee   a lock excludes every other holder of a fcntl lock on the same bytes: POSIX locks, as
            Postfix, Dovecot and procmail take, and OFD locks conflict with one another on Linux.
Why OFD     a POSIX lock is lost as soon as any descriptor of the file is closed, and does not
            exclude two deliveries in one process; an open-file-description lock does neither.
Fails with  Deferral when patience ends, OSError (ENOLCK) where the file system has no locks.
See also    fcntl(2), "Open file description locks"
"""

from __future__ import annotations

import errno
import fcntl
import time
from _struct import pack

from mdeliver import system
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    Held = TypeVar("Held")

_FLOCK = "hhqqi4x"
"""struct flock: l_type, l_whence, l_start, l_len, l_pid."""

WHOLE_FILE = 0
"""As a length: to the end of the file, however far it grows."""


def try_lock(fd: int, start: int, length: int, *, exclusive: bool) -> bool:
    """Lock LENGTH bytes from START unless somebody else holds them; returns whether it was done."""
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    try:
        _set_lock(fd, kind, start, length)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def unlock(fd: int, start: int, length: int) -> None:
    """Give back the lock of LENGTH bytes from START; closing FD gives all of them back."""
    _set_lock(fd, fcntl.F_UNLCK, start, length)


def _set_lock(fd: int, kind: int, start: int, length: int) -> None:
    lock = pack(_FLOCK, kind, system.SEEK_SET, start, length, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)


def give_back(release: Callable[[Held], None], all_held: Iterable[Held]) -> None:
    """RELEASE each of ALL_HELD, whatever happens at another one, and raise that then.

    So too where it is the deadline's alarm: a worker lives on, and would keep the rest for ever.
    """
    failed: BaseException | None = None
    for held in all_held:
        try:
            release(held)
        except BaseException as error:
            if failed is None or isinstance(failed, Exception):
                failed = error
    if failed is not None:
        raise failed


class Patience:
    """Waits in growing steps until its time is over.

    Steps are irregular, by process, so that two who wait for each other do not keep step.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._step = 0.0

    def wait(self, what: str) -> None:
        """Sleep a little; raises Deferral naming WHAT was waited for once time is over."""
        self._step = self._step or 0.001 + (system.getpid() % 17) * 0.0001
        left = self._end - time.monotonic()
        if left <= 0:
            raise Deferral(f"gave up waiting for {what}", "4.2.0")
        time.sleep(min(self._step, left))
        self._step = min(self._step * 1.6, 0.25)
