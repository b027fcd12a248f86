"""What the converter has to say about a file besides the rules: what a person must look at."""

from __future__ import annotations

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class Entry(Record):
    """One thing to look at.

    level  "lost": it was not carried over, and its rule is a comment. "differs": it was, and is
           not quite the same. "note": good to know
    place  where in the file that was converted
    what   what stands there, short
    why    why it was not carried over, or what differs
    todo   what to do about it
    """

    level: Literal["lost", "differs", "note"]
    place: Span
    what: str
    why: str
    todo: str

    @property
    def line(self) -> str:
        """The entry on one line."""
        todo = f" ({self.todo})" if self.todo else ""
        what = f"{self.what}: " if self.what else ""
        return f"{self.place.where}: {self.level}: {what}{self.why}{todo}"


class Converted(Record):
    """Rules made of another program's.

    text     the rules
    entries  what to look at, in the order of the file
    findings what is wrong with the file that was converted
    """

    text: str
    entries: tuple[Entry, ...]
    findings: tuple[Diagnostic, ...]

    @property
    def is_whole(self) -> bool:
        """Whether everything was carried over."""
        lost = any(entry.level == "lost" for entry in self.entries)
        return not lost and not any(finding.level == "error" for finding in self.findings)
