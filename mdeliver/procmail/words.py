"""procmail's own reading of words, which is nearly a shell's.

Modes       SPLIT   words separated by white space, to the end of the line (folders, arguments)
            ONE     one word (the value of an assignment)
            WHOLE   all of a text, white space kept (conditions that are expanded)
Knows       single, double and back quotes, backslashes, `$NAME`, `${NAME}`, `${NAME:-words}`,
            `$\\NAME`, `$=` and the like; a `#` that begins a word opens a comment.
See also    procmailrc(5), "Environment variable assignments"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdeliver.procmail.syntax import Alternate, Backtick, Gap, Literal, Variable, Words

if TYPE_CHECKING:
    from mdeliver.procmail.syntax import Piece

SPLIT, ONE, WHOLE = "split", "one", "whole"

_NOTHING, _SPACE, _NORMAL, _DOUBLE, _SINGLE = range(5)

_SPECIALS = "$?#=_-"

_NESTED = 200
"""How deep `${NAME:-…}` is read; procmail has not the room for many more."""


class Read(NamedTuple):
    """Words that were read.

    end      the place after them: behind the line's end, or at the white space that ended ONE
    comment  the comment that ended them, without its `#`
    closed   whether no quote was open at the end of the text, and no `${` at the words' end
    """

    words: Words
    end: int
    comment: str
    closed: bool


def read_words(text: str, start: int, mode: str) -> Read:
    """Read the words in TEXT from START on."""
    return _Reading(text, start, mode).read()


class _Reading:
    def __init__(self, text: str, start: int, mode: str) -> None:
        self.text = text
        self.at = start
        self.mode = mode
        self.got = _NOTHING
        self.pieces: list[Piece] = []
        self.open: list[tuple[str, str, bool, list[Piece], int]] = []
        """Alternatives under way: name, sign, quoted, the pieces before, the quotes' depth."""
        self.comment = ""
        self.quote_depth = 0

    def next(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        return char

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def put(self, text: str) -> None:
        if self.pieces and isinstance(self.pieces[-1], Literal):
            self.pieces[-1] = Literal(self.pieces[-1].text + text)
        else:
            self.pieces.append(Literal(text))
        if self.got <= _SPACE:
            self.got = _NORMAL

    def put_piece(self, piece: Piece) -> None:
        self.pieces.append(piece)
        if self.got <= _SPACE:
            self.got = _NORMAL

    def read(self) -> Read:
        closed = True
        while True:
            char = self.next()
            if not char:
                self.at = len(self.text)
                closed = self.mode == WHOLE or self.got <= _NORMAL
                break
            if not self.one(char):
                break
        closed = closed and not self.open
        while self.open:
            self.close_alternate()
        while self.pieces and isinstance(self.pieces[-1], Gap):
            self.pieces.pop()
        return Read(Words(tuple(self.pieces)), self.at, self.comment, closed)

    def one(self, char: str) -> bool:
        """Read what begins with CHAR; False if that is the end."""
        match char:
            case "\\" if self.got != _SINGLE:
                self.backslash(self.next())
            case "`" if self.got != _SINGLE:
                self.backquote()
            case '"' if self.got != _SINGLE and not (
                self.got == _DOUBLE and self.quote_depth < len(self.open)
            ):
                if self.got == _DOUBLE:
                    self.got = _NORMAL
                else:
                    self.put("")
                    self.quote_depth = len(self.open)
                    self.got = _DOUBLE
            case "'" if self.got != _DOUBLE:
                if self.got == _SINGLE:
                    self.got = _NORMAL
                else:
                    self.put("")
                    self.got = _SINGLE
            case "}" if self.in_alternate():
                self.close_alternate()
            case "#" if self.got <= _SPACE:
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                self.comment = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                return False
            case "$" if self.got != _SINGLE:
                self.dollar()
            case " " | "\t" if self.got <= _NORMAL:
                return self.white()
            case "\n" if self.got <= _NORMAL:
                return False
            case _:
                self.put(char)
        return True

    def in_alternate(self) -> bool:
        if self.got == _DOUBLE:
            return len(self.open) > self.quote_depth
        return self.got <= _NORMAL and bool(self.open)

    def white(self) -> bool:
        if self.got == _NORMAL:
            if self.mode == ONE:
                self.at -= 1
                return False
            if self.mode == WHOLE:
                self.put(" ")
            else:
                self.pieces.append(Gap())
            self.got = _SPACE
        return True

    def backslash(self, char: str) -> None:
        if char in ("", "\n"):
            return
        if char == "#" and self.got > _SPACE:
            self.put("\\#")
        elif char in " \t'#" and self.got == _DOUBLE:
            self.put("\\" + char)
        elif char in " \t'#\"\\$`" or (char == "}" and self.in_alternate()):
            self.put(char)
        elif self.got > _NORMAL:
            self.put("\\" + char)
        else:
            self.put(char)

    def backquote(self) -> None:
        """A program; one whose quote is not closed goes to the end of the text."""
        quoted = self.got == _DOUBLE
        made: list[str] = []
        while (char := self.next()) and char != "`":
            if char == '"' and quoted:
                # procmail takes it for the missing quote.
                self.got = _NORMAL
                break
            if char == "\\":
                char = self.next()
                if char == "\n":
                    continue
                if not (char in ("\\", "$", "`") or (char == '"' and quoted)):
                    made.append("\\")
            made.append(char)
        self.put_piece(Backtick("".join(made), quoted))

    def dollar(self) -> None:
        quoted = self.got == _DOUBLE
        char = self.peek()
        if char == "{":
            self.at += 1
            self.braced(quoted)
        elif char and (char in _SPECIALS or char.isdigit()) and char != "":
            self.at += 1
            self.put_piece(Variable(char, True if char in "$?#=" else quoted))
        elif char == "\\" and (name := self.name(self.at + 1)):
            self.at += 1 + len(name)
            self.put_piece(Variable(name, True, True))
        elif char == "@" and quoted:
            self.at += 1
            self.put_piece(Variable("@", True))
        elif name := self.name(self.at):
            self.at += len(name)
            self.put_piece(Variable(name, quoted))
        else:
            self.put("$")

    def name(self, start: int) -> str:
        end = start
        while end < len(self.text) and is_name_char(self.text[end]):
            end += 1
        return self.text[start:end]

    def braced(self, quoted: bool) -> None:
        name = self.name(self.at)
        self.at += len(name)
        sign = self.next()
        if sign == "}":
            self.put_piece(Variable(name, quoted))
            return
        if sign == ":":
            sign += self.next()
        if sign in ("-", "+", ":-", ":+") and len(self.open) < _NESTED:
            self.open.append((name, sign, quoted, self.pieces, self.quote_depth))
            self.pieces = []
        # Else a bad substitution: procmail logs it and takes nothing.

    def close_alternate(self) -> None:
        name, sign, quoted, before, depth = self.open.pop()
        piece = Alternate(name, sign, tuple(self.pieces), quoted)
        self.pieces = before
        self.quote_depth = min(self.quote_depth, depth)
        self.put_piece(piece)


def is_name_char(char: str) -> bool:
    """Whether CHAR may stand in the name of a variable."""
    return char == "_" or (char.isascii() and char.isalnum())
