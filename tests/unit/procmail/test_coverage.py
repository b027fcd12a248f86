"""How much of real files converts: tests/cases/convert/kinds.txt has a recipe of each kind.

Every one of them converts without a hand touch, or is reported; which of both stands above it,
and how many of each tier convert stands here. What converts is done as procmail would do it.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.settings import load_site
from tests.unit.procmail.test_converter import CASES, assert_sound
from tests.unit.procmail.test_proof import Sides

PREAMBLE = "MAILDIR=$HOME/Maildir\nDEFAULT=$MAILDIR/\n"
KIND = re.compile(r"^== (\d) (converts|reported)\n(.*?)(?=^== |\Z)", re.MULTILINE | re.DOTALL)
KINDS = KIND.findall((CASES / "kinds.txt").read_text())

CONVERTS = {1: (43, 44), 2: (81, 81), 3: (24, 24), 4: (24, 24), 5: (0, 7)}
"""Of the kinds of each tier: how many convert, and how many there are."""

MH = "\nlists/foo/.\n"
"""What no rule can say: a folder of MH."""

MESSAGES = (
    b"From bob@x.org  Mon Nov 23 10:00:00 2026\nReturn-Path: <bob@x.org>\nFrom: Bob <bob@x.org>\n"
    b"To: ann@x.org\nSubject: [foo] a URGENT viagra\nList-Id: <dev.x.org>\nX-Spam-Flag: YES\n"
    b"X-Spam-Level: ******\nX-Spam-Status: Yes, score=7.1\nMessage-Id: <1@localhost>\n\n"
    b"foo\nmoney money viagra\n",
    b"From MAILER-DAEMON  Mon Nov 23 10:00:00 2026\nReturn-Path: <>\nFrom: root@host\n"
    b"Cc: list@x.org, a@b\nContent-Type: text/plain\nSubject: b\n"
    b"X-BeenThere: foo@x.org\nSender: owner-foo@x.org\nPrecedence: bulk\n\nfoo\n",
    b"From alice@foo.com  Mon Nov 23 10:00:00 2026\nReturn-Path: <alice@foo.com>\n"
    b"From: alice@foo.com\nTo: ann+tag@x.org\nX-Loop: ann@x.org\nSubject:\n"
    b"X-Mailing-List: <dev@x.org>\nDelivered-To: mailing list dev@x.org\n\nbody\n",
)


@pytest.mark.parametrize(("tier", "expected", "recipe"), KINDS)
def test_each_kind(tier: str, expected: str, recipe: str) -> None:
    made = convert_procmailrc(parse_procmailrc(PREAMBLE + recipe, "rc"), lambda _path: None)
    assert_sound(made.text)
    assert made.is_whole is (expected == "converts"), [entry.line for entry in made.entries]


@pytest.mark.parametrize("recipe", [recipe for _, _, recipe in KINDS if not recipe.endswith(MH)])
def test_each_kind_with_a_shell(recipe: str) -> None:
    file = parse_procmailrc(PREAMBLE + recipe, "rc")
    made = convert_procmailrc(file, lambda _path: None, allow_shell=True)
    assert_sound(made.text)
    assert made.is_whole, [entry.line for entry in made.entries]


def test_how_many_convert() -> None:
    kinds = Counter(int(tier) for tier, _, _ in KINDS)
    converts = Counter(int(tier) for tier, expected, _ in KINDS if expected == "converts")
    assert {tier: (converts[tier], kinds[tier]) for tier in kinds} == CONVERTS


@pytest.mark.parametrize(
    "recipe",
    [recipe for _, expected, recipe in KINDS if expected == "converts" and "date" not in recipe],
)
def test_what_converts_does_the_same(recipe: str, tmp_path: Path) -> None:
    sides = Sides(PREAMBLE + recipe, tmp_path, load_site("/dev/null"))
    for octets in MESSAGES:
        one = sides.compare(octets)
        # An answer goes only to who wrote to this user: difference 21.
        theirs, ours = one.theirs.done - {"an answer"}, one.ours.done - {"an answer"}
        assert one.unknown or theirs == ours, f"{octets.decode()}\n{one.theirs}\n{one.ours}"
