"""The conditions of a recipe as one condition of the rule language.

Scores     are said where they come to a yes or no: each weighed condition counts once, and the
           combinations that reach more than 0 are written out.
Fails with Unsayable
"""

from __future__ import annotations

import re
from itertools import combinations, product

from mdeliver.procmail.condition import Read, read_condition
from mdeliver.procmail.convertactions import program_words
from mdeliver.procmail.matcher import Matcher
from mdeliver.procmail.pattern import expand_macros, parse_pattern
from mdeliver.procmail.score import MAX
from mdeliver.procmail.symbols import Symbols, Unsaid, header_of
from mdeliver.procmail.syntax import Recipe
from mdeliver.procmail.translate import body_condition, header_condition, text_condition
from mdeliver.procmail.wording import (
    All,
    Any,
    Constant,
    Fact,
    Test,
    Unsayable,
    all_of,
    any_of,
    captures,
    has_ref,
    negate,
    quote,
    ref,
)
from mdeliver.procmail.words import WHOLE, read_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.wording import Expr

_COUNTED = 200
"""How often something is looked for at most."""

_SCORED = 8
"""Weighed conditions whose combinations are written out."""


class RecipeConditions:
    """One recipe's conditions.

    allow_shell  whether a shell's commands may be said as `sh -c`
    """

    def __init__(self, recipe: Recipe, symbols: Symbols, allow_shell: bool) -> None:
        self.recipe = recipe
        self.symbols = symbols
        self.allow_shell = allow_shell
        self.exactly = "D" in recipe.head.flags
        self.unclear: list[str] = []
        """Conditions that are quoted above the rule, since it does not say them word by word."""

    def expr(self) -> Expr:
        """All of them as one condition. Raises Unsayable."""
        plain: list[Expr] = []
        scored: list[tuple[float, float, Expr]] = []
        for condition in self.recipe.conditions:
            weight, found = self.one(condition.text)
            if weight is None:
                plain.append(found)
            else:
                scored.append((*weight, found))
            if weight is not None or has_regex(found):
                self.unclear.append(condition.text)
        if scored:
            plain.append(score(scored))
        return all_of(plain)

    def one(self, text: str) -> tuple[tuple[float, float] | None, Expr]:
        condition = read_condition(text)
        while condition.kind == "$":
            words = read_words('"' + condition.text, 0, WHOLE).words
            condition = read_condition(self.symbols.text(words).lstrip(" \t"), condition)
        found = self.test(condition)
        if condition.negated:
            if captures(found):
                # It is set where the recipe does not match.
                self.symbols.values["MATCH"] = Unsaid("$MATCH of a condition that must not hold")
            return condition.weight, negate(found)
        if captures(found):
            self.symbols.values["MATCH"] = ref("1")
        return condition.weight, found

    def test(self, condition: Read) -> Expr:
        match condition.kind:
            case "?":
                return self.program(condition.text)
            case "<" | ">":
                return self.size(condition)
            case _:
                return self.regex(condition)

    def regex(self, condition: Read) -> Expr:
        area = condition.area
        if not area:
            flags = self.recipe.head.flags
            area = ("HB" if "H" in flags else "B") if "B" in flags else "H"
        match area:
            case "H":
                return header_condition(condition.text, self.exactly)
            case "B":
                return body_condition(condition.text, self.exactly)
            case "HB" | "BH":
                found = any_of(
                    [
                        header_condition(condition.text, self.exactly),
                        body_condition(condition.text, self.exactly),
                    ]
                )
                if captures(found) or "\\/" in condition.text:
                    raise Unsayable(r"a \/ that looks into head and body")
                return found
            case _:
                return self.variable(area, condition.text)

    def variable(self, name: str, text: str) -> Expr:
        value = self.symbols.value(name) or ""
        if header := header_of(value):
            field = header.lower() if header.lower() in ("subject", "list-id") else ""
            return text_condition(text, field or f"header {quote(header)}", self.exactly)
        if has_ref(value):
            return text_condition(text, quote(value), self.exactly)
        matcher = Matcher(parse_pattern(expand_macros(text)[0]), not self.exactly)
        octets = value.encode("latin-1")
        if text and matcher.has_mark and (found := matcher.find(octets, 0)) and found.matched:
            self.symbols.values["MATCH"] = found.matched.decode("latin-1")
        return Constant(not text or matcher.matches(octets))

    def size(self, condition: Read) -> Expr:
        if condition.area:
            raise Unsayable(f"the size of {condition.area}")
        text = self.symbols.text(read_words(condition.text, 0, WHOLE).words).strip()
        digits = text.split()[0] if text.split() else ""
        if not digits.lstrip("+-").isdigit():
            raise Unsayable(f"{text!r} is no size")
        size = int(digits)
        return Test("size", condition.kind, (quantity(max(size, 0)),))

    def program(self, text: str) -> Expr:
        argv, shell = self.symbols.command(text)
        if shell:
            if not self.allow_shell:
                raise Unsayable("a program that needs a shell")
            argv = ["sh", "-c", argv[0]]
        return Fact(f"program {program_words(argv)} succeeds")


def quantity(size: int) -> str:
    """SIZE as rules write it."""
    for unit, power in (("M", 20), ("K", 10)):
        if size and size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return str(size)


def has_regex(expr: Expr) -> bool:
    """Whether EXPR has an expression of RE2 in it."""
    match expr:
        case Test():
            return any(value.startswith("/") for value in expr.values)
        case All(parts) | Any(parts):
            return any(has_regex(part) for part in parts)
        case _:
            return False


def score(scored: list[tuple[float, float, Expr]]) -> Expr:
    """The weighed conditions as one condition: their sum is above 0."""
    if all(weight >= 0 for weight, _, _ in scored):
        # However often each of them counts, one that holds is enough; a size always counts.
        found = [Constant(True) if _is_size(expr) else expr for w, _, expr in scored if w > 0]
        return any_of(found)
    base = 0.0
    parts: list[tuple[float, Expr]] = []
    counted: list[tuple[float, float, Expr]] = []
    for weight, exponent, expr in scored:
        if _is_size(expr):
            if exponent != 0:
                raise Unsayable("a score that grows with the size")
            expr = Constant(True)
        if exponent != 0 and not isinstance(expr, Constant):
            counted.append((weight, exponent, expr))
            continue
        if isinstance(expr, Constant):
            base += weight if expr.holds else 0
        elif weight < 0:
            # What it takes away, its absence gives.
            base += weight
            parts.append((-weight, negate(expr)))
        elif weight > 0:
            parts.append((weight, expr))
    if any(weight >= MAX for weight, _ in parts):
        raise Unsayable("a score beyond all bounds")
    if len(parts) > _SCORED:
        raise Unsayable(f"a score of more than {_SCORED} conditions")
    if counted:
        (weight, exponent, test), *more = counted
        if more or exponent != 1 or weight <= 0:
            raise Unsayable("a score that counts how often something occurs")
        return _counted(parts, -base, weight, test)
    return _above(parts, -base)


def _is_size(expr: Expr) -> bool:
    return isinstance(expr, Test) and expr.fields == "size"


def _counted(parts: list[tuple[float, Expr]], limit: float, weight: float, test: Expr) -> Expr:
    """As `_above`, with WEIGHT for each time that TEST finds something."""
    found = []
    for chosen in product((False, True), repeat=len(parts)):
        rest = limit - sum(part[0] for part, taken in zip(parts, chosen, strict=True) if taken)
        times = max(0, int(rest // weight) + 1)
        held = [part[1] for part, taken in zip(parts, chosen, strict=True) if taken]
        found.append(all_of([*held, at_least(test, times)]))
    return any_of(found)


def at_least(test: Expr, times: int) -> Expr:
    """TEST, which is of the body, as one that holds where it finds something so many TIMES."""
    if times < 2:
        return test if times else Constant(True)
    if not isinstance(test, Test) or test.fields != "body" or len(test.values) != 1 or test.negated:
        raise Unsayable("a score that counts how often something occurs")
    value = test.values[0]
    if times > _COUNTED or test.operator not in ("contains", "matches") or "{" in value:
        raise Unsayable("a score that counts how often something occurs")
    one = value[1:-1] if value.startswith("/") else re.escape(value[1:-1].replace("\\", ""))
    again = f"(?:.*?(?:{one})){{{times - 1}}}"
    return test.replace(operator="matches", values=(f"/(?s:(?:{one}){again})/",))


def _above(parts: list[tuple[float, Expr]], limit: float) -> Expr:
    """The smallest combinations of PARTS whose weights come to more than LIMIT."""
    found: list[frozenset[int]] = []
    for count in range(len(parts) + 1):
        for chosen in combinations(range(len(parts)), count):
            together = frozenset(chosen)
            enough = sum(parts[n][0] for n in chosen) > limit
            if enough and not any(smaller <= together for smaller in found):
                found.append(together)
    return any_of([all_of([parts[n][1] for n in sorted(chosen)]) for chosen in found])
