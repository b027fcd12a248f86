"""Weighted conditions as one condition: a score comes to a yes or no.

Counted    a condition that adds up each time it is found has a value for each number of times;
           `at least so many times` has words for a body, for a header of which there is one, and
           for how many headers of a name there are.
Written    the smallest combinations that come to more than 0.
Fails with Unsayable
See also   procmailsc(5), score.py
"""

from __future__ import annotations

import re

from mdeliver.procmail.linetext import head_has_times
from mdeliver.procmail.score import MAX
from mdeliver.procmail.wording import (
    Constant,
    Test,
    Unsayable,
    all_of,
    any_of,
    negate,
)
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.wording import Expr

    Levels = list[tuple[float, Expr]]
    """Values of one condition, rising, each with what gives it."""

_TIMES = 200
"""How often something is looked for at most."""

_HEADERS = 50
"""How many headers are counted at most."""

_COMBINATIONS = 64
"""How many combinations are written out at most."""

_SINGLE = ("subject", "from", "to", "cc", "reply-to")
"""Fields of headers that a message has once."""

_MANY_TIMES = "a score that counts how often something occurs"


class Weighed(Record):
    """A condition with a weight: what it adds is `weight`, `weight * exponent`, and so on.

    expr     where it adds something
    counts   whether each time that it is found adds something
    pattern  of a head that is searched, else ""
    """

    weight: float
    exponent: float
    expr: Expr
    counts: bool
    pattern: str = ""


def score(weighed: list[Weighed], exactly: bool) -> Expr:
    """Whether WEIGHED come to more than 0."""
    if all(one.weight >= 0 for one in weighed):
        # However often each of them counts, one that holds is enough; a size always counts.
        found = [
            Constant(True) if _is_size(one.expr) else one.expr for one in weighed if one.weight > 0
        ]
        return any_of(found)
    base = 0.0
    varying: list[Weighed] = []
    for one in weighed:
        if _is_size(one.expr):
            if one.exponent != 0:
                raise Unsayable("a score that grows with the size")
            base += one.weight
        elif isinstance(one.expr, Constant):
            base += one.weight if one.expr.holds else 0
        elif one.weight:
            varying.append(one)
    fixed = [_once(one) for one in varying if not _is_counted(one)]
    counted = [one for one in varying if _is_counted(one)]
    if any(abs(levels[-1][0] - levels[0][0]) >= MAX for levels in fixed):
        raise Unsayable("a score beyond all bounds")
    lowest = base + sum(levels[0][0] for levels in fixed)
    highest = base + sum(levels[-1][0] for levels in fixed)
    rising = [_rising(one, lowest, exactly) for one in counted if one.weight > 0]
    if rising and any(one.weight < 0 for one in counted):
        raise Unsayable("a score of what is counted for and against")
    falling = [_falling(one, highest, exactly) for one in counted if one.weight < 0]
    return _above([*fixed, *rising, *falling], base)


def _is_size(expr: Expr) -> bool:
    return isinstance(expr, Test) and expr.fields == "size"


def _is_counted(one: Weighed) -> bool:
    single = isinstance(one.expr, Test) and set(one.expr.fields.split(", ")) <= set(_SINGLE)
    return one.counts and one.exponent != 0 and not single


def _once(one: Weighed) -> Levels:
    """What it takes away where it holds, its absence gives."""
    if one.weight < 0:
        return [(one.weight, Constant(True)), (0.0, negate(one.expr))]
    return [(0.0, Constant(True)), (one.weight, one.expr)]


def _rising(one: Weighed, lowest: float, exactly: bool) -> Levels:
    """Values of what adds something each time, until it is enough alone."""
    levels: Levels = [(0.0, Constant(True))]
    for times, value in enumerate(_sums(one), 1):
        levels.append((value, _at_least(one, times, exactly)))
        if lowest + value > 0:
            break
    return levels


def _falling(one: Weighed, highest: float, exactly: bool) -> Levels:
    """Values of what takes something away each time, from where nothing makes up for it."""
    levels: Levels = [(0.0, negate(_at_least(one, 1, exactly)))]
    for times, value in enumerate(_sums(one), 1):
        if highest + value <= 0:
            return [(value, Constant(True)), *reversed(levels)]
        levels.append((value, negate(_at_least(one, times + 1, exactly))))
    return [(value, Constant(True)), *reversed(levels)]


def _sums(one: Weighed) -> list[float]:
    """What so many times come to, from once on; further ones say nothing new."""
    made: list[float] = []
    total, weight = 0.0, one.weight
    for _ in range(_TIMES + 1):
        total += weight
        weight *= one.exponent
        made.append(total)
        if 0 < one.exponent < 1 and abs(weight) < 1e-6:
            break
    return made


def _at_least(one: Weighed, times: int, exactly: bool) -> Expr:
    """ONE as a condition that holds where it finds something so many TIMES."""
    test = one.expr
    if times < 2:
        return test
    if not isinstance(test, Test) or test.negated or test.captures or times > _TIMES:
        raise Unsayable(_MANY_TIMES)
    if test.fields.startswith("header ") and test.operator == "exists" and times <= _HEADERS:
        return head_has_times(one.pattern, times, exactly)
    if test.fields != "body" or test.operator not in ("contains", "matches"):
        raise Unsayable(_MANY_TIMES)
    if any("{" in value for value in test.values):
        raise Unsayable(_MANY_TIMES)
    found = "|".join([_as_regex(value) for value in test.values])
    again = f"(?:.*?(?:{found})){{{times - 1}}}"
    return test.replace(operator="matches", values=(f"/(?s:(?:{found}){again})/",))


def _as_regex(value: str) -> str:
    if value.startswith("/"):
        return value[1:-1]
    plain = re.sub(r"\\(.)", r"\1", value[1:-1])
    return re.escape(plain).replace("/", "\\/").replace("\\ ", " ").replace("\\-", "-")


def _above(items: list[Levels], base: float) -> Expr:
    """The smallest combinations of ITEMS' levels that come to more than 0 with BASE."""
    least = [levels[0][0] for levels in items]
    most = [max(value for value, _ in levels) for levels in items]
    found: list[tuple[int, ...]] = []

    def look(chosen: tuple[int, ...], total: float) -> None:
        at = len(chosen)
        if len(found) > _COMBINATIONS:
            raise Unsayable("a score of too many combinations")
        if total + sum(least[at:]) > 0:
            found.append((*chosen, *[0] * (len(items) - at)))
        elif total + sum(most[at:]) > 0:
            for level, (value, _) in enumerate(items[at]):
                look((*chosen, level), total + value)
                if total + value + sum(least[at + 1 :]) > 0:
                    break

    look((), base)
    smallest = [
        one for one in found if not any(other != one and _is_within(other, one) for other in found)
    ]
    smallest.sort(key=lambda one: (sum(level > 0 for level in one), [-level for level in one]))
    return any_of(
        [all_of([levels[at][1] for levels, at in zip(items, one, strict=True)]) for one in smallest]
    )


def _is_within(smaller: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    return all(a <= b for a, b in zip(smaller, larger, strict=True))
