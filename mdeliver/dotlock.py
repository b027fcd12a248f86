"""The lock file beside a mailbox, `MBOX.lock`, as every mail program since V7 knows it.

Guarantee   while we hold it nobody else who honours dotlocks is inside; it appears whole.
Stale       only what is provably stale is removed: a lock file of our own making is held under
            flock as long as its maker lives, so a free flock means a dead maker. Of a lock that
            procmail, Dovecot, mutt or liblockfile made nothing can be proved: we wait for it.
Content     "PID:HOST", which Dovecot reads too. The pid has ten digits: that marks it as ours.
Mode        01600: the sticky bit, without a meaning on a file, marks it as ours too. After a power
            cut a name may be there whose content never came to disk; the mode comes with the name.
Fails with  OSError where the directory does not let us make one (EACCES, EPERM, EROFS): the
            caller decides whether the fcntl lock is enough.
See also    Postfix dot_lockfile(3), lockfile_create(3), open(2) on O_TMPFILE
"""

from __future__ import annotations

import errno
import fcntl

from mdeliver import durable, system

_PID_DIGITS = 10
_OURS = 0o1600
_STICKY = 0o1000


class Dotlock:
    """A lock file that we hold; `fd` is open, and under flock."""

    def __init__(self, path: str, fd: int) -> None:
        self._path = path
        self.fd = fd

    def release(self) -> None:
        """Remove the lock file, unless somebody put theirs in its place.

        A second try is worth it: what stays behind holds up others until we come again.
        """
        try:
            self._remove()
        except OSError:
            self._remove()
        except BaseException:
            # The deadline's alarm, which comes once: it is no reason to hold up others either.
            self._remove()
            raise
        finally:
            durable.close_read(self.fd)

    def _remove(self) -> None:
        if durable.same_file(self.fd, self._path):
            try:
                durable.remove(self._path)
            except PermissionError:
                from mdeliver import mailgroup

                if not mailgroup.is_lent_for(self._path.removesuffix(".lock")):
                    raise
                mailgroup.borrowing(durable.remove, self._path)


def try_dotlock(mailbox: str, hostname: str) -> Dotlock | None:
    """Make `MAILBOX.lock`; None where somebody holds it."""
    path = mailbox + ".lock"
    directory, _, name = path.rpartition("/")
    held: Dotlock | None = None
    try:
        directory_fd = system.open(
            directory, system.O_RDONLY | system.O_DIRECTORY | system.O_CLOEXEC
        )
        try:
            if system.exists(path) and not remove_if_stale(path):
                return None
            content = f"{system.getpid():0{_PID_DIGITS}d}:{hostname}".encode()
            held = Dotlock(path, _held_file(directory, content))
            try:
                durable.link_open_file(held.fd, directory_fd, name)
            except OSError as error:
                fd, held = held.fd, None
                system.close(fd)
                if error.errno == errno.EEXIST:
                    return None
                if error.errno not in (errno.ENOENT, errno.EXDEV, errno.EOPNOTSUPP):
                    raise
                held = _without_tmpfile(path, content)
        finally:
            durable.close_read(directory_fd)
    except BaseException:
        # The deadline's alarm: a worker lives on, and nobody would ever find this lock stale.
        if held is not None:
            held.release()
        raise
    return held


def _held_file(directory: str, content: bytes) -> int:
    """A nameless file under flock with CONTENT: linked, it is a whole lock file at once."""
    fd = durable.create_nameless(directory, _OURS)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        durable.write_all(fd, content)
    except BaseException:
        system.close(fd)
        raise
    return fd


def _without_tmpfile(path: str, content: bytes) -> Dotlock | None:
    """The same on file systems without O_TMPFILE, and without /proc.

    NFS may lose the answer of a link that was done, so the link count is what is believed.
    """
    temporary = f"{path}.{system.getpid()}.{system.urandom(4).hex()}"
    try:
        fd = durable.create(temporary, _OURS)
    except OSError:
        # A server may have made it, and only its answer was lost.
        durable.remove(temporary)
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        durable.write_all(fd, content)
        try:
            durable.link(temporary, path)
            made = True
        except OSError:
            made = system.fstat(fd).st_nlink == 2
        durable.remove(temporary)
    except BaseException:
        durable.remove(temporary)
        system.close(fd)
        raise
    if made:
        return Dotlock(path, fd)
    system.close(fd)
    return None


def remove_if_stale(path: str) -> bool:
    """Remove the lock file if its maker was one of us and is dead; returns whether the way is free.

    The flock is kept until the name is gone: two who find the same stale file take turns, and the
    second sees that the name no longer belongs to it.
    """
    try:
        fd = system.open(
            path, system.O_RDWR | system.O_NOFOLLOW | system.O_CLOEXEC | system.O_NONBLOCK
        )
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        try:
            if not _is_ours(fd):
                return False
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Held, or something that cannot be read and so is none of ours.
            return False
        if durable.same_file(fd, path):
            durable.remove(path)
        return True
    finally:
        durable.close_read(fd)


def _is_ours(fd: int) -> bool:
    """Whether one of us made the lock file that FD has open."""
    pid, colon, _host = durable.read_at(fd, 256, 0).partition(b":")
    said = colon != b"" and len(pid) == _PID_DIGITS and pid.isdigit()
    return said or system.fstat(fd).st_mode & _STICKY != 0
