"""Recipes that are more than they say.

Duplicates  `formail -D` asks whether a message, or who wrote it, was there before.
Failures    the recipe with `e` behind a filter: of some filters it is known by which header one
            sees that they did their work.
"""

from __future__ import annotations

import os.path
import re

from mdeliver.procmail import formail
from mdeliver.procmail.rules import Line
from mdeliver.procmail.symbols import Symbols
from mdeliver.procmail.syntax import Pipe, Recipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.rules import Node


_FILTER = re.compile(r'filter through (?:"flock" "[^"]*" )?"(?:[^"]*/)?([\w.-]+)"')

_MARKS = {
    "spamc": "X-Spam-Checker-Version",
    "spamassassin": "X-Spam-Checker-Version",
    "bogofilter": "X-Bogosity",
    "dspam": "X-DSPAM-Result",
    "crm114": "X-CRM114-Status",
    "clamassassin": "X-Virus-Status",
}
"""Headers that filters always add, by the filter."""


def mark_of(nodes: list[Node]) -> tuple[int, str]:
    """Where in NODES a filter stands, and the header by which one sees that it succeeded."""
    for place, node in enumerate(nodes):
        if isinstance(node, Line) and (found := _FILTER.match(node.text)):
            return place, _MARKS.get(found[1], "")
    return 0, ""


def tells_duplicates(recipe: Recipe, action: Pipe, symbols: Symbols) -> str:
    """ "message" for `formail -D`, "reply" for `formail -rD`, "" for anything else.

    Only where procmail waits for the answer: else all mail would end there.
    """
    flags = set(recipe.head.flags)
    if "f" in flags or not (flags & {"w", "W"} or recipe.head.lock is not None):
        return ""
    argv, shell = symbols.command(action.command)
    if shell or os.path.basename(argv[0]) != "formail":
        return ""
    wanted = formail.read_arguments(argv[1:])
    if isinstance(wanted, formail.Duplicates):
        return "message"
    if isinstance(wanted, formail.Reply) and wanted.duplicates is not None and "c" in flags:
        return "reply"
    return ""


def swallows_duplicates(recipe: Recipe) -> bool:
    """Whether a duplicate ends there; with `c` the next recipe with `a` says what becomes of it."""
    return "c" not in recipe.head.flags
