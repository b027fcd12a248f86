"""The marks that mdeliver is measured by, and how a run stands to them.

A mark is a ratio, or an amount, that is to be kept; behind it stands what is aimed at. It may be
the most or the least. A run on a busy machine says little: ratios of what took turns say more.
"""

from __future__ import annotations

from typing import NamedTuple


class Mark(NamedTuple):
    """What is to be kept, and what is aimed at; a larger aim means that more is better."""

    kept: float
    aim: float

    def words(self, name: str, found: float) -> str:
        """A line for people: how FOUND, which is called NAME, stands to it."""
        more = self.aim > self.kept
        reached = [found >= bound if more else found <= bound for bound in self]
        verdict = "aim reached" if reached[1] else "kept" if reached[0] else "MISSED"
        least = "at least" if more else "at most"
        return (
            f"Mark {verdict}: {name} {found:.2f}; {least} {self.kept:g}, the aim is {self.aim:g}."
        )
