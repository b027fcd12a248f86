"""Sieve scripts: what they become, and what Pigeonhole itself says of the same messages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.intake import Options
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lints import lint
from mdeliver.letter import letter_of
from mdeliver.procmail.report import Converted
from mdeliver.replay.rehearsal import Rehearsal
from mdeliver.replay.stores import Arrived
from mdeliver.settings import load_site
from mdeliver.sieve.converter import convert_sieve
from mdeliver.sieve.proof import Pigeonhole, compare
from mdeliver.sieve.reader import read_script
from tests.installation import lacking
from tests.procmailrules import Generator


def _convert(text: str) -> Converted:
    return convert_sieve(read_script(text, "script"))


def _rules(text: str) -> str:
    made = _convert(text)
    assert made.is_whole, [e.line for e in made.entries] + [f.line for f in made.findings]
    compiled = compile_rules([Source("rules", made.text)], lambda _path: "")
    assert compiled.program is not None, [f.line for f in compiled.findings]
    assert lint(compiled.program, {"rules": made.text}, ["rules"]) == []
    return "\n".join([line for line in made.text.split("\n")[1:] if line])


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ('header :contains "subject" "x"', 'subject contains "x"'),
        ('header :is ["X-A", "X-B"] ["x", "y"]', 'header "X-A", "X-B" is "x", "y"'),
        ('not header :matches "subject" "*x?"', 'subject does not match "*x?"'),
        ('header :regex "subject" "^a|b$"', "subject matches /^a|b$/"),
        ('header :value "ge" :comparator "i;ascii-numeric" "X-S" "5"', 'header "X-S" >= 5'),
        ('header :is :comparator "i;octet" "subject" "X"', 'subject is exactly "X"'),
        ('address :is "from" "a@example.org"', 'from is "a@example.org"'),
        ('address :domain :is ["to", "cc"] "example.org"', None),
        ('address :localpart "from" "a"', 'from local part is "a"'),
        ('address :user "to" "a"', r"to local part matches /^(?:a)(?:\+.*)?$/"),
        ('envelope :is "from" ""', 'sender is ""'),
        ('envelope :detail "to" "work"', 'extension is "work"'),
        ('exists ["Date", "From"]', 'header "Date" exists and header "From" exists'),
        ("size :over 100K", "size > 100K"),
        ("size :under 1000", "size < 1000"),
        ('body :contains "x"', 'body contains "x"'),
        ("duplicate :seconds 7200", "duplicate within 2h"),
        ('currentdate :value "ge" "date" "2026-08-01"', "date >= 2026-08-01"),
        ('currentdate :is "weekday" ["0", "6"]', "weekday is sunday, saturday"),
        ('anyof(true, header :is "subject" "x")', ""),
    ],
)
def test_tests(test: str, words: str | None) -> None:
    rules = _rules(f'if {test} {{ fileinto "X"; stop; }}')
    if words:
        assert rules == f"if {words}:\n    file to imap/X"
    else:
        assert "file to imap/X" in rules


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ('fileinto "INBOX.Lists.dev";', "file to imap/Lists/dev"),
        ('fileinto "Lists/Big and odd";', 'file to imap/Lists/"Big and odd"'),
        ('fileinto :flags "\\\\Seen" "X";', "file to imap/X as seen"),
        ('addflag "\\\\Flagged"; fileinto "X";', "mark as flagged\nfile to imap/X"),
        ('redirect "a@example.org";', 'forward to "a@example.org"'),
        ('redirect :copy "a@example.org"; keep;', 'also forward to "a@example.org"\nkeep'),
        ('fileinto "A"; fileinto "B";', None),
        ("discard;", "discard"),
        ('reject "no";', 'reject "no"'),
        ('vacation :days 3 :subject "Away" "I am.";', None),
        ('set "a" "b"; fileinto "${a}";', 'let a = "b"\nfile to imap/{a}'),
        ('addheader "X-A" "b";', 'add header "X-A: b"'),
    ],
)
def test_actions(action: str, words: str | None) -> None:
    rules = _rules(action)
    if words is not None:
        assert rules == words


def test_comments_and_chains() -> None:
    text = "# one\nif true { stop; } /* two */ else { # three\n keep; }\n# four\n"
    made = _convert(text).text
    assert [made.index(f"# {word}") for word in ("one", "four")] == sorted(
        [made.index("# one"), made.index("# four")]
    )


def test_what_has_no_words_is_reported() -> None:
    made = _convert('if header :count "gt" "to" "3" { discard; }\ninclude "other";\n')
    assert not made.is_whole
    assert [entry.place.line for entry in made.entries] == [1, 2]


@pytest.mark.parametrize("text", ["if {", 'fileinto "x"', "{" * 10_000, "if not " * 500, "\0\1\2"])
def test_bad_input_is_a_finding(text: str) -> None:
    assert [finding.code for finding in _convert(text).findings] == ["S101"]


@given(st.text(max_size=60) | st.text('if {}();"[],:\\#*\n abc0', max_size=60))
def test_any_text_gives_rules_or_findings(text: str) -> None:
    _convert(text)


SCRIPTS = (
    'require ["fileinto"];\nif header :contains "subject" "urgent" { fileinto "U"; }\n'
    'if address :is "from" "eve@example.com" { fileinto "E"; stop; }\n',
    'require ["fileinto", "copy"];\nif header :contains "to" "ann" { fileinto :copy "A"; }\n'
    'elsif exists "list-id" { fileinto "L"; } else { discard; }\n',
    'require ["fileinto", "variables"];\nif header :matches "list-id" "*<*.lists.*" '
    '{ fileinto "Lists.${2}"; stop; }\nif not header :is "x-spam-flag" "yes" { keep; }\n',
    'require ["reject", "body", "regex"];\nif body :contains "spam" { reject "no"; stop; }\n'
    'if header :regex "subject" "(offer|list)" { redirect "a@example.org"; }\n',
)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=["files", "chain", "variables", "rejects"])
def test_the_same_as_pigeonhole(script: str, tmp_path: Path) -> None:
    if shutil.which("sieve-test") is None:
        lacking("dovecot-sieve is not installed")
    made = _convert(script)
    assert made.is_whole
    compiled = compile_rules([Source("rules", made.text)], lambda _path: "")
    assert compiled.program is not None
    home = str(tmp_path)
    environ = {"USER": "ann", "HOME": home}
    site = load_site(str(tmp_path / "none.toml"))
    rehearsal = Rehearsal(compiled.program, Options(user="ann", home=home), environ, site)
    generator = Generator(8)
    user = "nobody" if os.getuid() == 0 else ""
    with Pigeonhole(script, user, home) as pigeonhole:
        for _ in range(25):
            message = generator.message()
            arrived = Arrived(letter_of(message), None)
            one = compare("m", arrived, pigeonhole, lambda it: rehearsal.of(it, explain=True))
            assert one.unknown == ""
            assert one.same, f"{message.decode()}\n{one.theirs}\n{one.ours}"
