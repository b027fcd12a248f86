"""Recipes that ask formail -D whether a message, or who wrote it, was there before."""

from __future__ import annotations

import os.path

from mdeliver.procmail import formail
from mdeliver.procmail.symbols import Symbols
from mdeliver.procmail.syntax import Pipe, Recipe


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
