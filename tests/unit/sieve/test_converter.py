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
from mdeliver.procmail.linetext import sed_arguments
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
        ('currentdate :value "ge" "hour" "9"', "time >= 9:00"),
        ('currentdate :value "gt" "hour" "17"', "time > 17:59"),
        ('currentdate :value "lt" "time" "08:30:00"', "time < 8:30"),
        ('currentdate :is "hour" "12"', "time is 12:00 to 12:59"),
        ('currentdate :is "month" ["07", "08"]', '"{month}" is "07", "08"'),
        ('currentdate :value "ge" "year" "2026"', '"{year}" >= 2026'),
        ('header :count "ge" "Received" "1"', 'header "Received" exists'),
        ('header :count "lt" :comparator "i;ascii-numeric" "X" "1"', 'header "X" does not exist'),
        (
            'header :count "gt" ["X", "Y"] "2"',
            'program "sed" "-nE" "/^$/q1; /^(X|Y):/I!bx; x; s/$/x/; /xxx/q; x; :x; $q1" succeeds',
        ),
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


def test_a_message_that_comes_has_no_flags() -> None:
    text = 'require ["imap4flags", "fileinto"];\nremoveflag "\\\\Seen";\n'
    text += 'if not hasflag :contains "\\\\Seen" { fileinto "X"; stop; }\n'
    made = _convert(text)
    assert made.is_whole, [entry.line for entry in made.entries]
    assert made.text.rstrip().endswith("\nfile to imap/X")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('addflag "\\\\Seen"; removeflag "\\\\Seen";', "add it only where it is to stay"),
        ('addflag "\\\\Seen"; if hasflag "\\\\Seen" { stop; }', "ask again for what added it"),
        ('if date :is "date" "year" "2026" { stop; }', "rules know that of the arrival"),
    ],
)
def test_what_comes_nearest_is_said(text: str, why: str) -> None:
    made = _convert(f'require ["imap4flags", "date"];\n{text}\n')
    (entry,) = made.entries
    assert (entry.level, why in entry.why) == ("lost", True)


def test_what_has_no_words_is_reported() -> None:
    made = _convert('if address :count "gt" "to" "3" { discard; }\ninclude "other";\n')
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
    'require ["fileinto", "envelope", "subaddress"];\nif envelope :detail "to" "work" '
    '{ fileinto "W"; }\nelsif envelope :domain :is "from" "x.org" { fileinto "X"; }\n'
    'elsif address :localpart :is "from" "eve" { fileinto "E"; }\n',
    'require ["fileinto", "imap4flags"];\nif header :contains "subject" "urgent" '
    '{ addflag "\\\\Flagged"; keep; stop; }\nif header :contains "subject" "list" '
    '{ fileinto :flags ["\\\\Seen", "\\\\Answered"] "L"; stop; }\nkeep;\n',
    'require ["vacation"];\nif header :contains "subject" "offer" { discard; stop; }\n'
    'vacation :days 3 :addresses "ann@example.org" :subject "Away" "I am away.";\n',
    'require ["duplicate", "fileinto"];\nif duplicate :seconds 3600 { discard; stop; }\n'
    'fileinto "New";\n',
    'require ["relational", "comparator-i;ascii-numeric", "fileinto"];\n'
    'if header :count "ge" "list-id" "2" { fileinto "Two"; }\nelsif header :value "ge" '
    ':comparator "i;ascii-numeric" "content-length" "50" { fileinto "Long"; }\n'
    'elsif header :count "lt" ["cc", "list-id"] "1" { fileinto "None"; }\n',
    'require ["date", "relational", "fileinto"];\nif currentdate :value "ge" "year" "2000" '
    '{ if currentdate :is "weekday" ["0", "1", "2", "3", "4", "5", "6"] { fileinto "Day"; } }\n'
    'if currentdate :value "lt" "hour" "0" { discard; }\n'
    'if currentdate :value "lt" "date" "2001-01-01" { fileinto "Old"; }\n',
    'require ["variables", "regex", "fileinto", "body"];\nif header :regex "subject" '
    '"(offer|urgent) ([a-z]+)" { set :lower "x" "${2}"; fileinto "R.${x}"; stop; }\n'
    'if body :text :contains "buy" { fileinto "Buy"; }\n',
    'require ["reject", "body", "regex"];\nif body :contains "spam" { reject "no"; stop; }\n'
    'if header :regex "subject" "(offer|list)" { redirect "a@example.org"; }\n',
)


NAMES = (
    "files chain variables envelope-subaddress imap4flags vacation duplicate relational date "
    "variables-regex-body rejects"
).split()


def _delivered(message: bytes, generator: Generator) -> bytes:
    """MESSAGE with what Postfix writes above it."""
    to = generator.pick([b"ann@example.org", b"ann+work@example.org"])
    from_line, _, rest = message.partition(b"\n")
    head, _, body = rest.partition(b"\n\n")
    # What is no number is larger than all of them in Sieve, and none here.
    head = head.replace(b"Content-Length: x  ", b"Content-Length: 5")
    return from_line + b"\nDelivered-To: " + to + b"\n" + head + b"\n\n" + body


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_the_same_as_pigeonhole(script: str, tmp_path: Path) -> None:
    if shutil.which("sieve-test") is None:
        lacking("dovecot-sieve is not installed")
    made = _convert(script)
    assert made.is_whole
    compiled = compile_rules([Source("rules", made.text)], lambda _path: "")
    assert compiled.program is not None
    home = str(tmp_path)
    environ = {"USER": "ann", "HOME": home}
    site = load_site("/dev/null")
    options = Options(user="ann", home=home)
    asked = sed_arguments(made.text)
    rehearsal = Rehearsal(compiled.program, options, environ, site, always_run=asked)
    generator = Generator(8)
    user = "nobody" if os.getuid() == 0 else ""
    done: set[str] = set()
    with Pigeonhole(script, user, home) as pigeonhole:
        for _ in range(25):
            message = _delivered(generator.message(), generator)
            arrived = Arrived(letter_of(message), None)
            one = compare("m", arrived, pigeonhole, lambda it: rehearsal.of(it, explain=True))
            if message.startswith(b"From MAILER-DAEMON") and "envelope" in script:
                assert "null sender" in one.unknown
                continue
            assert one.unknown == ""
            # What is automatic is not answered, and nobody twice: difference 21.
            theirs = one.theirs.done - ({"an answer"} - one.ours.done)
            assert theirs == one.ours.done, f"{message.decode()}\n{one.theirs}\n{one.ours}"
            assert one.theirs.fate == one.ours.fate
            done |= one.ours.done
    assert len(done) > 1 or "duplicate" in script or "date" in script
