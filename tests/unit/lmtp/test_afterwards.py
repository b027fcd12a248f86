"""Whoever brings a message has its answer before anything is written about it."""

from __future__ import annotations

import os
import socket
from array import array
from pathlib import Path

import pytest

from mdeliver.deliver.maildir import make_maildir
from mdeliver.history.account import Account
from mdeliver.lmtp import door
from mdeliver.lmtp.rounds import Kept, Round
from mdeliver.outcome import Outcome
from mdeliver.plan import File
from mdeliver.settings import Site


def bring(asked: socket.socket, home: Path, message: bytes, rules: str) -> None:
    """Send what a launcher sends."""
    path = home / "rules"
    path.write_text(rules)
    incoming = os.memfd_create("message")
    os.write(incoming, message)
    os.lseek(incoming, 0, os.SEEK_SET)
    words = ["--rules", str(path), f"HOME={home}", "USER=ann", "SENDER=a@example.net"]
    strings = b"".join(word.encode() + b"\0" for word in words)
    header = door.REQUEST.pack(door.MAGIC, 2, 3, len(strings))
    rights = array("i", [incoming])
    asked.sendmsg([header + strings], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(incoming)


@pytest.mark.parametrize(
    ("rules", "status", "fate"),
    [
        ("discard\n", 0, "discarded"),
        ('reject "5.7.1 no"\n', 77, "rejected"),
        ('file "Broken"\n', 75, "deferred"),
        ("no rules\n", 75, "deferred"),
    ],
)
def test_the_answer_goes_before_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: str, status: int, fate: str
) -> None:
    (tmp_path / "Maildir").write_text("no directory")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    asked, answering = socket.socketpair()
    with asked:
        asked.settimeout(120)
        seen: list[tuple[bytes, str]] = []

        def line(_account: Account, outcome: Outcome, *, to_syslog: bool) -> bytes:
            asked.setblocking(False)
            seen.append((asked.recv(2000)[8:], outcome.fate))
            return b""

        monkeypatch.setattr(Account, "line", line)
        bring(asked, tmp_path, b"Subject: x\n\nhello\n", rules)
        site = Site(hostname="host", syslog="")
        caller = door.Caller(answering.detach(), site, door.Environment(), door.Habit())
        assert caller.greet()
        assert caller.hear()
        this = Round(Kept())
        this.take(caller)
        this.end()
    [(answer, told)] = seen
    assert (answer[4], told) == (status, fate)


def test_the_next_large_message_is_expected_to_go_where_the_last_one_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    habit = door.Habit()
    lasted = []
    large = b"Subject: x\n\n" + b"hello\n" * 60_000
    make_maildir(
        File("maildir", f"{tmp_path}/Maildir", f"{tmp_path}/Maildir", None, None, (), None)
    )
    for number, place in enumerate(("maildir", "mbox")):
        asked, answering = socket.socketpair()
        with asked:
            asked.settimeout(120)
            target = "Maildir" if place == "maildir" else "mbox"
            message = b"X-Number: %d\n" % number + large
            bring(asked, tmp_path, message, f'file to {place} "~/{target}"\n')
            site = Site(hostname="host", syslog="")
            caller = door.Caller(answering.detach(), site, door.Environment(), habit)
            assert caller.greet()
            assert caller.hear()
            this = Round(Kept())
            this.take(caller)
            this.end()
        lasted.append(habit.spool_lasts)
    assert lasted == [True, False]
