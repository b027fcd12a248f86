"""`mdeliver log`: readable, for programs, and nothing that harms a terminal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.log import command
from tests.unit.history.test_recall import SAID

HOSTILE = "\x1b]0;title\x07 \n2026 delivered"


def run(home: Path, *arguments: str) -> Result:
    clean = {name: None for name in os.environ if name.isupper() and name != "PATH"}
    return CliRunner().invoke(command, arguments, env=clean | {"HOME": str(home), "USER": "ann"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a rule and three deliveries."""
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.parent.mkdir(parents=True)
    rules.write_text('if subject contains "a":\n    file to imap/A\nelse:\n    discard\n')
    rules.chmod(0o600)
    os.utime(rules, (1, 1))
    state = tmp_path / ".local" / "state" / "mdeliver"
    state.mkdir(parents=True)
    filed: dict[str, Any] = {
        "action": "file", "store": "maildir", "mailbox": "imap", "folder": HOSTILE,
        "path": f"/m/{HOSTILE}", "flags": ["seen"], "name": "1.M", "rule": f"{rules}:2",
    }  # fmt: skip
    filtered = {"action": "filter", "program": ["sa"], "changed": True}
    filtered |= {"why": None, "rule": f"{rules}:1"}
    failed = filtered | {"changed": False, "why": "exit status 1"}
    now = time.time()
    said = [
        SAID | {"time": now - 9 * 86400, "message_id": "<old@x>"},
        SAID | {"time": now - 60, "subject": HOSTILE, "sender": HOSTILE, "text": HOSTILE},
        SAID | {"time": now, "message_id": "<new@x>", "fired": [f"{rules}:2"],
                "actions": [filed, filtered, failed], "rule": f"{rules}:2"},
    ]  # fmt: skip
    (state / "log").write_text("".join(json.dumps(one) + "\n" for one in said))
    return tmp_path


def test_all_of_it_without_arguments(home: Path) -> None:
    result = run(home)
    assert result.exit_code == 0
    assert result.stdout.count(": 2.0.0 ") == 3
    assert "(10 ms)" in result.stdout


def test_what_is_known_of_the_sender_is_said_once(home: Path) -> None:
    known = "spf=fail smtp.mailfrom=bank.example; dkim=none"
    edits = [
        {"action": "drop header", "name": "Authentication-Results", "text": "1", "rule": None},
        {"action": "prepend header", "name": "Authentication-Results", "text": known, "rule": None},
    ]
    log = home / ".local" / "state" / "mdeliver" / "log"
    log.write_text(json.dumps(SAID | {"authentication": known, "actions": edits}) + "\n")
    lines = run(home).stdout.splitlines()
    assert lines[-2:] == [f"  {known}", "  drop header Authentication-Results, 1"]


def test_only_the_newest_ten_without_arguments(home: Path) -> None:
    log = home / ".local" / "state" / "mdeliver" / "log"
    log.write_text("".join(json.dumps(SAID | {"time": n}) + "\n" for n in range(30)))
    assert len(run(home, "--json", "--last", "30").stdout.splitlines()) == 30
    assert [json.loads(li)["time"] for li in run(home, "--json").stdout.splitlines()] == [
        *range(20, 30)
    ]


def test_what_a_message_came_to(home: Path) -> None:
    shown = run(home, "new@x").stdout
    assert "<new@x>, 10 bytes, queue id 4XyZ" in shown
    assert "as seen (/m/" in shown
    assert "rules:2" in shown
    assert "  filter sa  " in shown
    assert "filter sa, failed: the message stayed as it was, exit status 1  " in shown
    assert shown.count(": 2.0.0 ") == 1


def test_nothing_found(home: Path) -> None:
    for arguments in (["nobody@x"], ["--rule", "rules:9"], ["--since", "1s", "old@x"]):
        result = run(home, *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no such delivery" in result.stderr
    assert run(home / ".config").exit_code == 1


def test_no_text_of_a_message_reaches_the_terminal_as_it_is(home: Path) -> None:
    for arguments in ([], ["--rules"], ["--json"]):
        shown = run(home, *arguments).stdout
        assert all(line.isprintable() for line in shown.splitlines())
        assert not any(line.startswith("2026 delivered") for line in shown.splitlines())


def test_rule_since_and_last(home: Path) -> None:
    assert run(home, "--rule", "rules:2", "--json").stdout.count("\n") == 1
    assert run(home, "--since", "8d", "--json").stdout.count("\n") == 2
    (line,) = run(home, "--since", "8d", "--last", "1", "--json").stdout.splitlines()
    assert json.loads(line)["message_id"] == "<new@x>"


def test_hits_and_what_never_fired(home: Path) -> None:
    shown = run(home, "--rules").stdout
    assert "1  " in shown
    assert "file to imap/A" in shown
    found = {
        h["words"]: h
        for h in map(json.loads, run(home, "--rules", "--json").stdout.split("\n")[:-1])
    }
    assert found["file to imap/A"]["times"] == 1
    assert found["discard"]["times"] == 0
    assert found["discard"]["last_s"] is None
    never = next(line for line in shown.splitlines() if line.endswith("  discard"))
    assert "never" in never


def test_rules_that_cannot_be_used_are_told(home: Path) -> None:
    (home / ".config" / "mdeliver" / "rules").write_text("nonsense\n")
    result = run(home, "--rules")
    assert result.exit_code == 1
    assert "rules:1:" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--since", "yesterday"], ["--last", "0"], ["a", "b"], ["--nope"]]
)
def test_wrong_usage(home: Path, arguments: list[str]) -> None:
    assert run(home, *arguments).exit_code == 2
