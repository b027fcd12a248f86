"""Nothing that a command prints moves a cursor or changes a title, whoever chose the words.

Each command is asked about a home in which names of files, and what is in them, hold escapes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from unicodedata import category

import pytest
from click.testing import CliRunner

from mdeliver.cli import main
from tests.fuzz.logs import REPORTED

EVIL = "evil\x1b]0;title\x07\x9b2J\u202e\r"
"""Sets a title, clears the screen, turns what follows round, and begins the line anew."""

_LETTER = (
    f"From: {EVIL} <{EVIL}@example.net>\nTo: ann@example.org\nSubject: {EVIL}\n"
    f"List-Id: <{EVIL}>\nMessage-ID: <{EVIL}@x>\n\n{EVIL}\n"
)
_RULES = """\
mailbox imap = maildir "~/Maildir"
inbox = imap
if subject contains "evil": also file to imap/Lists/{list-id}
log "{subject} {from name} {message}"
also reply with "Subject: {subject}\\n\\n{subject}" every 1d
also pipe to "cat" "{subject}" "{from}"
set header "X-A: {subject}"
if header "X-No" exists: reject "{subject}"
"""
_ENTRY = (
    "Nov 22 10:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 450 4.7.1"
    f" <a@b>: {EVIL}; from=<{EVIL}@b> to=<c@d> proto=ESMTP helo=<{EVIL}>\n"
)


def _paths(home: Path) -> dict[str, str]:
    """What stands in braces below."""
    return {
        "home": str(home),
        "maildir": str(home / "Maildir"),
        "word": EVIL,
        "evil": str(home / EVIL),
        "letter": str(home / EVIL / f"{EVIL}.eml"),
        "mbox": str(home / EVIL / "mbox"),
        "rules": str(home / EVIL / "rules"),
        "wrong": str(home / EVIL / "wrong.rules"),
        "cases": str(home / EVIL / "some.cases"),
        "rc": str(home / EVIL / "procmailrc"),
        "sieve": str(home / EVIL / "x.sieve"),
        "list": str(home / EVIL / "list"),
        "log": str(home / EVIL / "mail.log"),
        "missing": str(home / EVIL / "missing"),
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where all is evil."""
    top = tmp_path_factory.mktemp("home")
    (top / EVIL).mkdir()
    paths = _paths(top)
    written = {
        "letter": _LETTER,
        "mbox": f"From {EVIL} Mon Nov 23 10:00:00 2026\n{_LETTER}\n",
        "rules": _RULES.replace("{message}", "x"),
        "wrong": f'if subject contains "{EVIL}": file to {EVIL}\n{EVIL}\ninclude "{EVIL}"\n',
        "cases": f'message "{EVIL}":\n    Subject: {EVIL}\nfiles to imap/{EVIL}\n{EVIL}\n',
        "rc": f"# {EVIL}\n:0\n* ^Subject: {EVIL}\n{EVIL}/\n:0 {EVIL}\n| {EVIL}\n{EVIL}\n",
        "sieve": f'# {EVIL}\nif header :is "{EVIL}" "{EVIL}" {{ fileinto "{EVIL}"; }} {EVIL}\n',
        "list": f"{EVIL}@example.org ann\n{EVIL}\n",
        "log": _ENTRY,
    }
    for name, text in written.items():
        Path(paths[name]).write_text(text, newline="")
        Path(paths[name]).chmod(0o600)
    config = top / ".config" / "mdeliver"
    config.mkdir(parents=True)
    (config / "rules").write_text(written["rules"])
    (config / "rules").chmod(0o600)
    state = top / ".local" / "state" / "mdeliver"
    state.mkdir(parents=True)
    said = {
        **{key: EVIL if isinstance(value, str) else value for key, value in REPORTED[2].items()},
        "authentication": f'spf=fail smtp.mailfrom="{EVIL}"; dmarc=fail header.from="{EVIL}.x"',
        "actions": [{"action": "file", "store": "maildir", "mailbox": EVIL, "folder": EVIL,
                     "path": EVIL, "flags": [EVIL], "rule": f"{EVIL}:3"}],
    }  # fmt: skip
    (state / "log").write_text(json.dumps(said) + "\n")
    for folder in ("", f".{EVIL}"):
        for part in ("new", "cur", "tmp"):
            (top / "Maildir" / folder / part).mkdir(parents=True)
        (top / "Maildir" / folder / "cur" / f"1.{EVIL}:2,S").write_text(_LETTER, newline="")
    return top


COMMANDS = (
    "check {rules}", "check {wrong}", "check {cases}", "check {missing}", "check {evil}",
    "check --explain {evil}", "check --home {evil}",
    "test {letter}", "test --each {mbox}", "test --table {mbox}", "test {missing}", "test {evil}",
    "test --each --folders {maildir}", "test --table --folders {maildir}",
    "test --rules {wrong} {letter}", "test --rules {missing} {letter}",
    "test --against {wrong} {mbox}", "test --against {rules} {mbox}",
    "test --settings {list} {letter}", "test --user {evil} {letter}",
    "test --sender {evil} --recipient {evil} {letter}",
    "log", "log {evil}", "log --rule {evil}:3", "log --rules", "log --since {evil}",
    "report --home {home}", "report --home {home} --domain {evil}", "report --since {evil}",
    "convert procmailrc {rc}", "convert procmailrc {missing}", "convert procmailrc {evil}",
    "convert procmailrc --prove {mbox} {rc}", "convert sieve {sieve}", "convert sieve {missing}",
    "apply --rules {rules} {maildir}", "apply --rules {rules} {maildir}/.{word}", "apply {evil}",
    "apply --undo {evil}", "apply --trash {evil} {maildir}",
    "rejects {log}", "rejects --all {log}", "rejects {missing}", "rejects --about {evil} {log}",
    "bcc-maps --dry-run --source list:{list} --output texthash:{missing}",
    "bcc-maps --dry-run --source dovecot:{list} --output {evil}",
    "bcc-maps --check --source {evil}", "dkim --zone {list} --check {evil}",
    "audit --zone {list} --domain {evil} {evil}", "pop-sync --status --settings {missing}",
    "{evil}", "--{evil}", "log --{evil}", "check -{word}",
)  # fmt: skip


def printed(home: Path, command: str) -> str:
    """All that COMMAND prints, not on a terminal: no colours of its own."""
    words = [word.format(**_paths(home)) for word in command.split(" ")]
    clean: dict[str, str | None] = {n: None for n in os.environ if n.isupper() and n != "PATH"}
    result = CliRunner().invoke(main, words, env=clean | {"HOME": str(home), "USER": "root"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_is_printed_is_obeyed(home: Path, command: str) -> None:
    said = printed(home, command)
    assert said
    found = {c for c in said if category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"}
    assert found == set(), [line for line in said.splitlines() if found & set(line)]
