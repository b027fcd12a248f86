"""Whether the conditions of a recipe hold.

See also    condition.py for their form, score.py for weights, matcher.py for expressions
"""

from __future__ import annotations

import re

from mdeliver.procmail import score
from mdeliver.procmail.condition import Read, read_condition
from mdeliver.procmail.matcher import Matcher
from mdeliver.procmail.pattern import expand_macros, parse_pattern
from mdeliver.procmail.state import State
from mdeliver.procmail.syntax import Recipe
from mdeliver.procmail.words import WHOLE, read_words
from mdeliver.procmail.world import World

_KEPT_MATCHERS = 5000
_matchers: dict[tuple[str, bool], Matcher] = {}


def matcher_of(text: str, ignore_case: bool) -> Matcher:
    """The expression TEXT, macros not yet expanded, made ready."""
    key = text, ignore_case
    found = _matchers.get(key)
    if found is None:
        if len(_matchers) > _KEPT_MATCHERS:
            _matchers.clear()
        expanded, daemon = expand_macros(text)
        found = _matchers[key] = Matcher(parse_pattern(expanded), ignore_case or daemon)
    return found


class Conditions:
    """One recipe's conditions under test."""

    def __init__(self, world: World, state: State, recipe: Recipe) -> None:
        self.world = world
        self.state = state
        self.flags = recipe.head.flags
        self.texts = [condition.text for condition in recipe.conditions]
        self.score = 0.0
        self.scored = False

    def hold(self) -> bool:
        """Whether all hold and the score, if there is one, is above 0. Raises Unknown."""
        held = True
        for text in self.texts:
            held = self.one(read_condition(text)) and held
            if not held:
                break
        self.state.score = score.shown(self.score)
        return held and not (self.scored and self.score <= 0)

    def one(self, condition: Read) -> bool:
        while condition.kind == "$":
            if condition.weight is not None and self.skips():
                return True
            words = read_words('"' + condition.text, 0, WHOLE).words
            text = self.state.expander().text(words).lstrip(" \t")
            condition = read_condition(text, condition)
        if condition.weight is None:
            held = self.plain(condition)
            self.score, above = score.clamped(self.score)
            return held and above
        if self.skips():
            return True
        try:
            self.weigh(condition, *condition.weight)
        except score.Infinite as end:
            self.score = float(end.args[0])
        self.score, above = score.clamped(self.score)
        return above

    def skips(self) -> bool:
        self.scored = True
        return self.score >= score.MAX

    # --- without a weight

    def plain(self, condition: Read) -> bool:
        match condition.kind:
            case "regex":
                return self.matches(condition) is not condition.negated
            case "?":
                return (self.status(condition) == 0) is not condition.negated
            case sign:
                size, limit = self.sizes(condition)
                return (size < limit if sign == "<" else size > limit) is not condition.negated

    def matches(self, condition: Read) -> bool:
        if not condition.text:
            return True
        matcher = matcher_of(condition.text, "D" not in self.flags)
        return self.search(matcher, self.area(condition.area))

    def search(self, matcher: Matcher, text: bytes) -> bool:
        """Whether TEXT matches; where it does, MATCH is set, if the expression has a mark."""
        if not matcher.matches(text):
            return False
        if matcher.has_mark:
            found = matcher.find(text, 0)
            if found is not None and found.matched is not None:
                self.set_match(found.matched)
        return True

    def set_match(self, matched: bytes) -> None:
        self.state.set("MATCH", matched.partition(b"\0")[0].decode("latin-1"))

    def area(self, name: str) -> bytes:
        """What is searched: a part of the message, or a variable."""
        mail = self.state.mail
        if not name:
            if "B" not in self.flags:
                return mail.head
            return mail.both if "H" in self.flags else mail.body
        match name:
            case "H":
                return mail.head
            case "B":
                return mail.body
            case "HB" | "BH":
                return mail.both
            case _:
                return (self.state.value(name) or "").encode("latin-1")

    def sizes(self, condition: Read) -> tuple[int, int]:
        """The size in question and the limit."""
        text = self.state.expander().text(read_words(condition.text, 0, WHOLE).words)
        number = re.match(r"[ \t\n\v\f\r]*([-+]?\d+)", text)
        # strtol(3) goes no further than its largest number, which no mail has.
        limit = int(number[1][:20]) if number else 0
        if not condition.area:
            return len(self.state.mail.octets), limit
        return len(self.area(condition.area)), limit

    def status(self, condition: Read) -> int:
        argv, shell = self.state.command(condition.text.lstrip(" \t"))
        self.state.run(argv, shell, self.area(condition.area))
        return self.state.exit_code

    # --- with one

    def weigh(self, condition: Read, weight: float, exponent: float) -> None:
        match condition.kind:
            case "regex":
                text = self.area(condition.area)
                matcher = matcher_of(condition.text, "D" not in self.flags)
                if condition.negated:
                    if weight and not self.search(matcher, text):
                        self.score += weight
                    return
                self.score, matched = score.of_matches(matcher, text, self.score, weight, exponent)
                if matched is not None:
                    self.set_match(matched)
            case "?":
                status = self.status(condition)
                self.score = score.of_program(
                    condition.negated, status, self.score, weight, exponent
                )
            case sign:
                size, limit = self.sizes(condition)
                self.score += score.of_size(sign, condition.negated, size, limit, weight, exponent)
