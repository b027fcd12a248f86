"""System calls under their own names, and paths as text: all that a delivery needs of `os`.

Why         importing `os` costs a fifth of the interpreter's own start, for what it adds to the
            system calls (walking, spawning, an environment that writes through). A delivery is one
            process per message and uses none of that. The calls are CPython's own, EINTR included
            (PEP 475); tests put a stand-in in this module's place to fail any one of them.
Paths       absolute or relative, `/` between steps, POSIX only.
Imports     posix; anyone may import it, but only durable.py may change mail files with it.
"""

from __future__ import annotations

import sys
from posix import (
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOCTTY,
    O_NOFOLLOW,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_TMPFILE,
    O_WRONLY,
    POSIX_FADV_DONTNEED,
    WNOHANG,
    X_OK,
    _exit,
    access,
    chdir,
    close,
    closerange,
    dup,
    dup2,
    environ,
    execve,
    fchmod,
    fchown,
    fdatasync,
    fork,
    fstat,
    fsync,
    ftruncate,
    geteuid,
    getpid,
    getresgid,
    initgroups,
    killpg,
    link,
    listdir,
    listxattr,
    lseek,
    lstat,
    memfd_create,
    mkdir,
    open,
    pidfd_open,
    pipe2,
    posix_fadvise,
    pread,
    pwrite,
    read,
    rename,
    rmdir,
    set_blocking,
    setegid,
    setgid,
    setgroups,
    setpgid,
    setuid,
    stat,
    stat_result,
    strerror,
    umask,
    uname,
    unlink,
    urandom,
    utime,
    waitpid,
    waitstatus_to_exitcode,
    write,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "O_APPEND", "O_CLOEXEC", "O_CREAT", "O_DIRECTORY", "O_EXCL", "O_NOCTTY", "O_NOFOLLOW",
    "O_NONBLOCK", "O_RDONLY", "O_RDWR", "O_TMPFILE", "O_WRONLY",
    "POSIX_FADV_DONTNEED", "SEEK_CUR", "SEEK_SET", "WNOHANG",
    "X_OK",
    "_exit", "access", "chdir", "close", "closerange", "dirname", "dup", "dup2", "environment",
    "execve", "exists", "fchmod", "fchown", "fdatasync", "fork", "from_octets", "fstat", "fsync",
    "ftruncate",
    "geteuid", "getpid", "getresgid", "initgroups", "is_directory", "is_regular", "join",
    "killpg", "link",
    "listdir", "listxattr", "lseek", "lstat", "memfd_create", "mkdir", "normal", "open",
    "pidfd_open", "pipe2",
    "posix_fadvise", "pread", "pwrite", "read", "rename", "rmdir", "same",
    "set_blocking", "setegid", "setgid", "setgroups",
    "setpgid",
    "setuid", "stat", "stat_result", "strerror", "to_octets", "umask", "uname", "unlink", "urandom",
    "utime", "waitpid", "waitstatus_to_exitcode", "write",
]  # fmt: skip

SEEK_SET, SEEK_CUR = 0, 1

_FILE_TYPE, _DIRECTORY, _REGULAR = 0o170000, 0o040000, 0o100000
"""The bits of st_mode that say what kind of file it is (inode(7))."""


def to_octets(text: str) -> bytes:
    """TEXT as the system calls take it; what `from_octets` could not decode comes out unchanged."""
    return text.encode("utf-8", "surrogateescape")


def from_octets(octets: bytes) -> str:
    """OCTETS of a path or an environment variable as text (PEP 383)."""
    return octets.decode("utf-8", "surrogateescape")


def environment() -> Mapping[str, str]:
    """The environment of this process; as `os` has it where somebody has imported `os`."""
    os = sys.modules.get("os")
    if os is not None:
        found: Mapping[str, str] = os.environ
        return found
    return {from_octets(name): from_octets(value) for name, value in environ.items()}


def join(directory: str, *names: str) -> str:
    """NAMES in DIRECTORY, one in the other; an absolute name starts afresh."""
    path = directory
    for name in names:
        path = name if name.startswith("/") else f"{path.removesuffix('/')}/{name}"
    return path


def dirname(path: str) -> str:
    """The directory that PATH is in; "." if it is a bare name."""
    directory, slash, _name = path.rpartition("/")
    return directory or slash or "."


def normal(path: str) -> str:
    """PATH without empty and `.` steps, and with `..` taken off as text."""
    steps: list[str] = []
    for step in path.split("/"):
        if step == ".." and steps and steps[-1] != "..":
            steps.pop()
        elif (step == ".." and not path.startswith("/")) or step not in ("", ".", ".."):
            steps.append(step)
    start = "/" if path.startswith("/") else ""
    return start + "/".join(steps) or "."


def exists(path: str) -> bool:
    """Whether there is anything at PATH, a link to nothing included."""
    try:
        lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_directory(path: str) -> bool:
    """Whether PATH, links followed, is a directory."""
    try:
        return stat(path).st_mode & _FILE_TYPE == _DIRECTORY
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_regular(status: stat_result) -> bool:
    """Whether STATUS is that of a plain file."""
    return status.st_mode & _FILE_TYPE == _REGULAR


def same(one: stat_result, other: stat_result) -> bool:
    """Whether both are of the same file."""
    return one.st_ino == other.st_ino and one.st_dev == other.st_dev
