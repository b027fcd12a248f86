"""Sieve's tests that measure: how many headers there are, and what time it is.

Counted    by sed(1): only a program can count (procmail/linetext.py).
Fails with Unsayable
See also   RFC 5231 (relational), RFC 5260 (date)
"""

from __future__ import annotations

import re

from mdeliver.procmail.linetext import head_has_times
from mdeliver.procmail.wording import Constant, Test, Unsayable, any_of, negate, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.wording import Expr

_MOST = 50
"""Headers that are counted at most."""

_CLOCK = re.compile(r"([01]?\d|2[0-3])(?::([0-5]\d))?(?::[0-5]\d)?")

_SIGNS = {"": "is", "eq": "is", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def counted(names: tuple[str, ...], relation: str, keys: tuple[str, ...]) -> Expr:
    """Whether so many headers of NAMES are there."""
    if not all(key.isdigit() and len(key) < 3 for key in keys):
        raise Unsayable("a count of headers that is no small number")
    return any_of([_counted(names, relation, int(key)) for key in keys])


def _counted(names: tuple[str, ...], relation: str, count: int) -> Expr:
    match relation:
        case "ge":
            return _at_least(names, count)
        case "gt":
            return _at_least(names, count + 1)
        case "lt":
            return negate(_at_least(names, count))
        case "le":
            return negate(_at_least(names, count + 1))
        case _:
            raise Unsayable("an exact count of headers")


def _at_least(names: tuple[str, ...], count: int) -> Expr:
    if count > _MOST:
        raise Unsayable("a count of headers that is no small number")
    if count < 1:
        return Constant(True)
    if count == 1:
        return any_of([Test(f"header {quote(name)}", "exists", ()) for name in names])
    listed = "|".join([re.escape(name).replace("\\-", "-") for name in names])
    return head_has_times(f"^({listed}):" if len(names) > 1 else f"^{listed}:", count, False)


def moment(part: str, relation: str, keys: tuple[str, ...]) -> Expr | None:
    """Whether PART of the current date stands in RELATION to one of KEYS; None without words."""
    sign = _SIGNS.get(relation, "")
    if part in ("year", "month", "day") and sign and all(key.isdigit() for key in keys):
        values = tuple([key if relation else quote(key) for key in keys])
        return Test(f'"{{{part}}}"', sign if relation not in ("", "eq") else "is", values)
    clocks = [_CLOCK.fullmatch(key) for key in keys]
    if part not in ("hour", "time") or not sign or not all(clocks):
        return None
    return any_of([_time(part, sign, int(found[1]), found[2]) for found in clocks if found])


def _time(part: str, sign: str, hour: int, minute: str | None) -> Test:
    """A clock of minutes: an hour that is meant whole ends with its last one."""
    first = f"{hour}:{minute or '00'}"
    last = f"{hour}:59" if part == "hour" else first
    if sign == "is":
        return Test("time", "is", (f"{first} to {last}" if first != last else first,))
    return Test("time", sign, (last if sign in (">", "<=") else first,))
