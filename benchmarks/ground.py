"""A directory to measure in, where nobody has removed anything.

Why   ext4 makes files near their directory, and that near its parent. Without a journal it passes
      over each inode nearby that was freed in the last minutes: after a run that has removed its
      mailboxes, to make a file takes 1 ms where it took 30 us, for whoever comes next.
How   the attribute T of chattr(1): each directory within gets a place of its own on the disk
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

_GET_FLAGS = 0x80086601
_SET_FLAGS = 0x40086602
_TOP_OF_TREES = 0x20000
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of linux/fs.h."""


def fresh_directory(parent: Path | None = None) -> Path:
    """A new directory in PARENT, or below /tmp; what is made in it stands apart from each other."""
    made = Path(tempfile.mkdtemp(prefix="mdeliver-bench-", dir=parent))
    fd = os.open(made, os.O_RDONLY)
    try:
        flags = bytearray(8)
        fcntl.ioctl(fd, _GET_FLAGS, flags)
        now = int.from_bytes(flags, "little")
        fcntl.ioctl(fd, _SET_FLAGS, (now | _TOP_OF_TREES).to_bytes(8, "little"))
    except OSError:
        pass  # another file system, which has no such trouble
    finally:
        os.close(fd)
    return made
