"""Evidence of one's own mail; the plain cases are in tests/cases/explain/me.test."""

from __future__ import annotations

import pytest

from mdeliver.conditions.facts import addressed_to_me, sent_by_me
from mdeliver.envelope import Envelope
from mdeliver.message import Message
from mdeliver.scene import Scene, without_extension
from mdeliver.settings import Site

SITE = Site(("example.org", "example.net"), "mail.example.org", "+-")
ENVELOPE = Envelope(
    "ann", "/home/ann", 1000, "ann@example.org", "ann+x@example.org", domain="example.org"
)


def scene(head: str = "", site: Site = SITE, **envelope: str) -> Scene:
    return Scene(Message(head.encode(), 1), ENVELOPE.replace(**envelope), site, 0.0, True)


@pytest.mark.parametrize(
    ("login", "mine"),
    [
        ("ann", True),
        ("ann@example.org", True),
        ("ann@EXAMPLE.net", True),
        ("ann@example.com", False),  # not a domain of this site
        ("Ann", False),  # case counts in user names
        ("annie", False),
        ("bob", False),
        ("ann@", False),
        ("@example.org", False),
        ("ann@example.org@example.com", False),
    ],
)
def test_the_authenticated_user(login: str, mine: bool) -> None:
    assert sent_by_me(scene(sasl_username=login)) is mine


def test_never_with_the_null_sender() -> None:
    assert not sent_by_me(scene(sasl_username="ann", sender=""))


PICKUP = "Received: by mail.example.org (Postfix, from userid 1000)\n\tid 4ABC; Mon\n\n"


@pytest.mark.parametrize(
    ("head", "mine"),
    [
        (PICKUP, True),
        ("Delivered-To: ann@example.org\n" + PICKUP, True),
        (PICKUP.replace("mail.", "other."), False),
        (PICKUP.replace("1000", "10000"), False),
        (PICKUP.replace("1000)", "1000 )"), False),
        (PICKUP.replace("by", "from x by"), False),
        ("Received: from x by mail.example.org (Postfix)\n" + PICKUP, False),
        ("Subject: " + PICKUP, False),
        ("", False),
        ("Received:\n", False),
    ],
)
def test_submitted_on_this_host(head: str, mine: bool) -> None:
    assert sent_by_me(scene(head)) is mine
    # Whatever came over SMTP, or from somebody else's login, is not.
    assert not sent_by_me(scene(head, client_address="192.0.2.1"))
    assert not sent_by_me(scene(head, sasl_username="bob"))


def test_what_ones_own_rule_forwarded_is_not_sent_by_oneself() -> None:
    """The envelope sender is whoever wrote it, or a forger; sendmail ran as this user."""
    assert not sent_by_me(scene(f"{PICKUP[:-1]}X-Mdeliver-Forwarded: ann@mail.example.org\n\n"))
    assert sent_by_me(scene(f"{PICKUP[:-1]}X-Mdeliver-Forwarded: bob@mail.example.org\n\n"))


def test_the_short_name_of_this_host() -> None:
    assert sent_by_me(scene(PICKUP, Site(hostname="mail")))
    assert not sent_by_me(scene(PICKUP, Site(hostname="mai")))
    assert not sent_by_me(scene(PICKUP, Site(hostname="mail.example.com")))


@pytest.mark.parametrize(
    ("head", "mine"),
    [
        ("To: ann@example.net", True),
        ("Cc: x@y, Ann <ANN@Example.ORG>", True),
        ("Resent-To: ann@example.org", True),
        ("To: ann+lists@example.org", True),
        ("Bcc: ann@example.org", False),
        ("To: ann@example.com", False),
        ('To: "ann@example.org" <x@y>', False),
        ("To: annie@example.org", False),
        ("", False),
    ],
)
def test_addressed_to_me(head: str, mine: bool) -> None:
    assert addressed_to_me(scene(head + "\n\n")) is mine


@pytest.mark.parametrize(
    ("local", "base"), [("ann+x", "ann"), ("ann-x+y", "ann"), ("ann", "ann"), ("+ann", "+ann")]
)
def test_without_extension(local: str, base: str) -> None:
    assert without_extension(local, SITE) == base


def test_who_i_am_where_the_site_says_nothing() -> None:
    assert scene(site=Site()).my_addresses() == ("ann@example.org",)
    nowhere = scene(site=Site(hostname="mail"), domain="", recipient="ann")
    assert nowhere.my_addresses() == ("ann@mail",)
