"""Wakes up when one of many files may have changed, and costs nothing until then.

Watched    their directories, by inotify: a file that is replaced, made or renamed is seen too, and
           one watch serves all of /var/mail.
Lost       When the kernel's queue overflows, or a directory is renamed, removed or unmounted, all
           of its files may have changed; it is watched again as soon as it is there.
Polled     what the kernel cannot tell of: NFS and other file systems that other hosts write to,
           directories that cannot be watched. A look is one stat(2).
See also   inotify(7); proc_pid_mountinfo(5)
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Mapping

from inotify_simple import INotify, flags

from mdeliver import durable

_MASK = (
    flags.MODIFY | flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.CREATE
    | flags.DELETE | flags.ATTRIB | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
)  # fmt: skip
_LOST = flags.IGNORED | flags.UNMOUNT | flags.DELETE_SELF | flags.MOVE_SELF

_REMOTE = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gfs2", "ocfs2",
    "glusterfs", "beegfs", "virtiofs",
)  # fmt: skip

_MOUNTS_BYTES = 16 << 20

_ANY = ""
"""In the place of a file's name: all that are in the directory."""


class Watch:
    """The files that are watched; its `fileno` is ready when there is something to `read`."""

    def __init__(self, poll_s: float) -> None:
        """POLL_S: seconds between two looks at what must be polled."""
        self._poll_s = poll_s
        self._inotify = INotify(nonblocking=True)
        self._files: dict[str, set[str]] = {}
        self._watched: dict[int, str] = {}
        self._polled: set[str] = set()
        self._seen: dict[str, list[int]] = {}
        self._kinds: dict[str, str] = {}
        """Kinds of file systems by where they are mounted, while it is asked."""
        self._next_poll_s = 0.0

    def fileno(self) -> int:
        """Of the inotify queue."""
        return int(self._inotify.fileno())

    def close(self) -> None:
        """Watch no longer."""
        self._inotify.close()

    def follow(self, paths: Iterable[str]) -> None:
        """Watch PATHS, absolute, as well as what is watched already.

        One that ends in `/` is a directory, in which whatever happens is told by its name.
        """
        self._kinds = _mounted()
        for path in paths:
            directory, name = os.path.split(path)
            if directory not in self._files:
                self._files[directory] = set()
                self._begin(directory)
            self._files[directory].add(name)
            if directory in self._polled:
                self._seen.setdefault(path, look_of(path))

    def timeout_s(self) -> float | None:
        """Seconds until the next look at what must be polled; None where nothing must."""
        return max(0.0, self._next_poll_s - time.monotonic()) if self._polled else None

    def read(self) -> set[str]:
        """The paths that may have changed since the last time; does not wait."""
        changed: set[str] = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                for directory in self._files:
                    changed |= self._all_in(directory)
                continue
            found = self._watched.get(event.wd)
            if found is None:
                continue
            if event.mask & _LOST:
                self._end(event.wd, found, is_gone=bool(event.mask & flags.IGNORED))
                changed |= self._all_in(found)
                continue
            for name in {event.name, _ANY} & self._files[found]:
                changed.add(os.path.join(found, name))
        if self._polled and time.monotonic() >= self._next_poll_s:
            changed |= self._poll()
        return changed

    def _all_in(self, directory: str) -> set[str]:
        return {os.path.join(directory, name) for name in self._files[directory]}

    def _begin(self, directory: str) -> bool:
        """Watch DIRECTORY, or poll it; returns whether it is watched."""
        if not _is_remote(directory, self._kinds):
            try:
                watched = self._inotify.add_watch(directory, _MASK)
            except OSError:
                pass  # not there yet, or max_user_watches: polled until it can be watched
            else:
                self._watched[watched] = directory
                self._polled.discard(directory)
                return True
        self._polled.add(directory)
        return False

    def _end(self, watched: int, directory: str, *, is_gone: bool) -> None:
        del self._watched[watched]
        if not is_gone:
            try:
                self._inotify.rm_watch(watched)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        self._polled.add(directory)
        self._next_poll_s = 0.0

    def _poll(self) -> set[str]:
        changed: set[str] = set()
        self._kinds = _mounted()
        for directory in sorted(self._polled):
            # What could not be watched may be there by now; whatever came before is unknown.
            if os.path.isdir(directory) and self._begin(directory):
                changed |= self._all_in(directory)
                continue
            for path in self._all_in(directory):
                look = look_of(path)
                if look != self._seen.get(path):
                    self._seen[path] = look
                    changed.add(path)
        self._next_poll_s = time.monotonic() + self._poll_s
        return changed


def look_of(path: str) -> list[int]:
    """What is another whenever the file PATH has changed; [] where there is none."""
    try:
        return look_at(os.stat(path))
    except OSError:
        return []


def look_at(status: os.stat_result) -> list[int]:
    """As look_of, where the status of the file is known."""
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _mounted() -> dict[str, str]:
    """What kind of file system is mounted where."""
    mounts = durable.read_file("/proc/self/mountinfo", _MOUNTS_BYTES)
    kinds = {}
    for line in mounts.decode("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        place = before.split(" ")[4].replace("\\040", " ")
        kinds[place] = after.split(" ")[0]
    return kinds


def _is_remote(directory: str, kinds: Mapping[str, str]) -> bool:
    """Whether other hosts may write there, of which inotify says nothing."""
    path = os.path.realpath(directory)
    while path not in kinds and path != "/":
        path = os.path.dirname(path)
    kind = kinds.get(path, "")
    return kind in _REMOTE or kind.startswith("fuse.")
