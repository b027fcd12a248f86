"""State files that were found damaged: what they were is kept beside them, and is told once.

A crash, a full disk or a slip of the hand may leave anything in a state file. No delivery waits or
fails for it: whoever finds it takes out what cannot be read, so that the next one has nothing to
find, and notes here what that was.

Kept        FILE.damaged: the file as it was, its first limits.DAMAGED_BYTES; of several the newest
Not damage  a record cut short at the end of a file: every kill in the midst of a write leaves that
Told        when the message's fate is known, in the decision log and to syslog
            (history/damaged.py); a command, and pop-sync, say it on standard error
Fails with  nothing: what cannot be kept is told without it
See also    SECURITY.md, which says what each file costs
"""

from __future__ import annotations

from mdeliver import durable, limits, system
from mdeliver.record import Record

SUFFIX = ".damaged"


class Damage(Record):
    """One file that was found damaged.

    path  of the file
    what  is wrong with it, in words
    kept  path of what it was; "" where that could not be kept
    why   it could not be
    size  octets that it had; not all of many are kept
    """

    path: str
    what: str
    kept: str
    why: str
    size: int

    @property
    def text(self) -> str:
        """All of it on one line, but for what a path may hold."""
        if not self.kept:
            was = f"what it was could not be kept: {self.why}"
        else:
            most = limits.DAMAGED_BYTES
            part = "what it was" if self.size <= most else f"the first {most >> 20} MB of it"
            was = f"{part} can be looked at in {self.kept}"
        return f"{self.path} was damaged: {self.what}; {was}"


_FOUND: list[Damage] = []
"""What this process has found, and not told."""


def kept(path: str, what: str, octets: bytes, size: int) -> Damage:
    """Keep OCTETS, which the file PATH began with, beside it; WHAT is wrong with it.

    size  of the file
    To be called before the file is mended, or something whole is put in its place; what is returned
    is noted once that is done.
    """
    beside, why = path + SUFFIX, ""
    try:
        durable.replace(beside, octets[: limits.DAMAGED_BYTES], lasting=False)
    except OSError as error:
        beside, why = "", error.strerror or "it cannot be written"
    return Damage(path, what, beside, why, size)


def note(found: Damage) -> None:
    """FOUND is mended, so it is told: where it could not be, each delivery would find it again."""
    _FOUND.append(found)


def taken(directory: str) -> list[Damage]:
    """What was found in the state directory DIRECTORY since this was last asked."""
    found = [one for one in _FOUND if system.dirname(one.path) == directory]
    _FOUND[:] = [one for one in _FOUND if one not in found]
    return found
