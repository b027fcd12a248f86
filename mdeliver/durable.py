"""The only module that touches mail files: open, write, sync, rename, remove.

Guarantee   what these functions say is done is done: every write is complete or raises, a file or
            a directory entry that was synced outlives a power cut.
Refuses     mailboxes that are symbolic links, hard-linked, not regular files, or another user's:
            whoever can plant a name in a spool directory must not choose what we write to.
Fails with  OSError, with the file name in it; Deferral where words help more than errno.
See also    open(2), fsync(2); "Files are hard" applies: a rename lasts once the directory is synced
"""

from __future__ import annotations

import errno

from mdeliver import limits, system
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GUARDED = system.O_NOFOLLOW | system.O_CLOEXEC | system.O_NONBLOCK | system.O_NOCTTY
_DIRECTORY = system.O_RDONLY | system.O_DIRECTORY | system.O_CLOEXEC
_TMPFILE_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


def open_own_file(path: str, *, create: bool, mode: int = 0o600) -> int:
    """Open PATH for reading and appending, if it is a file that is nobody else's.

    Where somebody puts another file in its place in this very moment, that one is opened.

    Returns a descriptor in append mode. Raises FileNotFoundError where it is missing and CREATE is
    false, Deferral where it is not a plain file of ours, OSError otherwise.
    """
    return open_own(path, create=create, mode=mode)[0]


def open_own(path: str, *, create: bool, mode: int = 0o600) -> tuple[int, system.stat_result]:
    """As open_own_file; with the file's status, as it was opened."""
    flags = system.O_RDWR | system.O_APPEND | _GUARDED
    try:
        fd = system.open(path, flags)
    except FileNotFoundError:
        if not create:
            raise
        # O_EXCL: of two deliveries that both found it missing, the second opens the first's.
        try:
            system.close(system.open(path, flags | system.O_CREAT | system.O_EXCL, mode))
            sync_directory(system.dirname(path))
        except FileExistsError:
            pass
        # Begun anew: a log that was made may be put aside before it is opened.
        return open_own(path, create=create, mode=mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise Deferral(f"{path} is not a regular file; mdeliver does not write to it") from None
        raise
    try:
        found = system.fstat(fd)
        if found.st_nlink > 0:
            _refuse_foreign(path, found)
            return fd, found
    except BaseException:
        system.close(fd)
        raise
    close_read(fd)
    return open_own(path, create=create, mode=mode)


def _refuse_foreign(path: str, found: system.stat_result) -> None:
    if not system.is_regular(found):
        raise Deferral(f"{path} is not a regular file; mdeliver does not write to it")
    if found.st_nlink != 1:
        raise Deferral(f"{path} has {found.st_nlink} hard links; mdeliver does not write to it")
    if found.st_uid != system.geteuid():
        raise Deferral(
            f"{path} belongs to uid {found.st_uid}, but the delivery runs as uid {system.geteuid()}"
        )


def status_of(path: str) -> system.stat_result | None:
    """The status of PATH, links not followed; None where there is nothing."""
    try:
        return system.lstat(path)
    except FileNotFoundError:
        return None


def same_file(fd: int, path: str) -> bool:
    """Whether PATH (links not followed) is still the file that FD has open."""
    there = status_of(path)
    return there is not None and system.same(system.fstat(fd), there)


def size_of(fd: int) -> int:
    """Octets in the open file."""
    return system.fstat(fd).st_size


def write_all(fd: int, octets: bytes) -> None:
    """Write all of OCTETS, however many calls that takes."""
    written = system.write(fd, octets)
    while written < len(octets):
        written += system.write(fd, memoryview(octets)[written:])


def write_at_once(fd: int, octets: bytes) -> None:
    """Write OCTETS in one call, or raise: nobody's append may come between its parts."""
    if system.write(fd, octets) != len(octets):
        raise OSError(errno.ENOSPC, "short write")


def write_chunks(fd: int, chunks: Iterable[bytes]) -> None:
    """Write every chunk in order."""
    for chunk in chunks:
        write_all(fd, chunk)


def write_flowing(fd: int, chunks: Iterable[bytes], offset: int = 0) -> None:
    """As write_chunks, what is to be synced soon: the disk gets each part as the next is written.

    offset  where in the file the first chunk comes to stand
    """
    started = written = offset
    for chunk in chunks:
        if written - started >= limits.FLOW_BYTES:
            start_writing(fd, started, written - started)
            started = written
        write_all(fd, chunk)
        written += len(chunk)
    start_writing(fd, started, written - started)


def overwrite(fd: int, octets: bytes, offset: int) -> None:
    """Write OCTETS over what stands at OFFSET; FD must not be in append mode (pwrite(2), BUGS)."""
    if system.pwrite(fd, octets, offset) != len(octets):
        raise OSError(errno.EIO, "short write")


def appended_at(fd: int) -> int:
    """Offset after the last write to FD, which is where an append ended."""
    return system.lseek(fd, 0, system.SEEK_CUR)


def set_appending(fd: int, appending: bool, flags: int = -1) -> int:
    """Put FD into append mode, or take it out, so that `overwrite` works on it.

    flags  its status flags, where they are known from the last time; returned for the next
    """
    import fcntl

    flags = fcntl.fcntl(fd, fcntl.F_GETFL) if flags < 0 else flags
    flags = flags | system.O_APPEND if appending else flags & ~system.O_APPEND
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    return flags


def read_at(fd: int, count: int, offset: int) -> bytes:
    """COUNT octets from OFFSET, fewer only at the end of the file."""
    pieces: list[bytes] = []
    while count > 0:
        piece = system.pread(fd, count, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def read_chunks(fd: int, count: int, size: int, offset: int = 0) -> Iterator[bytes]:
    """COUNT octets of FD from OFFSET on, in pieces of SIZE; raises OSError if it is shorter."""
    end = offset + count
    while offset < end:
        piece = system.pread(fd, min(size, end - offset), offset)
        if not piece:
            raise OSError(errno.EIO, "file ended early")
        yield piece
        offset += len(piece)


def read_file(path: str, limit: int) -> bytes:
    """What PATH holds, at most LIMIT octets; b"" if it does not exist."""
    try:
        # Nobody must be able to make us wait for ever, by a FIFO in its place.
        fd = system.open(path, system.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    try:
        return read_at(fd, limit, 0)
    except OSError as error:
        # pread(2) knows a number: of a directory or a FIFO nobody would be told which.
        error.filename = path
        raise
    finally:
        close_read(fd)


def close_read(fd: int) -> None:
    """Close a descriptor through which nothing was written: its close can tell us nothing."""
    try:
        system.close(fd)
    except OSError:
        pass


def truncate(fd: int, size: int) -> None:
    """Cut the file back to SIZE octets."""
    system.ftruncate(fd, size)


def start_writing(fd: int, offset: int = 0, count: int = 0) -> None:
    """Let the kernel begin to put COUNT octets from OFFSET (0: all that follow) on disk.

    Not waited for: a sync that follows finds it under way, and several files share what each would
    cost. A hint to the kernel, which may refuse it. Linux starts to write what is not needed; it
    drops from memory what it has written by then, so what is to be read again is told of once.
    """
    try:
        system.posix_fadvise(fd, offset, count, system.POSIX_FADV_DONTNEED)
    except OSError:
        pass  # the sync does it all


def sync(fd: int) -> None:
    """Return once the file's content and size are on disk."""
    system.fsync(fd)


def sync_content(fd: int) -> None:
    """Return once the content, and the size if it grew, are on disk (fdatasync)."""
    system.fdatasync(fd)


def sync_directory(path: str) -> None:
    """Return once the names made, changed and removed in directory PATH are on disk."""
    fd = system.open(path or ".", _DIRECTORY)
    try:
        system.fsync(fd)
    finally:
        close_read(fd)


def replace(path: str, octets: bytes, *, lasting: bool = True) -> None:
    """Put OCTETS in the place of whatever PATH is, in one step: it is the old or the new, whole.

    lasting  return once it is on disk; else it may be gone, or empty, after a power cut
    What is written meanwhile has one name, PATH.new: what a kill leaves there the next call
    removes. Two at once may mix, so who cannot exclude that adds a checksum.
    """
    fresh = path + ".new"
    remove(fresh)
    fd = create(fresh)
    try:
        write_all(fd, octets)
        if lasting:
            sync(fd)
        rename(fresh, path)
    except BaseException:
        remove(fresh)
        raise
    finally:
        close_read(fd)
    if lasting:
        sync_directory(system.dirname(path))


def create(path: str, mode: int = 0o600) -> int:
    """Make PATH, which must not exist, and open it for reading and writing."""
    return system.open(path, system.O_RDWR | system.O_CREAT | system.O_EXCL | _GUARDED, mode)


def create_nameless(directory: str, mode: int = 0o600) -> int:
    """Open a file without a name on DIRECTORY's file system: it leaves nothing behind.

    Where the file system has no O_TMPFILE (NFS), a named file is made and its name removed.
    """
    try:
        return system.open(directory, system.O_RDWR | system.O_TMPFILE | system.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno not in _TMPFILE_UNSUPPORTED or not system.is_directory(directory):
            raise
    path = system.join(directory, f".spool.{system.getpid()}.{system.urandom(6).hex()}")
    try:
        fd = create(path, mode)
    except OSError:
        # A server may have made it, and only its answer was lost.
        remove(path)
        raise
    try:
        system.unlink(path)
    except OSError:
        close_read(fd)
        remove(path)
        raise
    return fd


def name_nameless(fd: int, path: str) -> bool:
    """Give the nameless file FD the name PATH, if it then is as if it had been made there.

    So not in another group's directory, nor where that one or FD's own hands something down (a
    default ACL, a label). Returns whether it was done; where not, PATH may exist.
    """
    try:
        at = system.open(system.dirname(path), _DIRECTORY)
        try:
            there, made = system.fstat(at), system.fstat(fd)
            if made.st_nlink or made.st_gid != there.st_gid or any(map(system.listxattr, (at, fd))):
                return False
            link_open_file(fd, at, path.rpartition("/")[2])
        finally:
            close_read(at)
    except OSError:
        return False  # another file system, one without O_TMPFILE; no /proc, no such directory
    return True


def rename(old: str, new: str) -> None:
    """Give OLD the name NEW, in one step."""
    system.rename(old, new)


def link(old: str, new: str) -> None:
    """Give the file OLD a second name NEW, which must not exist."""
    system.link(old, new, follow_symlinks=False)


def remove(path: str) -> bool:
    """Remove the name PATH; returns whether it was there."""
    try:
        system.unlink(path)
    except FileNotFoundError:
        return False
    return True


def make_directory(path: str, mode: int = 0o700) -> None:
    """Make PATH and its missing parents; each is durable once this returns."""
    if system.is_directory(path):
        return
    try:
        system.mkdir(path, mode)
    except FileExistsError:
        if not system.is_directory(path):
            raise
        return
    except FileNotFoundError:
        parent = system.dirname(path)
        if parent == path:
            raise
        make_directory(parent, mode)
        make_directory(path, mode)
        return
    sync_directory(system.dirname(path))


def remove_directory(path: str) -> bool:
    """Remove the directory PATH; returns whether it could be: it was there, and empty."""
    try:
        system.rmdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def set_time(path: str, time_ns: int) -> None:
    """Make PATH as old as TIME_NS, nanoseconds since 1970: a Maildir file's is the arrival."""
    system.utime(path, ns=(time_ns, time_ns))


def take_after(fd: int, model: int) -> None:
    """Give the open file FD the group and mode of the open file MODEL, whose owner we are."""
    wanted = system.fstat(model)
    if system.fstat(fd).st_gid != wanted.st_gid:
        system.fchown(fd, -1, wanted.st_gid)
    system.fchmod(fd, wanted.st_mode & 0o7777)


def link_open_file(fd: int, directory_fd: int, name: str) -> None:
    """Give the nameless file FD the name NAME in the open directory (open(2) on O_TMPFILE)."""
    system.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=directory_fd, follow_symlinks=True)


def exists(path: str) -> bool:
    """Whether there is a file, or a link to anything, at PATH."""
    return system.exists(path)


def names_in(directory: str) -> list[str]:
    """The names in DIRECTORY; [] if there is no such directory."""
    try:
        return system.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
