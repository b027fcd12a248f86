"""Traps of real procmailrc files: what looks right and would do something else."""

from __future__ import annotations

import pytest

from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.report import Converted
from tests.unit.procmail.test_converter import assert_sound


def _convert(text: str) -> Converted:
    file = parse_procmailrc("MAILDIR=$HOME/Maildir\nDEFAULT=$MAILDIR/\n" + text, "rc")
    made = convert_procmailrc(file, lambda _path: None)
    assert_sound(made.text)
    return made


def _why_lost(text: str) -> str:
    made = _convert(text)
    assert not made.is_whole, made.text
    return " ".join([entry.why for entry in made.entries])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (":0 h\n* ^Subject:.*a\n/dev/null\n", 'if subject contains "a":\n    discard\n'),
        (":0 c\n! a@b.c, d@e.f\n", 'also forward to "a@b.c", "d@e.f"\n'),
        ("TO='a@b.c,d@e.f'\n:0\n! $TO\n", 'forward to "a@b.c", "d@e.f"\n'),
        (
            ":0\n* ^(From|To).*a@b\n/dev/null\n",
            'if sender, from, to contains "a@b":\n',
        ),
        (":0\n* ^TO_.*@x\\.org\n/dev/null\n", 'if recipients contains "@x.org":'),
        (
            ":0\n* ^From.*MAILER-DAEMON\n/dev/null\n",
            'if header "From", sender contains "MAILER-DAEMON" or sender is "":',
        ),
        (
            ":0 Wh: l\n* ^Subject:.*a\n| formail -D 99 c\n:0 E\n* ^Subject:.*b\nx/\n",
            'if subject does not contain "a" and subject contains "b":\n    file to mail/x',
        ),
        (":0\n* ^Subject:.*a\n{\nEXITCODE=67\nHOST=_stop_\n}\n", 'reject "5.1.1 '),
    ],
)
def test_said(text: str, words: str) -> None:
    made = _convert(text)
    assert made.is_whole, [entry.line for entry in made.entries]
    assert words in made.text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (":0 bc\n| formail -A 'X-A: b' | sed s/a/b/ | $SENDMAIL p@example.org\n", "a shell"),
        (":0 Wh: l\n| formail -D 99 c\n:0 A\nx/\n", "hangs on"),
        ("HOST=mail.example.org\n:0\nx/\n", "one host"),
        (":0\n* ^Subject:.*a\n|\n", "without a name"),
        (":0\n* ? $UNSET\nx/\n", "without a name"),
        (":0\n$UNSET/\n", "without a name"),
        (":0\n* ^Subject:.*=\\?utf-8\\?\nx/\n", "no script of its own"),
        (":0\n* ^Subject:.*=\\?\nx/\n", "encoded word"),
        (":0\n* ^^Subject\n* ^^From.(a|b)\nx/\n", "something else than the From_ line"),
        (":0\n* H ?? < 100\nx/\n", "the size of the head"),
        (":0\n* 1^1 B ?? a\n* -1^1 B ?? b\nx/\n", "for and against"),
        (":0\n* ^List-Id:.*<\\/[a-z-]+\n| prog $MATCH\n", "a hyphen"),
        (":0\n! a:b\n", "is no address"),
        ("A=aaaa\n" + "A=$A$A\n" * 40 + ":0\n$A/\n", "more than 65536 characters"),
    ],
)
def test_reported(text: str, why: str) -> None:
    assert why in _why_lost(text)


def test_no_message_id_is_made_up() -> None:
    made = _convert(":0 fhw\n| formail -a Message-Id: -a 'X-A: b'\n")
    assert 'add header "Message-Id' not in made.text
    assert 'if header "X-A" does not exist: add header "X-A: b"' in made.text
    assert "no Message-Id is made up" in made.entries[0].why


def test_deeply_nested_alternatives_are_no_trouble() -> None:
    assert_sound(_convert("A=" + "${A:-" * 5000 + "\n:0\n$A/\n").text)


def test_what_is_not_reached_is_not_said_to_be_so_in_procmail() -> None:
    text = _convert(":0 w\n| prog\n:0\nx/\n").text
    assert "as in the original" not in text
    assert "# not reached: what stands above ends the rules." in text


@pytest.mark.parametrize("block", [":0 c\n* ^Subject:.*a\n{\n", ":0 c\n{\n"])
def test_clones_within_clones_stay_short(block: str) -> None:
    text = block * 12 + ":0\n* ^From:.*a\nx/\n:0\n* ^To:.*a\ny/\n" + "}\n:0\n* ^Cc:.*b\nz/\n" * 12
    assert len(_convert(text).text) < 100_000


def test_a_clone_with_many_copies_is_no_trouble() -> None:
    text = ":0 c\n{\n" + ":0 c\n* ^Subject:.*a\nx/\n" * 40 + ":0\ny/\n}\n"
    made = _convert(text)
    assert made.is_whole
    assert made.text.count("mail/x") == 40


def test_a_path_of_ones_own_is_told() -> None:
    made = _convert("PATH=$HOME/bin:/usr/bin\n:0 fw\n| prog\n")
    assert [entry.why for entry in made.entries] == ["no programs are looked for in $HOME/bin"]
    assert _convert("PATH=/bin:/usr/bin\n").entries == ()


def test_a_chain_behind_a_match_that_is_asked_for() -> None:
    text = ":0\n* ^Subject:.*\\[\\/[^]]+\n* ! MATCH ?? dev\n{ }\n:0 E\n* ^From:.*a\nx/\n"
    condition = 'subject matches /\\[([^\\]]+)/ and "{1}" contains "dev"'
    assert condition in _convert(text).text
