"""The converter: whole files as a person would write them, and what it says of the rest.

tests/cases/convert/NAME.procmailrc becomes NAME.rules; `pytest --update-cases` rewrites the rules.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lints import lint
from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.report import Converted
from tests.procmailrules import Generator

CASES = Path(__file__).parent.parent.parent / "cases" / "convert"
FILES = sorted(CASES.glob("*.procmailrc"))


def _convert(
    text: str, *, by_shell: bool = False, name: str = "rc", files: dict[str, str] | None = None
) -> Converted:
    file = parse_procmailrc(text, name)
    return convert_procmailrc(
        file, lambda path: (files or {}).get(path.removeprefix("~/")), allow_shell=by_shell
    )


def _rules(text: str, **options: bool) -> str:
    """The rules without what stands before the first of them."""
    made = _convert(
        "DEFAULT=$HOME/Maildir/\nMAILDIR=$HOME/Maildir\n" + text,
        by_shell=options.get("by_shell", False),
    )
    assert made.is_whole, [entry.line for entry in made.entries]
    assert_sound(made.text)
    lines = made.text.split("\n")
    kept = [line for line in lines if line and not line.startswith(("#", "mailbox", "inbox"))]
    return "\n".join(kept)


def assert_sound(text: str) -> None:
    """`mdeliver check` has nothing to say."""
    compiled = compile_rules([Source("rules", text)], lambda _path: "")
    assert compiled.program is not None, [f.line for f in compiled.findings]
    assert [f.line for f in lint(compiled.program, {"rules": text}, ["rules"])] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_whole_files(path: Path, update_cases: bool) -> None:
    made = _convert(path.read_text(encoding="latin-1"), name=path.name)
    report = "".join(f"# {entry.line}\n" for entry in made.entries)
    shown = made.text + (f"\n# --- the report ---\n{report}" if report else "")
    assert_sound(made.text)
    expected = path.with_suffix(".rules")
    if update_cases:
        expected.write_text(shown)
    assert shown == expected.read_text()


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (r"^Subject:.*urgent", 'subject contains "urgent"'),
        (r"^Subject: urgent", 'subject starts with "urgent"'),
        (r"^Subject:.*urgent$", 'subject ends with "urgent"'),
        (r"^Subject: *$", 'subject is ""'),
        (r"! ^Subject:.*urgent", 'subject does not contain "urgent"'),
        (r"^From:.*eve@example\.com", 'from contains "eve@example.com"'),
        (r"^From:.*<eve@example\.com>", 'from is "eve@example.com"'),
        (r"^From:.*Amazon", 'header "From" contains "Amazon"'),
        (r"^TO_ann@example\.org", 'recipients is "ann@example.org"'),
        (r"^FROM_DAEMON", "automatic"),
        (r"! ^FROM_DAEMON", "not automatic"),
        (r"^List-Id:.*dev\.example\.org", 'list-id contains "dev.example.org"'),
        (r"^X-Spam-Level: \*\*\*\*\*", 'header "X-Spam-Level" starts with "*****"'),
        (r"^(From|Sender):.*(a|b)", 'header "From", "Sender" contains "a", "b"'),
        (r"^Subject:.*\<ann\>", r"subject matches /\bann\b/"),
        (r"^Subject:.*foo.*bar", 'subject matches "*foo*bar*"'),
        (r"^Subject:.*c[i1]alis", "subject matches /c[i1]alis/"),
        (r"^From ann@", 'sender starts with "ann@"'),
        (r"B ?? spam", 'body contains "spam"'),
        (r"> 2097152", "size > 2M"),
        (r"! < 1000", "size >= 1000"),
        (r"? /bin/is-friend -q", 'program "/bin/is-friend" "-q" succeeds'),
        (r"1^0 ^Subject:.*a", 'subject contains "a"'),
    ],
)
def test_conditions(condition: str, words: str) -> None:
    rules = _rules(f":0\n* {condition}\n.X/\n")
    assert rules == f"if {words}:\n    file to imap/X"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (":0\n.A.B/\n", "file to imap/A/B"),
        (":0 c\n.A/\n", "also file to imap/A"),
        (":0\n/dev/null\n", "discard"),
        (":0\n$DEFAULT\n", "keep"),
        (":0\n! a@example.org b@example.org\n", 'forward to "a@example.org", "b@example.org"'),
        (":0\n| $SENDMAIL -oi a@example.org\n", 'forward to "a@example.org"'),
        (":0\n| prog 'a b' $HOME\n", 'pipe to "prog" "a b" "{home}"'),
        (":0 c\n| prog\n", 'run "prog"'),
        (":0 fw\n| spamc\n", 'filter through "spamc"'),
        (":0 fhw\n| formail -A 'X-A: 1'\n", 'add header "X-A: 1"'),
        (":0 fhw\n| formail -I 'X-A: 1' -I X-B:\n", 'set header "X-A: 1"\nremove header "X-B"'),
        (":0 Wh: l\n| formail -D 8192 c\n", "if duplicate within 7d:\n    discard"),
        (":0\nx/\n", "file to mail/x"),
        (":0\n/srv/mail/x/\n", 'file to maildir "/srv/mail/x"'),
        (":0\n.Entw&APw-rfe/\n", 'file to imap/"Entwürfe"'),
    ],
)
def test_actions(recipe: str, words: str) -> None:
    assert _rules(recipe).replace("imap/Entwürfe", 'imap/"Entwürfe"') == words


def test_scores_come_to_yes_or_no() -> None:
    text = ":0\n* -100^0\n* 60^0 ^Subject:.*a\n* 60^0 ^Subject:.*b\n* 101^0 ^Subject:.*c\n.X/\n"
    condition = 'subject contains "c" or subject contains "a" and subject contains "b"'
    assert _rules(text) == f"if {condition}:\n    file to imap/X"


def test_chains_and_blocks() -> None:
    text = ":0\n* ^Subject:.*a\n{\n:0 c\n.A/\n}\n:0 E\n* ^Subject:.*b\n.B/\n:0 E\n.C/\n"
    assert _rules(text) == (
        'if subject contains "a":\n    also file to imap/A\n'
        'elif subject contains "b":\n    file to imap/B\nelse:\n    file to imap/C'
    )


def test_a_match_names_a_folder() -> None:
    text = ":0\n* ^List-Id:.*<\\/[^.>]*\n.Lists.$MATCH/\n"
    assert _rules(text) == ('if header "List-Id" matches /<([^.>]*)/:\n    file to imap/Lists/{1}')


def test_a_variable_is_carried_from_block_to_recipe() -> None:
    text = "F=.X/\n:0\n* ^Subject:.*a\n{ F=.A/ }\n:0\n$F\n"
    assert 'file to maildir "~/Maildir/{f}"' in _rules(text)


def test_exitcode_and_host_refuse() -> None:
    text = ":0\n* ^Subject:.*a\n{\nEXITCODE=67\nHOST\n}\n"
    assert 'reject "5.1.1 ' in _rules(text)


def test_included_rules_stand_in_their_place() -> None:
    made = _convert(
        "INCLUDERC=$HOME/.pm/lists\n", files={".pm/lists": ":0\n* ^Subject:.*a\n/dev/null\n"}
    )
    assert 'if subject contains "a":' in made.text
    assert made.is_whole
    lost = _convert("INCLUDERC=$HOME/.pm/lists\n")
    assert not lost.is_whole


def test_a_shell_only_where_it_is_allowed() -> None:
    text = ":0\n| cat | cat\n"
    made = _convert(text)
    assert not made.is_whole
    assert "# NOT CARRIED OVER: a program that needs a shell." in made.text
    assert made.entries[0].place.line == 1
    assert "allow-shell" in made.entries[0].todo
    assert _rules(text, by_shell=True) == 'pipe to "sh" "-c" "cat | cat"'


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    text = (
        f"A=`touch {mark}`\n:0 fw\n* ? touch {mark}\n| touch {mark}\n:0\n$A\nTRAP='touch {mark}'\n"
    )
    _convert(text)
    _convert(text, by_shell=True)
    assert not mark.exists()


def test_comments_stay_where_they_stood() -> None:
    text = "# first\n:0 # head\n* ^Subject:.*a\n# between\n.A/ # there\n# last\n"
    made = _convert("DEFAULT=$HOME/Maildir/\nMAILDIR=$HOME/Maildir\n" + text).text
    order = [made.index(f"# {word}") for word in ("first", "head", "between", "there", "last")]
    assert order == sorted(order)


def test_160_recipes_are_as_many_rules() -> None:
    recipe = (
        ":0:\n* ^List-Id:.*list{n}\\.example\\.org\n* ! ^Subject:.*\\[spam\\]\n.Lists.list{n}/\n"
    )
    text = "MAILDIR=$HOME/Maildir\nDEFAULT=$MAILDIR/\n" + "".join(
        recipe.replace("{n}", str(n)) for n in range(160)
    )
    made = _convert(text)
    assert made.is_whole
    assert made.text.count("\n    file to imap/Lists/list") == 160
    assert_sound(made.text)


def test_any_file_gives_rules_that_check_says_nothing_of() -> None:
    generator = Generator(4)
    for _ in range(300):
        assert_sound(_convert("MAILDIR=$HOME\nDEFAULT=$HOME/inbox\n" + generator.rules()).text)


def test_signs_within_quotes_need_no_shell() -> None:
    recipe = ":0 fhw\n| formail -I 'Content-Type: text/plain; charset=utf-8'\n"
    assert _rules(recipe) == 'set header "Content-Type: text/plain; charset=utf-8"'
    assert _rules(":0\n* ? grep -q 'a|b' /etc/x\n.A/\n") == (
        'if program "grep" "-q" "a|b" "/etc/x" succeeds:\n    file to imap/A'
    )


def test_the_argument_of_procmail_is_the_extension() -> None:
    assert _rules("EXT=$1\n:0\n* EXT ?? .\n.$EXT/\n").startswith("if extension ")


def test_the_from_line_ends_with_the_date() -> None:
    rules = _rules(":0\n* ^From.*@example\\.org$\n.A/\n")
    assert rules.startswith('if from ends with "@example.org":')


def test_a_score_that_counts_in_the_body() -> None:
    rules = _rules(":0\n* -3^0\n* 1^1 B ?? money\n* 2^0 ^Subject:.*offer\n.A/\n")
    assert rules == (
        "if body matches /(?s:(?:money)(?:.*?(?:money)){3})/\n        "
        'or subject contains "offer" and body matches /(?s:(?:money)(?:.*?(?:money)){1})/:\n'
        "    file to imap/A"
    )


def test_another_maildir_has_its_name() -> None:
    text = "MAILDIR=$HOME/Mail\n:0\n* ^X: 1\nannas/\nMAILDIR=$HOME/Mail/hosts\n:0\nlogs/\n"
    made = _convert(text).text
    assert 'mailbox mail_hosts = maildir "~/Mail/hosts/{folder}"' in made
    assert "file to mail_hosts/logs" in made
