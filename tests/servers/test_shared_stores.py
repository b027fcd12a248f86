"""Dovecot and mdeliver in the same stores: at the same time, and by the same names."""

from __future__ import annotations

import base64
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.local8 import Person
from tests.mboxreader import read_mbox
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    by_imap,
    by_pop3,
    imap_session,
    letter,
    pop3_session,
    send_from_outside,
    subject_of,
)
from tests.servers.people import write_rules
from tests.servers.postfix import Postfix

pytestmark = pytest.mark.servers

EACH = 40


def test_dovecot_and_mdeliver_write_and_empty_the_same_mbox_at_once(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    """mdeliver appends, dovecot-lda appends, POP3 sessions download and delete: all at once."""
    downloaded: list[str] = []

    def through_postfix(number: int) -> str:
        message = letter(f"postfix {number}", to=address(ann), body="line\n" * number)
        return send_from_outside(postfix, message, to=address(ann))

    def through_dovecot(number: int) -> None:
        answer = dovecot.deliver_to_mbox(ann, letter(f"dovecot {number}", to=address(ann)))
        assert answer.status == 0, answer

    def download_and_delete(_number: int) -> None:
        with pop3_session(dovecot, ann) as session:
            for number in range(1, len(session.list()[1]) + 1):
                downloaded.append(subject_of(b"\n".join(session.retr(number)[1])))
                session.dele(number)

    with (
        ThreadPoolExecutor(4) as senders,
        ThreadPoolExecutor(2) as appenders,
        ThreadPoolExecutor(1) as reader,
    ):
        queue_ids = senders.map(through_postfix, range(EACH))
        appended = appenders.map(through_dovecot, range(EACH))
        sessions = reader.map(download_and_delete, range(10))
        for done in (appended, sessions):
            list(done)
        postfix.wait_until_delivered(*queue_ids)

    read_mbox(dovecot.mbox(ann), quoting="as is")
    left = [subject_of(message) for message in by_pop3(dovecot, ann)]
    from_postfix = Counter(f"postfix {number}" for number in range(EACH))
    from_dovecot = Counter(f"dovecot {number}" for number in range(EACH))
    assert Counter(downloaded + left) == from_postfix + from_dovecot
    assert Counter(subject_of(s.message) for s in by_imap(dovecot, ann)) == from_postfix


def in_imap(name: str) -> str:
    """A folder's name in IMAP's modified UTF-7 (RFC 3501, 5.1.3), steps joined with a dot."""
    steps = []
    for step in name.split("/"):
        coded = ""
        run = ""
        for character in step + "\0":
            if character.isascii():
                if run:
                    bits = base64.b64encode(run.encode("utf-16-be")).rstrip(b"=")
                    coded += f"&{bits.decode().replace('/', ',')}-"
                    run = ""
                coded += "&-" if character == "&" else character
            else:
                run += character
        steps.append(coded.rstrip("\0"))
    return ".".join(steps)


@pytest.mark.parametrize("folder", ["Lists/postfix/users", "Entwürfe/Größe", "R&D", "日本語"])
def test_folders_have_the_same_names_in_imap_and_are_subscribed(
    postfix: Postfix, dovecot: Dovecot, ann: Person, folder: str
) -> None:
    steps = "/".join(f'"{step}"' for step in folder.split("/"))
    write_rules(ann, f'if subject is "foldered":\n    file to imap/{steps} as flagged\n')
    message = letter("foldered", to=address(ann))
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann)))

    (seen,) = by_imap(dovecot, ann, in_imap(folder))
    assert subject_of(seen.message) == "foldered"
    assert seen.flags == {r"\Flagged"}
    with imap_session(dovecot, ann) as session:
        _, listed = session.lsub('""', "*")
    assert any(in_imap(folder) in str(line) for line in listed), listed


def test_a_folder_made_by_an_imap_client_is_used(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    with imap_session(dovecot, ann) as session:
        status, reply = session.create("Projects.2026")
        assert status == "OK", reply
    write_rules(ann, 'if subject is "plan":\n    file to imap/Projects/"2026" as seen\n')
    message = letter("plan", to=address(ann))
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann)))

    (seen,) = by_imap(dovecot, ann, "Projects.2026")
    assert seen.flags == {r"\Seen"}
