"""`pop3_gets = "all mail"`: what is in the inbox already is put into the mbox, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from mdeliver.popsync import fill
from tests.mboxreader import read_mbox
from tests.popsyncbox import Mail


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[Mail]:
    """Two messages are in both stores, two in the Maildir only."""
    made = Mail(tmp_path / "ann", pop3_gets="all mail", downloaded="read")
    made.deliver(1, 2)
    made.deliver(3, 4, mbox=False)
    # What came a moment ago would be waited for.
    with mock.patch.object(fill, "_SETTLED_S", -1.0):
        yield made


def choose(mail: Mail, choice: str) -> None:
    mail.choices = mail.choices.replace(pop3_gets=choice)


def test_what_the_mbox_lacks_is_put_there(mail: Mail) -> None:
    looked = mail.look()
    assert sorted(mail.in_mbox()) == [1, 2, 3, 4]
    assert [(change.deed, change.how) for change in looked.changes] == [
        ("put there", "all mail")
    ] * 2
    stored = {m.message.partition(b"\n\n")[2] for m in read_mbox(mail.mbox.read_bytes())}
    assert stored == {b"body %d\n" % n for n in (1, 2, 3, 4)}


def test_once(mail: Mail) -> None:
    mail.look()
    mail.deliver(5, mbox=False)
    mail.pop3(deleted=(3,))
    mail.look()
    assert sorted(mail.in_mbox()) == [1, 2, 4]


def test_again_after_another_choice_and_what_was_downloaded_too(mail: Mail) -> None:
    mail.look()
    mail.pop3(deleted=(1, 3))
    mail.look()
    assert sorted(mail.in_mbox()) == [2, 4]
    choose(mail, "nothing")
    mail.look()
    choose(mail, "all mail")
    mail.look()
    assert sorted(mail.in_mbox()) == [1, 2, 3, 4]


@pytest.mark.parametrize("choice", ["mail from now on", "nothing"])
def test_other_choices_put_nothing_there(mail: Mail, choice: str) -> None:
    choose(mail, choice)
    mail.look()
    assert mail.in_mbox() == [1, 2]


def test_other_folders_and_deleted_mail_are_left_out(mail: Mail) -> None:
    mail.imap(3, folder=".Work")
    mail.imap(4, flags="T")
    mail.look()
    assert mail.in_mbox() == [1, 2]


def test_mail_that_the_log_does_not_know_is_not_there_twice(mail: Mail) -> None:
    mail.deliver(5, log=False)
    mail.look()
    assert sorted(mail.in_mbox()) == [1, 2, 3, 4, 5]


def test_its_copy_is_known(mail: Mail) -> None:
    mail.look()
    mail.imap(3, folder=".Work")
    mail.pop3(3)
    mail.look()
    assert mail.copies()[3].name.endswith(":2,S")
    assert not mail.copies()[4].name.endswith("S")


def test_a_dry_run_only_says_what(mail: Mail) -> None:
    looked = mail.look(do=False)
    assert [change.message_id for change in looked.changes] == ["<3@x>", "<4@x>"]
    assert mail.in_mbox() == [1, 2]


def test_what_has_just_come_waits(mail: Mail) -> None:
    """Its delivery may have appended to the mbox since that was looked at."""
    with mock.patch.object(fill, "_SETTLED_S", 0.5):
        looked = mail.look()
    assert sorted(mail.in_mbox()) == [1, 2, 3, 4]
    assert not looked.more


def test_killed_after_the_delivery(mail: Mail) -> None:
    """Nothing was noted; the next look finds it in the mbox, or the journal knows of it."""

    class Killed(BaseException):
        pass

    with (
        mock.patch("mdeliver.popsync.ledger.Ledger.add_deliveries", side_effect=[None, Killed]),
        pytest.raises(Killed),
    ):
        mail.look()
    assert len(mail.in_mbox()) == 3
    mail.look()
    assert sorted(mail.in_mbox()) == [1, 2, 3, 4]
