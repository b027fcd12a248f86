"""What a part of the suite is made of: cases by name, and what is wrong after each.

A story opens what it needs (a home, a mount, servers), has cases in a fixed order, and gives words
for each: none, or some that begin with one of COUNTED, each of which must be zero at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

COUNTED = ("lost", "doubled", "torn", "bounced", "stuck", "litter", "grew", "broke")
"""grew: memory, descriptors or time that a server takes did not stay as they were.
broke: octets made a reader do what it never may.
"""


class Story(Protocol):
    """An open story."""

    cases: Sequence[str]
    """Their names."""

    def suffer(self, case: str) -> list[str]:
        """What is wrong after CASE, in words that begin with one of COUNTED."""


Opened = AbstractContextManager[Story]


class CannotBeHad(Exception):
    """This machine lacks what the story needs; the text says what."""


class Part(NamedTuple):
    """A part of the suite: what the table calls it, and how to open it in an empty directory."""

    name: str
    open: Callable[[Path], Opened]
