"""Values by the hundred thousand: tests against `lines of "FILE"`.

`is`, `starts with` and `ends with` look a text up by hashing, one look for each length that values
have. `contains` looks at each place of the text for the first letters of a value. `matches` does
the same for values that are plain, `*…` or `…*`, and tries all other globs one by one.
No value captures anything: what (*) holds would depend on a file.
"""

from __future__ import annotations

from mdeliver.glob import Glob, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.language.syntax import Lines
    from mdeliver.scene import Scene

_GRAM = 8
"""Letters of a value that `contains` looks for first."""


class Table:
    """The values of one file, with case folded unless EXACTLY."""

    __slots__ = ("_exactly", "_globs", "_gram", "_grams", "_heads", "_lengths", "_tails", "_values")

    def __init__(self, text: str, exactly: bool) -> None:
        self._exactly = exactly
        self._values = frozenset((text if exactly else fold(text)).split("\n") if text else ())
        self._lengths: list[int] | None = None
        self._gram = 0
        self._grams: frozenset[str] | None = None
        self._heads: Table | None = None
        self._tails: Table | None = None
        self._globs: list[Glob] | None = None

    def holds(self, operator: str, text: str) -> bool:
        """Whether `TEXT OPERATOR one of the values`; TEXT is folded as the values are."""
        match operator:
            case "is":
                return text in self._values
            case "starts with":
                return any(text[:length] in self._values for length in self.lengths(text))
            case "ends with":
                size = len(text)
                return any(text[size - n :] in self._values for n in self.lengths(text))
            case "contains":
                return self._within(text)
            case "matches":
                return self._matches(text)
            case _:
                raise AssertionError(f"the checker let lines beside {operator} through")

    def lengths(self, text: str) -> list[int]:
        """Lengths of values that TEXT has room for."""
        if self._lengths is None:
            self._lengths = sorted({len(value) for value in self._values})
        return [length for length in self._lengths if length <= len(text)]

    def _within(self, text: str) -> bool:
        lengths = self.lengths(text)
        if not lengths:
            return False
        if self._grams is None:
            self._gram = gram = min(_GRAM, lengths[0])
            self._grams = frozenset([value[:gram] for value in self._values])
        gram, grams, values = self._gram, self._grams, self._values
        for at in range(len(text) - gram + 1):
            if text[at : at + gram] in grams and any(
                text[at : at + length] in values for length in lengths
            ):
                return True
        return False

    def _matches(self, text: str) -> bool:
        if self._globs is None:
            self._sort_globs()
        assert self._heads is not None
        assert self._tails is not None
        assert self._globs is not None
        return (
            text in self._values
            or self._heads.holds("starts with", text)
            or self._tails.holds("ends with", text)
            or any(glob.match(text) is not None for glob in self._globs)
        )

    def _sort_globs(self) -> None:
        heads, tails, plain = [], [], []
        self._globs = []
        for value in self._values:
            pattern = value.replace("(*)", "*").replace("(?)", "?")
            literal = pattern.strip("*")
            starred = pattern[:1] == "*", pattern[-1:] == "*"
            if "*" in literal or "?" in literal or starred == (True, True):
                self._globs.append(Glob((pattern,), True))
            elif starred[0]:
                tails.append(literal)
            elif starred[1]:
                heads.append(literal)
            else:
                plain.append(pattern)
        self._heads, self._tails = Table("\n".join(heads), True), Table("\n".join(tails), True)
        self._values = frozenset(plain)


def lookup(scene: Scene, lines: Lines, exactly: bool) -> Table:
    """The table of LINES, made once for a message."""
    key = lines.span.file, "".join(map(str, lines.path.parts)), exactly  # no braces
    table = scene.lookups.get(key)
    if table is None:
        table = scene.lookups[key] = Table(scene.lines(lines), exactly)
    return table
