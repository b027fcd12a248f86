"""Paths of mailboxes and folders."""

from __future__ import annotations

import pytest

from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.message import Message
from mdeliver.plan import File
from mdeliver.settings import Site


def filed(rules: str, subject: str = "../x", user: str = "ann") -> File:
    program = compile_rules([Source("rules", rules)], lambda _path: "").program
    assert program is not None
    envelope = Envelope(user, "/home/ann/", 1000)
    head = f"Subject: {subject}\n\n".encode()
    decision = evaluate(program, Message(head, 9), envelope, Site(), 0.0, explain=False)
    (file,) = decision.plan.actions
    assert isinstance(file, File)
    return file


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ('file to maildir "~/Mail"', "/home/ann/Mail"),
        ('file to maildir "Mail//x/"', "/home/ann/Mail/x"),
        ('file to mbox "/srv/{user}/box"', "/srv/ann/box"),
        ('file to mbox "//srv/../var/box"', "/var/box"),
        ('file to maildir "{home}/M"', "/home/ann/M"),
        # What a message brings adds no separator; what a rule says may.
        ('file to maildir "~/Mail/{subject}"', "/home/ann/Mail/_._x"),
        ('let top = "/srv/mail"\nfile to maildir "{top}/x"', "/srv/mail/x"),
        ('let top = "a/{subject}"\nfile to maildir "~/{top}"', "/home/ann/a/_._x"),
        ('if subject matches "(*)": file to mbox "~/Mail/{1}"', "/home/ann/Mail/_._x"),
    ],
)
def test_outright(rules: str, path: str) -> None:
    file = filed(rules + "\n")
    assert (file.path, file.root, file.mailbox, file.folder) == (path, path, None, None)


@pytest.mark.parametrize(
    ("user", "step"),
    [
        ("ann@example.org", "ann@example.org"),
        ("../../etc/x@example.org", ".._.._etc_x@example.org"),
        ("bob@example.org/Maildir/.x@example.org", "bob@example.org_Maildir_.x@example.org"),
        ("..", "_"),
        (".", "_"),
    ],
)
def test_a_user_is_one_step(user: str, step: str) -> None:
    """Of a domain that is all somebody's, a sender makes up the names of virtual users."""
    assert filed('file to mbox "/var/mail/{user}"\n', user=user).path == f"/var/mail/{step}"
    assert filed('file to mbox "/var/mail/{user}/x"\n', user=user).path == f"/var/mail/{step}/x"


MAILDIR = 'mailbox m = maildir "~/M"\n'
DIRECTORY = 'mailbox m = mbox "~/Mail/{folder}"\n'
MAILDIRS = 'mailbox m = maildir "~/Mail/{folder}/box"\n'


@pytest.mark.parametrize(
    ("rules", "folder", "path", "root"),
    [
        (MAILDIR + "file to m", None, "/home/ann/M", "/home/ann/M"),
        (MAILDIR + "file to m/A/B", "A/B", "/home/ann/M/.A.B", "/home/ann/M"),
        (MAILDIR + "file to m/Entwürfe", "Entwürfe", "/home/ann/M/.Entw&APw-rfe", "/home/ann/M"),
        (MAILDIR + "file to m/{subject}", "___x", "/home/ann/M/.___x", "/home/ann/M"),
        (MAILDIR + "file to m/inbox", "INBOX", "/home/ann/M", "/home/ann/M"),
        (MAILDIR + "file to m/inbox/x", "INBOX/x", "/home/ann/M/.INBOX.x", "/home/ann/M"),
        (DIRECTORY + "file to m/A/é", "A/é", "/home/ann/Mail/A/&AOk-", "/home/ann/Mail/A/&AOk-"),
        (DIRECTORY + "file to m/{subject}", "_._x", "/home/ann/Mail/_._x", "/home/ann/Mail/_._x"),
        (MAILDIRS + "file to m/A", "A", "/home/ann/Mail/A/box", "/home/ann/Mail/A/box"),
    ],
)
def test_folders(rules: str, folder: str | None, path: str, root: str) -> None:
    file = filed(rules + "\n")
    assert (file.folder, file.path, file.root, file.mailbox) == (folder, path, root, "m")


def test_the_same_place_under_two_names_is_one_copy() -> None:
    rules = (
        MAILDIR
        + 'also file to m as draft\nalso file to maildir "/home/ann/./M/" as seen\nfile to m\n'
    )
    assert filed(rules).flags == ("seen", "draft")
