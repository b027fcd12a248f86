"""Who is answered automatically, and who never."""

from __future__ import annotations

import pytest

from mdeliver.answerable import asked_at, why_not
from mdeliver.envelope import Envelope
from mdeliver.message import Message
from mdeliver.plan import AS_IT_CAME
from mdeliver.scene import Scene
from mdeliver.settings import Site

SITE = Site(("example.org",), "mail.example.org", "+-")
ENVELOPE = Envelope(
    "ann", "/home/ann", 1000, "bob@example.net", "ann@example.org", domain="example.org"
)


def scene(head: str = "To: ann@example.org\n", **envelope: str) -> Scene:
    message = Message(head.encode() + b"\n", 1)
    return Scene(message, ENVELOPE.replace(**envelope), SITE, 0.0, False)


@pytest.mark.parametrize(
    "head",
    [
        "To: ann@example.org\n",
        "To: bob@example.net\nCc: x@y, Ann <ANN+news@Example.org>\n",
        "Resent-To: ann@example.org\n",
        "To: ann@example.org\nAuto-Submitted: no\nPrecedence: first-class\n",
        "To: ann@example.org\nX-Auto-Response-Suppress: DR, RN, NRN\n",
        "To: ann@example.org\nFrom: noreplyton@example.net\n".replace("noreplyton", "henrys-reply"),
    ],
)
def test_a_person_is_answered(head: str) -> None:
    assert why_not(scene(head)) == ""


@pytest.mark.parametrize(
    "sender",
    [
        "", "bob", "bob@", "a b@example.net", "<bob@example.net>", "ann@example.org",
        "Ann+x@EXAMPLE.org", "MAILER-DAEMON@example.net", "postmaster@example.net",
        "owner-birds@example.net", "birds-request@example.net", "noreply@example.net",
        "no-reply@example.net", "no_reply+17@example.net", "DoNotReply@example.net",
        "shop.noreply@example.net", "bounces+17=x@example.net", "bounce-4@example.net", "root@x",
    ],
)  # fmt: skip
def test_senders_that_are_not_answered(sender: str) -> None:
    assert why_not(scene(sender=sender)) != ""


@pytest.mark.parametrize(
    "line",
    [
        "From: Shop <no-reply@example.net>", "Auto-Submitted: auto-generated", "Precedence: bulk",
        "Precedence: LIST", "List-Id: <birds.example.net>", "List-Post: NO",
        "List-Unsubscribe: <mailto:x@y>", "List-Help: x", "X-Auto-Response-Suppress: All",
        "X-Auto-Response-Suppress: DR, AutoReply", "Mailing-List: x", "X-BeenThere: x",
        "Sender: daemon@example.net",
    ],
)  # fmt: skip
def test_headers_that_say_so(line: str) -> None:
    assert why_not(scene(f"To: ann@example.org\n{line}\n")) != ""


@pytest.mark.parametrize("head", ["", "To: all@example.org\n", "Bcc: ann@example.org\n"])
def test_where_i_am_not_in_to_or_cc(head: str) -> None:
    assert why_not(scene(head)) == "none of my addresses is in To or Cc"
    assert asked_at(scene(head)) == ""


def test_my_own_message_is_not_answered() -> None:
    assert "my own message" in why_not(scene(sasl_username="ann", sender="work@example.net"))


def test_what_rules_took_away_counts() -> None:
    changed = scene("To: ann@example.org\nList-Id: <x.y>\n")
    now = Message(b"To: ann@example.org\n\n", 1)
    changed.change(now, AS_IT_CAME)
    assert why_not(changed) == "there is List-Id"
    assert changed.message is now
