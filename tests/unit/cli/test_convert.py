"""`mdeliver convert` as a user sees it: output, report, exit status."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.convert import _octets, command
from tests.installation import lacking


def _run(tmp_path: Path, rc: bytes, *options: str, kind: str = "procmailrc") -> Result:
    file = tmp_path / "rc"
    file.write_bytes(rc)
    arguments = [kind, str(file), "--home", str(tmp_path), *options]
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_rules_on_stdout_report_on_stderr(tmp_path: Path) -> None:
    done = _run(tmp_path, b":0\n* ^Subject:.*x\n/dev/null\n:0\n| a | b\n")
    assert 'if subject contains "x":\n    discard\n' in done.stdout
    assert f"{tmp_path}/rc:4: lost: " in done.stderr
    assert "1 not carried over" in done.stderr
    assert done.exit_code == 1


def test_everything_carried_over_is_0(tmp_path: Path) -> None:
    done = _run(tmp_path, b":0\n/dev/null\n")
    assert (done.exit_code, done.stderr) == (0, "everything was carried over\n")


def test_json(tmp_path: Path) -> None:
    made = json.loads(_run(tmp_path, b":0\n| a | b\n", "--json").stdout)
    assert made["whole"] is False
    assert made["entries"][0]["line"] == 1
    assert set(made["entries"][0]) == {"level", "file", "line", "what", "why", "todo"}


@pytest.mark.parametrize(
    ("rc", "code", "line"),
    [
        (b":0\n* ^Subject:.*x\n", "P102", 1),
        (b"A=1\r\n:0\r\n/dev/null\r\n", "P108", 1),
        (b":0\n{ \n" * 10_000, "P110", 122),
        (b":0\n{X=1}\n", "P107", 2),
        (b"\x7fELF\0\1\2" * 50, "P109", 1),
    ],
)
def test_bad_input_has_a_place_and_no_traceback(
    tmp_path: Path, rc: bytes, code: str, line: int
) -> None:
    done = _run(tmp_path, rc)
    assert f"{tmp_path}/rc:{line}:" in done.stderr
    assert f" {code}: " in done.stderr
    assert done.exit_code == 1


def test_latin_1_is_read(tmp_path: Path) -> None:
    done = _run(tmp_path, "# Grüße\n:0\n* ^Subject:.*Grüße\n/dev/null\n".encode("latin-1"))
    assert "# Grüße" in done.stdout
    assert 'subject contains "Grüße"' in done.stdout
    assert done.exit_code == 0


def test_lines_that_end_in_crlf_are_converted_all_the_same(tmp_path: Path) -> None:
    done = _run(tmp_path, b":0\r\n* ^Subject:.*x\r\n/dev/null\r\n")
    assert 'if subject contains "x":\n    discard\n' in done.stdout


def test_the_proof(tmp_path: Path) -> None:
    mailbox = tmp_path / "mbox"
    one = "From a@example.org  Mon Nov 23 10:00:00 2026\nFrom: a@example.org\nSubject: {}\n\nx\n\n"
    mailbox.write_text(one.format("x") + one.format("y"))
    rc = b"DEFAULT=$HOME/in/\n:0\n* ^Subject:.*x\n.X/\n"
    done = _run(tmp_path, rc, "--prove", str(mailbox))
    assert done.stdout == "2 of 2 messages fare the same, 0 differ\n"
    assert done.exit_code == 0
    other = tmp_path / "other"
    other.write_text('mailbox imap = maildir "~/in"\ninbox = imap\n')
    done = _run(tmp_path, rc, "--prove", str(mailbox), "--rules", str(other))
    assert "1 of 2 messages fare the same, 1 differ" in done.stdout
    assert f"{mailbox}#1" in done.stdout
    assert "^Subject:.*x" in done.stdout
    assert done.exit_code == 1
    done = _run(tmp_path, rc, "--prove", str(mailbox), "--rules", str(other), "--json")
    told = json.loads(done.stdout)
    assert told["rules"]["fate"] == "delivered"


def test_trouble(tmp_path: Path) -> None:
    assert _run(tmp_path, b"", "--prove", str(tmp_path / "nothing")).exit_code == 1
    broken = tmp_path / "broken"
    broken.write_text("if\n")
    mailbox = tmp_path / "m"
    mailbox.write_text("Subject: x\n\n")
    done = _run(tmp_path, b"", "--prove", str(mailbox), "--rules", str(broken))
    assert done.exit_code == 2
    assert "broken:1:" in done.stderr


def test_sieve(tmp_path: Path) -> None:
    done = _run(tmp_path, b'if header :is "subject" "x" { discard; }\n', kind="sieve")
    assert 'if subject is "x":\n    discard\n' in done.stdout
    assert _run(tmp_path, b"if {", kind="sieve").exit_code == 1


def test_root_reads_nothing_for_a_user_that_is_not_the_users(tmp_path: Path) -> None:
    if os.getuid() != 0:
        lacking("only root may read what a user may not")
    secret = tmp_path / "secret"
    secret.write_text("root:hash of a password\n")
    link = tmp_path / "link"
    link.symlink_to(secret)
    arguments = ["--user", "nobody", "--home", str(tmp_path)]
    done = CliRunner().invoke(command, ["procmailrc", str(link), *arguments])
    assert done.exit_code == 1
    assert "hash" not in done.output
    rc = tmp_path / "rc"
    rc.write_text(f"INCLUDERC={link}\n")
    shutil.chown(rc, "nobody")
    done = CliRunner().invoke(command, ["procmailrc", str(rc), *arguments])
    assert "hash" not in done.output
    assert "cannot be read" in done.output


def test_no_control_character_of_the_file_reaches_the_terminal(tmp_path: Path) -> None:
    done = _run(tmp_path, b"# \x1b[31mred\n\x1b]0;x\x07\n:0\n* ^Subject:.*\x1b\n| \x1b | y\n")
    assert "\x1b" not in done.stdout + done.stderr
    done = _run(tmp_path, b"# \x1b[31mred\n\x1b", kind="sieve")
    assert "\x1b" not in done.stdout + done.stderr


def test_rules_that_check_refuses_are_no_success(tmp_path: Path) -> None:
    script = b'require "variables";\nset "x" "${1}";\nif header :contains "to" "${x}" { keep; }\n'
    done = _run(tmp_path, script, kind="sieve")
    assert done.exit_code == 1
    assert "E303" in done.stderr


def test_root_does_not_wait_at_a_users_fifo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "rc")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    signal.alarm(120)
    with pytest.raises(PermissionError):
        _octets(str(tmp_path / "rc"), 65534)


VACATION = b"""\
:0 c
* !^FROM_DAEMON
* !^X-Loop: ann@example.org
| (formail -r -A "X-Loop: ann@example.org"; cat away.txt) | $SENDMAIL -t
"""


def test_the_proof_is_told_the_envelope_that_messages_lack(tmp_path: Path) -> None:
    """Whoever is addressed to ann@example.org by a name that no setting has gets an answer."""
    (tmp_path / "away.txt").write_text("Away.\n")
    message = tmp_path / "message"
    text = "From: bob@example.net\nTo: ann@example.org\nSubject: x\n\nx\n"
    message.write_text(f"Return-Path: <bob@example.net>\n{text}")
    prove = ["--prove", str(message), "--user", "ann"]
    assert "1 differ" in _run(tmp_path, VACATION, *prove).stdout
    done = _run(tmp_path, VACATION, *prove, "--recipient", "ann@example.org")
    assert done.stdout == "1 of 1 messages fare the same, 0 differ\n"
    # Nobody answers a bounce, on either side, and a message alone looks like one.
    message.write_text(text)
    (tmp_path / "other").write_text('mailbox pop3 = mbox "/var/mail/{user}"\ninbox = pop3\n')
    given = [*prove, "--recipient", "ann@example.org", "--rules", str(tmp_path / "other")]
    for sender, differ in ((None, 0), ("", 0), ("bob@example.net", 1)):
        options = [] if sender is None else ["--sender", sender]
        assert f"{differ} differ" in _run(tmp_path, VACATION, *given, *options).stdout


def test_the_proof_is_told_the_extension(tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text("From: bob@example.net\nSubject: x\n\nx\n")
    rc = b"DEFAULT=$HOME/in/\nARG=$1\n:0\n* ARG ?? ^lists$\n.Lists/\n"
    other = tmp_path / "other"
    other.write_text('mailbox imap = maildir "~/in"\ninbox = imap\n')
    prove = ["--prove", str(message), "--user", "ann", "--rules", str(other)]
    assert "0 differ" in _run(tmp_path, rc, *prove).stdout
    done = _run(tmp_path, rc, *prove, "--recipient", "ann+lists@example.org")
    assert f"procmail  in {tmp_path}/.Lists" in done.stdout


def test_the_envelope_is_for_the_proof(tmp_path: Path) -> None:
    for option in ("--recipient", "--sender"):
        done = _run(tmp_path, b"", option, "ann@example.org")
        assert done.exit_code == 2
        assert "go with --prove" in done.stderr
