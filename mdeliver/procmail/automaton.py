"""procmail's regular expressions as automata: where a match ends first, and what goes to MATCH.

Used        where RE2 cannot tell: scores count by the first end of a match, MATCH has rules of its
            own. Time is linear in the text for the first, and for a given expression for both.
See also    matcher.py, which asks; pattern.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdeliver.procmail.pattern import (
    BeginText,
    Char,
    Choice,
    Class,
    Dot,
    Edge,
    EndText,
    Mark,
    Newline,
    Repeat,
    Sequence,
    members,
)

if TYPE_CHECKING:
    from mdeliver.procmail.pattern import Node

_NEWLINE = 10
_UNSET = 1 << 60
"""Where MATCH begins in a thread that has not come by a mark."""

_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_NO_WORD = frozenset(range(256)) - _WORD
_NO_NEWLINE = frozenset(range(256)) - {_NEWLINE}

_STEPS = 50_000
"""States of an automaton; a longer expression is no person's."""


class Found(NamedTuple):
    """A match: the place after its end, and what goes to MATCH, None if nothing does."""

    end: int
    matched: bytes | None


class Automaton:
    """An expression as states: what a byte leads to, and what is done without reading one."""

    def __init__(self, node: Node, ignore_case: bool) -> None:
        self.ignore_case = ignore_case
        self.reads: list[frozenset[int] | None] = []
        """The bytes that lead on from each state; None where it reads nothing."""
        self.leads: list[tuple[int, ...]] = []
        self.kinds: list[str] = []
        """Of states that read nothing: "" go on, "mark", "begin" (reads the newline), "end"."""
        self.is_odd = False
        """Whether a mark goes on where the expression does not say so."""
        self.final = self._state(None, (), "final")
        self.first = self._add(node, self.final, self.final)
        self._closed: dict[tuple[int, ...], _Closed] = {}

    def _state(self, reads: frozenset[int] | None, leads: tuple[int, ...], kind: str = "") -> int:
        if len(self.kinds) > _STEPS:
            raise ValueError("the expression is too long")
        self.reads.append(reads)
        self.leads.append(leads)
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def _add(self, node: Node, after: int, below: int) -> int:
        """States for NODE that go on to AFTER; where they begin.

        below  what procmail's code has behind NODE: a mark goes on there, which at the end of an
               alternative is the next alternative
        """
        match node:
            case Char(char):
                code = ord(char.lower() if self.ignore_case and char.isascii() else char)
                return self._state(frozenset((code,)), (after,))
            case Class():
                return self._state(members(node, self.ignore_case), (after,))
            case Dot():
                return self._state(_NO_NEWLINE, (after,))
            case Newline():
                return self._state(frozenset((_NEWLINE,)), (after,))
            case Edge():
                return self._state(_NO_WORD, (after,))
            case BeginText():
                return self._state(frozenset((_NEWLINE,)), (after,), "begin")
            case EndText():
                return self._state(None, (after,), "end")
            case Mark():
                self.is_odd = self.is_odd or below != after
                return self._state(None, (below,), "mark")
            case Sequence(items):
                for number, item in enumerate(reversed(items)):
                    after = self._add(item, after, after if number else below)
                return after
            case Choice(options):
                return self._choice(options, after, below)
            case Repeat(item, sign):
                return self._repeat(item, sign, after, below)
            case _:
                raise AssertionError(node)

    def _choice(self, options: tuple[Node, ...], after: int, below: int) -> int:
        """Alternatives in the order in which procmail tries them: empty ones that are not the
        last come after those behind them."""
        start = self._add(options[-1], after, below)
        for option in reversed(options[:-1]):
            if option == Sequence(()):
                start = self._state(None, (start, after))
            else:
                start = self._state(None, (self._add(option, after, start), start))
        return start

    def _repeat(self, item: Node, sign: str, after: int, below: int) -> int:
        if sign == "?":
            return self._state(None, (self._add(item, after, below), after))
        fork = self._state(None, ())
        inner = self._add(item, fork, below if sign == "*" else fork)
        self.leads[fork] = (inner, after) if sign == "*" else (after, inner)
        return inner if sign == "+" else fork

    # --- the place where the first match ends

    def first_end(self, text: bytes, start: int) -> int | None:
        """Where the first match to end does, in TEXT from START."""
        states = self._close((self.first,))
        read = _bytes_from(text, start)
        last = read[-1][0]
        for position, code in read:
            if states.is_final or (states.is_final_at_end and position >= len(text)):
                return position
            states = self._next(states, code, position < 0)
        return last + 1 if states.is_final else None

    def _next(self, states: _Closed, code: int, at_begin: bool) -> _Closed:
        key = code + 256 * at_begin
        made = states.next.get(key)
        if made is None:
            found = {
                target
                for state in states.reading
                if code in (self.reads[state] or ()) and (at_begin or self.kinds[state] != "begin")
                for target in self.leads[state]
            }
            made = self._close((*sorted(found), self.first))
            if len(self._closed) < 10_000:
                states.next[key] = made
        return made

    def _close(self, states: tuple[int, ...]) -> _Closed:
        known = self._closed.get(states)
        if known is None:
            known = self._closed[states] = _Closed()
            seen: set[int] = set()
            todo = list(states)
            while todo:
                state = todo.pop()
                if state in seen:
                    continue
                seen.add(state)
                kind = self.kinds[state]
                if kind == "final":
                    known.is_final = True
                elif self.reads[state] is not None:
                    known.reading.append(state)
                elif kind == "end":
                    known.is_final_at_end = True
                else:
                    todo.extend(self.leads[state])
        return known

    # --- what goes to MATCH

    def marked(self, seen: bytes, start: int, text: bytes) -> Found | None:
        """As `first_end`, with MATCH out of TEXT; SEEN is TEXT as case matters."""
        read = _bytes_from(seen, start)
        return _Marked(self, len(text), read[-1][0]).run(read, text)


class _Marked:
    """One search with a mark under way.

    A thread is the state that has just read something, and where MATCH begins for it. The order
    of threads, and what is forgotten when a match is found, are procmail's own.
    """

    def __init__(self, program: Automaton, length: int, last: int) -> None:
        self.program = program
        self.length = length
        self.last = last
        self.now: list[tuple[int, int]] = []
        self.then: dict[int, int] = {}
        self.begin = self.end = _UNSET

    def run(self, read: list[tuple[int, int]], text: bytes) -> Found | None:
        for position, code in (*read, (self.last + 1, _NEWLINE)):
            # The last to be noted is the first to be looked at.
            self.now = list(self.then.items())
            self.then = {}
            if self.end == _UNSET and not self.follow(
                (self.program.first,), _UNSET, position, code
            ):
                return Found(position, None)
            while self.now:
                state, since = self.now.pop()
                if not self.follow(self.program.leads[state], since, position, code):
                    return Found(position, None)
            if self.end != _UNSET and not self.then:
                break
        if self.end == _UNSET:
            return None
        begin = max(self.begin, 0)
        end = max(begin, min(self.end, len(text)))
        return Found(min(self.end, len(text)), text[begin:end])

    def follow(self, states: tuple[int, ...], since: int, position: int, code: int) -> bool:
        """Go on from STATES, past all that reads nothing; False at a match that had no mark.

        A mark counts for all that is still to be looked at from here, not only behind it.
        """
        program = self.program
        seen: dict[int, int] = {}
        todo = list(reversed(states))
        while todo:
            state = todo.pop()
            if seen.get(state, _UNSET + 1) <= since:
                continue
            seen[state] = since
            kind, reads = program.kinds[state], program.reads[state]
            if kind == "final" or (kind == "end" and self.length <= position <= self.last):
                if since == _UNSET:
                    return False
                self.found(since, position)
            elif reads is not None:
                if code in reads and (kind != "begin" or position < 0):
                    self.then[state] = min(since, self.then.get(state, _UNSET))
            elif kind != "end":
                if kind == "mark" and self.end == _UNSET:
                    since = position
                todo += reversed(program.leads[state])
        return True

    def found(self, since: int, position: int) -> None:
        """A match: what began further right is forgotten."""
        self.begin, self.end = since, position
        self.now = [thread for thread in self.now if thread[1] <= since][::-1]
        kept = [thread for thread in self.then.items() if thread[1] <= since]
        self.then = dict(reversed(kept))


class _Closed:
    """A set of states with all that they lead to without reading."""

    __slots__ = ("is_final", "is_final_at_end", "next", "reading")

    def __init__(self) -> None:
        self.reading: list[int] = []
        self.is_final = False
        self.is_final_at_end = False
        self.next: dict[int, _Closed] = {}


def _bytes_from(text: bytes, start: int) -> list[tuple[int, int]]:
    """What is read from START on, with its places: the newlines around TEXT included."""
    found: list[tuple[int, int]] = []
    if start == 0 or text[start - 1 : start] == b"\n":
        found.append((start - 1, _NEWLINE))
    elif start >= len(text):
        # procmail takes its newline here, and then those after the text once more.
        return [(start, _NEWLINE), (start + 1, _NEWLINE)]
    found += zip(range(start, len(text)), text[start:], strict=False)
    found.append((len(text), _NEWLINE))
    return found
