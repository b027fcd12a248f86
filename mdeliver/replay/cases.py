"""Cases for rules: a message, then what must become of it, in words close to the rules' own.

    rules "spam.rules"                      # beside this file; else the rules in use, or --rules
    recipient "ann@example.org"             # holds for all cases below

    message "what the filter has marked goes to Junk":
        From: Eve <eve@example.com>
        X-Spam-Flag: YES

        The body, if there is one.
    files to imap/Junk

    message "a friend may look like spam" in "messages/bob.eml":
    sender "bob@example.org"                # holds for this case
    keeps
    does not file to imap/Junk

Statements  stand at the beginning of a line; what is indented is the message above it. `#` opens a
            comment. What is said of the delivery before the first message holds for all cases,
            what is said after a message holds for that one:
              user "NAME"   home "PATH"   sender "ADDRESS"   recipient "ADDRESS"
              extension "TEXT"   submitted by "USER"   arrived 2026-08-01 22:00   size 20M
              client "ADDRESS"   helo "NAME"   zone "FILE" (answers in the place of the DNS: with it
              SPF, DKIM, DMARC and ARC are found out)
            Unless said, the sender is Return-Path's, else From's address; the recipient
            Delivered-To's, else the user; the extension the recipient's; the arrival now.
Expected    `files to TARGETS [as FLAGS]`, `keeps [as FLAGS]`, `forwards to ADDRESSES`, `pipes to
            "PROG" ...`: it goes there, and nowhere else; with `also` before it: it goes there,
            perhaps elsewhere too. Flags are compared where they are written.
            `runs "PROG" ...`, `filters through "PROG" ...`, `sets|adds header "NAME: TEXT"`,
            `removes header "NAME"`: that is done, whatever else is.
            `replies ["TEXT"]`, `logs ["TEXT"]`, `rejects ["TEXT"]`, `defers ["TEXT"]`: with TEXT in
            what is said; `discards`.
            `does not` before any of them, in its other form: `does not file to TARGETS`. Where what
            follows the verb is left out, none of that kind: `does not forward`.
`required`  before the first message: changed rules are not taken into use while a case here does
            not hold (acceptance.py).
Fails with  findings, as rules do: C101 ... C105 (casefindings.py); what is wrong in what follows a
            verb has the checker's code.
See also    mdeliver-rules(5), CASES
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from mdeliver.diagnostic import Diagnostic, Span

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_COMMENT = r"\s*(?:#.*)?"
_RULES = re.compile(rf"rules {_TEXT}{_COMMENT}")
_MESSAGE = re.compile(rf"message {_TEXT}\s*(?:in {_TEXT})?\s*(:?){_COMMENT}")
_SAID = re.compile(
    rf"(user|home|sender|recipient|extension|submitted by|client|helo|zone) {_TEXT}{_COMMENT}"
    rf"|(arrived) (\d{{4}}-\d\d-\d\d(?: \d\d?:\d\d)?){_COMMENT}"
    rf"|(size) (\d+[KMG]?){_COMMENT}"
)
_REQUIRED = re.compile(rf"required{_COMMENT}")
_SAYING = re.compile(
    r"(also |does not )?(?:(reject|defer|discard|log)(s?)|(repl)(?:y|(ies)))"
    rf"(?: {_TEXT})?{_COMMENT}"
)
_DEEDS = re.compile(
    r"(also |does not )?(file|keep|forward|pipe|run|filter|set|add|remove)(s?)"
    r"( to| through| header)?(?=[\s/]|$)(.*)"
)

# What stands between a verb and what it is about. The form with nothing behind it ("does not
# forward") needs none.
_JOINTS = {
    "file": " to", "keep": "", "forward": " to", "pipe": " to", "run": "",
    "filter": " through", "set": " header", "add": " header", "remove": " header",
}  # fmt: skip
_ALONE = ("keep", "forward", "pipe", "run", "filter")

_VERBS = (
    "files to, keeps, forwards to, pipes to, runs, filters through, sets header, replies, logs,"
    " rejects, defers, discards, or does not file to ..."
)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Expected(NamedTuple):
    """One line of what must become of a message.

    line     its number, from 1
    words    as written
    verb     "file" (also for keep), "reject", "defer" or "discard"
    manner   "" that and nothing else, "also" that at least, "not"
    text     what a rejection or deferral must say
    """

    line: int
    words: str
    verb: str
    manner: str
    text: str
    ruled: bool


class Case(NamedTuple):
    """One message and what is expected.

    line      where it begins
    title     what it shows
    message   its octets, None where they are in `file`
    file      as written, relative to the cases; "" where the message is written out
    said      of the delivery: user, home, sender, recipient, extension, "submitted by", arrived
              (seconds since 1970), size (octets), client, helo, zone
    """

    line: int
    title: str
    message: bytes | None
    file: str
    said: dict[str, str]
    expected: tuple[Expected, ...]


class Cases(NamedTuple):
    """A file of cases.

    rules     the rules that they are about, as written, relative to the file; "" for those in use
    required  whether rules must not be used while a case does not hold
    targets   what a rule would say, as a rules text: line N of it stands for line N of the file
    shifts    by line, how many columns further right it stands there
    findings  what is wrong
    """

    rules: str
    required: bool
    cases: tuple[Case, ...]
    targets: str
    shifts: dict[int, int]
    findings: tuple[Diagnostic, ...]


def parse_cases(text: str, path: str) -> Cases:
    """Read TEXT, which findings call PATH."""
    reading = _Reading(path, [line.removesuffix("\r") for line in text.split("\n")])
    reading.read()
    targets = "".join(f"{line}\n" for line in reading.targets)
    return Cases(
        reading.rules,
        reading.required,
        tuple(reading.cases),
        targets,
        reading.shifts,
        tuple(reading.findings),
    )


class _Reading:
    """One file under way."""

    def __init__(self, path: str, lines: list[str]) -> None:
        self.path = path
        self.lines = lines
        self.rules = ""
        self.required = False
        self.cases: list[Case] = []
        self.targets = [""] * len(lines)
        self.shifts: dict[int, int] = {}
        self.findings: list[Diagnostic] = []
        self.said: dict[str, str] = {}

    def read(self) -> None:
        number = 0
        while number < len(self.lines):
            line = self.lines[number].rstrip()
            number += 1
            if not line.lstrip() or line.lstrip().startswith("#"):
                continue
            if line[0] in " \t":
                hint = 'a message begins with message "what it shows":'
                self.report(number, "C101", "this line belongs to no message", hint)
            elif line.startswith("message"):
                number = self.message(number, line)
            elif not self.told(number, line) and not self.expectation(number, line):
                self.report(number, "C102", f"expected message, or one of {_VERBS}", "")
        for case in self.cases:
            if not case.expected:
                hint = f"write below it one of {_VERBS}"
                self.report(case.line, "C103", "nothing is expected of this message", hint)

    def report(self, number: int, code: str, message: str, hint: str) -> None:
        line = self.lines[number - 1]
        start = len(line) - len(line.lstrip())
        place = Span(self.path, number, start + 1, max(len(line.rstrip()), start + 1) + 1)
        self.findings.append(Diagnostic(code, "error", message, place, line, hint))

    def message(self, number: int, line: str) -> int:
        """A case opens; the number of the last line of its message."""
        found = _MESSAGE.fullmatch(line)
        if not found or not (found[2] or found[3]):
            hint = 'message "what it shows":  or  message "what it shows" in "FILE"'
            self.report(number, "C104", "a message has a title, then a colon or a file", hint)
        block = list(self.indented(number))
        while block and not block[-1]:
            block.pop()
        file = _plain(found[2]) if found and found[2] else ""
        if file and block:
            self.report(number + 1, "C104", "the message is in a file and written out as well", "")
        octets = None if file else _octets(block)
        title = _plain(found[1]) if found else ""
        self.cases.append(Case(number, title, octets, file, dict(self.said), ()))
        return number + len(block)

    def indented(self, number: int) -> Iterator[str]:
        """The indented and empty lines after NUMBER, without the first one's white space."""
        white = ""
        for line in self.lines[number:]:
            if line.strip() and line[0] not in " \t":
                return
            white = white or line[: len(line) - len(line.lstrip())]
            yield line.removeprefix(white) if line.strip() else ""

    def told(self, number: int, line: str) -> bool:
        """Something about the rules or the delivery; whether it was that."""
        if rules := _RULES.fullmatch(line):
            if self.cases:
                self.report(number, "C105", "the rules are named before the first message", "")
            self.rules = _plain(rules[1])
            return True
        if _REQUIRED.fullmatch(line):
            if self.cases:
                self.report(number, "C105", "required stands before the first message", "")
            self.required = True
            return True
        found = _SAID.fullmatch(line)
        if not found:
            return False
        name, value = (part for part in found.groups() if part is not None)
        if name == "arrived":
            when = _seconds(value)
            if when is None:
                self.report(number, "C105", "there is no such day or time", "")
            value = str(when)
        elif name == "size":
            value = str(int(value.rstrip("KMG")) * _UNITS.get(value[-1], 1))
        else:
            value = _plain(value)
        (self.cases[-1].said if self.cases else self.said)[name] = value
        return True

    def expectation(self, number: int, line: str) -> bool:
        """What must become of the message; whether it was that."""
        expected = self.saying(number, line) or self.deed(number, line)
        if expected is None:
            return False
        if not self.cases:
            self.report(number, "C101", "there is no message above it", "")
        else:
            last = self.cases[-1]
            self.cases[-1] = last._replace(expected=(*last.expected, expected))
        return True

    def saying(self, number: int, line: str) -> Expected | None:
        """An expectation whose text stands for itself."""
        found = _SAYING.fullmatch(line)
        if not found:
            return None
        manner = "not" if found[1] == "does not " else ""
        third_person = bool(found[3] or found[5])
        verb = found[2] or "reply"
        if third_person == (manner == "not"):
            return None
        return Expected(number, line, verb, manner, _plain(found[6] or ""), False)

    def deed(self, number: int, line: str) -> Expected | None:
        """An expectation that a rule could say: its checker knows the mistakes, its evaluator what
        names and braces mean."""
        found = _DEEDS.fullmatch(line)
        if not found:
            return None
        manner = {"also ": "also", "does not ": "not"}.get(found[1], "")
        verb, third_person, joint, rest = found[2], bool(found[3]), found[4] or "", found[5]
        alone = not re.sub(r"(^|\s)#.*", "", rest).strip()
        if third_person == (manner == "not") or (
            joint != _JOINTS[verb] and not (alone and not joint)
        ):
            return None
        if alone and verb not in _ALONE:
            return None
        if alone and verb != "keep":
            return Expected(number, line, verb, manner, "", False)
        action = f"also {verb}{joint}"
        self.targets[number - 1] = action + rest
        self.shifts[number] = len(action) - found.start(5)
        return Expected(number, line, "file" if verb == "keep" else verb, manner, "", True)


def _plain(written: str) -> str:
    """What stands between quotes, escapes undone."""
    return re.sub(r"\\(.)", r"\1", written)


def _octets(block: list[str]) -> bytes:
    """A message written out; one without a body has the empty line that ends its head."""
    ending = [] if "" in block else [""]
    return "".join(f"{line}\n" for line in (*block, *ending)).encode()


def _seconds(written: str) -> float | None:
    day, _, clock = written.partition(" ")
    try:
        when = time.strptime(f"{day} {clock or '12:00'}", "%Y-%m-%d %H:%M")
        return time.mktime((*when[:8], -1))
    except (ValueError, OverflowError):
        return None
