"""What rules send: forwarded messages and replies, by a sendmail of the tests' own; and what the
memory makes of copies. Every delivery is a process, as Postfix would start it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.installation import LDA
from tests.local8 import as_handed_over, hand_over
from tests.processes.conftest import Home, deferral

SENDMAIL = """\
#!{python}
import os, sys, json
status = open({top!r} + "/status").read()
if status == "0":
    name = {top!r} + "/sent/%d.%d" % (__import__("time").time_ns(), os.getpid())
    json.dump([sys.argv[1:], sys.stdin.buffer.read().decode("latin-1")], open(name, "w"))
else:
    sys.stderr.write("queue file write error\\n")
sys.exit(int(status))
"""


class Sent(NamedTuple):
    """What sendmail got: its arguments and the message."""

    arguments: list[str]
    octets: bytes

    @property
    def message(self) -> Message:
        return message_from_bytes(self.octets)


class Sender(Home):
    """A recipient whose site has a sendmail that writes down what it gets."""

    def __init__(self, top: Path, settings: str = "") -> None:
        self.top = top / "sendmail"
        (self.top / "sent").mkdir(parents=True)
        program = self.top / "sendmail"
        program.write_text(SENDMAIL.format(python=sys.executable, top=str(self.top)))
        program.chmod(0o755)
        written = top / "mdeliver.toml"
        written.write_text(f'[site]\nsendmail = "{program}"\n[log]\nsyslog = ""\n{settings}')
        super().__init__(top / "home", [str(LDA), "--settings", str(written)])
        self.give(self.top / "sent")
        self.sendmail_ends_with(0)

    def sendmail_ends_with(self, status: int) -> None:
        (self.top / "status").write_text(str(status))

    @property
    def mark(self) -> str:
        return f"{self.person.name}@{os.uname().nodename}"

    @property
    def me(self) -> str:
        return f"{self.person.name}@example.org"

    def sent(self) -> list[Sent]:
        """What was sent, in order."""
        import json

        files = sorted((self.top / "sent").iterdir())
        read = [json.loads(path.read_text()) for path in files]
        return [Sent(arguments, text.encode("latin-1")) for arguments, text in read]

    def letter(self, number: int = 1, *, by: str = "one", extra: str = "") -> bytes:
        """A message that came by the host BY."""
        return (
            f"Received: from {by}.example.net\n{extra}From: Bob <bob@example.net>\nTo: {self.me}\n"
            f"Subject: hello\nDate: Mon, 2 Nov 2026 12:00:00 +0000\n"
            f"Message-ID: <{number}@example.net>\n\nHow are you?\n.\nFrom the heart\n"
        ).encode()


@pytest.fixture
def home(top: Path) -> Sender:
    return Sender(top)


def arguments(sender: str, *addresses: str) -> Sequence[str]:
    return ["-i", "-f", sender, "--", *addresses]


# --- forward to ----------------------------------------------------------------------------------


def test_a_message_is_sent_on_as_it_came(home: Sender) -> None:
    home.write_rules('also forward to "ann@example.net", "carol@example.net"\n')
    message = home.letter()
    assert home.deliver(message).verdict == "sent"
    (sent,) = home.sent()
    assert sent.arguments == arguments("sender@example.net", "ann@example.net", "carol@example.net")
    assert sent.octets == f"X-Mdeliver-Forwarded: {home.mark}\n".encode() + message
    assert home.holds_once(message)


def test_the_null_sender_stays_null(home: Sender) -> None:
    home.write_rules('forward to "ann@example.net"\n')
    assert home.deliver(home.letter(), SENDER="").verdict == "sent"
    assert home.sent()[0].arguments == arguments("<>", "ann@example.net")
    assert home.is_empty


def test_what_sendmail_does_not_take_stays_in_the_queue(home: Sender) -> None:
    home.write_rules('also forward to "ann@example.net"\n')
    home.sendmail_ends_with(1)
    answer = home.deliver(home.letter())
    assert "queue file write error" in deferral(answer)
    assert home.is_empty
    home.sendmail_ends_with(0)
    assert home.deliver(home.letter(), at=1_700_000_300).verdict == "sent"
    assert len(home.sent()) == 1
    assert home.holds_once(home.letter())


def test_what_was_sent_on_is_not_sent_on_again(home: Sender) -> None:
    home.write_rules('also forward to "ann@example.net"\npipe to "/bin/false"\n')
    deferral(home.deliver(home.letter()))
    deferral(home.deliver(home.letter(), at=1_700_000_300))
    assert len(home.sent()) == 1


def test_a_message_that_comes_back_is_kept(home: Sender) -> None:
    home.write_rules(f'forward to "{home.me}"\n')
    assert home.deliver(home.letter()).verdict == "sent"
    back = b"Received: from here\n" + home.sent()[0].octets
    assert home.deliver(back, at=1_700_000_300).verdict == "sent"
    assert len(home.sent()) == 1
    assert home.holds_once(back)


def test_large_messages_and_changed_headers(home: Sender) -> None:
    home.write_rules('set header "Subject: changed"\nforward to "ann@example.net"\n')
    message = home.letter() + b"x" * 70 + b"\n" * 400_000
    assert home.deliver(message).verdict == "sent"
    assert home.sent()[0].octets == b"X-Mdeliver-Forwarded: %s\n" % home.mark.encode() + (
        message.replace(b"Subject: hello", b"Subject: changed")
    )


def test_srs_gives_a_sender_of_ours_that_can_be_turned_back(top: Path) -> None:
    from srslib import SRS

    home = Sender(top, '[forward]\nsrs_domain = "example.org"\nsrs_secret = "tell nobody"\n')
    home.write_rules('forward to "ann@example.net"\n')
    assert home.deliver(home.letter()).verdict == "sent"
    assert home.deliver(home.letter(2), SENDER="carol@example.org").verdict == "sent"
    assert home.deliver(home.letter(3), SENDER="").verdict == "sent"
    senders = [sent.arguments[2] for sent in home.sent()]
    assert senders[0].startswith("SRS0=")
    assert senders[0].endswith("=example.net=sender@example.org")
    assert SRS("tell nobody").reverse(senders[0]) == "sender@example.net"
    assert senders[1:] == ["carol@example.org", "<>"]


# --- duplicate within ----------------------------------------------------------------------------

NO_DUPLICATES = "if duplicate within 7d: discard\n"


def test_of_two_copies_one_is_delivered(home: Sender) -> None:
    home.write_rules(NO_DUPLICATES)
    assert home.deliver(home.letter()).verdict == "sent"
    assert home.deliver(home.letter(by="two"), at=1_700_000_300).verdict == "sent"
    assert home.holds_once(home.letter())
    assert home.deliver(home.letter(2)).verdict == "sent"
    assert len(home.in_mbox()) == 2


def test_of_many_copies_at_once_one_is_delivered(home: Sender) -> None:
    home.write_rules(NO_DUPLICATES)
    with ThreadPoolExecutor(6) as pool:
        copies = [home.letter(by=f"host{n}") for n in range(12)]
        assert {a.verdict for a in pool.map(home.deliver, copies)} == {"sent"}
    assert len(home.in_mbox()) == len(home.in_maildir()) == 1


def test_what_was_not_delivered_is_no_duplicate(home: Sender) -> None:
    home.write_rules(NO_DUPLICATES + 'also forward to "ann@example.net"\n')
    home.sendmail_ends_with(1)
    deferral(home.deliver(home.letter()))
    home.sendmail_ends_with(0)
    assert home.deliver(home.letter(by="two")).verdict == "sent"
    assert home.holds_once(home.letter(by="two"))
    # The first is a duplicate now, and an attempt of which nothing is left.
    assert home.deliver(home.letter(), at=1_700_000_300).verdict == "sent"
    assert home.holds_once(home.letter(by="two"))


def test_a_retry_decides_as_the_attempt_before_it_did(home: Sender) -> None:
    home.write_rules('if duplicate within 7d:\n    also file to imap/Again\n    reject "twice"\n')
    assert home.deliver(home.letter()).verdict == "sent"
    # Postfix did not hear of it, and brings it again.
    assert home.deliver(home.letter(), at=1_700_000_300).verdict == "sent"
    assert home.holds_once(home.letter())
    assert home.deliver(home.letter(by="two")).verdict == "bounced"
    assert home.in_maildir(".Again") == [as_handed_over(home.letter(by="two"), home.person)]


# --- reply with ----------------------------------------------------------------------------------


def test_the_sender_is_answered_once(home: Sender) -> None:
    home.write_rules('reply with "Ich bin in Zürich, {from name}.\\n\\nBis bald"\n')
    assert home.deliver(home.letter(extra="References: <0@example.net>\n")).verdict == "sent"
    (sent,) = home.sent()
    assert sent.arguments == arguments("<>", "sender@example.net")
    reply = sent.message
    assert reply["From"] == home.me
    assert reply["To"] == "sender@example.net"
    assert reply["Subject"] == "Auto: hello"
    assert reply["Auto-Submitted"] == "auto-replied"
    assert reply["In-Reply-To"] == "<1@example.net>"
    assert reply["References"].split() == ["<0@example.net>", "<1@example.net>"]
    assert reply["Message-ID"].endswith("@example.org>")
    body = reply.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode() == "Ich bin in Zürich, Bob.\n\nBis bald\n"
    assert home.deliver(home.letter(2)).verdict == "sent"
    assert home.deliver(home.letter(3), SENDER="SENDER@example.net").verdict == "sent"
    assert len(home.sent()) == 1
    assert home.deliver(home.letter(4), SENDER="carol@example.net").verdict == "sent"
    assert len(home.sent()) == 2
    assert len(home.in_mbox()) == 4


def test_a_text_in_a_file(home: Sender) -> None:
    path = home.rules.parent / "away.txt"
    path.write_text("Subject: Unterwegs für länger\nFrom: Änn <ann@example.net>\n\nAway {user}.\n")
    home.give(path).chmod(0o600)
    home.write_rules('reply with file "away.txt" every 1d\n')
    assert home.deliver(home.letter()).verdict == "sent"
    (sent,) = home.sent()
    head = sent.octets.partition(b"\n\n")[0]
    assert head.isascii()
    assert b"From: =?utf-8?" in head
    assert b" <ann@example.net>\n" in head
    assert sent.octets.endswith(b"\n\nAway {user}.\n")
    path.unlink()
    assert "away.txt" in deferral(home.deliver(home.letter(2)))


def test_of_many_at_once_one_is_answered(home: Sender) -> None:
    home.write_rules('reply with "away"\n')
    with ThreadPoolExecutor(6) as pool:
        letters = [home.letter(number) for number in range(8)]
        assert {a.verdict for a in pool.map(home.deliver, letters)} == {"sent"}
    assert len(home.sent()) == 1
    assert len(home.in_mbox()) == 8


def test_a_reply_that_fails_is_no_reason_to_bring_the_message_again(home: Sender) -> None:
    home.write_rules('reply with "away"\n')
    home.sendmail_ends_with(1)
    assert home.deliver(home.letter()).verdict == "sent"
    assert home.holds_once(home.letter())


def test_a_message_brought_again_is_not_answered_again(home: Sender) -> None:
    home.write_rules('reply with "away" every 0s\n')
    assert home.deliver(home.letter()).verdict == "sent"
    assert home.deliver(home.letter(), at=1_700_000_300).verdict == "sent"
    assert len(home.sent()) == 1


def test_a_reply_is_never_answered(home: Sender) -> None:
    home.write_rules('reply with "away"\n')
    assert home.deliver(home.letter()).verdict == "sent"
    reply = home.sent()[0].octets.replace(b"sender@example.net", home.me.encode())
    for sender in ("", "other@example.net"):
        assert home.deliver(reply, SENDER=sender).verdict == "sent"
    assert len(home.sent()) == 1


# --- mdeliver test -------------------------------------------------------------------------------


def dry_run(home: Sender, message: bytes) -> str:
    """What `mdeliver test` says of MESSAGE, which arrives now."""
    command = [str(LDA.parent / "mdeliver"), "test", "--home", str(home.path), "-"]
    settings = ["--settings", home.command[-1]]
    handed = as_handed_over(message, home.person)
    done = hand_over([*command, *settings], handed, home.environ, home.person)
    assert done.status == 0, done
    return done.output.decode()


def test_a_dry_run_asks_the_memory_and_leaves_it_alone(home: Sender) -> None:
    home.write_rules('if duplicate within 7d: discard\nreply with "away"\n')
    assert "it was not delivered before" in dry_run(home, home.letter())
    assert not (home.path / ".local").exists()
    assert home.deliver(home.letter()).verdict == "sent"
    memory = home.path / ".local" / "state" / "mdeliver" / "memory"
    before = memory.read_bytes()
    assert "it was delivered within 7d" in dry_run(home, home.letter(by="two"))
    said = dry_run(home, home.letter(2))
    assert 'no reply: "sender@example.net" has been sent this before' in said
    assert memory.read_bytes() == before
    assert len(home.sent()) == 1
    assert len(home.in_mbox()) == 1
