"""Conditions and texts of the rule language, as the converter builds them.

Texts       may hold references: REF + name + END stands for `{name}`.
Conditions  a small algebra of tests, `and`, `or` and `not`, so that what is negated reads well
            (`is not`, `does not contain`) and tests of one field become one list of values.
See also    mdeliver-rules(5)
"""

from __future__ import annotations

import re

from mdeliver.language.printer import NEGATED, slashes
from mdeliver.record import Record

REF, END = "\x01", "\x02"

HEADER = "header:"
"""Begins a reference to a header's text: what `formail -x` prints."""

SHORT_YEAR, ANSWER = "short_year", "answer_address"
"""References to a `let` of definitions.py: `date +%y`, and whom `formail -rt` would answer."""

TEXT_OF = "text_of_"
"""Begins the name of a `let` with a header's text."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">"}


class Unsayable(Exception):
    """Something has no words in the rule language; the text says why."""


def readable(text: str) -> str:
    """TEXT, a character for each byte, as what those bytes are in UTF-8, else in Latin-1."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def ref(name: str) -> str:
    """A reference to `{name}`."""
    return f"{REF}{name}{END}"


def shown(text: str) -> str:
    """TEXT for people, with references as a procmailrc has them."""
    return text.replace(ref("home"), "$HOME").replace(REF, "{").replace(END, "}")


def has_ref(text: str) -> bool:
    return REF in text


def quote(text: str, *, is_glob: bool = False) -> str:
    """TEXT in quotes, with references as braces; in a glob `*`, `?` and `(` stay themselves."""
    made = []
    for number, piece in enumerate(text.split(REF)):
        if number:
            name, _, piece = piece.partition(END)
            made.append("{" + _brace_name(name) + "}")
        for char in readable(piece):
            if char == "\n":
                made.append("\\n")
            elif char in '\\"{' or (is_glob and char in "*?("):
                made.append("\\" + char)
            elif char != "\t" and (char < " " or "\x7f" <= char <= "\x9f"):
                # Of the upper ones a rule would write two octets.
                raise Unsayable("a control character in a text")
            else:
                made.append(char)
    return f'"{"".join(made)}"'


def _brace_name(name: str) -> str:
    """NAME as braces have it; a header's text is a field of its own or a `let`."""
    if not name.startswith(HEADER):
        return name
    field = name.removeprefix(HEADER).lower()
    if field in ("subject", "list-id"):
        return field
    if not field.replace("-", "").isalnum():
        raise Unsayable(f"the text of the header {name.removeprefix(HEADER)} within a text")
    return TEXT_OF + field.replace("-", "_")


def regex(pattern: str) -> str:
    """PATTERN between slashes."""
    return f"/{slashes(pattern)}/"


class Test(Record):
    """`FIELDS OPERATOR VALUES`; `captures` where a value captures."""

    fields: str
    operator: str
    values: tuple[str, ...]
    exactly: bool = False
    negated: bool = False
    captures: bool = False


class Fact(Record):
    """A condition without fields: `automatic`, `duplicate within 7d`."""

    words: str
    negated: bool = False


class All(Record):
    parts: tuple[Expr, ...]


class Any(Record):
    parts: tuple[Expr, ...]


class Constant(Record):
    """What always holds, or never."""

    holds: bool


if TYPE_CHECKING:
    Expr = Test | Fact | All | Any | Constant


def negate(expr: Expr) -> Expr:
    match expr:
        case Test():
            if expr.operator in _OPPOSITE and expr.fields == "size":
                return expr.replace(operator=_OPPOSITE[expr.operator])
            return expr.replace(negated=not expr.negated, captures=False)
        case Fact():
            return expr.replace(negated=not expr.negated)
        case All(parts):
            return any_of([_denied(part, parts[:n]) for n, part in enumerate(parts)])
        case Any(parts):
            return all_of([negate(part) for part in parts])
        case Constant(holds):
            return Constant(not holds)
        case _:
            raise AssertionError(expr)


def _denied(part: Expr, before: tuple[Expr, ...]) -> Expr:
    """PART does not hold, where it may ask for what one of those BEFORE it captures."""
    captured = [other for other in before if captures(other)]
    if captured and _CAPTURE.search(words(part)):
        return all_of([*captured, negate(part)])
    return negate(part)


_CAPTURE = re.compile(r"\{\d\}")


def all_of(parts: Iterable[Expr]) -> Expr:
    """All of PARTS; what always holds is left out."""
    found: list[Expr] = []
    for part in parts:
        inner = part.parts if isinstance(part, All) else (part,)
        found += [p for p in inner if p not in found]
    if any(p == Constant(False) for p in found) or _contradict(found):
        return Constant(False)
    found = [p for p in found if p != Constant(True)]
    if not found:
        return Constant(True)
    return found[0] if len(found) == 1 else All(tuple(found))


def _contradict(parts: list[Expr]) -> bool:
    """Whether one of PARTS is what another one denies."""
    plain = [p.replace(captures=False) if isinstance(p, Test) else p for p in parts]
    if any(negate(p) in plain for p in plain if isinstance(p, Test | Fact)):
        return True
    sizes = [p for p in plain if isinstance(p, Test) and p.fields == "size"]
    least = [_bytes(p) + (p.operator == ">") for p in sizes if p.operator.startswith(">")]
    most = [_bytes(p) - (p.operator == "<") for p in sizes if p.operator.startswith("<")]
    return bool(least and most) and max(least) > min(most)


def _bytes(test: Test) -> int:
    """What a size is compared with."""
    units = {"K": 1 << 10, "M": 1 << 20}
    size = test.values[0]
    return int(size.rstrip("KM")) * units.get(size[-1], 1)


def any_of(parts: Iterable[Expr]) -> Expr:
    """Any of PARTS; tests of the same field become one."""
    found: list[Expr] = []
    for part in parts:
        for p in part.parts if isinstance(part, Any) else (part,):
            _join(found, p)
    if any(p == Constant(True) for p in found):
        return Constant(True)
    found = [p for p in found if p != Constant(False)]
    if not found:
        return Constant(False)
    return found[0] if len(found) == 1 else Any(tuple(found))


def _join(found: list[Expr], part: Expr) -> None:
    if isinstance(part, Test) and not part.negated and not part.captures and part.values:
        for index, other in enumerate(found):
            if isinstance(other, Test) and other.replace(values=()) == part.replace(values=()):
                values = tuple(dict.fromkeys((*other.values, *part.values)))
                found[index] = other.replace(values=values)
                return
        for index, other in enumerate(found):
            if (
                isinstance(other, Test)
                and other.replace(fields="") == part.replace(fields="")
                and (fields := _joined_fields(other.fields, part.fields))
            ):
                found[index] = other.replace(fields=fields)
                return
    if part not in found:
        found.append(part)


def _joined_fields(one: str, other: str) -> str:
    """The fields of both as one list, headers first; "" where they do not go together."""
    headers: list[str] = []
    plain: list[str] = []
    for fields in (one, other):
        found = _FIELDS.fullmatch(fields)
        if found is None:
            return ""
        headers += _QUOTED.findall(found["headers"] or "")
        plain += [field for field in (found["plain"] or "").split(", ") if field]
    named = [f"header {', '.join(dict.fromkeys(headers))}"] if headers else []
    return ", ".join([*named, *dict.fromkeys(plain)])


_QUOTED = re.compile(r'"[^"]*"')

_PLAIN = r"(?:subject|from|to|cc|reply-to|sender|recipients|list-id)(?: domain| local part| name)?"

_FIELDS = re.compile(
    rf'(?:header (?P<headers>"[^"]*"(?:, "[^"]*")*))?(?:, )?(?P<plain>{_PLAIN}(?:, {_PLAIN})*)?'
)


def captures(expr: Expr) -> bool:
    """Whether EXPR leaves a capture where it holds."""
    match expr:
        case Test():
            return expr.captures
        case All(parts):
            return any(captures(part) for part in parts)
        case Any(parts):
            return all(captures(part) for part in parts)
        case _:
            return False


def words(expr: Expr, around: str = "") -> str:
    """EXPR as it stands in a rule; AROUND is "and" or "or" where it is a part of one."""
    match expr:
        case Test():
            return _test_words(expr)
        case Fact(fact, negated):
            return f"not {fact}" if negated else fact
        case All(parts):
            return " and ".join([words(part, "and") for part in parts])
        case Any(parts):
            joined = " or ".join([words(part, "or") for part in parts])
            return f"({joined})" if around == "and" else joined
        case _:
            raise AssertionError(expr)


def _test_words(test: Test) -> str:
    operator = NEGATED.get(test.operator, test.operator) if test.negated else test.operator
    made = [test.fields, operator]
    if test.exactly and test.values:
        made.append("exactly")
    if test.values:
        made.append(", ".join(test.values))
    text = " ".join(made)
    if test.negated and test.operator not in NEGATED:
        return f"not {text}"
    return text
