"""What goes wrong stays in the queue, says why in the mail log, and is delivered once when mended.

Nothing but an explicit reject may bounce.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import LDA, copy_installation, open_directory
from tests.local8 import Person
from tests.servers.conftest import Box
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    by_imap,
    by_pop3,
    letter,
    send_from_outside,
    subject_of,
)
from tests.servers.people import SPOOL, make_spool, write_rules
from tests.servers.postfix import Postfix
from tests.waiting import wait_for

pytestmark = pytest.mark.servers


def assert_once(dovecot: Dovecot, person: Person, subject: str) -> None:
    assert [subject_of(seen.message) for seen in by_imap(dovecot, person)] == [subject]
    assert [subject_of(message) for message in by_pop3(dovecot, person)] == [subject]


def test_broken_rules_keep_mail_in_the_queue_until_they_are_mended(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    rules = write_rules(ann, 'if subject contains "x":\n    file in imap/X\n')
    queue_id = send_from_outside(postfix, letter("waits", to=address(ann)), to=address(ann))

    said = postfix.wait_until_deferred(queue_id)
    assert f"{rules}:2:" in said
    assert "dsn=4.3.5" in said
    assert queue_id in postfix.in_queue()
    assert by_imap(dovecot, ann) == []

    rules.unlink()
    postfix.flush()
    postfix.wait_until_removed(queue_id)
    assert_once(dovecot, ann, "waits")


def test_a_reject_goes_back_to_the_sender_with_its_text(
    postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    write_rules(ann, 'if subject is "begone":\n    reject "5.7.1 no mail from you, please"\n')
    message = letter("begone", to=address(ann), sender=address(bob))
    queue_id = send_from_outside(postfix, message, to=address(ann), sender=address(bob))
    postfix.wait_until_removed(queue_id)

    (bounced,) = [line for line in postfix.lines_about(queue_id) if "status=bounced" in line]
    assert "dsn=5.7.1" in bounced
    assert "no mail from you, please" in bounced
    assert by_imap(dovecot, ann) == []
    # The bounce is a message of its own, and bob gets it.
    returned = wait_for(
        lambda: [s.message for s in by_imap(dovecot, bob) if b"no mail from you" in s.message],
        "the bounce to reach bob",
    )
    assert len(returned) == 1


def test_without_an_mbox_in_var_mail_the_message_waits_for_the_administrator(
    postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    """/var/mail is 2775 root:mail: a user's process can make neither file nor dotlock there."""
    spool = SPOOL / ann.name
    spool.unlink()
    queue_id = send_from_outside(postfix, letter("homeless", to=address(ann)), to=address(ann))

    assert str(spool) in postfix.wait_until_deferred(queue_id)
    assert by_imap(dovecot, ann) == []

    make_spool(ann)
    postfix.flush()
    postfix.wait_until_removed(queue_id)
    assert_once(dovecot, ann, "homeless")


@pytest.fixture
def broken_copy(box: Box) -> Iterator[Path]:
    """The package of a copy of the installation, to be broken, as mailbox_command."""
    top = open_directory("broken")
    try:
        package = copy_installation(top)
        box.postfix.use_mailbox_command(str(top / "bin" / LDA.name))
        yield package
    finally:
        box.postfix.use_mailbox_command(box.mailbox_command)
        shutil.rmtree(top)


def test_a_broken_installation_defers_and_never_bounces(
    postfix: Postfix, dovecot: Dovecot, ann: Person, broken_copy: Path
) -> None:
    victims = [broken_copy / name for name in ("deliver/mbox.py", "__main__.py", "outcome.py")]
    queue_id = ""
    for times, victim in enumerate([*victims, broken_copy], 1):
        away = victim.with_name("away")
        victim.rename(away)
        if queue_id:
            postfix.flush()
        else:
            message = letter("survives", to=address(ann))
            queue_id = send_from_outside(postfix, message, to=address(ann))
        postfix.wait_until_deferred(queue_id, times=times)
        away.rename(victim)

    postfix.flush()
    postfix.wait_until_removed(queue_id)
    assert_once(dovecot, ann, "survives")
