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
