"""What words come to: variables, alternatives and programs' output put in.

Unknown     what only a program could say, where programs are not run: whoever needs it gets an
            exception that says why; a variable may hold it without being asked for.
See also    words.py, which reads them
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from mdeliver.procmail.syntax import Alternate, Backtick, Gap, Literal, Variable, Words

if TYPE_CHECKING:
    from mdeliver.procmail.syntax import Piece

MOST_CHARACTERS = 64 << 10
"""Of one text. procmail cuts it at LINEBUF, 2048 unless a file says more; sixty doublings of a
variable are more than there is memory."""

_WHITE = re.compile(r"([ \t\n]+)")

_SPECIAL_SIGNS = frozenset("(|)*?+.^$[\\")
"""What `$\\NAME` escapes."""


class Unknown(Exception):
    """Something that is not known without running a program; the text says what."""


class Expander:
    """Puts values in.

    value    the value of a variable, None where it is unset; raises Unknown
    output   what a program in back quotes prints; raises Unknown
    """

    def __init__(self, value: Callable[[str], str | None], output: Callable[[str], str]) -> None:
        self._value = value
        self._output = output
        self._words: list[str] = []
        self._in_word = False
        self._length = 0

    def split(self, words: Words) -> list[str]:
        """WORDS as separate words; at least one, which may be empty."""
        self._words, self._in_word, self._length = [], False, 0
        self._add(words.pieces, splits=True)
        return self._words or [""]

    def text(self, words: Words) -> str:
        """WORDS as one text, in which values keep their white space."""
        self._words, self._in_word, self._length = [], False, 0
        self._add(words.pieces, splits=False)
        return " ".join(self._words)

    def _put(self, text: str) -> None:
        self._length += len(text)
        if self._length > MOST_CHARACTERS:
            raise Unknown(f"a text of more than {MOST_CHARACTERS} characters")
        if self._in_word:
            self._words[-1] += text
        else:
            self._words.append(text)
            self._in_word = True

    def _add(self, pieces: tuple[Piece, ...], splits: bool) -> None:
        for piece in pieces:
            match piece:
                case Literal(text):
                    self._put(text)
                case Gap():
                    self._in_word = False
                case Variable(name, quoted, literal):
                    value = self._value(name) or ""
                    if literal:
                        signs = ["\\" + c if c in _SPECIAL_SIGNS else c for c in value]
                        value = "()" + "".join(signs)
                    self._put_value(value, splits and not quoted)
                case Backtick(command, quoted):
                    self._put_value(self._output(command), splits and not quoted)
                case Alternate():
                    self._alternate(piece, splits)
                case _:
                    raise AssertionError(piece)

    def _alternate(self, piece: Alternate, splits: bool) -> None:
        value = self._value(piece.name)
        there = value is not None and (value != "" or ":" not in piece.sign)
        if "+" in piece.sign:
            if there:
                self._add(piece.pieces, splits)
        elif there:
            self._put_value(value or "", splits and not piece.quoted)
        else:
            self._add(piece.pieces, splits)

    def _put_value(self, value: str, splits: bool) -> None:
        if not splits:
            self._put(value)
            return
        for piece in _WHITE.split(value):
            if piece[:1] in (" ", "\t", "\n"):
                self._in_word = False
            elif piece:
                self._put(piece)
