"""Converted rules do what procmail does: thousands of generated pairs, and procmailex(5).

What differs on purpose is numbered in MIGRATING.md; the generated files keep clear of it: sizes
close to the limit (12), folds (6), empty lines before a body (7), names made of what a message
lacks or has with spaces (16).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.intake import Options
from mdeliver.language.compile import Source, compile_rules
from mdeliver.letter import letter_of
from mdeliver.procmail import octets, proof
from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.proof import Compared, Deeds, compare, recipes_within, with_from_line
from mdeliver.procmail.tally import Tally
from mdeliver.procmail.world import World
from mdeliver.replay.rehearsal import Rehearsal, Rehearsed
from mdeliver.replay.stores import Arrived
from mdeliver.settings import Site, load_site
from tests.procmailrules import Generator, clear_of_what_differs
from tests.unit.test_migrating import PAIRS, WITHOUT_WORDS

PAIRS_WANTED = 2400
MESSAGES = 15


class Sides:
    """A procmailrc and the rules that it became."""

    def __init__(self, text: str, home: Path, site: Site) -> None:
        self.file = parse_procmailrc(text, "procmailrc")
        # As where no program is run: a filter leaves all as it is, and does not fail.
        self.converted = convert_procmailrc(self.file, lambda _path: None, filters_succeed=True)
        compiled = compile_rules([Source("rules", self.converted.text)], lambda _path: "A text.")
        assert compiled.program is not None, [f.line for f in compiled.findings]
        environ = {"USER": "ann", "HOME": str(home)}
        options = Options(user="ann", home=str(home))
        self.rehearsal = Rehearsal(compiled.program, options, environ, site)
        self.world = World(str(home), "ann", pretends=True)

    def compare(self, message: bytes, lost: frozenset[str] = frozenset()) -> Compared:
        arrived = Arrived(letter_of(message), 1.8e9)

        def rehearse(it: Arrived) -> Rehearsed:
            return self.rehearsal.of(it, explain=True)

        return compare("m", arrived, self.file, self.world, rehearse, lost)


@pytest.fixture
def site() -> Site:
    return load_site("/dev/null")


@pytest.mark.slow
def test_generated_files_and_messages(tmp_path: Path, site: Site) -> None:
    generator = Generator(2026)
    compared = whole = 0
    wrong: list[str] = []
    while compared < PAIRS_WANTED:
        rules = "MAILDIR=$HOME\nDEFAULT=$HOME/inbox\n" + clear_of_what_differs(generator.rules())
        sides = Sides(rules, tmp_path, site)
        listed = "let match" in sides.converted.text or any(
            entry.level != "note" for entry in sides.converted.entries
        )
        if listed or "EXITCODE" in rules:
            continue
        whole += 1
        for _ in range(MESSAGES):
            one = sides.compare(generator.message())
            assert not one.unknown
            compared += 1
            if not one.same:
                wrong.append(f"{rules}\n{sides.converted.text}\n{one.theirs}\n{one.ours}")
    assert not wrong, f"{len(wrong)} of {compared} differ, the first:\n{wrong[0]}"
    assert whole > 100


EXAMPLES = [recipe for recipe, _ in PAIRS if f"```procmail\n{recipe}" not in WITHOUT_WORDS]


@pytest.mark.parametrize("recipe", EXAMPLES, ids=lambda recipe: recipe.split("\n")[0])
def test_the_recipes_of_procmailex(recipe: str, tmp_path: Path, site: Site) -> None:
    sides = Sides("MAILDIR=$HOME/Mail\nDEFAULT=$HOME/inbox\n" + recipe, tmp_path, site)
    generator = Generator(5)
    for number in range(60):
        message = generator.message()
        if number % 3:
            subject = ("compilers whatever", "TeXt by mail", "retrieve invoice")[number % 3]
            message = message.replace(b"\nSubject: ", f"\nSubject: {subject} ".encode(), 1)
        one = sides.compare(message)
        if one.unknown:
            # formail -r and its cache: what it answers is known only by running it.
            assert "formail" in recipe
            continue
        # An answer goes only to who wrote to this user: difference 21.
        theirs, ours = one.theirs.done - {"an answer"}, one.ours.done - {"an answer"}
        assert theirs == ours, f"{message.decode()}\n{one.theirs}\n{one.ours}"


def test_a_difference_is_told_with_both_reasons(tmp_path: Path, site: Site) -> None:
    sides = Sides("DEFAULT=$HOME/inbox\n:0\n* < 130\n/dev/null\n", tmp_path, site)
    # The From_ line makes it too large for the one side only.
    message = b"From a@example.org  Mon Nov 23 10:00:00 2026\nSubject: x\n\n" + b"x" * 100 + b"\n"
    one = sides.compare(message)
    assert not one.same
    assert one.theirs.words == f"in {tmp_path}/inbox"
    assert one.ours.fate == "discarded"
    assert any("size" in reason for reason in one.ours.reasons)


def test_an_answer_that_nobody_gets_is_told_with_its_reason(tmp_path: Path, site: Site) -> None:
    answer = '| (formail -r -A"X-Loop: me@x" ; echo "Away.") | $SENDMAIL -t\n'
    sides = Sides(f":0 hc\n* !^X-Loop: me@x\n{answer}", tmp_path, site)
    from_line = b"From a@example.org  Mon Nov 23 10:00:00 2026\n"
    one = sides.compare(from_line + b"From: a@example.org\nTo: all@example.net\n\n")
    assert not one.same
    assert "an answer" in one.theirs.words
    assert any("none of my addresses is in To or Cc" in reason for reason in one.ours.reasons)


def test_unknown_without_running_programs(tmp_path: Path, site: Site) -> None:
    sides = Sides("DEFAULT=$HOME/inbox\n:0\n* ? /bin/true\n/dev/null\n", tmp_path, site)
    assert "--run-programs" in sides.compare(b"Subject: x\n\n").unknown
    sides.world.programs = True
    sides.rehearsal = sides.rehearsal.replace(run_programs=True)
    assert not sides.compare(b"Subject: x\n\n").unknown


def test_a_stored_message_gets_its_from_line_back() -> None:
    letter = letter_of(b"Return-Path: <a@example.org>\nSubject: x\n\nbody\n")
    assert with_from_line(Arrived(letter, 0.0)).startswith(b"From a@example.org  Thu Jan  1")


def test_the_octets_are_compared(tmp_path: Path, site: Site) -> None:
    recipe = "DEFAULT=$HOME/in/\n:0 fhw\n| formail -i 'Subject: b' -a Message-ID: -A 'X-A: 1'\n"
    sides = Sides(recipe, tmp_path, site)
    message = b"Subject: a\nTo: b\n\nx\n"
    one = sides.compare(message)
    assert one.same
    assert one.designed == {octets.OLD, octets.ADDED}
    sides.file = parse_procmailrc(recipe.replace("X-A: 1", "X-A: 2"), "procmailrc")
    one = sides.compare(message)
    assert not one.same
    assert one.content.endswith('only the original has "x-a: 2"')


def test_a_filter_that_is_not_run_is_taken_for_granted(tmp_path: Path, site: Site) -> None:
    sides = Sides("DEFAULT=$HOME/in/\n:0 fw\n| spamc\n", tmp_path, site)
    one = sides.compare(b"Subject: x\n\n")
    assert one.same
    assert one.assumed == ("spamc leaves the message as it is",)


def test_what_only_a_lost_recipe_changes(tmp_path: Path, site: Site) -> None:
    recipe = "DEFAULT=$HOME/in/\n:0 c\n| cat >> x | y\n:0\n* ^Subject:.*a\n.A/\n"
    sides = Sides(recipe, tmp_path, site)
    lost = recipes_within(sides.file, [entry.place.where for entry in sides.converted.entries])
    assert sides.compare(b"Subject: a\n\n", lost).lost == "procmailrc:2"
    sides.file = parse_procmailrc(recipe.replace(".A/", ".B/"), "procmailrc")
    one = sides.compare(b"Subject: a\n\n", lost)
    assert not one.same
    assert not one.lost


def test_the_tally() -> None:
    nothing = Deeds(frozenset(), "discarded", ())
    other = Deeds(frozenset({"in /x"}), "delivered", ())
    tally = Tally()
    tally.add(Compared("1", nothing, nothing, "", "", frozenset({"Content-Length (18)"})))
    tally.add(Compared("2", nothing, other, ""))
    tally.add(Compared("3", nothing, other, "no idea"))
    tally.add(Compared("4", other, nothing, "", lost="rc:7", assumed=("spamc succeeds",)))
    assert tally.lines() == [
        "1 of 4 messages fare the same, 1 differ, of 1 it is not known",
        "1 more differ by recipes that were not carried over:",
        "  1: rc:7",
        "of those that fare the same differ, as MIGRATING.md lists it, in",
        "  1: Content-Length (18)",
        "taken for granted, since no program was run (--run-programs runs them):",
        "  1: spamc succeeds",
    ]


@pytest.mark.parametrize(("path", "extension"), [("ann+shop@x.org", "shop"), ("ann@x.org", "")])
def test_the_extension(path: str, extension: str, tmp_path: Path, site: Site) -> None:
    letter = letter_of(f"Delivered-To: {path}\n\n".encode())
    assert proof.extension(Arrived(letter, 0.0), site) == extension
