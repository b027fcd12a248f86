"""The conditions of a recipe as one condition of the rule language.

Packed     what asks how a message is packed (encoded words, heads of its parts, HTML) is said by
           what the rules have instead, or asked of sed(1).
Fails with Unsayable
See also   translate.py for expressions, scorewords.py for weights, packed.py
"""

from __future__ import annotations

from mdeliver.procmail.commands import Commands, program_words
from mdeliver.procmail.condition import Read, read_condition
from mdeliver.procmail.formail import NUMBER
from mdeliver.procmail.matcher import Matcher
from mdeliver.procmail.packed import (
    asks_for_encoded_words,
    asks_how_it_is_packed,
    encoded_condition,
    packed_condition,
)
from mdeliver.procmail.pattern import expand_macros, parse_pattern
from mdeliver.procmail.scorewords import Weighed, score
from mdeliver.procmail.symbols import Symbols, Unsaid, header_of
from mdeliver.procmail.syntax import Recipe
from mdeliver.procmail.translate import (
    behind_head,
    body_condition,
    header_condition,
    text_condition,
)
from mdeliver.procmail.wording import (
    ANSWER,
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

_MEASURED = 1000
"""Characters of a text that an expression counts (RE2's largest repetition)."""


class RecipeConditions:
    """One recipe's conditions.

    allow_shell  whether a shell's commands may be said as `sh -c`
    """

    def __init__(self, recipe: Recipe, symbols: Symbols, allow_shell: bool) -> None:
        self.recipe = recipe
        self.symbols = symbols
        self.exactly = "D" in recipe.head.flags
        self.commands = Commands(symbols, allow_shell)
        self.unclear: list[str] = []
        """Conditions that are quoted above the rule, since it does not say them word by word."""
        self.differs: list[str] = []
        """What of them is not quite the same."""

    def expr(self) -> Expr:
        """All of them as one condition. Raises Unsayable."""
        plain: list[Expr] = []
        weighed: list[Weighed] = []
        for condition in self.recipe.conditions:
            read = self.expanded(condition.text)
            found = self.one(read)
            if read.weight is None:
                plain.append(found)
            else:
                weighed.append(_weighed(read, found))
            if read.weight is not None or has_regex(found) or _asks_sed(found):
                self.unclear.append(condition.text)
        if weighed:
            scored = score(weighed, self.exactly)
            if _asks_sed(scored):
                self.differs.append("headers are counted with sed(1): only a program can count")
            plain.append(scored)
        return all_of(plain)

    def expanded(self, text: str) -> Read:
        """The condition TEXT, with what `$` puts in."""
        condition = read_condition(text)
        while condition.kind == "$":
            words = read_words('"' + condition.text, 0, WHOLE).words
            condition = read_condition(self.symbols.text(words).lstrip(" \t"), condition)
        return condition

    def one(self, condition: Read) -> Expr:
        found = self.test(condition)
        if condition.negated:
            if captures(found):
                # It is set where the recipe does not match.
                self.symbols.values["MATCH"] = Unsaid("$MATCH of a condition that must not hold")
            return negate(found)
        if captures(found):
            self.symbols.values["MATCH"] = ref("1")
        return found

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
                return self.head(condition.text)
            case "B":
                return self.body(condition.text)
            case "HB" | "BH":
                return self.both(condition.text)
            case _:
                return self.variable(area, condition.text)

    def head(self, text: str) -> Expr:
        if asks_for_encoded_words(text):
            self.differs.append(
                "headers are compared decoded: it asks for the script of the letters"
            )
            return encoded_condition(text)
        return header_condition(text, self.exactly)

    def body(self, text: str) -> Expr:
        if asks_how_it_is_packed(text):
            found, why = packed_condition(text, self.exactly)
            self.differs.append(why)
            return found
        return body_condition(text, self.exactly)

    def both(self, text: str) -> Expr:
        if (inner := behind_head(text, self.exactly)) is not None:
            return inner
        found = any_of([self.head(text), self.body(text)])
        if captures(found) or "\\/" in text:
            raise Unsayable(r"a \/ that looks into head and body")
        return found

    def variable(self, name: str, text: str) -> Expr:
        unsaid = self.symbols.values.get(name)
        if isinstance(unsaid, Unsaid) and unsaid.command:
            words = self.commands.output_matches(unsaid.command, text, self.exactly)
            return Fact(f"program {program_words(words)} succeeds")
        value = self.symbols.value(name) or ""
        if value == ref(ANSWER):
            return self.answered(text)
        if value in (ref("sender"), ref("extension")):
            return text_condition(text, value[1:-1], self.exactly)
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

    def answered(self, text: str) -> Expr:
        """Whether TEXT matches the address that `formail -rt` would answer."""
        asked = text_condition(text, "reply-to", self.exactly)
        without = Test("reply-to", "exists", (), negated=True)
        return any_of([asked, all_of([without, text_condition(text, "from", self.exactly)])])

    def size(self, condition: Read) -> Expr:
        text = self.symbols.text(read_words(condition.text, 0, WHOLE).words).strip()
        digits = text.split()[0] if text.split() else ""
        if not NUMBER.fullmatch(digits[1:] if digits[:1] in ("+", "-") else digits):
            raise Unsayable(f"{text!r} is no size")
        size = max(int(digits), 0)
        match condition.area:
            case "" | "HB" | "BH":
                return Test("size", condition.kind, (quantity(size),))
            case "B" if size >= _MEASURED:
                self.differs.append("the size of the whole message is compared, head and all")
                return Test("size", condition.kind, (quantity(size),))
            case "B":
                self.differs.append("a body is measured decoded, in characters")
                return _length("body", condition.kind, size)
            case "H":
                raise Unsayable("the size of the head")
            case name:
                value = self.symbols.value(name) or ""
                if not has_ref(value):
                    shorter, longer = len(value) < size, len(value) > size
                    return Constant(shorter if condition.kind == "<" else longer)
                if size >= _MEASURED:
                    raise Unsayable(f"whether ${name} has {size} characters")
                return _length(quote(value), condition.kind, size)

    def program(self, text: str) -> Expr:
        return Fact(f"program {program_words(self.commands.program(text))} succeeds")


def _asks_sed(expr: Expr) -> bool:
    match expr:
        case Fact(words):
            return words.startswith('program "sed" ')
        case All(parts) | Any(parts):
            return any(_asks_sed(part) for part in parts)
        case _:
            return False


def _weighed(read: Read, found: Expr) -> Weighed:
    assert read.weight is not None
    weight, exponent = read.weight
    if read.kind == "?" and exponent:
        raise Unsayable("a score of a program's exit status")
    if read.kind in "<>":
        # A size always adds something, whatever part it is of.
        found = Test("size", ">", ("0",))
    counts = read.kind == "regex" and not read.negated
    return Weighed(weight, exponent, found, counts=counts, pattern=read.text if counts else "")


def _length(subject: str, sign: str, size: int) -> Expr:
    """Whether the text SUBJECT is shorter ("<"), or longer, than SIZE."""
    if sign == "<" and not size:
        return Constant(False)
    pattern = f"^.{{0,{size - 1}}}$" if sign == "<" else f".{{{size + 1}}}"
    anchored = pattern.replace("^", "\\A").replace("$", "\\z")
    return Test(subject, "matches", (f"/(?s:{anchored})/",))


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
            return any(value[:1] not in '"0123456789' for value in expr.values)
        case All(parts) | Any(parts):
            return any(has_regex(part) for part in parts)
        case _:
            return False
