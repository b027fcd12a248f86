"""What filters made of a message, kept until its delivery is done: files `filtered/KEY.NUMBER`.

A filter may say something else each time. So what it gave is on disk before the journal's line
names it, and the retry that completes the attempt takes these very octets, whatever the filter
makes of the message now.

KEY        of the message in the journal, whose lock excludes any other attempt at it
NUMBER     of the filter, as in plan.Content
Guarantee  what was kept is whole and on disk; nothing of it is left then. What no retry ever comes
           for is swept by a later delivery, after limits.FILTERED_KEPT_S.
Fails with OSError
See also   transaction.py, contents.py
"""

from __future__ import annotations

import time

from mdeliver import durable, limits, system
from mdeliver.letter import letter_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from mdeliver.letter import Letter


class Kept:
    """What the filters NUMBERS made of the message KEY, as one attempt at it has it.

    letters  by their numbers, once they were kept or fetched
    """

    def __init__(self, state_directory: str, key: bytes, numbers: Collection[int]) -> None:
        self.letters: dict[int, Letter] = {}
        self._directory = system.join(state_directory, "filtered")
        self._key = key.decode()
        self._numbers = numbers
        self._fetched = False

    def keep(self, filtered: tuple[Letter, ...]) -> None:
        """Put those of FILTERED on disk that are asked for; what stands there is replaced."""
        durable.make_directory(self._directory)
        _sweep(self._directory)
        try:
            for number in self._numbers:
                letter = self.letters[number] = filtered[number - 1]
                # Of an attempt that was killed before its line was written.
                durable.remove(self._path(number))
                _write(self._path(number), letter)
            durable.sync_directory(self._directory)
        except BaseException:
            self._forget()
            raise

    def fetch(self) -> None:
        """Read what an earlier attempt kept; what is not there any more is left out."""
        self._fetched = True
        for number in self._numbers:
            try:
                fd = durable.open_own_file(self._path(number), create=False)
            except FileNotFoundError:
                continue
            self.letters[number] = letter_in(fd, from_line=False)

    def _forget(self) -> None:
        """Remove it; what cannot be removed, when asked twice, is left to the sweep.

        The message is delivered by then: it must not come again for the sake of a file.
        """
        for path in [self._path(number) for number in self._numbers for _try in range(2)]:
            try:
                durable.remove(path)
            except OSError:
                pass

    def close(self, *, forget: bool) -> None:
        """Let go of it; FORGET: no retry will ask for it."""
        if forget:
            self._forget()
        if self._fetched:
            for letter in self.letters.values():
                letter.close()
        self.letters = {}

    def _path(self, number: int) -> str:
        return system.join(self._directory, f"{self._key}.{number}")


def _write(path: str, letter: Letter) -> None:
    fd = durable.create(path)
    try:
        durable.write_chunks(fd, letter.chunks())
        durable.sync(fd)
    finally:
        system.close(fd)


def _sweep(directory: str) -> None:
    """Remove what is too old for any retry."""
    before_s = time.time() - limits.FILTERED_KEPT_S
    for name in durable.names_in(directory):
        path = system.join(directory, name)
        try:
            if system.lstat(path).st_mtime < before_s:
                durable.remove(path)
        except OSError:
            pass  # somebody else's sweep was faster
