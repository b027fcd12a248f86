"""What a disk may hold after a power cut: every state that file systems are known to leave.

A file         What was synced is there. Of what was written since, each page may be as it was at
               any time since then, and the size likewise: where the size came further than the
               pages there are zeros, and where it stayed behind they are cut off.
A directory    A name that was made, changed or removed is as it was until the directory is
               synced; each independently of any other, in whatever order. A rename is one change,
               on disk once the directory of the new name is.
Not believed   that a sync of a file puts its name on disk, that names get there in their order, or
               a file's octets before its name. So this is a superset of what ext4, XFS and Btrfs
               leave, and of what they did when they were younger.

See also  recording.py, powercut.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

from tests.faults.recording import Op, Recording

PAGE = 4096
_SECTOR = 512
_MOST_PAGES = 6
_ALL_UP_TO = 48
_PAIR_OPTIONS = 5

Names = dict[tuple[int, str], int]
Choice = tuple[int, ...]


class _File:
    """What is on disk of one file, and what it held at each time since."""

    def __init__(self, octets: bytes) -> None:
        self.versions = [octets]

    def change(self, op: Op) -> None:
        octets = self.versions[-1]
        if op.kind == "size":
            self.versions.append(octets[: op.offset].ljust(op.offset, b"\0"))
            return
        start, end = octets[: op.offset].ljust(op.offset, b"\0"), op.offset + len(op.octets)
        self.versions.append(start + op.octets + octets[end:])

    def sync(self) -> None:
        self.versions = self.versions[-1:]

    def options(self, zeros: bool) -> list[bytes]:
        """What may be found, all kept first, all lost second.

        zeros  whether the size may be on disk before the octets
        """
        *_, newest = self.versions
        oldest = self.versions[0]
        found = [newest, oldest, *self.versions[1:-1]]
        if len(self.versions) > 1:
            found += self._cuts(oldest, newest)
            found += [o for o in self._pages(oldest, newest) if zeros or len(o) <= len(oldest)]
        return list(dict.fromkeys(found))

    def _cuts(self, oldest: bytes, newest: bytes) -> Iterator[bytes]:
        """What the file has grown by is there in part."""
        grown = len(newest) - len(oldest)
        if grown > 0:
            for cut in (1, grown // 2, grown - 1):
                yield newest[: len(oldest) + cut]
            for step in (PAGE, _SECTOR):
                boundary = (len(oldest) // step + 1) * step
                if boundary < len(newest):
                    yield newest[:boundary]

    def _pages(self, oldest: bytes, newest: bytes) -> Iterator[bytes]:
        """Each page, and the size, of its own time."""
        longest = max(len(version) for version in self.versions)
        # The size on disk, the pages not; and the other way round.
        yield oldest[: len(newest)].ljust(len(newest), b"\0")
        yield newest[: len(oldest)]
        pages = [
            page
            for page in range(0, longest, PAGE)
            if len({version[page : page + PAGE] for version in self.versions}) > 1
        ]
        if len(pages) > _MOST_PAGES:
            half = _MOST_PAGES // 2
            pages = pages[:half] + pages[-half:]
        for page in pages:
            for version in self.versions:
                one = version[page : page + PAGE].ljust(PAGE, b"\0")
                for base in (newest, oldest[: len(newest)].ljust(len(newest), b"\0")):
                    yield (base[:page] + one + base[page + PAGE :])[: len(newest)]


class _Change(NamedTuple):
    """What became of names at once: (directory, name), and the file, 0 for none."""

    parts: tuple[tuple[tuple[int, str], int], ...]

    @property
    def directory(self) -> int:
        """Whose sync puts it on disk."""
        return self.parts[0][0][0]

    @property
    def names(self) -> set[tuple[int, str]]:
        """What it changes."""
        return {at for at, _ in self.parts}

    def apply(self, names: Names) -> None:
        """Change NAMES so."""
        for at, file in self.parts:
            if file:
                names[at] = file
            else:
                names.pop(at, None)


class State(NamedTuple):
    """One disk after the cut.

    at        how many Ops had been done
    lost      words on what of them was lost, for reports
    promised  what had been said to be done
    """

    at: int
    lost: str
    promised: frozenset[str]
    names: Names
    contents: dict[int, bytes]
    directories: frozenset[int]
    modes: dict[int, int]


class Disk:
    """What is on disk, and what is on its way there."""

    def __init__(self, recording: Recording, *, zeros: bool = True) -> None:
        self._zeros = zeros
        self.names: Names = dict(recording.entries)
        self.directories = {n for n, octets in recording.contents.items() if octets is None}
        self._files = {
            number: _File(octets if number in recording.entries.values() else b"")
            for number, octets in recording.contents.items()
            if octets is not None
        }
        self._changes: list[_Change] = []
        self.promised: set[str] = set()
        self._modes = recording.modes

    def do(self, op: Op) -> None:
        """Take OP over."""
        match op.kind:
            case "write" | "size":
                self._files[op.file].change(op)
            case "add":
                if op.directory:
                    self.directories.add(op.file)
                self._changes.append(_Change(((op.names[0], op.file),)))
            case "remove":
                self._changes.append(_Change(((op.names[0], 0),)))
            case "rename":
                old, new = op.names
                self._changes.append(_Change(((new, op.file), (old, 0))))
            case "promise":
                self.promised.add(op.octets.decode())
            case _ if op.file in self.directories:
                self._sync_directory(op.file)
            case _:
                self._files[op.file].sync()

    def _sync_directory(self, directory: int) -> None:
        synced: set[int] = set()
        names: set[tuple[int, str]] = set()
        for number, change in reversed(list(enumerate(self._changes))):
            # What went before it with the same names is on disk, too.
            if change.directory == directory or names & change.names:
                synced.add(number)
                names |= change.names
        for number in sorted(synced):
            self._changes[number].apply(self.names)
        self._changes = [c for number, c in enumerate(self._changes) if number not in synced]

    def states(self, at: int) -> Iterator[State]:
        """Every state that is tried for a cut now."""
        dirty = [number for number, file in self._files.items() if len(file.versions) > 1]
        options = [self._files[number].options(self._zeros) for number in dirty]
        counts = [len(of) for of in options] + [2] * len(self._changes)
        for choice in _choices(counts):
            yield self._state(at, dirty, options, choice)

    def _state(
        self, at: int, dirty: list[int], options: list[list[bytes]], choice: Choice
    ) -> State:
        contents = {number: file.versions[0] for number, file in self._files.items()}
        lost = []
        for number, of, chosen in zip(dirty, options, choice, strict=False):
            contents[number] = of[chosen]
            if chosen:
                lost.append(f"file {number} option {chosen} ({len(of[chosen])} octets)")
        names = dict(self.names)
        for change, chosen in zip(self._changes, choice[len(dirty) :], strict=True):
            if chosen:
                lost.append(_words(change))
            else:
                change.apply(names)
        return State(
            at,
            "; ".join(lost) or "nothing",
            frozenset(self.promised),
            names,
            contents,
            frozenset(self.directories),
            self._modes,
        )


def _words(change: _Change) -> str:
    return ", ".join(f"{name}{'' if file else ' removed'}" for (_, name), file in change.parts)


def _choices(counts: Sequence[int]) -> Iterator[Choice]:
    """Which option of each: all there are, if they are few; else one and two that differ.

    0 is kept, 1 is lost. They differ from all kept, and from all lost.
    """
    total = 1
    for count in counts:
        total *= count
    if total <= _ALL_UP_TO:
        yield from product(*[range(count) for count in counts])
        return
    for base in ((0,) * len(counts), (1,) * len(counts)):
        yield base
        for place, count in enumerate(counts):
            for chosen in range(count):
                yield (*base[:place], chosen, *base[place + 1 :])
        for one, other in combinations(range(len(counts)), 2):
            both = [range(min(counts[place], _PAIR_OPTIONS)) for place in (one, other)]
            for first, second in product(*both):
                changed = list(base)
                changed[one], changed[other] = first, second
                yield tuple(changed)


def write_out(state: State, top: Path) -> None:
    """Make the tree below TOP what STATE says.

    What is in its place stays the one that it is, as on a disk: pop-sync knows Maildirs, and what
    it puts into an mbox, by their inodes.
    """
    made: dict[int, Path] = {}
    kept: set[Path] = set()
    paths = {0: top}
    waiting = dict(state.names)
    # What is never reached are names in directories that have none themselves.
    while reachable := [at for at in waiting if at[0] in paths]:
        for at in reachable:
            number = waiting.pop(at)
            path = paths[at[0]] / at[1]
            if number in state.directories:
                path.mkdir(mode=0o700, exist_ok=True)
                paths[number] = path
                continue
            if path.is_file() and (number in made or path.stat().st_nlink > 1):
                path.unlink()
            if number in made:
                path.hardlink_to(made[number])
            else:
                path.write_bytes(state.contents[number])
                path.chmod(state.modes[number])
                made[number] = path
            kept.add(path)
    kept |= set(paths.values())
    for path in sorted(top.rglob("*"), reverse=True):
        if path not in kept:
            path.rmdir() if path.is_dir() else path.unlink()
