"""Forwarding and vacation replies among people on a real Postfix: they arrive, and they end."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from email import message_from_bytes

import pytest

from tests.installation import lacking
from tests.local8 import Person
from tests.servers.conftest import Box
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    by_imap,
    letter,
    send_from_outside,
    subject_of,
    submit,
)
from tests.servers.people import write_rules
from tests.servers.ports import answers
from tests.servers.postfix import Postfix
from tests.waiting import wait_for

pytestmark = pytest.mark.servers


@pytest.fixture
def postfix(box: Box) -> Iterator[Postfix]:
    """A Postfix whose users' sendmail is its own.

    For all but root sendmail believes in /etc/postfix alone: this Postfix, and whatever it starts,
    has a view of the file system where its main.cf stands there.
    """
    if shutil.which("unshare") is None:
        lacking("unshare is not installed (Debian: util-linux)")
    server = box.postfix
    in_place = f'mount --bind "{server.configuration}/main.cf" /etc/postfix/main.cf && exec "$@"'
    start = ["postfix", "-c", str(server.configuration), "start"]
    try:
        server.stop()
        subprocess.run(
            ["unshare", "--mount", "sh", "-c", in_place, "sh", *start],
            check=True,
            capture_output=True,
            timeout=300,
        )
        ports = (server.outside, server.submission)
        wait_for(lambda: all(map(answers, ports)), "Postfix to listen")
        yield server
    finally:
        server.stop()
        server.start()


def subjects(dovecot: Dovecot, person: Person, folder: str = "INBOX") -> list[str]:
    return [subject_of(seen.message) for seen in by_imap(dovecot, person, folder)]


def fates(log: str) -> set[str]:
    return set(re.findall(r"status=(\w+)", log))


def test_a_forwarded_message_arrives(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    write_rules(ann, f'forward to "{address(bob)}"\n')
    since = len(postfix.complete_log())
    send_from_outside(postfix, letter("lunch", to=address(ann)), to=address(ann))
    log = postfix.wait_until_quiet(since)
    assert fates(log) == {"sent"}
    (seen,) = by_imap(dovecot, bob)
    arrived = message_from_bytes(seen.message)
    assert arrived["Subject"] == "lunch"
    assert arrived["Return-Path"] == "<eve@example.net>"
    assert arrived["X-Mdeliver-Forwarded"].startswith(f"{ann.name}@")
    assert arrived.get_all("Delivered-To") == [address(bob)]
    assert subjects(dovecot, ann) == []


def test_two_who_forward_to_each_other(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    write_rules(ann, f'forward to "{address(bob)}"\n')
    write_rules(bob, f'also forward to "{address(ann)}"\nfile to imap/Mine\n')
    since = len(postfix.complete_log())
    send_from_outside(postfix, letter("round", to=address(ann)), to=address(ann))
    log = postfix.wait_until_quiet(since)
    assert subjects(dovecot, ann) == ["round"]
    assert subjects(dovecot, bob, "Mine") == ["round"]
    assert fates(log) == {"sent"}


def test_two_who_are_on_holiday(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    sent = "if sent by me: file to imap/Sent as seen\n"
    for person in (ann, bob):
        write_rules(person, f'{sent}reply with "I am away." every 0s\n')
    since = len(postfix.complete_log())
    question = letter("lunch", to=address(ann), sender=address(bob))
    submit(postfix, bob, question, to=[address(ann)])
    log = postfix.wait_until_quiet(since)
    assert subjects(dovecot, ann) == ["lunch"]
    assert subjects(dovecot, bob) == ["Auto: lunch"]
    assert subjects(dovecot, bob, "Sent") == ["lunch"]
    assert fates(log) == {"sent"}
    (seen,) = by_imap(dovecot, bob)
    reply = message_from_bytes(seen.message)
    assert reply["From"] == address(ann)
    assert reply["Return-Path"] == "<>"
    assert reply["Auto-Submitted"] == "auto-replied"
    assert reply["In-Reply-To"] == message_from_bytes(question)["Message-ID"]


def test_a_stranger_is_answered_once(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    write_rules(ann, 'reply with "I am away."\n')
    since = len(postfix.complete_log())
    for subject in ("one", "two"):
        send_from_outside(postfix, letter(subject, to=address(ann)), to=address(ann))
        postfix.wait_until_quiet(since)
    log = postfix.complete_log()[since:]
    assert sorted(subjects(dovecot, ann)) == ["one", "two"]
    assert len(re.findall(r"to=<eve@example\.net>.*status=sent", log)) == 1


def test_a_forged_message_that_is_forwarded_does_not_come_back_as_sent_by_oneself(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    """The forwarding sendmail ran as ann, and sender_bcc_maps has a copy for her sender address."""
    sent = "if sent by me: file to imap/Sent as seen\n"
    write_rules(ann, f'{sent}also forward to "{address(bob)}"\n')
    since = len(postfix.complete_log())
    forged = letter("forged", to=address(ann), sender=address(ann))
    send_from_outside(postfix, forged, to=address(ann), sender=address(ann))
    log = postfix.wait_until_quiet(since)
    assert set(subjects(dovecot, bob)) == {"forged"}
    assert subjects(dovecot, ann, "Sent") == []
    assert set(subjects(dovecot, ann)) == {"forged"}
    assert fates(log) == {"sent"}
