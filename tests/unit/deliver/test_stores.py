"""Copies in their stores, one by one: names, folders, locks, and what a retry finds again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver import limits
from mdeliver.deliver import maildir
from mdeliver.deliver.journal import Journal, message_key
from mdeliver.deliver.maildir import MaildirCopy
from mdeliver.deliver.mbox import MboxCopy
from mdeliver.deliver.subscriptions import subscribe
from mdeliver.dotlock import remove_if_stale, try_dotlock
from mdeliver.letter import Letter, letter_of, read_letter
from mdeliver.outcome import Deferral
from mdeliver.plan import File

KEY = message_key(b"message")
FROM_LINE = b"From a@example.org Thu Jan  1 00:00:00 1970\n"
MESSAGE = b"Subject: hello\n\nFrom here\nto there\n"


def letter(tmp_path: Path, message: bytes = MESSAGE) -> Letter:
    path = tmp_path / "incoming"
    path.write_bytes(message)
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_letter(fd, str(tmp_path))
    finally:
        os.close(fd)


def in_maildir(tmp_path: Path, folder: str = "", flags: tuple[str, ...] = ()) -> File:
    root = str(tmp_path / "Maildir")
    path = f"{root}/.{folder}" if folder else root
    return File("maildir", path, root, "imap", folder or None, flags, None)


def deliver(copy: MaildirCopy) -> None:
    copy.prepare(None, False)
    copy.commit()
    copy.sync()
    copy.finish()
    copy.release()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# --- Maildir -----------------------------------------------------------------------------------


def test_an_inbox_copy_is_new(tmp_path: Path) -> None:
    deliver(MaildirCopy(in_maildir(tmp_path), letter(tmp_path), KEY, "host/a:b,c"))
    (name,) = names(tmp_path / "Maildir" / "new")
    assert name.endswith(f".host\\057a\\072b\\054c,S={len(MESSAGE)}")
    assert (tmp_path / "Maildir" / "new" / name).read_bytes() == MESSAGE
    assert names(tmp_path / "Maildir" / "tmp") == []


def test_a_flagged_copy_is_in_cur_with_letters_in_order(tmp_path: Path) -> None:
    file = in_maildir(tmp_path, "Work", ("seen", "flagged", "answered", "draft"))
    deliver(MaildirCopy(file, letter(tmp_path), KEY, "host"))
    (name,) = names(Path(file.path) / "cur")
    assert name.endswith(":2,DFRS")
    assert (Path(file.path) / "maildirfolder").exists()
    assert (tmp_path / "Maildir" / "subscriptions").read_bytes() == b"V\t2\n\nWork\n"


def test_a_maildir_half_removed_is_made_whole(tmp_path: Path) -> None:
    file = in_maildir(tmp_path)
    maildir.make_maildir(file)
    (tmp_path / "Maildir" / "new").rmdir()
    deliver(MaildirCopy(file, letter(tmp_path), KEY, "host"))
    assert len(names(tmp_path / "Maildir" / "new")) == 1


@pytest.mark.parametrize("where", ["new", "cur", ".Sent.2026/cur"])
def test_a_retry_finds_what_a_client_has_moved(tmp_path: Path, where: str) -> None:
    file = in_maildir(tmp_path)
    first = MaildirCopy(file, letter(tmp_path), KEY, "host")
    deliver(first)
    (name,) = names(tmp_path / "Maildir" / "new")
    there = tmp_path / "Maildir" / where
    there.mkdir(parents=True, exist_ok=True)
    (tmp_path / "Maildir" / "new" / name).rename(there / f"{name}:2,S")

    second = MaildirCopy(file, letter(tmp_path), KEY, "host")
    second.prepare(first.words(), False)
    assert second.done


def test_a_retry_writes_what_is_not_there_under_the_name_it_was_given(tmp_path: Path) -> None:
    file = in_maildir(tmp_path)
    first = MaildirCopy(file, letter(tmp_path), KEY, "host")
    second = MaildirCopy(file, letter(tmp_path), KEY, "host")
    second.prepare(first.words(), False)
    assert not second.done
    second.commit()
    assert names(tmp_path / "Maildir" / "new") == [first.words()[-1]]


def test_a_committed_copy_can_be_taken_back_unless_it_was_moved(tmp_path: Path) -> None:
    copy = MaildirCopy(in_maildir(tmp_path), letter(tmp_path), KEY, "host")
    copy.prepare(None, False)
    copy.commit()
    assert copy.undo()
    assert not copy.undo()
    assert names(tmp_path / "Maildir" / "new") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"V\t2\n\nLists\tpostfix\n"),
        (b"V\t2\n\nSent\n", b"V\t2\n\nSent\nLists\tpostfix\n"),
        (b"Sent\n", b"Sent\nLists.postfix\n"),
        (b"Sent", b"Sent\nLists.postfix\n"),
        (b"Lists.postfix\n", b"Lists.postfix\n"),
        (b"V\t2\n\nLists\tpostfix\n", b"V\t2\n\nLists\tpostfix\n"),
    ],
)
def test_subscriptions(tmp_path: Path, before: bytes, after: bytes) -> None:
    if before:
        (tmp_path / "subscriptions").write_bytes(before)
    subscribe(str(tmp_path), "Lists.postfix")
    assert (tmp_path / "subscriptions").read_bytes() == after


def test_no_subscription_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious\n")
    (tmp_path / "subscriptions").symlink_to("precious")
    subscribe(str(tmp_path), "Work")
    assert (tmp_path / "precious").read_bytes() == b"precious\n"


# --- mbox --------------------------------------------------------------------------------------


def mbox_copy(tmp_path: Path, message: bytes = MESSAGE) -> MboxCopy:
    path = str(tmp_path / "mbox")
    file = File("mbox", path, path, "pop3", None, (), None)
    return MboxCopy(file, letter(tmp_path, message), FROM_LINE, Journal(str(tmp_path), KEY), "host")


ENTRY = FROM_LINE + b"Subject: hello\n\n>From here\nto there\n\n"


@pytest.mark.parametrize(
    ("before", "mended"),
    [
        (b"", b""),
        (ENTRY, ENTRY),
        (ENTRY[:-1], ENTRY),
        (ENTRY[:-2], ENTRY),
    ],
    ids=["empty", "whole", "no empty line", "no newline"],
)
def test_an_append_mends_the_end_it_finds(tmp_path: Path, before: bytes, mended: bytes) -> None:
    (tmp_path / "mbox").write_bytes(before)
    copy = mbox_copy(tmp_path)
    copy.prepare(None, False)
    copy.commit()
    copy.sync()
    assert (tmp_path / "mbox").read_bytes() == mended + ENTRY
    assert (tmp_path / "mbox.lock").exists()
    assert copy.undo()
    assert (tmp_path / "mbox").read_bytes() == before
    copy.release()
    assert not (tmp_path / "mbox.lock").exists()


SERVERS_LINES = b"X-IMAPbase: 1 2\nX-UID: 7\nStatus: RO\nContent-Length: 20\nX-Keywords: \n  a\n"


@pytest.mark.parametrize(
    ("there", "done", "left"),
    [
        (ENTRY, True, ENTRY),
        (ENTRY + ENTRY.replace(b"hello", b"other"), True, None),
        (ENTRY.replace(b"hello", b"other") + ENTRY, True, None),
        (ENTRY.replace(b"\n\n>", b"\n" + SERVERS_LINES + b"\n>"), True, None),
        (ENTRY.replace(b"hello", b"other"), False, ENTRY.replace(b"hello", b"other")),
        (ENTRY[:60], False, b""),
        (ENTRY[:-1], False, b""),
        (ENTRY.replace(b"hello", b"other") + ENTRY[:70], False, ENTRY.replace(b"hello", b"other")),
        (b"", False, b""),
        (bytes(len(ENTRY)), False, b""),
        (ENTRY[:60] + bytes(20) + ENTRY[80:], False, b""),
        (ENTRY[:60] + bytes(9), False, b""),
        (bytes(9) + b"~", False, bytes(9) + b"~"),
    ],
    ids=[
        "whole", "first", "moved", "rewritten", "another", "torn head", "torn end", "torn, moved",
        "absent", "zeros for all", "a page of zeros", "zeros at the end", "zeros of another",
    ],
)  # fmt: skip
def test_a_retry_knows_its_own_copy(
    tmp_path: Path, there: bytes, done: bool, left: bytes | None
) -> None:
    (tmp_path / "mbox").write_bytes(there)
    copy = mbox_copy(tmp_path)
    copy.prepare(("mbox", str(tmp_path / "mbox"), "", "", "0", str(len(ENTRY))), False)
    assert copy.done is done
    assert (tmp_path / "mbox").read_bytes() == (there if left is None else left)
    copy.release()


@pytest.mark.parametrize("zeros", [0, 5, len(ENTRY)])
@pytest.mark.parametrize("length", range(1, len(ENTRY)))
def test_a_torn_tail_of_another_delivery_is_cut_off(
    tmp_path: Path, length: int, zeros: int
) -> None:
    whole = ENTRY.replace(b"hello", b"whole")
    (tmp_path / "mbox").write_bytes(whole + bytes(zeros)[:length] + ENTRY[zeros:length])
    dead = Journal(str(tmp_path), message_key(b"dead"))
    place = ("mbox", str(tmp_path / "mbox"), "", "", str(len(whole)), str(len(ENTRY)))
    dead.begin(FROM_LINE, FROM_LINE, [place], ".")
    dead.close()

    copy = mbox_copy(tmp_path)
    copy.prepare(None, False)
    assert (tmp_path / "mbox").read_bytes() == whole
    copy.release()


def test_what_somebody_appended_after_a_torn_tail_stays(tmp_path: Path) -> None:
    torn = ENTRY[:60] + b"\n\n" + ENTRY[: len(FROM_LINE)]
    (tmp_path / "mbox").write_bytes(torn)
    dead = Journal(str(tmp_path), message_key(b"dead"))
    place = ("mbox", str(tmp_path / "mbox"), "", "", "0", "5000")
    dead.begin(FROM_LINE, FROM_LINE, [place], ".")
    dead.close()

    copy = mbox_copy(tmp_path)
    copy.prepare(None, False)
    assert (tmp_path / "mbox").read_bytes() == torn
    copy.release()


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "FIFO", "directory"])
def test_only_a_plain_file_of_ours_is_written_to(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    target.write_bytes(ENTRY)
    mbox = tmp_path / "mbox"
    match kind:
        case "symbolic link":
            mbox.symlink_to(target)
        case "hard link":
            mbox.hardlink_to(target)
        case "FIFO":
            os.mkfifo(mbox)
        case _:
            mbox.mkdir()
    with pytest.raises(Deferral, match=str(mbox)):
        mbox_copy(tmp_path).prepare(None, False)
    assert target.read_bytes() == ENTRY
    assert not (tmp_path / "mbox.lock").exists()


def test_a_host_with_a_long_name_has_files_with_shorter_ones(tmp_path: Path) -> None:
    file = File("maildir", str(tmp_path), str(tmp_path), None, None, (), None)
    copy = MaildirCopy(file, letter_of(b"Subject: x\n\n"), b"0" * 32, "hö." * 100)
    assert len(copy.words()[-1].encode()) < 200


# --- dotlock -----------------------------------------------------------------------------------


def test_a_dotlock_excludes_and_goes(tmp_path: Path) -> None:
    mailbox = str(tmp_path / "mbox")
    held = try_dotlock(mailbox, "host")
    assert held is not None
    pid, host = (tmp_path / "mbox.lock").read_text().split(":")
    assert (int(pid), host) == (os.getpid(), "host")
    assert try_dotlock(mailbox, "host") is None
    held.release()
    again = try_dotlock(mailbox, "host")
    assert again is not None
    again.release()
    assert names(tmp_path) == []


def test_the_lock_of_a_dead_delivery_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mbox.lock").write_text("0000012345:host")
    taken = try_dotlock(str(tmp_path / "mbox"), "host")
    assert taken is not None
    taken.release()


@pytest.mark.parametrize("content", ["", "\0" * 15, "00000"])
def test_a_lock_of_ours_that_lost_its_content_in_a_power_cut_is_removed(
    tmp_path: Path, content: str
) -> None:
    """Its name and its mode are on disk by then: else the mailbox would be locked for ever."""
    held = try_dotlock(str(tmp_path / "mbox"), "host")
    assert held is not None
    (tmp_path / "mbox.lock").write_text(content)
    assert try_dotlock(str(tmp_path / "mbox"), "host") is None  # its maker lives
    os.close(held.fd)
    taken = try_dotlock(str(tmp_path / "mbox"), "host")
    assert taken is not None
    taken.release()


@pytest.mark.parametrize("content", ["0", "12345:host", "12345\n", "", "0000012345", "x" * 500])
def test_a_lock_that_others_made_is_waited_for(tmp_path: Path, content: str) -> None:
    """procmail, Dovecot, mutt, liblockfile: nothing proves that such a lock is stale."""
    (tmp_path / "mbox.lock").write_text(content)
    assert try_dotlock(str(tmp_path / "mbox"), "host") is None
    assert not remove_if_stale(str(tmp_path / "mbox.lock"))
    assert (tmp_path / "mbox.lock").read_text() == content


def test_a_lock_that_somebody_replaced_is_not_ours_to_remove(tmp_path: Path) -> None:
    held = try_dotlock(str(tmp_path / "mbox"), "host")
    assert held is not None
    (tmp_path / "mbox.lock").unlink()
    (tmp_path / "mbox.lock").write_text("0")
    held.release()
    assert (tmp_path / "mbox.lock").read_text() == "0"


def test_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOCK_WAIT_S", 0)
    (tmp_path / "mbox.lock").write_text("0")
    with pytest.raises(Deferral, match=r"gave up waiting for the lock of .*mbox"):
        mbox_copy(tmp_path).prepare(None, False)
