"""What is wrong in a user's pop-sync.toml: all of it, with places; codes P1xx.

`mdeliver check --explain CODE` shows an entry. Codes are stable, as those of rules.

See also  settings.py, which refuses the file for the first of them
"""

from __future__ import annotations

import re

from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.popsync.settings import DAEMONS, wrong_choices
from mdeliver.tomltext import parse_toml

CHOICE_FINDINGS: dict[str, tuple[str, str]] = {
    "P101": (
        "choices that are no TOML",
        "pop-sync.toml has one key = value on each line: texts between quotes, such as"
        ' downloaded = "read"; true and false without.',
    ),
    "P102": (
        "a choice that does not exist",
        "The keys of pop-sync.toml and their values stand in mdeliver(1), SETTINGS, below pop_sync."
        " Until it is right, mdeliver pop-sync leaves this user's mail alone, and mail may wait in"
        " the queue.",
    ),
    "P103": (
        "a choice that is the site's",
        "How the daemon works for all users stands in the table [pop_sync] of"
        " /etc/mdeliver/mdeliver.toml.",
    ),
}
"""Code to title and explanation."""

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def choice_findings(path: str, text: str) -> list[Diagnostic]:
    """All that is wrong with TEXT, which is what the pop-sync.toml at PATH holds."""
    lines = text.split("\n")
    try:
        table = parse_toml(text)
    except ValueError as error:
        return [_no_toml(path, lines, str(error))]
    return [
        _at_key(path, lines, key, "P103" if key in DAEMONS else "P102", words)
        for key, words in wrong_choices(table)
    ]


def _no_toml(path: str, lines: list[str], words: str) -> Diagnostic:
    place = _PLACE.search(words)
    line, column = len(lines), len(lines[-1]) + 1
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    message = words[: place.start()] if place else words
    where = Span(path, line, column, column + 1)
    return Diagnostic("P101", "error", message, where, lines[line - 1].rstrip("\r"))


def _at_key(path: str, lines: list[str], key: str, code: str, words: str) -> Diagnostic:
    written = re.compile(rf"""\s*\[*\s*["']?({re.escape(key)})["']?\s*[=.\]]""")
    for number, source in enumerate(lines, 1):
        if found := written.match(source):
            where = Span(path, number, found.start(1) + 1, found.end(1) + 1)
            return Diagnostic(code, "error", words, where, source.rstrip("\r"))
    return Diagnostic(code, "error", words, Span(path, 1, 1, 1))
