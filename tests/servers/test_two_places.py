"""A message in, two places out: what people see by POP3 and IMAP."""

from __future__ import annotations

import pytest

from tests.local8 import Person
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    body_of,
    by_imap,
    by_pop3,
    letter,
    send_from_outside,
)
from tests.servers.postfix import Postfix

pytestmark = pytest.mark.servers


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
