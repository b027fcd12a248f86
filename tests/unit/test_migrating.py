"""MIGRATING.md: every recipe there is converted, and what stands beside it is what comes out.

`pytest tests/unit/test_migrating.py --update-cases` writes the rules in: read the diff.
"""

from __future__ import annotations

import re

import pytest

from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lints import lint
from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.report import Converted
from tests.structure.source import ROOT

GUIDE = ROOT / "MIGRATING.md"
PAIR = re.compile(r"```procmail\n(.*?)```\n\n```mdeliver\n(.*?)```\n", re.DOTALL)
PAIRS = PAIR.findall(GUIDE.read_text())
WITHOUT_WORDS = GUIDE.read_text().partition("### Recipes of procmailex(5) without words")[2]


def _converted(recipe: str) -> Converted:
    text = "MAILDIR=$HOME/Mail\n" + recipe
    return convert_procmailrc(parse_procmailrc(text, "procmailrc"), lambda _path: None)


def _shown(recipe: str) -> str:
    lines = _converted(recipe).text.split("\n")
    unwanted = ("# Converted from", "# Not needed here", "mailbox ", "inbox ")
    kept = "\n".join([line for line in lines if not line.startswith(unwanted)]).strip("\n")
    return re.sub(r"\n{3,}", "\n\n", kept) + "\n"


def test_the_rules_beside_the_recipes(update_cases: bool) -> None:
    text = GUIDE.read_text()
    made = PAIR.sub(lambda m: f"```procmail\n{m[1]}```\n\n```mdeliver\n{_shown(m[1])}```\n", text)
    if update_cases:
        GUIDE.write_text(made)
    assert made == text or update_cases
    assert len(PAIRS) > 24


@pytest.mark.parametrize("recipe", [recipe for recipe, _ in PAIRS], ids=lambda r: r.split("\n")[0])
def test_every_recipe_gives_sound_rules(recipe: str) -> None:
    made = _converted(recipe)
    compiled = compile_rules([Source("rules", made.text)], lambda _path: "A file of theirs.")
    assert compiled.program is not None, [f.line for f in compiled.findings]
    assert lint(compiled.program, {"rules": made.text}, ["rules"]) == []
    assert made.is_whole is (f"```procmail\n{recipe}" not in WITHOUT_WORDS)


def test_the_differences_are_numbered() -> None:
    numbers = re.findall(
        r"^(\d+)\. [A-Z`]", GUIDE.read_text().partition("## Different on purpose")[2], re.M
    )
    assert [int(n) for n in numbers] == list(range(1, len(numbers) + 1))
