"""Sent copies: sender_bcc_maps brings one back, and only a real sender's goes to Sent."""

from __future__ import annotations

import pytest

from tests.local8 import Person
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    by_imap,
    by_pop3,
    letter,
    send_from_outside,
    sendmail,
    subject_of,
    submit,
)
from tests.servers.postfix import Postfix

pytestmark = pytest.mark.servers

SEEN = frozenset({r"\Seen"})


def imap_subjects(dovecot: Dovecot, person: Person, folder: str = "INBOX") -> list[str]:
    return [subject_of(seen.message) for seen in by_imap(dovecot, person, folder)]


def pop3_subjects(dovecot: Dovecot, person: Person) -> list[str]:
    return [subject_of(message) for message in by_pop3(dovecot, person)]


def test_what_ann_submits_to_bob_is_his_and_in_her_sent_folder_already_read(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = letter("to bob", to=address(bob), sender=address(ann))
    postfix.wait_until_delivered(submit(postfix, ann, message, to=[address(bob)]))

    assert imap_subjects(dovecot, bob) == pop3_subjects(dovecot, bob) == ["to bob"]
    (copy,) = by_imap(dovecot, ann, "Sent")
    assert copy.message.endswith(message)
    assert copy.flags == SEEN
    assert imap_subjects(dovecot, ann) == pop3_subjects(dovecot, ann) == []
    # Bob was sent it; he has not sent it.
    assert imap_subjects(dovecot, bob, "Sent") == []


def test_what_ann_submits_to_herself_is_in_her_inbox_and_in_sent(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    message = letter("note to self", to=address(ann), sender=address(ann))
    postfix.wait_until_delivered(submit(postfix, ann, message, to=[address(ann)]))

    assert imap_subjects(dovecot, ann) == pop3_subjects(dovecot, ann) == ["note to self"]
    (copy,) = by_imap(dovecot, ann, "Sent")
    assert copy.flags == SEEN


@pytest.mark.parametrize("client", ["198.51.100.7", ""], ids=["stranger", "loopback"])
def test_a_forged_sender_from_outside_goes_to_the_inbox_and_not_to_sent(
    postfix: Postfix, dovecot: Dovecot, ann: Person, client: str
) -> None:
    message = letter("forged", to=address(ann), sender=address(ann))
    queue_id = send_from_outside(
        postfix, message, to=address(ann), sender=address(ann), client=client
    )
    postfix.wait_until_delivered(queue_id)

    assert imap_subjects(dovecot, ann) == pop3_subjects(dovecot, ann) == ["forged"]
    assert imap_subjects(dovecot, ann, "Sent") == []


def test_a_forged_letter_to_bob_does_not_put_its_copy_into_anns_sent_folder(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = letter("forged to bob", to=address(bob), sender=address(ann))
    queue_id = send_from_outside(postfix, message, to=address(bob), sender=address(ann))
    postfix.wait_until_delivered(queue_id)

    assert imap_subjects(dovecot, bob) == ["forged to bob"]
    assert imap_subjects(dovecot, ann, "Sent") == []
    # The map fired, so a copy came to her, and mail is never lost.
    assert imap_subjects(dovecot, ann) == ["forged to bob"]


def test_what_ann_sends_with_sendmail_on_this_host_is_in_her_sent_folder(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = letter("from the shell", to=address(bob), sender=address(ann))
    postfix.wait_until_delivered(sendmail(postfix, ann, message, to=[address(bob)]))

    assert imap_subjects(dovecot, bob) == pop3_subjects(dovecot, bob) == ["from the shell"]
    (copy,) = by_imap(dovecot, ann, "Sent")
    assert copy.flags == SEEN
    assert imap_subjects(dovecot, ann) == pop3_subjects(dovecot, ann) == []


def test_what_bob_sends_with_anns_address_on_this_host_is_not_hers(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = letter("not hers", to=address(bob), sender=address(ann))
    queue_id = sendmail(postfix, bob, message, to=["-f", address(ann), address(bob)])
    postfix.wait_until_delivered(queue_id)

    assert imap_subjects(dovecot, ann, "Sent") == []
    assert imap_subjects(dovecot, ann) == ["not hers"]
