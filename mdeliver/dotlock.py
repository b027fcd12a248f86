"""The lock file beside a mailbox, `MBOX.lock`, as every mail program since V7 knows it.

Guarantee   while we hold it nobody else who honours dotlocks is inside; it appears whole.
Stale       only what is provably stale is removed: a lock file of our own making is held under
            flock as long as its maker lives, so a free flock means a dead maker. Of a lock that
            procmail, Dovecot, mutt or liblockfile made nothing can be proved: we wait for it.
Content     "PID:HOST", which Dovecot reads too. The pid has ten digits: that marks it as ours.
Mode        01600: the sticky bit, without a meaning on a file, marks it as ours too. After a power
            cut a name may be there whose content never came to disk; the mode comes with the name.
Kept        a worker makes its lock files of one file, `dotlock` in the state directory: each is a
            second name of it for a while. To make a new file, and free it again, costs the file
            system several times as much, and slows down the next file that is made near it. Where
            that file is in use, or on another file system, each lock file is one of its own.
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

_KEPT_FLAGS = (
    system.O_RDWR | system.O_CREAT | system.O_NOFOLLOW | system.O_CLOEXEC | system.O_NONBLOCK
)


class _KeptFile:
    """The file `dotlock` in DIRECTORY, of which this process makes one lock file at a time."""

    def __init__(self, directory: str) -> None:
        self.path = system.join(directory, "dotlock")
        self._fd = -1
        self._lent = False

    def lend(self, content: bytes) -> int:
        """Its descriptor, under flock, the file with CONTENT; -1 where it cannot be had now."""
        if self._lent:
            return -1
        try:
            if self._fd < 0:
                own, effective, _ = system.getresgid()
                if effective != own:
                    return -1  # no file of the user's is made with a group that is only lent
                self._fd = system.open(self.path, _KEPT_FLAGS, _OURS)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = system.fstat(self._fd)
            mine = found.st_uid == system.geteuid() and system.is_regular(found)
            # A second name is a lock file that somebody left who was killed.
            if mine and found.st_nlink == 1:
                # Written anew each time, for its age too: some break a lock file that is old.
                durable.overwrite(self._fd, content, 0)
                if found.st_size > len(content):
                    durable.truncate(self._fd, len(content))
                self._lent = True
                return self._fd
        except OSError:
            pass
        self.close()
        return -1

    def take_back(self) -> None:
        """The lock file that was made of it is gone."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._lent = False
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it; it is opened again when it is wanted."""
        fd, self._fd, self._lent = self._fd, -1, False
        if fd >= 0:
            durable.close_read(fd)


_KEPT: list[_KeptFile] = []
"""That of this process, if it is to have one."""


def keep_file_in(directory: str) -> None:
    """Make the lock files of this process of one file in DIRECTORY from now on, where that goes."""
    stop_keeping()
    _KEPT.append(_KeptFile(directory))


def stop_keeping() -> None:
    """Make each lock file a file of its own."""
    while _KEPT:
        _KEPT.pop().close()


class Dotlock:
    """A lock file that we hold; `fd` is open, and under flock.

    kept  what it was made of, if it is no file of its own
    """

    def __init__(self, path: str, fd: int, kept: _KeptFile | None = None) -> None:
        self._path = path
        self.fd = fd
        self.kept = kept

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
            self.let_go()

    def let_go(self) -> None:
        """Give back the flock: what has the name still, if anything, is anybody's to remove."""
        if self.kept is not None:
            self.kept.take_back()
        else:
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
            held = _nameless(path, content)
            try:
                durable.link_open_file(held.fd, directory_fd, name)
            except OSError as error:
                unnamed, held = held, None
                unnamed.let_go()
                if error.errno == errno.EEXIST:
                    return None
                if error.errno not in (errno.ENOENT, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP):
                    raise
                if unnamed.kept is None:
                    held = _without_tmpfile(path, content)
                else:
                    # Another file system, as a rule.
                    stop_keeping()
                    held = try_dotlock(mailbox, hostname)
        finally:
            durable.close_read(directory_fd)
    except BaseException:
        # The deadline's alarm: a worker lives on, and nobody would ever find this lock stale.
        if held is not None:
            held.release()
        raise
    return held


def _nameless(path: str, content: bytes) -> Dotlock:
    """The lock file PATH with CONTENT, under flock, without its name: linked, it is whole."""
    for kept in _KEPT:
        fd = kept.lend(content)
        if fd >= 0:
            return Dotlock(path, fd, kept)
    fd = durable.create_nameless(system.dirname(path), _OURS)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        durable.write_all(fd, content)
    except BaseException:
        system.close(fd)
        raise
    return Dotlock(path, fd)


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
