"""A large message is in a file before it has a place: a Maildir takes that file, if it may."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mdeliver import durable, limits, system
from mdeliver.agent import DeadlinePassed
from mdeliver.deliver import maildir
from mdeliver.deliver.journal import message_key
from mdeliver.deliver.maildir import MaildirCopy
from mdeliver.edits import edited_letter
from mdeliver.letter import Letter, read_letter
from mdeliver.plan import Edit, File

KEY = message_key(b"message")
MESSAGE = b"Subject: large\n\nFrom here\nto there\n"


@pytest.fixture
def letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Letter]:
    """MESSAGE, too large for memory; its spool is on the file system of the Maildir."""
    monkeypatch.setattr(limits, "MEMORY_BYTES", 10)
    monkeypatch.setattr(limits, "COPY_BYTES", 10)
    read = spooled(tmp_path)
    yield read
    read.close()


def spooled(directory: Path, *, lasts: bool = False) -> Letter:
    incoming = directory / "incoming"
    incoming.write_bytes(MESSAGE)
    fd = os.open(incoming, os.O_RDONLY)
    try:
        return read_letter(fd, str(directory), lasts=lasts)
    finally:
        os.close(fd)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A Maildir that is there."""
    maildir.make_maildir(maildir_at(tmp_path / "Maildir"))
    return tmp_path / "Maildir"


def maildir_at(path: Path) -> File:
    return File("maildir", str(path), str(path), "imap", None, (), None)


def delivered(path: Path, letter: Letter) -> Path:
    """The file that LETTER is in, now that it was delivered into the Maildir PATH."""
    copy = MaildirCopy(maildir_at(path), letter, KEY, "host")
    copy.prepare(None, False)
    copy.settle()
    copy.commit()
    copy.sync()
    copy.finish()
    copy.release()
    assert list((path / "tmp").iterdir()) == []
    (file,) = (path / "new").iterdir()
    return file


def is_spool(file: Path, letter: Letter) -> bool:
    return file.stat().st_ino == os.fstat(letter.spool).st_ino


def test_the_maildir_takes_the_file(inbox: Path, letter: Letter) -> None:
    file = delivered(inbox, letter)
    assert is_spool(file, letter)
    assert file.read_bytes() == MESSAGE
    assert file.stat().st_mode & 0o7777 == 0o600


def test_a_letter_knows_whether_its_file_was_taken(inbox: Path, letter: Letter) -> None:
    assert not letter.is_kept
    delivered(inbox, letter)
    assert letter.is_kept


def test_letting_go_of_the_file_fails_nobody(
    inbox: Path, letter: Letter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS: what was delivered was synced, and what was not is not needed."""
    delivered(inbox, letter)

    def stale(_fd: int) -> None:
        raise OSError(errno.ESTALE, "stale")

    with monkeypatch.context() as failing:
        failing.setattr(system, "fstat", stale)
        failing.setattr(system, "close", stale)
        assert not letter.is_kept
        letter.close()


def test_the_disk_begins_with_what_will_last_and_is_told_once_of_each_octet(
    inbox: Path, letter: Letter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was told of and has written is dropped from memory if it is told again."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(limits, "FLOW_BYTES", 10)
    monkeypatch.setattr(
        durable, "start_writing", lambda _fd, at=0, count=0: told.append((at, count))
    )
    lasting = spooled(inbox, lasts=True)
    while_read = list(told)
    assert is_spool(delivered(inbox, lasting), lasting)
    lasting.close()
    assert len(while_read) > 1
    assert told == while_read
    assert [at for at, _ in told] == [sum(n for _, n in told[:k]) for k in range(len(told))]
    assert sum(count for _, count in told) == len(MESSAGE)
    assert not letter.flows


def test_each_further_maildir_gets_a_file_of_its_own(inbox: Path, letter: Letter) -> None:
    other = inbox / ".Work"
    maildir.make_maildir(maildir_at(other))
    files = [delivered(inbox, letter), delivered(other, letter)]
    assert [file.read_bytes() for file in files] == [MESSAGE, MESSAGE]
    assert [file.stat().st_nlink for file in files] == [1, 1]


def test_a_maildir_that_is_not_there_is_made_and_gets_a_copy(
    tmp_path: Path, letter: Letter
) -> None:
    assert delivered(tmp_path / "Maildir", letter).read_bytes() == MESSAGE


def test_what_a_killed_attempt_left_gives_way(inbox: Path, letter: Letter) -> None:
    Path(maildir.temporary_path(str(inbox), KEY)).write_bytes(b"half of it")
    assert delivered(inbox, letter).read_bytes() == MESSAGE


def test_what_was_taken_back_can_be_delivered_again(inbox: Path, letter: Letter) -> None:
    copy = MaildirCopy(maildir_at(inbox), letter, KEY, "host")
    copy.prepare(None, False)
    copy.release()
    assert list((inbox / "tmp").iterdir()) == []
    assert delivered(inbox, letter).read_bytes() == MESSAGE


@pytest.mark.parametrize("step", ["link_open_file", "create"])
def test_an_alarm_as_the_file_is_made_leaves_none(
    inbox: Path, letter: Letter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    made = getattr(durable, step)

    def make(*arguments: Any, **named: Any) -> None:
        fd = made(*arguments, **named)
        if fd is not None:
            os.close(fd)  # nobody else knows it
        raise DeadlinePassed

    if step == "create":
        monkeypatch.setattr(durable, "name_nameless", lambda _fd, _path: False)
    monkeypatch.setattr(durable, step, make)
    copy = MaildirCopy(maildir_at(inbox), letter, KEY, "host")
    with pytest.raises(DeadlinePassed):
        copy.prepare(None, False)
    copy.release()
    assert list((inbox / "tmp").iterdir()) == []


def test_a_changed_header_makes_another_file(inbox: Path, letter: Letter) -> None:
    edited = edited_letter(letter, (Edit("add", "X-Tag", "new", None),))
    file = delivered(inbox, edited)
    assert file.read_bytes() == MESSAGE.replace(b"\n\n", b"\nX-Tag: new\n\n", 1)
    assert not is_spool(file, letter)


def test_a_file_on_another_file_system_is_copied(inbox: Path, letter: Letter) -> None:
    elsewhere = os.memfd_create("spool")
    os.write(elsewhere, MESSAGE)
    moved = letter.replace(spool=elsewhere)
    file = delivered(inbox, moved)
    assert file.read_bytes() == MESSAGE
    assert not is_spool(file, moved)
    moved.close()


def test_where_a_directory_hands_something_down_the_file_is_made_there(
    inbox: Path, letter: Letter
) -> None:
    """A default ACL and a security label are extended attributes too."""
    os.setxattr(inbox / "tmp", "user.mark", b"of whatever kind")
    file = delivered(inbox, letter)
    assert file.read_bytes() == MESSAGE
    assert not is_spool(file, letter)


def test_what_the_state_directory_hands_down_does_not_come_into_the_maildir(
    inbox: Path, letter: Letter
) -> None:
    """The file was made there, and has the default ACL of that directory, not of this one."""
    os.setxattr(letter.spool, "user.mark", b"of whatever kind")
    file = delivered(inbox, letter)
    assert file.read_bytes() == MESSAGE
    assert os.listxattr(file) == []


def test_a_directory_of_another_group_gets_a_file_of_that_group(
    inbox: Path, letter: Letter
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(inbox / "tmp", -1, os.getegid() + 1)
    (inbox / "tmp").chmod(0o2700)
    file = delivered(inbox, letter)
    assert file.read_bytes() == MESSAGE
    assert file.stat().st_gid == os.getegid() + 1
