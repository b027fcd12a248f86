"""Which rules cannot hold for a message, found for all of them at once: one re2.Set per field.

For       a process that runs the same rules over many messages (a worker of `mdeliver lmtp`): a
          hundred rules about the subject cost it ten microseconds, not four hundred
Looks at  `if` statements without `else`, each of whose conditions is, or begins with (left of
          `and`), a test of header or envelope fields for constant texts: is, contains, starts with,
          ends with; case ignored, not negated. Where none of these texts is found, nothing that
          stands to the right would be asked either: the statement is passed over.
Only says no   what may hold is evaluated as always. Where the set cannot be used (a text without
          UTF-8, too little memory for RE2), everything may hold.
See also  texts.py, whose tests these are; evaluate.py; RE2's set.h
"""

from __future__ import annotations

from mdeliver.glob import fold
from mdeliver.language.syntax import And, Field, If, Include, Test, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Set
    from typing import Any, TypeAlias

    from mdeliver.language.syntax import Expr, Program, Statement
    from mdeliver.scene import Scene, Texts

    Key: TypeAlias = tuple[str, str, str]
    """A field: its name, part and header, as Scene keeps its texts."""
    Needed: TypeAlias = tuple[tuple[Key, Field, frozenset[int]], ...]
    """Fields with numbers of patterns, of which one must be found in one of the fields."""

_FIELDS = (
    "subject", "header", "from", "to", "cc", "reply-to", "recipients", "list-id",
    "sender", "recipient", "extension",
)  # fmt: skip

_FORMS = {"is": r"\A%s\z", "contains": "%s", "starts with": r"\A%s", "ends with": r"%s\z"}

_FEWEST = 3
"""Statements below which nothing is gained."""


class Prefilter:
    """What is known of one Program."""

    def __init__(self, program: Program) -> None:
        self._sets: dict[Key, _Set] = {}
        self._needed: dict[int, Needed] = {}
        for statement in _ifs(program.statements):
            needed = self._needed_by(statement)
            if needed:
                self._needed[id(statement)] = needed
        if len(self._needed) < _FEWEST:
            self._needed = {}
        for number, needed in self._needed.items():
            if len(needed) == 1:
                self._sets[needed[0][0]].alone.add(number)

    def _needed_by(self, statement: If) -> Needed:
        """What one of STATEMENT's conditions needs; () where that cannot be said."""
        tests = [_first_test(branch.condition) for branch in statement.branches]
        constant = [test for test in tests if test is not None and _is_constant(test)]
        if len(constant) < len(tests) or statement.otherwise is not None:
            return ()
        needed: dict[Key, tuple[Field, list[int]]] = {}
        for test in constant:
            for field in test.fields:
                if isinstance(field, Field):
                    key = field.name, field.part, field.header
                    patterns = self._sets.setdefault(key, _Set())
                    numbers = needed.setdefault(key, (field, []))[1]
                    numbers += [patterns.add(p, id(statement)) for p in _patterns(test)]
        return tuple([(key, field, frozenset(ns)) for key, (field, ns) in needed.items()])

    def may_hold(self, statement: If, scene: Scene) -> bool:
        """False where no condition of STATEMENT can hold in SCENE."""
        needed = self._needed.get(id(statement))
        if needed is None:
            return True
        for key, field, numbers in needed:
            found = scene.found.get(key)
            if found is None:
                patterns = self._sets[key]
                found = scene.found[key] = patterns.found_in(scene.field_texts(field))
                scene.ruled_out |= patterns.ruled_out(found)
            if not numbers.isdisjoint(found):
                return True
        return False


class _Set:
    """Patterns of one field; number 0 is found in every text, or else the search has failed.

    alone  the statements that need nothing else
    """

    def __init__(self) -> None:
        self._patterns = [""]
        self._statements = [0]
        self._compiled: Any = None
        self.alone: set[int] = set()

    def add(self, pattern: str, statement: int) -> int:
        """The number of PATTERN, which STATEMENT needs."""
        self._patterns.append(pattern)
        self._statements.append(statement)
        return len(self._patterns) - 1

    def ruled_out(self, found: Set[int]) -> set[int]:
        """The statements that cannot hold where the patterns FOUND are all that was found."""
        return self.alone.difference([self._statements[number] for number in found])

    def found_in(self, texts: Texts) -> Set[int]:
        """The numbers of what is found in any of TEXTS; all of them where that cannot be said."""
        if self._compiled is None:
            self._compiled = _compiled(self._patterns)
        found: set[int] = set()
        for _text, folded in texts:
            try:
                numbers = self._compiled.Match(folded)
            except UnicodeEncodeError:
                numbers = []
            if 0 not in numbers:
                return frozenset(range(len(self._patterns)))
            found.update(numbers)
        return found


def _compiled(patterns: list[str]) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    made = re2.Set.SearchSet(options)
    for pattern in patterns:
        made.Add(pattern)
    made.Compile()
    return made


def _ifs(statements: tuple[Statement, ...]) -> Iterator[If]:
    """All `if` statements, those in blocks and included files too."""
    for statement in statements:
        if isinstance(statement, If):
            yield statement
            for branch in statement.branches:
                yield from _ifs(branch.block)
            yield from _ifs(statement.otherwise or ())
        elif isinstance(statement, Include):
            yield from _ifs(statement.body or ())


def _first_test(expression: Expr) -> Test | None:
    """The test that is asked first, and without which EXPRESSION does not hold."""
    while isinstance(expression, And):
        expression = expression.operands[0]
    return expression if isinstance(expression, Test) else None


def _is_constant(test: Test) -> bool:
    """Whether TEST looks for nothing but texts that are the same for each message."""
    if test.operator not in _FORMS or test.negated or test.exactly:
        return False
    fields = all(isinstance(f, Field) and f.name in _FIELDS for f in test.fields)
    return fields and all(
        isinstance(value, Text) and all(isinstance(part, str) for part in value.parts)
        for value in test.values
    )


def _patterns(test: Test) -> Iterator[str]:
    import re2

    for value in test.values:
        if isinstance(value, Text):
            words = "".join([part for part in value.parts if isinstance(part, str)])
            yield _FORMS[test.operator] % re2.escape(fold(words))
