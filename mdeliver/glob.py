"""Globs of the rule language, and the case folding that all text tests share.

    *   as little text as possible        (*)  the same, captured
    ?   one character                     (?)  the same, captured
    all else is itself; the glob covers the whole text

Guarantee   linear in the text times the literal pieces of the glob: the first place where a piece
            fits is taken and never given back, except for the last piece, which is looked for at
            the end. That is what "as little as possible" means for each `*` from left to right,
            and it finds a match whenever there is one.
Folding     Unicode simple case folding, one character for one: `ß` is `ẞ` and not `ss`.
            Captures keep the case of the text.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# A glob compiles to stretches between its stars: tuples of items, where an item is a literal text,
# or one of these.
_ANY = 1
_ANY_CAPTURED = 2

# Raw octets of the environment are surrogates from U+DC80 on (PEP 383).
_FIRST_ASIDE = 0xD800


def fold(text: str) -> str:
    """TEXT with case folded, of the same length."""
    if text.isascii():
        return text.lower()
    folded = text.casefold()
    # No character folds to nothing, so equal length means that each became one.
    if len(folded) == len(text):
        return folded
    # Those that become several (\u00df is ss) step aside meanwhile, one after the other in C: a
    # surrogate stays as it is, and no text has these.
    aside: dict[str, str] = {}
    for character in set(text):
        if len(character.casefold()) > 1:
            aside[chr(_FIRST_ASIDE + len(aside))] = character
    for mark, character in aside.items():
        text = text.replace(character, mark)
    folded = text.casefold()
    for mark, character in aside.items():
        lower = character.lower()
        folded = folded.replace(mark, lower if len(lower) == 1 else character)
    return folded


class Glob:
    """A glob made ready.

    pieces   the glob's text; an instance of a subclass of str stands for itself throughout (what
             a brace was filled with, an escaped `*`)
    exactly  whether case counts
    """

    __slots__ = ("exactly", "fixed", "stars", "stretches")

    def __init__(self, pieces: Sequence[str], exactly: bool) -> None:
        self.exactly = exactly
        self.stars: list[bool] = []
        """For each star, whether it captures."""
        self.stretches: list[list[str | int]] = [[]]
        """What stands before, between and after the stars."""
        for piece in pieces:
            if type(piece) is str:
                self._read(piece)
            else:
                self._literal(piece)
        self.fixed = [_length(stretch) for stretch in self.stretches]

    def _literal(self, text: str) -> None:
        stretch = self.stretches[-1]
        text = str(text) if self.exactly else fold(text)
        if stretch and isinstance(stretch[-1], str):
            stretch[-1] += text
        elif text:
            stretch.append(text)

    def _read(self, piece: str) -> None:
        at = 0
        while at < len(piece):
            captured = piece[at : at + 3] in ("(*)", "(?)")
            mark = piece[at + 1] if captured else piece[at]
            if mark == "*":
                self.stars.append(captured)
                self.stretches.append([])
            elif mark == "?":
                self.stretches[-1].append(_ANY_CAPTURED if captured else _ANY)
            else:
                self._literal(mark)
            at += 3 if captured else 1

    def match(self, text: str, folded: str = "") -> tuple[str, ...] | None:
        """Captures from TEXT; None where the glob does not cover it.

        folded  TEXT with case folded, if the caller has it
        """
        seen = text if self.exactly else folded or fold(text)
        stretches, fixed = self.stretches, self.fixed
        if sum(fixed) > len(text) or not _fits(stretches[0], seen, 0):
            return None
        if not self.stars:
            return self._captures(text, [0]) if fixed[0] == len(text) else None
        last = len(text) - fixed[-1]
        starts = [0]
        at = fixed[0]
        for stretch, length in zip(stretches[1:-1], fixed[1:-1], strict=True):
            found = _find(stretch, seen, at, last - length)
            if found < 0:
                return None
            starts.append(found)
            at = found + length
        if at > last or not _fits(stretches[-1], seen, last):
            return None
        starts.append(last)
        return self._captures(text, starts)

    def _captures(self, text: str, starts: list[int]) -> tuple[str, ...]:
        captures: list[str] = []
        at = 0
        for index, start in enumerate(starts):
            if index and self.stars[index - 1]:
                captures.append(text[at:start])
            at = start
            for item in self.stretches[index]:
                if item == _ANY_CAPTURED:
                    captures.append(text[at])
                at += len(item) if isinstance(item, str) else 1
        return tuple(captures)


def _length(stretch: list[str | int]) -> int:
    return sum([len(item) if isinstance(item, str) else 1 for item in stretch])


def _fits(stretch: list[str | int], text: str, at: int) -> bool:
    """Whether STRETCH stands in TEXT at AT."""
    for item in stretch:
        if isinstance(item, str):
            if not text.startswith(item, at):
                return False
            at += len(item)
        else:
            at += 1
    return at <= len(text)


def _find(stretch: list[str | int], text: str, at: int, latest: int) -> int:
    """The first place from AT to LATEST where STRETCH stands in TEXT; -1 if there is none."""
    offset = 0
    for item in stretch:
        if isinstance(item, str):
            break
        offset += 1
    else:
        return at if at <= latest else -1
    # Find the first literal in C, then look at the rest of the stretch.
    while at <= latest:
        found = text.find(item, at + offset, latest + offset + len(item))
        if found < 0:
            return -1
        if _fits(stretch, text, found - offset):
            return found - offset
        at = found - offset + 1
    return -1
