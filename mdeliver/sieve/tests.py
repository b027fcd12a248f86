"""Sieve's tests as conditions of the rule language.

Same        both compare decoded, unfolded headers without regard to case; `:matches` is a glob.
Captures    Sieve numbers every wildcard; where `${1}` is used, so does the glob: `(*)`.
Fails with  Unsayable
"""

from __future__ import annotations

import re

from mdeliver.procmail.convertconditions import quantity
from mdeliver.procmail.wording import (
    END,
    REF,
    Constant,
    Fact,
    Test,
    Unsayable,
    all_of,
    any_of,
    negate,
    quote,
    ref,
    regex,
)
from mdeliver.sieve.measures import counted, moment
from mdeliver.sieve.reader import Command, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdeliver.procmail.wording import Expr

_ADDRESS_FIELDS = ("from", "to", "cc", "reply-to")
_PARTS = {":localpart": "local part", ":domain": "domain", ":all": ""}
_WEEKDAYS = "sunday monday tuesday wednesday thursday friday saturday".split()
_RELATIONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_UNSAID = {
    "date": "the date in a header: rules know that of the arrival, as in date is 2026-08-01",
    "hasflag": "whether a flag was added: ask again for what added it",
}
"""Tests without words, and what comes nearest."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Arguments:
    """The arguments of one command, tags with their values taken apart."""

    def __init__(self, command: Command, with_value: tuple[str, ...]) -> None:
        self.tags: dict[str, str | int | Text | tuple[str, ...]] = {}
        self.plain: list[str | int | Text | tuple[str, ...]] = []
        rest = list(command.arguments)
        while rest:
            argument = rest.pop(0)
            if isinstance(argument, str) and not isinstance(argument, Text):
                self.tags[argument] = rest.pop(0) if argument in with_value and rest else ""
            else:
                self.plain.append(argument)

    def texts(self, number: int) -> tuple[str, ...]:
        """The argument NUMBER as a list of texts."""
        found = self.plain[number] if number < len(self.plain) else ()
        return found if isinstance(found, tuple) else (str(found),)


class Conditions:
    """Says tests.

    captures  whether the script uses `${1}`
    names     its variables
    marks     whether it adds flags
    """

    def __init__(self, captures: bool, names: set[str], marks: bool) -> None:
        self.captures = captures
        self.names = names
        self.marks = marks

    def text(self, text: str) -> str:
        """TEXT with its variables as references."""

        def put(found: re.Match[str]) -> str:
            name = found[1].lower()
            if name.isdigit() or name in self.names:
                return ref(name if name.isdigit() else variable_name(name))
            return ""

        return _VARIABLE.sub(put, text)

    def of(self, test: Command) -> Expr:
        match test.name:
            case "not":
                return negate(self.of(test.tests[0]))
            case "allof":
                return all_of([self.of(inner) for inner in test.tests])
            case "anyof":
                return any_of([self.of(inner) for inner in test.tests])
            case "true" | "false":
                return Constant(test.name == "true")
            case "exists":
                names = Arguments(test, ()).texts(0)
                return all_of([Test(_header(name), "exists", ()) for name in names])
            case "size":
                return self.size(test)
            case "duplicate":
                return self.duplicate(test)
            case "currentdate":
                return self.date(test)
            case "header" | "address" | "envelope" | "body" | "string":
                return self.compared(test)
            case "hasflag" if not self.marks:
                # A message that is delivered has no flags but those that the script adds.
                return Constant(False)
            case _:
                raise Unsayable(_UNSAID.get(test.name, f"the test {test.name}"))

    def size(self, test: Command) -> Expr:
        arguments = Arguments(test, ())
        operator = ">" if ":over" in arguments.tags else "<"
        (limit,) = arguments.plain
        return Test("size", operator, (quantity(int(str(limit))),))

    def duplicate(self, test: Command) -> Expr:
        arguments = Arguments(test, (":seconds", ":handle", ":header", ":uniqueid"))
        if {":header", ":uniqueid", ":handle"} & set(arguments.tags):
            raise Unsayable("duplicates by something else than Message-ID")
        seconds = int(str(arguments.tags.get(":seconds", 7 * 86400)))
        units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
        unit, each = next((u, n) for u, n in units if seconds % n == 0)
        return Fact(f"duplicate within {seconds // each}{unit}")

    def date(self, test: Command) -> Expr:
        arguments = Arguments(test, (":zone", ":value", ":comparator"))
        part, keys = arguments.texts(0)[0].lower(), arguments.texts(1)
        if part == "weekday" and ":value" not in arguments.tags:
            days = [_WEEKDAYS[int(key)] for key in keys if key in "0123456"]
            return Test("weekday", "is", tuple(days))
        if part == "date":
            relation = str(arguments.tags.get(":value", ""))
            operator = _RELATIONS.get(relation.lower(), "" if relation else "is")
            if operator:
                return Test("date", operator, tuple(keys))
        if found := moment(part, str(arguments.tags.get(":value", "")).lower(), keys):
            return found
        raise Unsayable(f"the {part} of the current date")

    # --- tests with a match type

    def compared(self, test: Command) -> Expr:
        arguments = Arguments(test, (":comparator", ":value", ":count", ":content", ":index"))
        tags = arguments.tags
        if ":count" in tags and test.name == "header" and len(arguments.plain) == 2:
            return counted(arguments.texts(0), str(tags[":count"]).lower(), arguments.texts(1))
        if ":count" in tags or ":index" in tags or ":mime" in tags:
            raise Unsayable("a count or an index of headers")
        if len(arguments.plain) != (1 if test.name == "body" else 2):
            raise Unsayable(f"{test.name} with {len(arguments.plain)} arguments")
        keys = tuple([self.text(key) for key in arguments.texts(len(arguments.plain) - 1)])
        exactly = "octet" in str(tags.get(":comparator", ""))
        if test.name == "body":
            return self.operator("body", keys, tags, exactly)
        if test.name == "string":
            sources = [quote(self.text(text)) for text in arguments.texts(0)]
            return any_of([self.operator(text, keys, tags, exactly) for text in sources])
        if test.name == "header":
            fields = _headers(arguments.texts(0))
            return any_of([self.operator(field, keys, tags, exactly) for field in fields])
        return self.address(test, arguments, keys, exactly)

    def address(
        self, test: Command, arguments: Arguments, keys: tuple[str, ...], exactly: bool
    ) -> Expr:
        found: list[Expr] = []
        tags = arguments.tags
        for name in arguments.texts(0):
            lower = name.lower()
            if test.name == "envelope":
                field = {"from": "sender", "to": "recipient"}.get(lower, "")
            else:
                field = lower if lower in _ADDRESS_FIELDS else ""
            if not field:
                raise Unsayable(f"the address in {name}")
            if ":detail" in tags and field == "recipient":
                found.append(self.operator("extension", keys, tags, exactly))
            elif ":detail" in tags or ":user" in tags:
                found.append(_subaddress(field, keys, tags))
            else:
                part = next((words for tag, words in _PARTS.items() if tag in tags), "")
                found.append(self.operator(f"{field} {part}".strip(), keys, tags, exactly))
        return any_of(found)

    def operator(
        self, fields: str, keys: tuple[str, ...], tags: Mapping[str, object], exactly: bool
    ) -> Expr:
        """FIELDS compared with KEYS by the match type in TAGS."""
        if ":contains" in tags:
            if "" in keys:
                return Test(fields, "exists", ())
            return Test(fields, "contains", tuple([quote(k) for k in keys]), exactly)
        if ":matches" in tags:
            globs = tuple([_glob(key, self.captures) for key in keys])
            captures = self.captures and any("(" in glob for glob in globs)
            return Test(fields, "matches", globs, exactly, captures=captures)
        if ":regex" in tags:
            if any(REF in key for key in keys):
                raise Unsayable("a variable within an expression")
            captures = any("(" in key for key in keys)
            patterns = tuple([regex(key) for key in keys])
            return Test(fields, "matches", patterns, exactly, captures=captures)
        if ":value" in tags:
            relation = str(tags[":value"]).lower()
            if relation in _RELATIONS and all(key.isdigit() for key in keys):
                return any_of([Test(fields, _RELATIONS[relation], (key,)) for key in keys])
            if relation == "eq":
                return Test(fields, "is", tuple([quote(key) for key in keys]), exactly)
            raise Unsayable("a comparison of texts by their order")
        return Test(fields, "is", tuple([quote(key) for key in keys]), exactly)


def variable_name(name: str) -> str:
    """A variable's name as a `let` has it."""
    from mdeliver.procmail.assignments import let_name

    return let_name(name.replace(".", "_"))


def _header(name: str) -> str:
    return "subject" if name.lower() == "subject" else f"header {quote(name)}"


def _headers(names: tuple[str, ...]) -> list[str]:
    others = [quote(name) for name in names if name.lower() != "subject"]
    found = ["subject"] if len(others) < len(names) else []
    return [*found, *([f"header {', '.join(others)}"] if others else [])]


def _subaddress(field: str, keys: tuple[str, ...], tags: Mapping[str, object]) -> Expr:
    """RFC 5233: what stands before and behind the `+`."""
    if {":contains", ":matches", ":regex", ":value"} & set(tags) or any(REF in k for k in keys):
        raise Unsayable(":user and :detail with another comparison than :is")
    joined = "|".join([re.escape(key) for key in keys])
    form = rf"\+(?:{joined})$" if ":detail" in tags else rf"^(?:{joined})(?:\+.*)?$"
    return Test(f"{field} local part", "matches", (regex(form),))


def _glob(key: str, captures: bool) -> str:
    """KEY, with Sieve's wildcards, as a glob."""
    made = ""
    at = 0
    while at < len(key):
        char = key[at]
        if char == "\\" and at + 1 < len(key):
            made += quote(key[at + 1], is_glob=True)[1:-1]
            at += 2
            continue
        if char == REF:
            end = key.index(END, at)
            made += "{" + key[at + 1 : end] + "}"
            at = end + 1
            continue
        if char in "*?":
            made += f"({char})" if captures else char
        else:
            made += quote(char, is_glob=True)[1:-1]
        at += 1
    return f'"{made}"'
