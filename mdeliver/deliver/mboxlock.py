"""Open an mbox and lock it, as all mail programs on the host do.

Order       dotlock, then fcntl, both tried without waiting: whoever finds the second taken gives
            the first back. So the opposite order, which Dovecot has, cannot deadlock with us.
            Where the directory lets us make no dotlock (Debian's /var/mail), fcntl is what is left,
            and what Dovecot and Postfix honour.
Fails with  Deferral when patience ends, or where the file is not ours to open; OSError
See also    dotlock.py, locks.py, mbox.py
"""

from __future__ import annotations

import errno

from mdeliver import durable, locks, system
from mdeliver.dotlock import Dotlock, try_dotlock
from mdeliver.outcome import Deferral
from mdeliver.record import Record

_NO_DOTLOCK = (errno.EACCES, errno.EPERM, errno.EROFS)


class HeldMbox(Record):
    """An mbox that is open, and nobody else's until `release`; its size is in octets."""

    fd: int
    dotlock: Dotlock | None
    size: int

    def release(self) -> None:
        """Give the locks back."""
        try:
            system.close(self.fd)
        except OSError:
            raise  # it is closed all the same
        except BaseException:
            # The deadline's alarm was faster: a worker lives on, and would keep the lock.
            durable.close_read(self.fd)
            raise
        finally:
            if self.dotlock is not None:
                self.dotlock.release()


def lock_mbox(path: str, hostname: str, wait_s: float, *, create: bool) -> HeldMbox:
    """Open and lock the mbox PATH.

    wait_s  how long others may have it before Deferral
    create  make the file, and its directory, where it is missing; else FileNotFoundError
    """
    patience = locks.Patience(wait_s)
    while True:
        held = _try_to_lock(path, hostname, create)
        if held is not None:
            return held
        patience.wait(f"the lock of {path}")


def _try_to_lock(path: str, hostname: str, create: bool) -> HeldMbox | None:
    dotlock: Dotlock | None = None
    try:
        dotlock = _dotlock_as_may_be(path, hostname)
        if dotlock is None:
            return None
    except FileNotFoundError:
        if not create:
            raise
        durable.make_directory(system.dirname(path))
        return None
    except OSError as error:
        if error.errno not in _NO_DOTLOCK:
            raise
    fd = -1
    try:
        fd, opened = _open(path, create)
        if locks.try_lock(fd, 0, locks.WHOLE_FILE, exclusive=True):
            locked = durable.status_of(path)
            if locked is not None and system.same(opened, locked):
                return HeldMbox(fd, dotlock, locked.st_size)
    except BaseException:
        _give_back(fd, dotlock)
        raise
    _give_back(fd, dotlock)
    return None


def _give_back(fd: int, dotlock: Dotlock | None) -> None:
    try:
        if fd >= 0:
            system.close(fd)
    finally:
        if dotlock is not None:
            dotlock.release()


def _dotlock_as_may_be(path: str, hostname: str) -> Dotlock | None:
    try:
        return try_dotlock(path, hostname)
    except PermissionError:
        from mdeliver import mailgroup

        if not mailgroup.is_lent_for(path):
            raise
        return mailgroup.borrowing(try_dotlock, path, hostname)


def _open(path: str, create: bool) -> tuple[int, system.stat_result]:
    try:
        return durable.open_own(path, create=create)
    except PermissionError:
        if system.exists(path):
            raise
        from mdeliver import mailgroup

        if mailgroup.is_lent_for(path):
            return mailgroup.borrowing(durable.open_own, path, create=create)
        raise Deferral(
            f"{path} does not exist and uid {system.geteuid()} may not make it; "
            f"as root: install -m 660 -o {system.geteuid()} -g mail /dev/null {path}"
        ) from None
