"""The Sent folder has each message once; the tag is in none of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver import agent
from mdeliver.envelope import Envelope
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.prelude import SENT_COPIES
from mdeliver.letter import letter_of
from mdeliver.outcome import Outcome
from mdeliver.sent import keys as keyring
from mdeliver.sent.filing import AGAIN_S, RECENT_S, STATE, look_again, message_name
from mdeliver.settings import Site

RULES = (
    'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n'
    f'me = "ann@example.org"\n{SENT_COPIES}'
)
KEY = keyring.Key(1, b"k" * 32)
TAG = keyring.extension_of(KEY, "ann")
MESSAGE = b"From: <ann@example.org>\nTo: <%s>\nMessage-ID: <%s@x>\nSubject: s\n\nbody\n"


class Home:
    """Ann's home, to which her messages come back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state"
        self.state.mkdir()
        tags = path / "tags"
        tags.write_bytes(keyring.digest_table([KEY], [("ann",)], 1))
        tags.chmod(0o644)
        self.site = Site(believe_tags=True, tags_path=str(tags))
        self.queued = 0

    def deliver(self, message: bytes, *, tag: str = TAG, sasl: str = "") -> Outcome:
        """One delivery as local(8) makes it; queue ids differ, so that each is a new message."""
        self.queued += 1
        to = f"ann+{tag}@example.org" if tag else "ann@example.org"
        head = f"From x\nX-Original-To: {to}\nDelivered-To: {to}\n".encode()
        head += f"Received: by h (Postfix) id {self.queued:05}\n\tfor <{to}>; now\n".encode()
        envelope = Envelope(
            "ann", str(self.path), os.geteuid(), "ann@example.org", to,
            extension=tag, domain="example.org", sasl_username=sasl,
        )  # fmt: skip
        program = compile_rules([Source("rules", RULES)], str).program
        assert program is not None
        letter = letter_of(head + message)
        return agent.deliver_letter(program, letter, envelope, self.site, str(self.state))

    def upload(self, message: bytes, name: str = "1{}.M1P1.client:2,S") -> Path:
        """What an IMAP server does when a client appends to Sent."""
        import time

        cur = self.path / "Maildir" / ".Sent" / "cur"
        for part in ("cur", "new", "tmp"):
            (cur.parent / part).mkdir(parents=True, exist_ok=True)
        path = cur / name.replace("1{}", str(int(time.time())))
        path.write_bytes(message)
        return path

    def files(self, folder: str = ".Sent") -> list[Path]:
        return sorted(p for p in (self.path / "Maildir" / folder).glob("*/*") if p.is_file())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def own(name: bytes = b"1", to: bytes = b"bob@example.org") -> bytes:
    return MESSAGE % (to, name)


def test_the_tag_is_in_nothing_that_is_stored(home: Home) -> None:
    assert home.deliver(own()).fate == "delivered"
    (copy,) = home.files()
    stored = copy.read_bytes()
    assert b"sent-" not in stored
    assert b"X-Original-To: ann@example.org\n" in stored
    assert b"\tfor <ann@example.org>; now\n" in stored
    assert stored.endswith(own())
    assert copy.name.endswith(f"S={len(stored)}:2,S")
    assert not (home.path / "mbox").exists()


def test_a_large_message_loses_its_tag_too(home: Home) -> None:
    message = own() + b"x" * 70 * 1000
    assert home.deliver(message * 1).fate == "delivered"
    (copy,) = home.files()
    assert copy.read_bytes().endswith(message)


@pytest.mark.parametrize("sasl_first", [True, False])
def test_a_note_to_oneself_comes_by_two_deliveries_and_is_in_sent_once(
    home: Home, sasl_first: bool
) -> None:
    note = own(to=b"ann@example.org")
    for tag in ("", TAG) if sasl_first else (TAG, ""):
        home.deliver(note, tag=tag, sasl="ann")
    assert len(home.files()) == len(home.files("new")) + 1 == 1
    assert len(list((home.path / "Maildir" / "new").iterdir())) == 1
    assert (home.path / "mbox").read_bytes().count(b"Subject: s") == 1


def test_an_uploaded_copy_stays_alone(home: Home) -> None:
    path = home.upload(own())
    outcome = home.deliver(own())
    assert outcome.fate == "delivered"
    assert home.files() == [path]


def test_a_later_upload_takes_the_place_of_ours(home: Home) -> None:
    home.deliver(own())
    path = home.upload(own())
    home.deliver(b"From: x@y\nMessage-ID: <other@x>\n\n", tag="")
    assert home.files() == [path]
    assert (home.state / STATE).read_bytes() == b""


def test_a_copy_that_is_in_use_stays(home: Home) -> None:
    home.deliver(own())
    (ours,) = home.files()
    ours.rename(f"{ours}F")
    home.upload(own())
    home.deliver(own(b"2"))
    assert len(home.files()) == 3


def test_other_messages_and_old_ones_are_no_copies(home: Home) -> None:
    home.upload(own(b"2"))
    home.upload(own(), "1.M1P1.old:2,S")
    home.deliver(own())
    assert len(home.files()) == 3


def test_what_was_filed_is_forgotten_after_an_hour(home: Home) -> None:
    import time

    home.deliver(own())
    assert (home.state / STATE).read_bytes().count(b"\n") == 1
    look_again(str(home.state), time.time() + AGAIN_S + 1)
    assert (home.state / STATE).read_bytes() == b""
    assert len(home.files()) == 1
    assert RECENT_S > AGAIN_S


def test_the_quota_file_counts_what_went(home: Home) -> None:
    home.deliver(own())
    maildirsize = home.path / "Maildir" / "maildirsize"
    maildirsize.write_bytes(b"1000000S\n")
    home.upload(own())
    home.deliver(own(b"2"))
    lines = maildirsize.read_text().splitlines()
    (size,) = [len(p.read_bytes()) for p in home.files() if b"<2@x>" in p.read_bytes()]
    assert lines == ["1000000S", f"{size} 1", f"{-size} -1"]


def test_state_that_is_damaged_is_no_reason_to_fail(home: Home) -> None:
    (home.state / STATE).write_bytes(b"\xff\nx y\n\n99 n /nowhere\n")
    assert home.deliver(own()).fate == "delivered"
    assert len(home.files()) == 1


def test_a_link_in_the_place_of_the_state_defers(home: Home) -> None:
    (home.state / STATE).symlink_to(home.path / "tags")
    with pytest.raises(Exception, match="not a regular file"):
        home.deliver(own())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"Message-ID: <a@x>\n\n", b"message-id:  <a@x>\nSubject: x\n\n", True),
        (b"Message-ID: <a@x>\n\n", b"Message-ID: <b@x>\n\n", False),
        (b"Message-ID: <a@x>\n\n", b"Resent-Date: now\nMessage-ID: <a@x>\n\n", False),
        (b"Received: by h id Q1; a\n\n", b"Received: by h\n id Q1\n for <x>; b\n\n", True),
        (b"Received: by h id Q1; a\n\n", b"Received: by h id Q2; a\n\n", False),
    ],
)
def test_what_names_a_message(one: bytes, other: bytes, same: bool) -> None:
    assert (message_name(one) == message_name(other)) is same


def test_a_message_without_any_name_is_never_a_copy() -> None:
    assert message_name(b"Subject: x\n\n") == ""


def test_a_tag_that_proves_nothing_leads_to_the_inbox_and_into_the_log(home: Home) -> None:
    home.deliver(own(), tag="sent-" + "a" * 20)
    assert len(home.files("new")) == len(home.files(".Sent")) == 0
    assert len(list((home.path / "Maildir" / "new").iterdir())) == 1
    assert "its tag is none of this site's" in (home.state / "log").read_text()


def test_a_file_with_an_odd_name_in_sent_holds_nothing_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.deliver(MESSAGE % (b"bob", b"1"))
    for name in ("\N{SUPERSCRIPT TWO}.M1P1.client", "\udcb2.x", "9" * 200 + ".x"):
        home.upload(MESSAGE % (b"bob", b"odd"), name)
    assert home.deliver(MESSAGE % (b"bob", b"2")).exit_status == 0
