"""What was deleted in IMAP leaves the mbox, unless POP3 has downloaded it."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import pytest

from mdeliver.deliver.mboxlock import HeldMbox, lock_mbox
from mdeliver.popsync import bothways
from mdeliver.popsync.carry import Change
from tests.popsyncbox import Mail
from tests.waiting import wait_for


@pytest.fixture
def mail(tmp_path: Path) -> Mail:
    made = Mail(tmp_path / "ann", both_ways=True, downloaded="read")
    made.deliver(1, 2, 3, 4)
    made.look()
    return made


@pytest.mark.parametrize("folder", ["gone", ".Trash", ".Trash.2023"])
def test_what_was_deleted_leaves(mail: Mail, folder: str) -> None:
    before = mail.mbox.read_bytes()
    mail.imap(2, folder=folder)
    looked = mail.look()
    assert mail.in_mbox() == [1, 3, 4]
    assert looked.changes == [
        Change("taken out", "deleted", "<2@x>", str(mail.mbox), str(mail.mbox), "")
    ]
    second = before.index(b"From ", 1)
    third = before.index(b"From ", second + 1)
    assert mail.mbox.read_bytes() == before[:second] + before[third:]
    assert mail.look().changes == []
    assert 2 not in mail.copies() or mail.copies()[2].name.endswith(":2,")


def test_all_of_them(mail: Mail) -> None:
    for n in (1, 2, 3, 4):
        mail.imap(n, folder="gone")
    mail.look()
    assert mail.mbox.read_bytes() == b""


@pytest.mark.parametrize("folder", [".Archive", ".Work", ".Trashy", ""])
def test_what_was_moved_elsewhere_stays(mail: Mail, folder: str) -> None:
    mail.imap(2, folder=folder, flags="ST")
    assert mail.look().changes == []
    assert mail.in_mbox() == [1, 2, 3, 4]


def test_what_was_downloaded_stays(mail: Mail) -> None:
    mail.pop3(2)
    mail.imap(2, folder="gone")
    mail.imap(3, folder="gone")
    mail.look()
    assert mail.in_mbox() == [1, 2, 4]


def test_another_name_for_the_same_message_is_no_deletion(mail: Mail) -> None:
    """As after a move to another server by dsync."""
    path = mail.copies()[2]
    path.rename(path.with_name("20.M1P1.new"))
    assert mail.look().changes == []
    assert mail.in_mbox() == [1, 2, 3, 4]


def test_a_maildir_that_is_not_mounted_says_nothing(mail: Mail) -> None:
    mail.maildir.rename(mail.home / "away")
    assert mail.look().changes == []
    mail.maildir.mkdir()
    assert mail.look().changes == []
    assert mail.in_mbox() == [1, 2, 3, 4]


def test_another_maildir_in_its_place_says_nothing(mail: Mail) -> None:
    """As deliveries make one where a disk is not mounted; or one from a backup of last week."""
    mail.imap(1, folder="gone")
    mail.look()
    mail.maildir.rename(mail.home / "away")
    for part in ("new", "cur", "tmp"):
        (mail.maildir / part).mkdir(parents=True)
    for _look in range(2):
        looked = mail.look()
        assert looked.changes == []
        assert "is another directory than before" in "".join(looked.troubles)
    assert mail.in_mbox() == [2, 3, 4]
    (mail.home / "away").rename(mail.home / "Maildir2")
    shutil.rmtree(mail.maildir)
    (mail.home / "Maildir2").rename(mail.maildir)
    mail.imap(2, folder="gone")
    assert mail.look().troubles == []
    assert mail.in_mbox() == [3, 4]


def test_mail_whose_copy_is_not_known_stays(mail: Mail) -> None:
    mail.deliver(5, log=False)
    mail.imap(5, folder="gone")
    mail.look()
    assert mail.in_mbox() == [1, 2, 3, 4, 5]


def test_without_the_choice_nothing_leaves(tmp_path: Path) -> None:
    mail = Mail(tmp_path / "ann", downloaded="read")
    mail.deliver(1, 2)
    mail.look()
    mail.imap(1, folder="gone")
    mail.look()
    assert mail.in_mbox() == [1, 2]


def test_a_dry_run_only_says_so(mail: Mail) -> None:
    mail.imap(1, folder="gone")
    before = mail.mbox.stat()
    assert [change.deed for change in mail.look(do=False).changes] == ["taken out"]
    assert mail.mbox.stat().st_mtime_ns == before.st_mtime_ns
    assert mail.in_mbox() == [1, 2, 3, 4]


def test_the_new_file_has_the_mode_of_the_old(mail: Mail) -> None:
    mail.mbox.chmod(0o660)
    mail.imap(1, folder="gone")
    mail.look()
    assert mail.mbox.stat().st_mode & 0o777 == 0o660
    assert sorted(path.name for path in mail.home.iterdir()) == ["Maildir", "mbox", "state"]


def test_the_base_of_the_uids_is_handed_on(mail: Mail) -> None:
    base = b"X-IMAPbase: 1700000000 0000000005\n"
    text = mail.mbox.read_bytes()
    mail.mbox.write_bytes(text.replace(b"\n\n", b"\nX-UID: 1\n" + base + b"\n", 1))
    mail.look()
    mail.imap(1, folder="gone")
    mail.imap(2, folder="gone")
    mail.look()
    assert mail.in_mbox() == [3, 4]
    first, second = mail.mbox.read_bytes().split(b"\n\n")[0:3:2]
    assert base.strip() in first.split(b"\n")
    assert base.strip() not in second


def test_where_the_directory_is_closed_it_is_said(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    mail.imap(1, folder="gone")
    with monkeypatch.context() as patch:
        patch.setattr("mdeliver.deliver.mboxlock.try_dotlock", refused)
        looked = mail.look()
    assert "may not replace files" in "".join(looked.troubles)
    assert mail.in_mbox() == [1, 2, 3, 4]
    mail.look()
    assert mail.in_mbox() == [2, 3, 4]


def test_a_copy_that_comes_back_in_time_keeps_its_message(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noted as leaving, then killed; and the user takes it out of the Trash."""

    class Killed(BaseException):
        pass

    def killed(*_: object) -> NoReturn:
        raise Killed

    mail.imap(2, folder=".Trash")
    with monkeypatch.context() as patch:
        patch.setattr("mdeliver.popsync.bothways.WayBack._take_out", killed)
        with pytest.raises(Killed):
            mail.look()
    mail.imap(2)
    assert mail.look().changes == []
    assert mail.in_mbox() == [1, 2, 3, 4]
    mail.pop3(2)
    mail.look()
    assert mail.copies()[2].name.endswith(":2,S")


def test_what_pop3_downloads_while_it_is_leaving_stays(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.imap(2, folder="gone")
    with monkeypatch.context() as patch:
        patch.setattr("mdeliver.popsync.bothways.WayBack._take_out", lambda *_: [])
        mail.look()
    mail.pop3(2)
    mail.look()
    assert mail.in_mbox() == [1, 2, 3, 4]


def test_who_waits_for_the_mbox_keeps_the_file_that_it_has_open(mail: Mail) -> None:
    """As Dovecot does where it takes fcntl first: its changes would go nowhere."""
    mail.imap(2, folder="gone")
    waiting: list[subprocess.Popen[bytes]] = []

    def locked(*arguments: Any, **named: Any) -> HeldMbox:
        held = lock_mbox(*arguments, **named)
        text = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX)"
        waiting.append(subprocess.Popen([sys.executable, "-c", text, str(mail.mbox)]))
        number = b":%d " % mail.mbox.stat().st_ino
        wait_for(lambda: b" -> " in _lines_with(number), "the other to wait")
        return held

    before = mail.mbox.stat().st_ino
    with mock.patch.object(bothways, "lock_mbox", locked):
        looked = mail.look()
    assert waiting[0].wait(120) == 0
    assert (looked.changes, looked.unsettled) == ([], True)
    assert mail.mbox.stat().st_ino == before
    assert len(mail.look().changes) == 1
    assert mail.in_mbox() == [1, 3, 4]


def _lines_with(number: bytes) -> bytes:
    lines = Path("/proc/locks").read_bytes().splitlines()
    return b"\n".join(line for line in lines if number in line)
