"""A proof in numbers: how many messages fare the same, and what was taken for granted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mdeliver.outcome import one_line

if TYPE_CHECKING:
    from mdeliver.procmail.proof import Compared


class Tally:
    """How many messages there were, and what became of them."""

    def __init__(self) -> None:
        self.all = self.same = self.unknown = 0
        self.designed: Counter[str] = Counter()
        self.assumed: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def add(self, one: Compared) -> None:
        self.all += 1
        self.same += one.same
        self.unknown += bool(one.unknown)
        self.designed.update(one.designed)
        self.assumed.update(set(one.assumed))
        self.lost.update([one.lost] * bool(one.lost))

    def lines(self) -> list[str]:
        """The count in words; what is meant to differ is named by its number in MIGRATING.md."""
        lost = self.lost.total()
        different = self.all - self.same - self.unknown - lost
        first = f"{self.same} of {self.all} messages fare the same, {different} differ"
        if self.unknown:
            first += f", of {self.unknown} it is not known"
        made = [first]
        if lost:
            made.append(f"{lost} more differ by recipes that were not carried over:")
            made += [f"  {count}: {one_line(where)}" for where, count in self.lost.most_common()]
        if self.designed:
            made.append("of those that fare the same differ, as MIGRATING.md lists it, in")
            made += [
                f"  {count}: {one_line(what)}" for what, count in sorted(self.designed.items())
            ]
        if self.assumed:
            made.append("taken for granted, since no program was run (--run-programs runs them):")
            made += [f"  {count}: {one_line(what)}" for what, count in sorted(self.assumed.items())]
        return made
