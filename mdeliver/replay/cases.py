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
            Unless said, the sender is Return-Path's, else From's address; the recipient
            Delivered-To's, else the user; the extension the recipient's; the arrival now.
Expected    `files to TARGETS [as FLAGS]`, `keeps [as FLAGS]`: it lies there, and nowhere else;
            with `also` before it: it lies there, perhaps elsewhere too. Flags are compared where
            they are written. `rejects ["TEXT"]`, `defers ["TEXT"]`: with TEXT in what is said;
            `discards`; `does not file to TARGETS`, `does not keep|reject|defer|discard`.
Fails with  findings, as rules do: C101 ... C105; what is wrong in TARGETS has the checker's code.
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
    rf"(user|home|sender|recipient|extension|submitted by) {_TEXT}{_COMMENT}"
    rf"|(arrived) (\d{{4}}-\d\d-\d\d(?: \d\d?:\d\d)?){_COMMENT}"
    rf"|(size) (\d+[KMG]?){_COMMENT}"
)
_PLACES = re.compile(r"(also |does not )?(files? to|keeps?)\b(.*)")
_VERDICT = re.compile(rf"(does not )?(reject|defer|discard)(s?)(?: {_TEXT})?{_COMMENT}")

_VERBS = "files to, also files to, keeps, rejects, defers, discards, does not file to ..."
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


class Case(NamedTuple):
    """One message and what is expected.

    line      where it begins
    title     what it shows
    message   its octets, None where they are in `file`
    file      as written, relative to the cases; "" where the message is written out
    said      of the delivery: user, home, sender, recipient, extension, "submitted by", arrived
              (seconds since 1970), size (octets)
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
    targets   every TARGETS as a rules text: line N of it stands for line N of the file
    shifts    by line, how many columns further right it stands there
    findings  what is wrong
    """

    rules: str
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
        reading.rules, tuple(reading.cases), targets, reading.shifts, tuple(reading.findings)
    )


class _Reading:
    """One file under way."""

    def __init__(self, path: str, lines: list[str]) -> None:
        self.path = path
        self.lines = lines
        self.rules = ""
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
        places = _PLACES.fullmatch(line)
        verdict = _VERDICT.fullmatch(line)
        if places:
            manner, verb, rest = (places[1] or "").strip(), places[2], places[3]
            action = "file to" if verb.startswith("file") else "keep"
            # A rule that says the same: the checker knows its mistakes, the evaluator its places.
            self.targets[number - 1] = f"also {action}{rest}"
            self.shifts[number] = len(f"also {action}") - places.start(3)
            third_person = verb in ("files to", "keeps")
            expected = Expected(number, line, "file", manner, "")
        elif verdict:
            manner = (verdict[1] or "").strip()
            third_person = bool(verdict[3])
            text = _plain(verdict[4] or "")
            expected = Expected(number, line, verdict[2], manner, text)
        else:
            return False
        if third_person == (manner == "does not"):
            return False
        if not self.cases:
            self.report(number, "C101", "there is no message above it", "")
        else:
            expected = expected._replace(manner=manner.replace("does not", "not"))
            last = self.cases[-1]
            self.cases[-1] = last._replace(expected=(*last.expected, expected))
        return True


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
