"""What is certainly set at each point of a program.

A State is what the checker knows on its way down: names with the kinds of their values, mailboxes
with their places, how many captures. Where several ways meet, `merge` keeps what all of them set.
"""

from __future__ import annotations

from mdeliver.language import syntax
from mdeliver.record import Record

MANY = 100_000
"""Values of one `let`, those of the names in it counted: more is no list but a mistake."""


class Known(Record):
    """What is certain of a `let`: how many values, of which kinds, with how many captures."""

    count: int
    kinds: frozenset[str]
    captures: frozenset[int]


class State:
    """What is certainly set at one point of the program."""

    __slots__ = ("captures", "ended", "inbox", "lets", "mailboxes")

    def __init__(self) -> None:
        self.lets: dict[str, Known] = {}
        self.mailboxes: dict[str, tuple[syntax.Store, ...]] = {}
        self.inbox: frozenset[str] = frozenset()
        """Mailboxes of which the inbox may be a folder."""
        self.captures = 0
        self.ended = False

    def copy(self) -> State:
        """The same; dictionaries are never changed but replaced, so they can be shared."""
        made = State()
        made.lets, made.mailboxes = self.lets, self.mailboxes
        made.inbox, made.captures = self.inbox, self.captures
        return made


def has_folder(store: syntax.Store) -> bool:
    return any(
        isinstance(part, syntax.Brace) and part.name == "folder" for part in store.path.parts
    )


def merge(states: list[State]) -> State:
    """What is certain wherever several ways meet."""
    first = states[0]
    for state in states[1:]:
        if state.lets is not first.lets:
            first.lets = {
                name: _either(known, state.lets[name])
                for name, known in first.lets.items()
                if name in state.lets
            }
        if state.mailboxes is not first.mailboxes:
            first.mailboxes = {
                name: tuple(dict.fromkeys(stores + state.mailboxes[name]))
                for name, stores in first.mailboxes.items()
                if name in state.mailboxes
            }
        first.inbox |= state.inbox
    return first


def _either(one: Known, other: Known) -> Known:
    if one is other:
        return one
    count = max(one.count, other.count) if one.count == other.count else MANY
    return Known(count, one.kinds | other.kinds, one.captures | other.captures)
