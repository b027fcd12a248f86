"""Postfix takes a message from a stranger, and rules go by what the DNS says of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import open_directory
from tests.lmtpserver import Server
from tests.local8 import Person
from tests.servers.conftest import Box
from tests.servers.mailclients import address, authenticated, letter, send_from_outside
from tests.servers.people import write_rules
from tests.servers.postfix import Postfix
from tests.servers.zone import served
from tests.signing import key_record, rsa_key, signed
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

ZONE = f"""\
example.net TXT v=spf1 ip4:198.51.100.7 -all
_dmarc.example.net TXT v=DMARC1; p=reject
sel._domainkey.example.net TXT {key_record(rsa_key()).removeprefix("v=DKIM1; k=rsa; ")}
slow.example broken
"""
RULES = """\
mailbox imap = maildir "~/Maildir"
if spf temperror:
    file to imap/Unsure
elif spf fail and dkim pass and dmarc pass:
    file to imap/Signed
elif spf fail:
    file to imap/Forged
elif spf pass and dmarc pass:
    file to imap/Known
"""


@pytest.fixture(scope="module")
def routed(box: Box) -> Iterator[Path]:
    """Postfix hands all local mail to a socket; the directory that it is in."""
    top = open_directory("lmtp")
    try:
        box.postfix.use_settings(
            f"mailbox_transport = lmtp:unix:{top}/lmtp.sock", "lmtp_send_xforward_command = yes"
        )
        yield top
    finally:
        box.postfix.use_settings()
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="module")
def server(routed: Path) -> Iterator[Server]:
    """The LMTP server, which asks a name server of its own."""
    with served(ZONE) as name_server:
        made = Server(routed, users="system", socket_user="postfix", slow_s=250)
        asked = {"compute": "asked", "resolver": [name_server], "seconds": 250}
        made.tables = {"authentication": asked}
        made.start()
        try:
            yield made
        finally:
            assert made.stop() == 0


def in_folder(person: Person, name: str) -> bytes:
    """The one message of a folder."""
    new = person.home / "Maildir" / f".{name}" / "new"
    wait_for(lambda: new.is_dir() and len(list(new.iterdir())) == 1, f"a message in {name}")
    (path,) = new.iterdir()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("client", "sender", "folder", "said"),
    [
        ("198.51.100.7", "eve@example.net", "Known", b"spf=pass (198.51.100.7 may send"),
        ("203.0.113.9", "eve@example.net", "Forged", b"spf=fail (203.0.113.9 is not among"),
        ("203.0.113.9", "eve@slow.example", "Unsure", b"spf=temperror "),
    ],
)
def test_a_stranger_is_judged_by_the_dns(
    server: Server,
    postfix: Postfix,
    ann: Person,
    client: str,
    sender: str,
    folder: str,
    said: bytes,
) -> None:
    write_rules(ann, RULES)
    message = letter("hello", to=address(ann), sender=sender)
    postfix.wait_until_delivered(
        send_from_outside(postfix, message, to=address(ann), sender=sender, client=client)
    )
    stored = in_folder(ann, folder)
    results, received = stored.index(b"Authentication-Results: "), stored.index(b"Received: ")
    assert results < received < stored.index(said) + len(stored)
    assert said in stored[results:received]
    assert stored.endswith(message)


def test_a_signature_outlives_what_passes_it_on(
    server: Server, postfix: Postfix, ann: Person
) -> None:
    write_rules(ann, RULES)
    plain = letter("signed", to=address(ann))
    message = signed(plain, rsa_key(), "example.net").replace(b"\r\n", b"\n")
    postfix.wait_until_delivered(
        send_from_outside(postfix, message, to=address(ann), client="203.0.113.9")
    )
    stored = in_folder(ann, "Signed")
    assert b"dkim=pass (signed by example.net) header.d=example.net" in stored
    # What was stored can still be checked by whoever reads it.
    assert stored.endswith(message)


def test_what_a_sender_wrote_in_our_name_goes(
    server: Server, postfix: Postfix, ann: Person
) -> None:
    write_rules(ann, RULES)
    ours = postfix.run("postconf", "-h", "myhostname").strip()
    forged = f"Authentication-Results: {ours}; spf=pass; dmarc=pass\n".encode()
    message = forged + letter("forged", to=address(ann))
    postfix.wait_until_delivered(
        send_from_outside(postfix, message, to=address(ann), client="203.0.113.9")
    )
    stored = in_folder(ann, "Forged")
    assert (stored.count(b"Authentication-Results:"), b"spf=pass" in stored) == (1, False)


def test_who_submits_with_a_password_is_not_judged(
    server: Server, postfix: Postfix, ann: Person, bob: Person
) -> None:
    write_rules(ann, RULES + "elif spf none:\n    file to imap/Own\n")
    message = letter("from bob", to=address(ann), sender="bob@example.net")
    with authenticated(postfix, bob) as session:
        session.sendmail("bob@example.net", [address(ann)], message)
    assert b"Authentication-Results" not in in_folder(ann, "Own")
