"""Tests of texts and numbers: FIELDS OPERATOR VALUES.

Holds       if it holds for any text of any field and any value; a negated test holds exactly when
            the plain one does not. A field that is missing has no text.
Case        ignored (Unicode simple folding, glob.py) unless `exactly`.
Exists      a header exists though its text is empty; an envelope field (there always is one, the
            null sender being "") exists if it is not empty.
Numbers     `> < >= <=` and ranges compare the first number in the text; none: false.
Captures    of the first text and value that `matches` found, kept in the scene; a `matches` without
            any leaves those before it.
"""

from __future__ import annotations

from mdeliver.glob import Glob, fold
from mdeliver.language.syntax import Field, Lines, Number, Quantity, Range, Regex, Text
from mdeliver.scene import value_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mdeliver.language.syntax import Test, Value
    from mdeliver.scene import Scene, Texts

    Finder = Callable[[str, str], "Value | None"]
    """Takes a text as it is and folded; the value that it fits, else None."""

_ENVELOPE = ("sender", "recipient", "extension")
_MOMENTS = ("date", "weekday", "time")

_DIGITS = 400
"""Longest number that is read; a float is infinite long before."""

_UNITS = {
    "K": 1 << 10, "M": 1 << 20, "G": 1 << 30,
    "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400,
}  # fmt: skip


def compare(scene: Scene, test: Test) -> bool:
    """Whether TEST holds; captures and, where it explains, the reason go to SCENE."""
    if test.operator == "exists":
        return _exists(scene, test) is not test.negated
    first = test.fields[0]
    if isinstance(first, Field) and first.name in _MOMENTS:
        from mdeliver.conditions.moments import compare_moment

        return compare_moment(scene, test)
    finder = _finder(scene, test)
    for field in test.fields:
        if isinstance(field, Field) and field.name == "body" and test.operator == "matches":
            finder = _finder(scene, test, in_body=True)
        for text, folded in _texts(scene, field):
            value = finder(text, folded)
            if value is not None:
                if scene.explain:
                    from mdeliver.explain import fits

                    scene.because = fits(field, text, test, value)
                return not test.negated
    if scene.explain:
        from mdeliver.explain import fits_not

        found = [(f, [text for text, _folded in _texts(scene, f)]) for f in test.fields]
        scene.because = fits_not(found, scene.message.limit)
    return test.negated


def _texts(scene: Scene, field: Field | Text) -> Texts:
    if isinstance(field, Field):
        return scene.field_texts(field)
    words = scene.words(field)
    return ((words, fold(words)),)


def _exists(scene: Scene, test: Test) -> bool:
    for field in test.fields:
        texts = _texts(scene, field)
        # A quoted text and the envelope's fields are always there.
        always = not isinstance(field, Field) or field.name in _ENVELOPE
        for text, _folded in texts:
            if text or not always:
                if scene.explain:
                    from mdeliver.explain import fits

                    scene.because = fits(field, text, test, None)
                return True
    if scene.explain:
        from mdeliver.explain import fits_not

        found = [(f, [t for t, _ in _texts(scene, f)]) for f in test.fields]
        scene.because = fits_not(found, scene.message.limit)
    return False


def _finder(scene: Scene, test: Test, in_body: bool = False) -> Finder:
    """What looks for TEST's values in a text."""
    values = scene.values(test.values)
    lines = [value for value in values if isinstance(value, Lines)]
    if not lines:
        return _finder_of(scene, test, values, in_body)
    from mdeliver.conditions.tables import lookup

    tables = [(lookup(scene, value, test.exactly), value) for value in lines]
    others = _finder_of(
        scene, test, tuple([v for v in values if not isinstance(v, Lines)]), in_body
    )

    def find(text: str, folded: str) -> Value | None:
        value = others(text, folded)
        if value is not None:
            return value
        seen = text if test.exactly else folded
        return next((v for table, v in tables if table.holds(test.operator, seen)), None)

    return find


def _finder_of(scene: Scene, test: Test, values: tuple[Value, ...], in_body: bool) -> Finder:
    """The same for VALUES that are no files of lines."""
    match test.operator:
        case "is":
            return _is(values, test.exactly)
        case "contains" | "starts with" | "ends with":
            return _part(values, test.operator, test.exactly)
        case "matches":
            return _matches(scene, values, test.exactly, in_body)
        case _:
            return _number(values, test.operator)


def _is(values: tuple[Value, ...], exactly: bool) -> Finder:
    wanted: dict[str, Value] = {}
    ranges: list[tuple[float, float, Value]] = []
    for value in values:
        if isinstance(value, Range):
            low, high = number_of(value.low), number_of(value.high)
            if low is None or high is None:
                raise AssertionError("the checker let a range that is none of numbers through")
            ranges.append((low, high, value))
            continue
        if isinstance(value, Quantity):
            amount = number_of(value)
            if amount is not None:
                ranges.append((amount, amount, value))
        words = value_text(value)
        wanted[words if exactly else fold(words)] = value
    if not ranges:
        if exactly:
            return lambda text, _folded: wanted.get(text)
        return lambda _text, folded: wanted.get(folded)

    def find(text: str, folded: str) -> Value | None:
        value = wanted.get(text if exactly else folded)
        number = first_number(text)
        if value is None and number is not None:
            for low, high, value_range in ranges:
                if low <= number <= high:
                    return value_range
        return value

    return find


def _part(values: tuple[Value, ...], operator: str, exactly: bool) -> Finder:
    wanted = [(w if exactly else fold(w), value) for value in values for w in (value_text(value),)]

    def find(text: str, folded: str) -> Value | None:
        seen = text if exactly else folded
        for words, value in wanted:
            if operator == "contains":
                found = words in seen
            elif operator == "starts with":
                found = seen.startswith(words)
            else:
                found = seen.endswith(words)
            if found:
                return value
        return None

    return find


def _matches(scene: Scene, values: tuple[Value, ...], exactly: bool, in_body: bool) -> Finder:
    matchers: list[tuple[Callable[[str, str], tuple[str, ...] | None], Value]] = []
    for value in values:
        if isinstance(value, Regex):
            # In a body, ^ and $ hold at the ends of lines.
            pattern = f"(?m){value.pattern}" if in_body else value.pattern
            matchers.append((_regex(pattern, exactly), value))
        elif isinstance(value, Text):
            pieces = [part for part in value.parts if isinstance(part, str)]  # no braces here
            matchers.append((Glob(pieces, exactly).match, value))
        else:
            matchers.append((Glob((value_text(value),), exactly).match, value))

    def find(text: str, folded: str) -> Value | None:
        for match, value in matchers:
            captures = match(text, folded)
            if captures is not None:
                if captures:
                    scene.captures = captures
                return value
        return None

    return find


def _regex(pattern: str, exactly: bool) -> Callable[[str, str], tuple[str, ...] | None]:
    """RE2: linear time whatever the pattern; `search` because it may match anywhere."""
    import re2

    options = re2.Options()
    options.log_errors = False  # they would go to standard error, which Postfix bounces with
    options.case_sensitive = exactly
    compiled = re2.compile(pattern, options)

    def match(text: str, _folded: str) -> tuple[str, ...] | None:
        try:
            found = compiled.search(text)
        except UnicodeEncodeError:
            # Raw bytes of the environment (os.environ's surrogates) have no UTF-8.
            found = compiled.search(text.encode("utf-8", "replace").decode())
        if found is None:
            return None
        # A group that took no part captured nothing.
        return tuple([group or "" for group in found.groups()])

    return match


def _number(values: tuple[Value, ...], operator: str) -> Finder:
    limits_of_values = [
        (n, value) for value in values for n in (number_of(value),) if n is not None
    ]

    def find(text: str, _folded: str) -> Value | None:
        number = first_number(text)
        if number is None:
            return None
        for bound, value in limits_of_values:
            match operator:
                case ">":
                    holds = number > bound
                case "<":
                    holds = number < bound
                case ">=":
                    holds = number >= bound
                case "<=":
                    holds = number <= bound
                case _:
                    raise AssertionError(operator)
            if holds:
                return value
        return None

    return find


def number_of(value: Value) -> float | None:
    """The number that VALUE is, K M G and times worked out; None where a text has none."""
    if isinstance(value, Quantity):
        return float(value.digits) * _UNITS[value.unit]
    if isinstance(value, Number):
        return float(value.digits)
    return first_number(value_text(value))


def first_number(text: str) -> float | None:
    """The first decimal number in TEXT: `Yes, score=-7.3 of 5` is -7.3.

    A `-` is a sign unless a letter or digit stands before it: `part-5` is 5.
    """
    index = len(text)
    for digit in "0123456789":
        # In C, for texts of a megabyte without any.
        found = text.find(digit, 0, index)
        if found >= 0:
            index = found
    if index == len(text):
        return None
    start = index
    if start and text[start - 1] == "." and not text[start - 2 : start - 1].isalnum():
        start -= 1  # ".5"
    end = index
    digits = "0123456789" if text[start] == "." else "0123456789."
    while end < len(text) and text[end] in digits and end - start < _DIGITS:
        if text[end] == ".":
            digits = "0123456789"
        end += 1
    number = float(text[start:end])
    if start and text[start - 1] in "-\u2212" and not text[start - 2 : start - 1].isalnum():
        return -number
    return number
