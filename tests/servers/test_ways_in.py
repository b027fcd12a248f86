"""Every way in which the README says that a Postfix comes to mdeliver, as it is written there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import LDA, lacking
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
    submit,
)
from tests.servers.people import write_rules
from tests.servers.postfix import Postfix

pytestmark = pytest.mark.servers


def subjects(dovecot: Dovecot, person: Person, folder: str = "INBOX") -> list[str]:
    return [subject_of(seen.message) for seen in by_imap(dovecot, person, folder)]


def write_forward(person: Person, text: str) -> Path:
    path = person.home / ".forward"
    path.write_text(text)
    os.chown(path, person.uid, person.gid)
    path.chmod(0o600)
    return path


@pytest.fixture
def on_procmail(box: Box) -> Iterator[Postfix]:
    """A Postfix that still delivers with procmail."""
    procmail = shutil.which("procmail")
    if procmail is None:
        lacking("procmail is not installed")
    try:
        box.postfix.use_mailbox_command(f"{procmail} -a $EXTENSION")
        yield box.postfix
    finally:
        box.postfix.use_mailbox_command(box.mailbox_command)


@pytest.fixture
def own_table(box: Box) -> Iterator[Path]:
    """A file that sender_bcc_maps is read from for a while."""
    table = box.postfix.top / "sender_bcc"
    try:
        yield table
    finally:
        box.postfix.use_mailbox_command(box.mailbox_command)
        table.unlink(missing_ok=True)


def test_from_procmail_in_three_lines(on_procmail: Postfix, dovecot: Dovecot, ann: Person) -> None:
    postfix = on_procmail
    before = send_from_outside(postfix, letter("procmail's", to=address(ann)), to=address(ann))
    postfix.wait_until_delivered(before)
    assert subjects(dovecot, ann) == []

    postfix.run("postconf", "-e", f"mailbox_command = {LDA}")
    postfix.run("postfix", "check")
    postfix.reload()

    after = send_from_outside(postfix, letter("mdeliver's", to=address(ann)), to=address(ann))
    postfix.wait_until_delivered(after)
    assert subjects(dovecot, ann) == ["mdeliver's"]
    # The mbox that procmail wrote to is the one that mdeliver goes on with.
    downloaded = [subject_of(message) for message in by_pop3(dovecot, ann)]
    assert downloaded == ["procmail's", "mdeliver's"]


def test_for_one_user_first(
    on_procmail: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    postfix = on_procmail
    commands = f"inline:{{ {{ {ann.name} = {LDA} }} }}"
    postfix.run("postconf", "-e", f"mailbox_command_maps = {commands}")
    postfix.reload()

    for person in (ann, bob):
        message = letter(f"to {person.name}", to=address(person))
        postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(person)))
    assert subjects(dovecot, ann) == [f"to {ann.name}"]
    assert subjects(dovecot, bob) == []
    assert [subject_of(message) for message in by_pop3(dovecot, bob)] == [f"to {bob.name}"]


def test_by_a_users_own_forward_file(on_procmail: Postfix, dovecot: Dovecot, ann: Person) -> None:
    postfix = on_procmail
    write_forward(ann, f'"|{LDA}"\n')
    write_rules(
        ann,
        'if subject contains "list": file to imap/Lists\n'
        'if extension is "old": reject "5.1.1 this address is no longer in use"\n',
    )
    for subject in ("a letter", "a list"):
        message = letter(subject, to=address(ann))
        postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann)))
    assert subjects(dovecot, ann) == ["a letter"]
    assert subjects(dovecot, ann, "Lists") == ["a list"]

    rejected = send_from_outside(
        postfix, letter("rejected", to=address(ann, "+old")), to=address(ann, "+old")
    )
    postfix.wait_until_removed(rejected)
    (line,) = [x for x in postfix.lines_about(rejected) if "status=bounced" in x]
    assert "dsn=5.1.1" in line


def test_a_deferral_by_a_forward_file_is_delivered_once_when_it_is_mended(
    on_procmail: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    postfix = on_procmail
    write_forward(ann, f'"|{LDA}"\n')
    rules = write_rules(ann, "file in imap/X\n")
    queue_id = send_from_outside(postfix, letter("waits", to=address(ann)), to=address(ann))
    assert "dsn=4.3.5" in postfix.wait_until_deferred(queue_id)

    rules.unlink()
    postfix.flush()
    postfix.wait_until_removed(queue_id)
    assert subjects(dovecot, ann) == ["waits"]
    assert [subject_of(message) for message in by_pop3(dovecot, ann)] == ["waits"]


def test_sent_copies_by_a_table_in_a_file(
    own_table: Path, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    own_table.write_text("".join(f"{address(x)} {address(x)}\n" for x in (ann, bob)))
    postfix.run("postconf", "-e", f"sender_bcc_maps = texthash:{own_table}")
    postfix.reload()
    message = letter("by a table", to=address(bob), sender=address(ann))
    postfix.wait_until_delivered(submit(postfix, ann, message, to=[address(bob)]))

    assert subjects(dovecot, ann, "Sent") == ["by a table"]
    assert subjects(dovecot, bob) == ["by a table"]
