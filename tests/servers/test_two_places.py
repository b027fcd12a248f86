"""A message in, two places out: what people see by POP3 and IMAP."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.local8 import Person
from tests.mboxreader import read_mbox
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    body_of,
    by_imap,
    by_pop3,
    letter,
    pop3_session,
    send_from_outside,
    subject_of,
)
from tests.servers.people import write_rules
from tests.servers.postfix import Postfix

pytestmark = pytest.mark.servers

BURST = 100


def test_a_letter_from_outside_arrives_once_by_pop3_and_once_by_imap(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    body = "Grüße\n.\n..dots\n \nlast line\n"
    message = letter("greetings", to=address(ann), body=body)
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann)))

    downloaded = by_pop3(dovecot, ann)
    read = by_imap(dovecot, ann)

    assert len(downloaded) == len(read) == 1
    assert body_of(downloaded[0]) == body_of(read[0].message) == body.encode()
    assert read[0].flags == frozenset()
    # Postfix's own header lines stand before the sender's, which come out as they went in.
    assert downloaded[0].endswith(message)
    assert read[0].message.endswith(message)


def test_lines_that_look_like_a_new_message_stay_in_theirs(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    body = "From here on\n\nFrom ann@example.org  Mon Nov 13 10:00:00 2023\n>From there\nno end"
    message = letter("lookalikes", to=address(ann), body=body)
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann)))

    (stored,) = read_mbox(dovecot.mbox(ann))
    (read,) = by_imap(dovecot, ann)

    # SMTP ends every message with a line end.
    assert body_of(stored.message) == body_of(read.message) == body.encode() + b"\n"
    assert len(by_pop3(dovecot, ann)) == 1


def test_what_pop3_deletes_stays_in_imap(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    message = letter("downloaded", to=address(ann))
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann)))
    with pop3_session(dovecot, ann) as session:
        session.dele(1)

    assert by_pop3(dovecot, ann) == []
    # What may be left in the mbox is Dovecot's own note of its state.
    assert b"downloaded" not in dovecot.mbox(ann)
    assert [subject_of(seen.message) for seen in by_imap(dovecot, ann)] == ["downloaded"]


def test_a_burst_loses_and_doubles_nothing(postfix: Postfix, dovecot: Dovecot, ann: Person) -> None:
    def send(number: int) -> str:
        message = letter(f"burst {number}", to=address(ann), body="x" * 70 + "\n" * number)
        return send_from_outside(postfix, message, to=address(ann))

    with ThreadPoolExecutor(8) as clients:
        queue_ids = list(clients.map(send, range(BURST)))
    postfix.wait_until_delivered(*queue_ids)

    once = Counter(f"burst {number}" for number in range(BURST))
    assert Counter(map(subject_of, by_pop3(dovecot, ann))) == once
    assert Counter(subject_of(seen.message) for seen in by_imap(dovecot, ann)) == once
    assert len(read_mbox(dovecot.mbox(ann))) == BURST


def test_the_extension_of_the_address_reaches_the_rules(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    write_rules(ann, 'if extension is "lists":\n    file to imap/Lists\n')
    message = letter("extended", to=address(ann, "+lists"))
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann, "+lists")))

    assert [subject_of(s.message) for s in by_imap(dovecot, ann, "Lists")] == ["extended"]
    assert by_imap(dovecot, ann) == []
    assert by_pop3(dovecot, ann) == []
