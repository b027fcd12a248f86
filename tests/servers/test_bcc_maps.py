"""Sent copies as `mdeliver bcc-maps --apply` sets them up: by tag, for those who log in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.installation import LDA, open_directory
from tests.local8 import Person
from tests.servers.conftest import Box
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import (
    address,
    authenticated,
    by_imap,
    by_pop3,
    imap_session,
    letter,
    send_from_outside,
    sendmail,
    subject_of,
    submit,
)
from tests.servers.people import write_rules
from tests.servers.ports import answers_at
from tests.servers.postfix import Postfix
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

SEEN = frozenset({r"\Seen"})
MDELIVER = Path(sys.prefix) / "bin" / "mdeliver"


OTHER = "ann.other@virtual.example"


class Site:
    """The site's own files, and the command that makes Postfix's."""

    def __init__(self, box: Box, top: Path) -> None:
        self.box = box
        self.top = top
        self.settings = top / "mdeliver.toml"
        users = "".join(f"{address(p)} {p.name}\n" for p in box.people)
        # Ann has another address, in a virtual domain that Postfix maps to her.
        users += f"{OTHER} {box.people[0].name}\n"
        (top / "users").write_text(users)
        self.settings.write_text(
            f'[bcc_maps]\nsources = ["list:{top}/users"]\nkey = "{top}/keys"\ntags = "{top}/tags"\n'
            f'postfix = "{box.postfix.configuration}"\n'
        )

    def run(self, *options: str, status: int = 0) -> str:
        """Run `mdeliver bcc-maps` for this site; returns what it printed."""
        command = [str(MDELIVER), "bcc-maps", "--settings", str(self.settings), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == status, done
        return done.stdout

    def extension(self, person: Person) -> str:
        """The extension of the person's Sent address, as Postfix would find it."""
        found = self.box.postfix.run(
            "postmap", "-q", address(person), f"hash:{self.box.postfix.configuration}/sender_bcc"
        )
        tagged = re.fullmatch(rf"{person.name}(\+sent-[a-z2-7]{{20}})@example\.org\n", found)
        assert tagged, found
        return tagged[1]


@contextmanager
def lmtp_server(site: Site) -> Iterator[None]:
    """A running `mdeliver lmtp`, to which Postfix gives all mail of local users."""
    postfix = site.box.postfix
    socket = site.top / "lmtp"
    command = [str(MDELIVER), "lmtp", "--settings", str(site.settings)]
    command += ["--listen", f"unix:{socket}", "--launcher", ""]
    with (
        (site.top / "lmtp.log").open("wb") as log,
        subprocess.Popen(command, stderr=log, stdout=log) as server,
    ):
        try:
            wait_for(lambda: answers_at(socket), "the LMTP server")
            postfix.run("postconf", "-e", f"mailbox_transport = lmtp:unix:{socket}")
            postfix.reload()
            yield
        finally:
            server.terminate()
            postfix.run("postconf", "-X", "mailbox_transport")


@pytest.fixture(scope="module", params=["mailbox_command", "lmtp"])
def site(request: pytest.FixtureRequest, box: Box) -> Iterator[Site]:
    """The box, set up by --apply; taken back by --undo."""
    top = open_directory("sent")
    made = Site(box, top)
    master = box.postfix.configuration / "master.cf"
    try:
        box.postfix.use_mailbox_command(f"{LDA} --settings {made.settings}")
        # The deliveries' half of the settings names where the tags are.
        text = made.settings.read_text()
        made.settings.write_text(f'{text}\n[sent]\nbelieve_tags = true\ntags = "{top}/tags"\n')
        postfix = box.postfix
        postfix.run("postconf", "-e", "virtual_alias_domains = virtual.example")
        aliases = f"inline:{{ {{ {OTHER} = {address(box.people[0])} }} }}"
        postfix.run("postconf", "-e", f"virtual_alias_maps = {aliases}")
        with lmtp_server(made) if request.param == "lmtp" else nullcontext():
            before = master.read_text()
            made.run("--apply")
            # Its reload does not wait for what has read the settings before.
            postfix.reload()
            yield made
            made.run("--undo")
            assert master.read_text() == before
    finally:
        box.postfix.use_mailbox_command(box.mailbox_command)
        shutil.rmtree(top)


def subjects(dovecot: Dovecot, person: Person, folder: str = "INBOX") -> list[str]:
    return [subject_of(seen.message) for seen in by_imap(dovecot, person, folder)]


def popped(dovecot: Dovecot, person: Person) -> list[str]:
    return [subject_of(message) for message in by_pop3(dovecot, person)]


def send(postfix: Postfix, person: Person, subject: str, *to: str) -> bytes:
    """PERSON submits a letter; returns it once Postfix is done with it."""
    message = letter(subject, to=to[0], sender=address(person))
    postfix.wait_until_delivered(submit(postfix, person, message, to=to))
    return message


def test_what_ann_submits_is_in_sent_once_already_read_and_the_tag_is_nowhere(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = send(postfix, ann, "to bob", address(bob))

    (copy,) = by_imap(dovecot, ann, "Sent")
    assert copy.flags == SEEN
    assert copy.message.endswith(message)
    assert f"Delivered-To: {address(ann)}\n".encode() in copy.message
    assert b"+sent-" not in copy.message
    assert subjects(dovecot, ann) == popped(dovecot, ann) == []
    assert subjects(dovecot, bob) == popped(dovecot, bob) == ["to bob"]
    stored = [path.read_bytes() for path in ann.home.rglob("*") if path.is_file()]
    tag = site.extension(ann)[1:].encode()
    assert not any(tag in octets for octets in stored)


def test_a_note_to_oneself_is_in_the_inbox_once_and_in_sent_once(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    send(postfix, ann, "note", address(ann))
    assert subjects(dovecot, ann) == popped(dovecot, ann) == ["note"]
    assert subjects(dovecot, ann, "Sent") == ["note"]


def test_from_another_address_of_hers_to_several_of_hers_it_is_in_sent_once(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    message = letter("many addresses", to=address(ann), sender=OTHER)
    to = [address(ann), address(ann, "+lists"), OTHER]
    postfix.wait_until_delivered(submit(postfix, ann, message, to=to, sender=OTHER))
    (copy,) = by_imap(dovecot, ann, "Sent")
    assert copy.flags == SEEN
    assert b"+sent-" not in copy.message
    assert set(subjects(dovecot, ann)) == {"many addresses"}


@pytest.mark.parametrize("client", ["198.51.100.7", ""], ids=["stranger", "loopback"])
def test_a_forged_sender_brings_nothing_back_at_all(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person, client: str
) -> None:
    for to in (address(bob), address(ann)):
        message = letter("forged", to=to, sender=address(ann))
        queue_id = send_from_outside(postfix, message, to=to, sender=address(ann), client=client)
        postfix.wait_until_delivered(queue_id)
    assert subjects(dovecot, ann, "Sent") == []
    assert subjects(dovecot, ann) == popped(dovecot, ann) == ["forged"]
    assert subjects(dovecot, bob) == ["forged"]


def test_bob_cannot_submit_with_anns_address(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    with authenticated(postfix, bob) as server:
        server.mail(address(ann))
        code, reply = server.rcpt(address(bob))
    assert (code, b"not owned by user" in reply) == (553, True), reply
    assert subjects(dovecot, ann, "Sent") == []


def test_the_tag_of_another_user_or_of_no_key_leads_to_the_inbox(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    wrong = {"bobs": site.extension(bob), "made up": "+sent-" + "a" * 20}
    for subject, extension in wrong.items():
        to = address(ann, extension)
        message = letter(subject, to=address(bob), sender=address(ann))
        queue_id = send_from_outside(postfix, message, to=to, sender=address(ann))
        postfix.wait_until_delivered(queue_id)
    assert subjects(dovecot, ann, "Sent") == []
    inbox = by_imap(dovecot, ann)
    assert [subject_of(seen.message) for seen in inbox] == list(wrong)
    # A secret of bob's is not ann's to see.
    assert not any(b"+sent-" in seen.message for seen in inbox)


def test_no_bounce_is_sent_by_me(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    message = letter("bounce", to=address(ann), sender="")
    to = address(ann, site.extension(ann))
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=to, sender=""))
    assert subjects(dovecot, ann, "Sent") == []
    assert subjects(dovecot, ann) == ["bounce"]


def test_tags_of_the_key_before_stay_valid_and_forgotten_ones_end(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    before = site.extension(ann)
    site.run("--rotate")
    between = site.extension(ann)
    assert between != before
    for subject, forget in (("late", False), ("too late", True)):
        if forget:
            site.run("--rotate", "--forget")
        message = letter(subject, to="eve@example.net", sender=address(ann))
        queue_id = send_from_outside(postfix, message, to=address(ann, before), sender=address(ann))
        postfix.wait_until_delivered(queue_id)
    assert subjects(dovecot, ann, "Sent") == ["late"]
    assert subjects(dovecot, ann) == ["too late"]
    postfix.reload()


def upload(dovecot: Dovecot, person: Person, message: bytes) -> None:
    """What many clients do by themselves: append what was sent to Sent."""
    with imap_session(dovecot, person) as session:
        session.create("Sent")
        octets = message.replace(b"\n", b"\r\n")
        status, said = session.append("Sent", r"(\Seen)", time.gmtime(), octets)
        assert status == "OK", said


def test_a_client_that_has_uploaded_its_copy_has_one(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = letter("uploaded first", to=address(bob), sender=address(ann))
    upload(dovecot, ann, message)
    postfix.wait_until_delivered(submit(postfix, ann, message, to=[address(bob)]))
    assert [seen.message for seen in by_imap(dovecot, ann, "Sent")] == [message]
    assert subjects(dovecot, ann) == popped(dovecot, ann) == []


def test_a_client_that_uploads_a_moment_later_has_one_from_the_next_delivery_on(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = send(postfix, ann, "uploaded later", address(bob))
    upload(dovecot, ann, message)
    assert subjects(dovecot, ann, "Sent") == ["uploaded later"] * 2

    other = letter("anything", to=address(ann))
    postfix.wait_until_delivered(send_from_outside(postfix, other, to=address(ann)))
    assert [seen.message for seen in by_imap(dovecot, ann, "Sent")] == [message]
    assert subjects(dovecot, ann) == ["anything"]


def test_a_resent_message_is_another_one(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    message = send(postfix, ann, "first", address(bob))
    resent = b"Resent-From: <" + address(ann).encode() + b">\nResent-Date: now\n" + message
    postfix.wait_until_delivered(submit(postfix, ann, resent, to=["eve@example.net"]))
    assert subjects(dovecot, ann, "Sent") == ["first", "first"]


def test_what_sendmail_is_given_on_this_host_is_told_by_the_user_id(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    for person, subject in ((ann, "ann's own"), (bob, "not hers")):
        message = letter(subject, to="eve@example.net", sender=address(ann))
        options = ["-f", address(ann), "eve@example.net"]
        postfix.wait_until_delivered(sendmail(postfix, person, message, to=options))
    assert subjects(dovecot, ann, "Sent") == ["ann's own"]
    assert subjects(dovecot, ann) == ["not hers"]


def test_rules_see_the_copy_as_sent_by_me_and_not_addressed_to_me(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    write_rules(
        ann,
        "if sent by me and addressed to me:\n    file to imap/Both\n"
        'elif sent by me: file to imap/"My {sent}"\n',
    )
    send(postfix, ann, "filed", address(bob))
    assert subjects(dovecot, ann, "My Sent") == ["filed"]
    assert subjects(dovecot, ann, "Both") == []


def test_new_senders_are_added_and_a_check_says_what_is_stale(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    users = site.top / "users"
    before = users.read_text()
    assert "unchanged" in site.run("--check")
    users.write_text(f"{before}ann.example@example.org {ann.name}\n")
    assert json.loads(site.run("--check", "--json", status=1))["added"] == [
        "ann.example@example.org"
    ]
    site.run()
    table = f"hash:{postfix.configuration}/sender_bcc"
    found = postfix.run("postmap", "-q", "Ann.Example@example.org", table)
    assert found == address(ann, site.extension(ann)) + "\n"
    users.write_text(before)
    assert "- ann.example@example.org" in site.run()


def test_postfix_asks_the_live_server_and_a_new_address_needs_no_table(
    site: Site, postfix: Postfix, dovecot: Dovecot, ann: Person, bob: Person
) -> None:
    serving = [str(MDELIVER), "bcc-maps", "--settings", str(site.settings), "--serve"]
    path = site.top / "bcc-maps"
    before = site.settings.read_text()
    serve = f'[bcc_maps]\nserve = "unix:{path}"\n'
    site.settings.write_text(before.replace("[bcc_maps]\n", serve))
    users = site.top / "users"
    known = users.read_text()
    with subprocess.Popen(serving) as server:
        try:
            wait_for(lambda: answers_at(path), "the live server")
            for table in ("sender_bcc", "sender_bcc-login"):
                maps = f"socketmap:unix:{path}:{table}"
                setting = {
                    "sender_bcc": "cleanup-sent/unix/sender_bcc_maps",
                    "sender_bcc-login": f"{postfix.submission_service}/smtpd_sender_login_maps",
                }[table]
                postfix.run("postconf", "-P", f"{setting}={maps}")
            postfix.reload()
            send(postfix, ann, "live", address(bob))
            assert subjects(dovecot, ann, "Sent") == ["live"]

            new = "ann.new@example.org"
            users.write_text(f"{known}{new} {ann.name}\n")
            asked = ["postmap", "-q", new, f"socketmap:unix:{path}:sender_bcc"]
            found = f"{ann.name}+sent-"
            wait_for(lambda: postfix.run(*asked, check=False).startswith(found), "the new address")
            message = letter("from the new one", to=address(bob), sender=new)
            queue_id = submit(postfix, ann, message, to=[address(bob)], sender=new)
            postfix.wait_until_delivered(queue_id)
            assert "from the new one" in subjects(dovecot, ann, "Sent")
        finally:
            server.terminate()
            users.write_text(known)
            site.settings.write_text(before)
            # As --apply has set it, so that --undo finds what it knows.
            for setting, end in (
                ("cleanup-sent/unix/sender_bcc_maps", ""),
                (f"{postfix.submission_service}/smtpd_sender_login_maps", "-login"),
            ):
                table = f"hash:{postfix.configuration}/sender_bcc{end}"
                postfix.run("postconf", "-P", f"{setting}={table}")
            postfix.reload()
