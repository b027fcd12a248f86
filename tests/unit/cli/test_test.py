"""`mdeliver test`: the object of --json, the exit statuses, and what must not reach a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.test import command

MESSAGES = Path(__file__).parents[2] / "messages"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with rules of its own."""
    (tmp_path / ".config" / "mdeliver").mkdir(parents=True)
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.write_text('if subject contains "lunch":\n    file to imap/Lunch as seen\n')
    rules.chmod(0o644)
    return tmp_path


def run(home: Path, *arguments: str | Path, **environ: str) -> Result:
    # Nothing of a surrounding delivery's or user's environment may decide.
    clean = {name: None for name in os.environ if name.isupper() and name != "PATH"}
    environment = clean | {"HOME": str(home), "USER": "ann"} | environ
    return CliRunner().invoke(command, [str(a) for a in arguments], env=environment)


def test_json_is_the_contract(home: Path) -> None:
    result = run(home, "--json", MESSAGES / "plain.eml", MESSAGES / "bounce.eml")
    assert result.exit_code == 0
    first, second = [json.loads(line) for line in result.stdout.splitlines()]
    rules = f"{home}/.config/mdeliver/rules"
    assert first == {
        "message": str(MESSAGES / "plain.eml"),
        "message_id": "<plain.1@example.org>",
        "actions": [
            {
                "action": "file",
                "mailbox": "imap",
                "folder": "Lunch",
                "path": f"{home}/Maildir/.Lunch",
                "flags": ["seen"],
                "rule": f"{rules}:2",
            }
        ],
        "outcome": "delivered",
        "exit_status": 0,
        "reply": "250 2.0.0 delivered",
        "trace": first["trace"],
    }
    assert [(step["rule"], step["result"]) for step in first["trace"]] == [
        (f"{rules}:1", "yes"),
        (f"{rules}:2", "done"),
    ]
    assert [action["rule"] for action in second["actions"]] == [None, None]
    assert [action["path"] for action in second["actions"]] == [f"{home}/Maildir", "/var/mail/ann"]


def test_standard_input_and_a_maildir(home: Path) -> None:
    maildir = home / "Old"
    for box in ("new", "cur", "tmp"):
        (maildir / box).mkdir(parents=True)
    (maildir / "cur" / "1.x:2,S").write_bytes(b"Subject: lunch\n\n")
    (maildir / "new" / "2.x").write_bytes(b"Subject: supper\n\n")
    environ = {"HOME": str(home), "USER": "ann", "PATH": os.environ["PATH"]}
    main = "from mdeliver.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", main, "test", "--json", "-", maildir],
        cwd=Path(__file__).parents[3],
        env=environ,
        input=b"From x  Mon Nov  2\nSubject: LUNCH\n\n",
        stdout=subprocess.PIPE,
        check=True,
    )
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["message"], len(one["actions"])) for one in shown] == [
        ("-", 1),
        (f"{maildir}/new/2.x", 2),
        (f"{maildir}/cur/1.x:2,S", 1),
    ]


def test_a_rules_error_defers_and_is_shown(home: Path) -> None:
    rules = home / "bad.rules"
    rules.write_text('file to nowhere\nif from is "a" or "b": discard\n')
    rules.chmod(0o644)
    result = run(home, "--json", "--rules", rules, MESSAGES / "plain.eml")
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert (shown["outcome"], shown["exit_status"], shown["actions"]) == ("deferred", 75, [])
    assert f"{rules}:" in shown["reply"]
    assert "^" in result.stderr
    assert "hint" in result.stderr
    assert run(home, "--rules", rules, MESSAGES / "plain.eml").exit_code == 1


def test_what_cannot_be_read_is_said(home: Path) -> None:
    result = run(home, "nowhere.eml", MESSAGES / "plain.eml")
    assert result.exit_code == 1
    assert "nowhere.eml: No such file" in result.stderr
    assert "Lunch" in result.stdout
    assert run(home, "--rules", "nowhere.rules", MESSAGES / "plain.eml").exit_code == 1
    assert run(home, home).exit_code == 1
    assert run(home).exit_code == 2
    assert run(home, "--no-such", "x").exit_code == 2


def test_the_envelope_comes_from_options_then_environment_then_the_message(home: Path) -> None:
    rules = home / "envelope.rules"
    rules.write_text('reject "{sender} {recipient} {extension}"\n')
    rules.chmod(0o644)
    message = home / "message"
    message.write_bytes(b"Return-Path: <a@x>\nDelivered-To: ann+b@y\nSubject: x\n\n")

    def said(*options: str, **environ: str) -> str:
        result = run(home, "--json", "--rules", rules, *options, message, **environ)
        reply: str = json.loads(result.stdout)["reply"]
        return reply.removeprefix("550 5.7.1 ")

    assert said() == "a@x ann+b@y b"
    assert said(SENDER="", RECIPIENT="ann@z") == "ann@z"
    assert said("--sender", "c@x", "--extension", "d", SENDER="e@x") == "c@x ann+b@y d"


def test_no_control_character_reaches_the_terminal(home: Path) -> None:
    message = home / "message"
    message.write_bytes(
        b"Message-ID: \x1b]0;x\x07\nSubject: \x1b[31mlunch\x9b =?utf-8?Q?=1B[2J=0A?=\n\n"
    )
    for options in ((), ("--json",)):
        output = run(home, *options, message).stdout
        assert "lunch" in output
        assert not [c for c in output if not c.isprintable() and c != "\n"]


# --- mailboxes -------------------------------------------------------------------------------

FROM_LINE = b"From c@example.org Mon Nov  2 10:00:00 2020\n"


def mbox_of(home: Path, *subjects: str) -> Path:
    mbox = home / "old-mail"
    mbox.write_bytes(b"".join(FROM_LINE + f"Subject: {s}\n\n\n".encode() for s in subjects))
    return mbox


def rules_file(home: Path, text: str, name: str = "other.rules") -> Path:
    rules = home / name
    rules.write_text(text)
    rules.chmod(0o644)
    return rules


def test_a_mailbox_is_counted_in_a_table(home: Path) -> None:
    rules = rules_file(
        home,
        """\
if subject is "a": file to imap/Lunch as seen
if subject is "b": file to imap/Lunch as seen
if subject is "c": reject "no {subject}"
if subject is "d": discard
if subject is "e": defer
""",
    )
    mbox = mbox_of(home, *"aaabcdefff")
    result = run(home, "--rules", rules, mbox)
    assert result.exit_code == 0
    assert (
        result.stdout
        == f"""\
messages  place               rule
       3  imap/Lunch as seen  {rules}:1
       1                      {rules}:2
       3  imap                no rule took it
       3  pop3                no rule took it
       1  deferred            {rules}:5
       1  discarded           {rules}:4
       1  rejected            {rules}:3
10 messages: 7 delivered, 1 discarded, 1 rejected, 1 deferred
"""
    )
    assert result.stderr == ""


def test_explanations_of_a_mailbox_and_a_table_of_files(home: Path) -> None:
    mbox = mbox_of(home, "lunch", "supper")
    each = run(home, "--each", mbox).stdout
    assert f"{mbox}#1  no Message-ID" in each
    assert f"{mbox}#2  no Message-ID" in each
    assert "messages" not in each
    table = run(home, "--table", MESSAGES / "plain.eml", MESSAGES / "bounce.eml", mbox).stdout
    assert "4 messages: 4 delivered" in table
    assert "Message-ID" not in table
    both = run(home, MESSAGES / "plain.eml", mbox).stdout
    assert "<plain.1@example.org>" in both
    assert "2 messages: 2 delivered" in both


def test_a_mailbox_knows_sender_and_arrival(home: Path) -> None:
    rules = rules_file(home, 'reject "{sender} {year}"\n')
    shown = run(home, "--json", "--rules", rules, mbox_of(home, "x", "y")).stdout.splitlines()
    assert [json.loads(line)["reply"] for line in shown] == ["550 5.7.1 c@example.org 2020"] * 2


def test_an_empty_mailbox(home: Path) -> None:
    (home / "Empty" / "cur").mkdir(parents=True)
    result = run(home, home / "Empty")
    assert (result.exit_code, result.stdout) == (0, "0 messages\n")


def test_a_table_under_rules_with_an_error(home: Path) -> None:
    result = run(home, "--rules", rules_file(home, "nonsense\n"), mbox_of(home, "x", "y"))
    assert result.exit_code == 1
    assert "2 messages: 2 deferred" in result.stdout


def test_against_shows_only_what_would_change(home: Path) -> None:
    mbox = mbox_of(home, "lunch", "supper", "tea")
    other = rules_file(
        home,
        """\
if subject contains "lunch": file to imap/Lunch as seen
elif subject contains "tea":
    file to imap/Tea
""",
    )
    result = run(home, "--against", other, mbox)
    assert result.exit_code == 1
    assert (
        result.stdout
        == f"""\
{mbox}#3  no Message-ID
  rules in use{" " * (len(str(other)) - 12)}  imap, pop3
  {" " * len(str(other))}    no rule took it
  {other}  imap/Tea
  {" " * len(str(other))}    {other}:2  if subject contains "tea"  (subject "tea" contains "tea")
  {" " * len(str(other))}    {other}:3    file to imap/Tea
messages  rules in use -> {other}
       1  imap, pop3 -> imap/Tea
1 of 3 messages would fare differently
""".replace(":2  if", ":2  elif")
    )
    (line,) = run(home, "--json", "--against", other, mbox).stdout.splitlines()
    shown = json.loads(line)
    assert shown["message"] == f"{mbox}#3"
    assert [action["folder"] for action in shown["against"]["actions"]] == ["Tea"]
    assert [action["folder"] for action in shown["rules"]["actions"]] == [None, None]
    summary = run(home, "--table", "--against", other, mbox).stdout
    assert "imap, pop3 -> imap/Tea" in summary
    assert "Message-ID" not in summary


def test_the_status_of_against_is_diffs(home: Path) -> None:
    mbox = mbox_of(home, "lunch", "supper")
    same = rules_file(home, 'if subject is "lunch": file to imap/Lunch as seen\n')
    wrong = rules_file(home, "nonsense\n", "wrong.rules")
    assert run(home, "--against", same, mbox).exit_code == 0
    assert run(home, "--against", wrong, mbox).exit_code == 2
    assert run(home, "--against", "nowhere.rules", mbox).exit_code == 2
    assert run(home, "--against", same, mbox, "nowhere").exit_code == 2
    assert run(home, "--rules", wrong, "--against", same, mbox).exit_code == 2
    reject = [rules_file(home, f"reject {text}\n", text[1]) for text in ('"a"', '"b"')]
    assert run(home, "--rules", reject[0], "--against", reject[1], mbox).exit_code == 1


def test_no_control_character_of_a_mailbox_reaches_the_terminal(home: Path) -> None:
    rules = rules_file(home, 'if subject exists: file to imap/"{subject}"\n')
    other = rules_file(home, 'reject "{subject}"\n', "b.rules")
    mbox = mbox_of(home, "\x1b[31mlunch", "=?utf-8?Q?lunch=1B[2J=0A=C2=9B?=")
    for options in ((), ("--each",), ("--against", other), ("--against", other, "--json")):
        result = run(home, "--rules", rules, *options, mbox)
        assert "lunch" in result.stdout
        output = result.stdout + result.stderr
        assert not [c for c in output if not c.isprintable() and c != "\n"]


def test_cases_say_what_failed_and_why(home: Path) -> None:
    cases = home / "my.cases"
    cases.write_text(
        """\
message "lunch":
    Subject: lunch today
files to imap/Lunch
message "\x1b[31msupper":
    Subject: supper
files to imap/Supper
"""
    )
    result = run(home, "--cases", cases)
    assert result.exit_code == 1
    assert f'{cases}:6: "\\x1b[31msupper": files to imap/Supper\n' in result.stdout
    assert "instead: imap, pop3\n" in result.stdout
    assert 'subject is "supper"' in result.stdout
    assert f"{cases}: 2 cases, 1 failed\n" in result.stdout
    assert "lunch today" not in result.stdout
    lines = run(home, "--json", "--cases", cases).stdout.splitlines()
    shown = [json.loads(line) for line in lines]
    assert [(one["case"], one["holds"]) for one in shown] == [
        ("lunch", True),
        ("\x1b[31msupper", False),
    ]
    assert shown[1]["failures"] == [{"line": 6, "expected": "files to imap/Supper"}]
    assert "holds" in run(home, "--each", "--cases", cases).stdout
    cases.write_text(cases.read_text().replace("Supper", "Lunch").replace("supper", "lunch"))
    assert run(home, "--cases", cases).exit_code == 0
    assert run(home, "--cases", cases, "--cases", home / "nowhere.cases").exit_code == 2


def test_trouble_with_cases(home: Path) -> None:
    cases = home / "my.cases"
    cases.write_text('message "x":\nfiles to nowhere\n')
    result = run(home, "--cases", cases)
    assert result.exit_code == 2
    assert f"{cases}:2:10: error" in result.stderr
    cases.write_text('message "x" in "nowhere.eml"\nkeeps\n')
    assert run(home, "--cases", cases).exit_code == 2
    cases.write_bytes(b"\xff\n")
    assert run(home, "--cases", cases).exit_code == 2
    assert run(home, "--cases", cases, MESSAGES / "plain.eml").exit_code == 2


PROGRAMS = """\
filter through "sed" "s/^Subject: .*/Subject: filtered/"
if subject is "filtered" and program "grep" "-q" "no such" succeeds: file to imap/No
if program "grep" "-q" "^Subject: filtered" succeeds: file to imap/Filtered
pipe to "touch" "touched"
"""


def _with_programs(home: Path) -> Path:
    rules = home / "programs.rules"
    rules.write_text(PROGRAMS)
    rules.chmod(0o644)
    return rules


def test_no_program_is_run_unless_asked_for(home: Path) -> None:
    rules = _with_programs(home)
    shown = json.loads(run(home, "--json", "--rules", rules, MESSAGES / "plain.eml").stdout)
    assert shown["trace"][0]["because"] == "it stays as it was: not run: --run-programs runs it"
    assert shown["trace"][-1]["result"] == "unknown"
    assert shown["outcome"] == "deferred"
    assert "--run-programs runs it" in shown["reply"]


def test_programs_are_run_if_asked_for(home: Path) -> None:
    rules = _with_programs(home)
    options = ("--run-programs", "--json", "--rules", rules)
    shown = json.loads(run(home, *options, MESSAGES / "plain.eml").stdout)
    assert [step["result"] for step in shown["trace"]] == ["done", "no", "yes", "done", "skipped"][
        : len(shown["trace"])
    ]
    assert [action["action"] for action in shown["actions"]] == ["filter", "file"]
    assert shown["actions"][0]["changed"] is True
    assert shown["actions"][1]["folder"] == "Filtered"
    assert not (home / "touched").exists()
    cases = home / "my.cases"
    cases.write_text(f'rules "{rules}"\nmessage "m":\n    Subject: x\n\nfiles to imap/Filtered\n')
    assert run(home, "--cases", cases).exit_code == 1
    assert run(home, "--run-programs", "--cases", cases).exit_code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could be somebody else")
def test_root_does_not_run_what_others_wrote(home: Path) -> None:
    os.chown(home, 65534, 65534)
    result = run(home, "--run-programs", MESSAGES / "plain.eml")
    assert result.exit_code == 2
    assert "runuser" in result.stderr
