"""Where messages go, short enough for a table: places, how many, and the rule that did it.

Guarantee   no control character of a message or of a rule is in what is made here.
See also    explain.py, which says everything about one message
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mdeliver.deedwords import action_words
from mdeliver.outcome import Outcome, one_line
from mdeliver.plan import Edit, File, Filter, Note, Plan

NO_RULE = "no rule took it"
"""What stands in a rule's place where a message went to the inbox by itself."""


class Place(NamedTuple):
    """One thing that becomes of a message.

    words  "imap/Lists/postfix as seen", or the verdict: "rejected"
    key    what tells places apart: the path and the flags; "" for a verdict
    rule   FILE:LINE, or NO_RULE
    """

    words: str
    key: str
    rule: str


class Fate(NamedTuple):
    """All that becomes of one message.

    places  where it is filed, to whom else it goes; and the verdict unless that is just
            "delivered"
    edits   what is changed in it on the way
    fate    delivered, rejected, deferred or discarded
    reply   what the MTA is told
    """

    places: tuple[Place, ...]
    fate: str
    reply: str
    edits: tuple[str, ...] = ()

    @property
    def deed(self) -> tuple[frozenset[str], tuple[str, ...], str]:
        """What is done, whichever rule does it: fates that differ in it differ for the user."""
        said = self.reply if self.fate in ("rejected", "deferred") else ""
        places = frozenset(place.key for place in self.places if place.key)
        return places, self.edits, self.fate + said

    @property
    def words(self) -> str:
        """The fate in a few words, without what the sender or the MTA is told."""
        return ", ".join([place.words for place in self.places]) or "nowhere"

    @property
    def reply_words(self) -> str:
        """The status and words of a rejection or deferral, else nothing."""
        return self.reply.partition(" ")[2] if self.fate in ("rejected", "deferred") else ""


class Row(NamedTuple):
    """One row of the table."""

    messages: int
    place: Place


def fate_of(plan: Plan, outcome: Outcome) -> Fate:
    """The fate that PLAN and its OUTCOME come to."""
    places: list[Place] = []
    edits: list[str] = []
    for action in plan.actions:
        if isinstance(action, File):
            places.append(_place(action))
        elif isinstance(action, Edit | Filter):
            edits.append(one_line(action_words(action)))
        elif not isinstance(action, Note):
            words = one_line(action_words(action))
            places.append(Place(words, words, one_line(action.rule or NO_RULE)))
    if outcome.fate != "delivered":
        places.append(Place(outcome.fate, "", one_line(plan.verdict.rule or "no rule")))
    return Fate(tuple(places), outcome.fate, outcome.reply, tuple(edits))


def _place(file: File) -> Place:
    flags = file_flags(file)
    return Place(
        file_words(file) + flags, one_line(file.path) + flags, one_line(file.rule or NO_RULE)
    )


def file_words(file: File) -> str:
    """The place by the name that rules have for it, else its path."""
    return one_line("/".join([w for w in (file.mailbox, file.folder) if w]) or file.path)


def file_flags(file: File) -> str:
    """The flags as rules write them, nothing for an mbox, which ignores them."""
    return f" as {', '.join(file.flags)}" if file.flags and file.store == "maildir" else ""


def rows(fates: Iterable[Fate]) -> list[Row]:
    """How many messages go to each place by each rule; the fullest place first.

    A message that goes to two places is counted in both.
    """
    counts = Counter(place for fate in fates for place in fate.places)
    totals: Counter[tuple[str, str]] = Counter()
    for place, count in counts.items():
        totals[place.words, place.key] += count
    names = Counter(words for words, _key in totals)
    order = sorted(
        counts.items(), key=lambda row: (-totals[row[0][:2]], row[0][:2], -row[1], row[0].rule)
    )
    # A name that was given to another place meanwhile does not say which one it is.
    return [
        Row(n, p._replace(words=f"{p.words} ({p.key})") if names[p.words] > 1 else p)
        for p, n in order
    ]


def table(found: Sequence[Row]) -> list[str]:
    """The rows as lines; a place that several rules fill is named once."""
    count_width = max([len("messages"), *(len(str(row.messages)) for row in found)])
    place_width = min(60, max([len("place"), *(len(row.place.words) for row in found)]))
    lines = [f"{'messages':>{count_width}}  {'place':{place_width}}  rule"]
    before: tuple[str, str] = ("", "")
    for row in found:
        words = row.place.words if row.place[:2] != before else ""
        before = row.place[:2]
        lines.append(f"{row.messages:>{count_width}}  {words:{place_width}}  {row.place.rule}")
    return lines


def sums(fates: Iterable[str]) -> str:
    """FATES counted: "10 messages: 8 delivered, 2 rejected"."""
    counts = Counter(fates)
    total = counts.total()
    known = ("delivered", "discarded", "rejected", "deferred")
    parts = [f"{counts[fate]} {fate}" for fate in known if counts[fate]]
    return f"{total} message{'' if total == 1 else 's'}{': ' if parts else ''}{', '.join(parts)}"
