"""`mdeliver check` as it is called: what it prints and how it exits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver import rulesfile
from mdeliver.cli.check import command
from mdeliver.language.findings import CATALOGUE
from mdeliver.popsync.choicefindings import CHOICE_FINDINGS
from mdeliver.replay.casefindings import CASE_FINDINGS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rulesfile, "SITE_RULES", str(tmp_path / "site"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return path


def check(*arguments: str, stdin: str | bytes = "") -> Result:
    result = CliRunner().invoke(command, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_sound_file(home: Path) -> None:
    write(home / "rules", "keep\n")
    result = check("rules")
    assert (result.exit_code, result.output) == (0, "rules: no errors\n")


def test_an_error_is_shown_as_compilers_do(home: Path) -> None:
    write(home / "rules", "if subjet is 'x':\n    keep\n")
    result = check("rules")
    assert result.exit_code == 1
    assert result.output.split("\n") == [
        """rules:1:14: error E105: texts stand between straight double quotes ", not '""",
        "    if subjet is 'x':",
        "                 ^^^",
        '    hint: write "x"',
        "1 error in 1 file",
        "",
    ]


def test_warnings_do_not_fail(home: Path) -> None:
    write(home / "rules", "keep\ndiscard\n")
    result = check("rules")
    assert result.exit_code == 0
    assert result.output.endswith("1 warning in 1 file\nrules: no errors\n")


def test_each_file_is_checked_on_its_own(home: Path) -> None:
    write(home / "a", 'let x = "a"\nif subject is x: keep\n')
    write(home / "b", "if subject is x: keep\nfoo\n")
    result = check("a", "b")
    assert result.exit_code == 1
    assert "b:2:1: error E201" in result.output
    assert result.output.endswith("1 error in 1 file\n")


CASES = 'message "x":\n    Subject: x\nfiles to imap/X\n'


def test_cases_beside_the_rules_are_tried(home: Path) -> None:
    rules = write(home / ".config/mdeliver/rules", 'if subject is "x": file to imap/X\n')
    cases = write(rules.with_name("rules.cases"), CASES)
    assert (check().exit_code, check().output) == (0, f"{rules}: no errors\n")
    write(rules, "keep\n")
    result = check()
    assert result.exit_code == 0
    assert result.output.split("\n")[:4] == [
        f'{cases}:3:1: warning C106: the case "x" does not hold',
        "    files to imap/X",
        "    ^^^^^^^^^^^^^^^",
        "    hint: instead: imap, pop3",
    ]
    assert check(str(rules)).output == f"{rules}: no errors\n"


def test_cases_that_are_required_are_errors(home: Path) -> None:
    rules = write(home / ".config/mdeliver/rules", "keep\n")
    cases = write(rules.with_name("rules.cases"), "required\n" + CASES)
    assert check().exit_code == 1
    (found,) = map(json.loads, check("--json").output.splitlines())
    assert (found["code"], found["level"], found["line"]) == ("C106", "error", 4)
    for text, code in (
        (CASES + "nonsense\n", "C102"),
        (CASES + "files to nowhere\n", "E302"),
        ('message "x" in "nowhere.eml"\nkeeps\n', "C104"),
    ):
        write(cases, "required\n" + text)
        result = check()
        assert (result.exit_code, f"error {code}" in result.output) == (1, True)
    cases.chmod(0o666)
    assert "can be written by others" in check().output


def test_standard_input(home: Path) -> None:
    assert check("-", stdin="keep\n").exit_code == 0
    assert "-:1:1: error E201" in check("-", stdin="kep\n").output
    assert "standard input is not UTF-8" in check("-", stdin=b"\xff").output


def test_without_files_site_and_user_make_one_program(home: Path) -> None:
    write(home / "site", 'mailbox archive = maildir "~/Archive"\n')
    write(home / ".config/mdeliver/rules", "file to archive\n")
    result = check()
    assert result.exit_code == 0
    assert result.output.count("no errors") == 2


def test_without_any_rules(home: Path) -> None:
    result = check()
    assert result.exit_code == 0
    assert "built-in rules" in result.output


def test_home_says_whose(home: Path, tmp_path: Path) -> None:
    write(home / "ann/.config/mdeliver/rules", "foo\n")
    result = check("--home", str(home / "ann"))
    assert result.exit_code == 1
    assert "ann/.config/mdeliver/rules:1:1: error E201" in result.output


def test_an_unknown_user_is_a_usage_error(home: Path) -> None:
    result = check("--user", "no-such-user-here")
    assert result.exit_code == 2
    assert "there is no user no-such-user-here" in result.output


def test_a_missing_file_is_an_error(home: Path) -> None:
    result = check("missing")
    assert result.exit_code == 1
    assert "cannot read the rules: No such file or directory" in result.output


def test_a_file_that_others_can_write_is_an_error(home: Path) -> None:
    os.chmod(write(home / "rules", "keep\n"), 0o666)
    result = check("rules")
    assert result.exit_code == 1
    assert "chmod go-w" in result.output


def test_errors_in_an_included_file_are_shown_with_its_source(home: Path) -> None:
    write(home / "rules", 'include "more"\n')
    write(home / "more", "keep as read\n")
    result = check("rules")
    assert "more:1:9: error E307" in result.output
    assert "    keep as read\n" in result.output


def test_json(home: Path) -> None:
    write(home / "rules", "keep as read\nfoo\n")
    result = check("--json", "rules")
    assert result.exit_code == 1
    findings = [json.loads(line) for line in result.output.splitlines()]
    assert [(f["code"], f["line"], f["column"], f["end_column"]) for f in findings] == [
        ("E307", 1, 9, 13),
        ("E201", 2, 1, 4),
    ]
    assert findings[0]["hint"] == "did you mean seen?"
    assert findings[0]["source"] == "keep as read"


@pytest.mark.parametrize("code", sorted(CATALOGUE | CASE_FINDINGS | CHOICE_FINDINGS))
def test_every_code_is_explained(code: str) -> None:
    result = check("--explain", code.lower())
    assert result.exit_code == 0
    title, _, text = result.output.partition("\n\n")
    assert title == f"{code}: {(CATALOGUE | CASE_FINDINGS | CHOICE_FINDINGS)[code][0]}"
    assert text.strip()
    assert max(map(len, text.split("\n"))) <= 78


def test_an_unknown_code_is_a_usage_error() -> None:
    assert check("--explain", "E999").exit_code == 2


def test_no_colours_unless_on_a_terminal(home: Path) -> None:
    write(home / "rules", "foo\n")
    assert "\x1b" not in check("rules").output
    coloured = CliRunner().invoke(command, ["rules"], color=True).output
    assert "\x1b[31m" in coloured
