"""What values a field can be compared with: kinds of values, ranges, globs and regexes.

Kinds       text number quantity clock date regex lines me, and `KIND range`; the bare words of
            `weekday is monday` are `weekday`.
Fails with  findings E305, E309-E311, E320, E321: the checker passes its `report`.
See also    checker.py; conditions/ for what the tests mean
"""

from __future__ import annotations

from mdeliver.language.syntax import (
    Brace,
    Clock,
    Date,
    Lines,
    Me,
    Number,
    Quantity,
    Range,
    Regex,
    Text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mdeliver.diagnostic import Span
    from mdeliver.language.syntax import Authentication, Name, Value

    Report = Callable[[str, str, Span, str], None]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SIZE_UNITS = "KMG"
TIME_UNITS = "smhdw"
COMPARISONS = frozenset((">", "<", ">=", "<="))

_RESULTS = frozenset(
    ("none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror")
)

_KINDS: dict[type, str] = {
    Text: "text",
    Number: "number",
    Quantity: "quantity",
    Clock: "clock",
    Date: "date",
    Regex: "regex",
    Lines: "lines",
    Me: "me",
}
_TEXTS = frozenset(("text", "number", "quantity", "lines", "me"))
_NUMBERS = frozenset(("number", "quantity"))
_ONLY = {
    "size": (_NUMBERS | {"number range", "quantity range"}, "a number such as 20M"),
    "date": (frozenset(("date", "date range")), "a day such as 2026-08-01"),
    "time": (frozenset(("clock", "clock range")), "a time such as 22:00"),
    "weekday": (frozenset(("weekday", "weekday range")), "a day such as monday"),
}
_FOR_TEXTS = {
    "is": _TEXTS | {"number range", "quantity range"},
    "matches": _TEXTS | {"regex"},
}


def kind_of(value: Value) -> str:
    """The kind of a value that is no name."""
    if isinstance(value, Range):
        low, high = kind_of(value.low), kind_of(value.high)
        if low != high and {low, high} == _NUMBERS:
            low = high = "quantity"
        return f"{low} range" if low == high else "mixed range"
    return _KINDS.get(type(value), "name")


def fits(field: str, operator: str, kind: str) -> bool:
    """Whether FIELD can be compared by OPERATOR with a value of KIND."""
    if field in _ONLY:
        return kind in _ONLY[field][0] and not (operator in COMPARISONS and "range" in kind)
    if operator in COMPARISONS:
        return kind in _NUMBERS or kind == "text"
    return kind in _FOR_TEXTS.get(operator, _TEXTS)


def check_operator(field: str, operator: str, report: Report, place: Span) -> bool:
    """Whether FIELD knows OPERATOR at all."""
    if operator == "exists" or field not in _ONLY:
        return True
    if operator == "is" or (operator in COMPARISONS and field != "weekday"):
        return True
    comparisons = "" if field == "weekday" else ", > or <"
    hint = f"write is{comparisons} and {_ONLY[field][1]}"
    report("E305", f"{field} is no text: {operator} does not fit", place, hint)
    return False


def check_period(period: Quantity, report: Report) -> None:
    """Report a PERIOD that is no time."""
    if period.unit not in TIME_UNITS:
        report("E309", f"{period.unit} is a unit of size", period.span, "times are s, m, h, d or w")


def check_value(field: str, operator: str, value: Value, kind: str, report: Report) -> None:
    """Report what is wrong with VALUE, of KIND, beside FIELD and OPERATOR."""
    if kind == "mixed range":
        report("E321", "the ends of a range are of different kinds", value.span, "")
    elif not fits(field, operator, kind):
        _misfit(field, operator, value, kind, report)
    elif field == "size" and isinstance(value, Quantity) and value.unit not in SIZE_UNITS:
        report("E309", f"{value.unit} is a unit of time", value.span, "sizes are K, M or G: 20M")
    elif isinstance(value, Range):
        _check_range(field, value, report)
    elif operator in COMPARISONS and isinstance(value, Text) and not _may_be_number(value):
        report("E305", f"{operator} compares numbers; this text has none", value.span, "")


def _misfit(field: str, operator: str, value: Value, kind: str, report: Report) -> None:
    if kind == "regex":
        hint = "write matches before a regex"
        report("E311", f"{operator} takes no regex", value.span, hint)
        return
    wanted = _ONLY[field][1] if field in _ONLY else "a text"
    hint = "quote it if it is a text"
    if operator in COMPARISONS and "range" in kind:
        wanted, hint = "one value, not a range", "a range stands after is"
    elif field in _ONLY:
        hint = ""
        if kind == "text":
            hint = "write it without quotes"
    elif operator in COMPARISONS:
        wanted, hint = "a number", ""
    elif "range" in kind:
        hint = "a range stands after is, and is one of numbers, days or times"
    shown = "a " + kind if kind not in ("me", "lines") else kind
    report("E305", f"{field} {operator} needs {wanted}, not {shown}", value.span, hint)


def _may_be_number(text: Text) -> bool:
    return any(
        isinstance(part, Brace) or any(c in "0123456789" for c in part) for part in text.parts
    )


def _check_range(field: str, value: Range, report: Report) -> None:
    """The first end of a range comes first, save where it may go round midnight or Sunday."""
    low, high = value.low, value.high
    backwards = False
    if isinstance(low, Date) and isinstance(high, Date):
        backwards = (low.year, low.month, low.day) > (high.year, high.month, high.day)
    elif isinstance(low, Number | Quantity) and isinstance(high, Number | Quantity):
        for end in (low, high):
            if field == "size" and isinstance(end, Quantity) and end.unit not in SIZE_UNITS:
                hint = "sizes are K, M or G: 20M"
                report("E309", f"{end.unit} is a unit of time", end.span, hint)
                return
        backwards = _amount(low) > _amount(high)
    if backwards:
        report("E321", "this range ends before it begins", value.span, "write the lower end first")


def _amount(value: Number | Quantity) -> float:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    units |= {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return float(value.digits) * (units[value.unit] if isinstance(value, Quantity) else 1)


def check_weekday(value: Value, report: Report) -> None:
    """VALUE beside `weekday`: the name of a day, or a range of two."""
    names = (value.low, value.high) if isinstance(value, Range) else (value,)
    for name in names:
        word = getattr(name, "name", None)
        if word is None:
            report("E305", "weekday needs a day such as monday", name.span, "without quotes")
        elif word not in WEEKDAYS:
            from mdeliver.language import hints

            hint = next((day for day in WEEKDAYS if day.startswith(word.lower())), "")
            hint = f"did you mean {hint}?" if hint else hints.did_you_mean(word, WEEKDAYS)
            report("E320", f"{word} is no day of the week", name.span, hint)


def check_results(fact: Authentication, report: Report) -> None:
    """The results that a check of the sender can have (RFC 8601)."""
    for result in fact.results:
        if result not in _RESULTS:
            from mdeliver.language import hints

            hint = hints.did_you_mean(result, _RESULTS)
            report("E326", f"{result} is no result of {fact.method}", fact.span, hint)


def captures_of(value: Value, report: Report) -> int:
    """How many captures VALUE of a `matches` has; a regex is tried, and reported if it is bad."""
    if isinstance(value, Regex):
        return _groups(value, report)
    if isinstance(value, Text):
        # An escaped mark and what fills a brace are themselves (syntax.Plain).
        return sum(
            [p.count("(*)") + p.count("(?)") for p in value.parts if type(p) is str and "(" in p]
        )
    return 0


def _groups(regex: Regex, report: Report) -> int:
    """The groups of a regex. google-re2 costs 6 ms to import: only where there is a regex."""
    try:
        import re2
    except ImportError:
        hint = "install the Python package google-re2"
        report("E310", "regexes cannot be used: google-re2 is missing", regex.span, hint)
        return 99
    options = re2.Options()
    options.log_errors = False
    try:
        groups: int = re2.compile(regex.pattern, options).groups
    except (re2.error, UnicodeError, ValueError) as error:
        reason = error.args[0] if error.args else "no valid regex"
        if isinstance(reason, bytes):
            reason = reason.decode("utf-8", "replace")
        hint = "regexes are RE2's: no look-around, no back-references"
        report("E310", f"this regex is not valid: {reason}", regex.span, hint)
        # Whatever it captures is not a second error.
        return 99
    return groups


def named(value: Value) -> Name | None:
    """The first name in VALUE, if it has one."""
    from mdeliver.language.syntax import Name

    ends = (value.low, value.high) if isinstance(value, Range) else (value,)
    return next((end for end in ends if isinstance(end, Name)), None)


def clock(written: str, span: Span) -> Clock | None:
    hour, _, minute = written.partition(":")
    if not (1 <= len(hour) <= 2 and len(minute) == 2 and _all_digits(hour + minute)):
        return None
    if int(hour) > 23 or int(minute) > 59:
        return None
    return Clock(int(hour), int(minute), span)


def date(written: str, span: Span) -> Date | None:
    parts = written.split("-")
    if [len(part) for part in parts] != [4, 2, 2] or not all(map(_all_digits, parts)):
        return None
    year, month, day = (int(part) for part in parts)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= days[month - 1]:
        return None
    return Date(year, month, day, span)


def _all_digits(written: str) -> bool:
    return all(c in "0123456789" for c in written)
