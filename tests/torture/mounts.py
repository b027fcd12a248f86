"""Small file systems of every kind that this kernel has, each in a file of its own.

Root alone can mount. What cannot be made here raises CannotBeHad, which the table tells.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture.stories import CannotBeHad

MB = 1 << 20

_MAKE: dict[str, tuple[int, list[str]]] = {
    "ext4": (8 * MB, ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", "-N", "256"]),
    "ext4 journal": (8 * MB, ["mkfs.ext4", "-q", "-m", "0", "-N", "256", "-J", "size=1"]),
    "xfs": (300 * MB, ["mkfs.xfs", "-q"]),
    "btrfs": (128 * MB, ["mkfs.btrfs", "-q"]),
    "case-insensitive": (8 * MB, ["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"]),
}


@contextmanager
def mounted(kind: str, top: Path, options: str = "") -> Iterator[Path]:
    """A new file system of KIND, one of _MAKE, "tmpfs" or "no O_TMPFILE" (FUSE), below TOP.

    OPTIONS of mount(8), beside its own. It is gone at the end.
    """
    if os.geteuid() != 0:
        raise CannotBeHad("only root can mount")
    at = top / "mount"
    at.mkdir(parents=True, exist_ok=True)
    if kind == "tmpfs":
        _do("mount", "-t", "tmpfs", "-o", options or "size=1m", "none", str(at))
    elif kind == "no O_TMPFILE":
        (top / "below").mkdir(exist_ok=True)
        _do(
            "bindfs",
            "--no-allow-other",
            *(["-o", options] if options else []),
            str(top / "below"),
            str(at),
        )
    else:
        size, make = _MAKE[kind]
        image = top / "image"
        with image.open("wb") as file:
            file.truncate(size)
        _do(*make, str(image))
        _do("mount", "-o", ",".join(["loop", *filter(None, [options])]), str(image), str(at))
    try:
        if kind == "case-insensitive":
            (at / "folded").mkdir()
            _do("chattr", "+F", str(at / "folded"))
            yield at / "folded"
        else:
            yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=False)


def _do(*command: str) -> None:
    """Run COMMAND; raises CannotBeHad where it is missing or fails."""
    if shutil.which(command[0]) is None:
        raise CannotBeHad(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CannotBeHad(f"{command[0]}: {said[-1] if said else done.returncode}")


def set_options(at: Path, options: str) -> None:
    """Mount what is AT again with other OPTIONS, such as ro."""
    _do("mount", "-o", f"remount,{options}", str(at))


def limit(home: Path, octets: int) -> None:
    """A quota of OCTETS on HOME, a subvolume of a Btrfs; 0: none."""
    _do("btrfs", "qgroup", "limit", str(octets) if octets else "none", str(home))


def with_quota(at: Path) -> Path:
    """A directory of the Btrfs AT that can have a quota."""
    _do("btrfs", "quota", "enable", str(at))
    _do("btrfs", "subvolume", "create", str(at / "limited"))
    return at / "limited"


class Ballast:
    """What fills a file system, so that little is left."""

    def __init__(self, at: Path) -> None:
        self._at = at / "ballast"
        self._at.mkdir()

    def leave_octets(self, octets: int, step: int = 4096) -> None:
        """Fill it but for OCTETS."""
        path = self._at / "octets"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        size = 0
        try:
            size = _until_full(lambda: os.write(fd, bytes(MB)))
            size += _until_full(lambda: os.write(fd, bytes(step)))
            os.fsync(fd)
            size += _until_full(lambda: os.write(fd, bytes(step)))
            os.ftruncate(fd, max(0, size - octets))
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, max(0, size - octets))
        finally:
            os.close(fd)

    def leave_names(self, names: int) -> None:
        """Use up all inodes but NAMES."""
        made: list[Path] = []

        def make() -> int:
            path = self._at / f"{len(made):06}"
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            made.append(path)
            return 1

        _until_full(make)
        for path in made[len(made) - names :] if names else []:
            path.unlink()

    def throw_off(self) -> None:
        """Give everything back."""
        shutil.rmtree(self._at)
        self._at.mkdir()


def _until_full(do: Callable[[], int]) -> int:
    """DO until it fails; the sum of what it returned."""
    total = 0
    while True:
        try:
            total += do()
        except OSError:
            return total
