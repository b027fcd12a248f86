"""What cannot be printed ends each command with one line and 74, and nothing else changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mdeliver.cli import COMMANDS
from tests.popsyncbox import Mail

EX_IOERR = 74

PRINTING = {
    "demo": ["demo"],
    "check": ["check", "rules"],
    "test": ["test", "message"],
    "convert": ["convert", "procmailrc", "procmailrc"],
    "apply": ["apply", "inbox"],
    "log": ["log", "--help"],
    "deliver": ["deliver", "--help"],
    "lmtp": ["lmtp", "--help"],
    "pop-sync": ["pop-sync", "--status", "--user", "ann", "--home", ".", "--rules", "rules"],
    "bcc-maps": ["bcc-maps", "--help"],
    "postfix": ["postfix", "--help"],
    "dkim": ["dkim", "--help"],
    "audit": ["audit", "--list"],
    "rejects": ["rejects", "log"],
    "report": ["report"],
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    stores = f'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "{tmp_path}/mbox"\n'
    (tmp_path / "rules").write_text(f"{stores}inbox = imap, pop3\nkeep\n")
    (tmp_path / "message").write_text("Subject: x\n\nx\n")
    (tmp_path / "procmailrc").write_text(":0:\n* ^Subject:.*x\nx\n")
    (tmp_path / "log").write_text("")
    for name in ("new", "cur", "tmp"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    return tmp_path


def run(home: Path, words: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd()}
    shell = ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh"]
    words = [str(home) if word == "." else word for word in words]
    command = [*shell, sys.executable, "-m", "mdeliver", *words]
    return subprocess.run(
        command, cwd=home, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", [name for name, _module in COMMANDS])
def test_a_full_disk(name: str, home: Path) -> None:
    done = run(home, PRINTING[name], ">/dev/full")
    told = done.stderr.splitlines()
    assert told[-1:] == ["mdeliver: standard output: No space left on device"]
    assert "Traceback" not in done.stderr
    assert done.returncode == EX_IOERR


@pytest.mark.parametrize("redirection", [">&-", "<&- >&-"])
def test_a_closed_descriptor(home: Path, redirection: str) -> None:
    done = run(home, ["audit", "--list"], redirection)
    assert (done.returncode, done.stderr) == (EX_IOERR, "mdeliver: standard output: it is closed\n")


def test_nowhere_to_complain(home: Path) -> None:
    assert run(home, ["audit", "--list"], ">/dev/full 2>&1").returncode == EX_IOERR
    assert run(home, ["audit", "--list"], ">&- 2>&-").returncode == EX_IOERR


def test_who_has_read_enough_is_not_told(home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "mdeliver", "audit", "--list"]
        done = subprocess.run(
            command, env=environ, stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (EX_IOERR, b"")


def test_pop_sync_does_it_all_the_same(home: Path) -> None:
    """A log on a full disk must not leave messages that were downloaded unmarked."""
    mail = Mail(home, downloaded="read")
    mail.state = home / ".local" / "state" / "mdeliver"
    mail.state.mkdir(parents=True)
    (home / ".config" / "mdeliver").mkdir(parents=True)
    (home / ".config" / "mdeliver" / "pop-sync.toml").write_text('downloaded = "read"\n')
    mail.deliver(1, 2)
    once = [*PRINTING["pop-sync"], "--once"]
    once.remove("--status")
    assert run(home, once, "").returncode == 0
    mail.pop3(1, 2)
    done = run(home, once, ">/dev/full")
    assert done.returncode == EX_IOERR
    assert done.stderr.count("downloaded by POP3: marked read") == 2
    assert all(path.name.endswith(":2,S") for path in mail.copies().values())
