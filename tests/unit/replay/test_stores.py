"""Finding and reading messages in files, Maildirs and mboxes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.replay.stores import Reader, find

LINE = b"From a@example.org Mon Nov  2 10:00:00 2026\n"


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for folder in ("Mail", "Mail/.Lists", "Mail/.no-folder"):
        for box in ("new", "cur", "tmp"):
            if folder != "Mail/.no-folder":
                (tmp_path / folder / box).mkdir(parents=True)
    (tmp_path / "Mail/cur/2:2,S").write_bytes(b"Subject: two\n\n")
    (tmp_path / "Mail/new/1").write_bytes(b"Subject: one\n\n")
    (tmp_path / "Mail/.Lists/cur/3:2,").write_bytes(b"Subject: three\n\n")
    (tmp_path / "Mail/cur/.hidden").write_bytes(b"")
    return tmp_path / "Mail"


def test_a_maildir_with_and_without_its_folders(maildir: Path) -> None:
    here = [f"{maildir}/new/1", f"{maildir}/cur/2:2,S"]
    assert [one.name for one in find(str(maildir), folders=False)] == here
    assert [one.name for one in find(str(maildir), folders=True)] == [
        *here,
        f"{maildir}/.Lists/cur/3:2,",
    ]


def test_a_message_that_a_client_has_read_meanwhile(maildir: Path) -> None:
    first, *_others = find(str(maildir), folders=False)
    os.rename(maildir / "new/1", maildir / "cur/1:2,S")
    assert Reader().read(first).letter.head == b"Subject: one\n\n"
    (maildir / "cur/1:2,S").unlink()
    with pytest.raises(FileNotFoundError):
        Reader().read(first)


def test_arrival(maildir: Path, tmp_path: Path) -> None:
    os.utime(maildir / "new/1", (7, 1_000_000_000))
    first, *_others = find(str(maildir), folders=False)
    assert Reader().read(first).arrived_s == 1_000_000_000
    # A file by its own name arrives now.
    (alone,) = find(first.path, folders=False)
    assert Reader().read(alone).arrived_s is None


def test_several_mboxes_in_turn(tmp_path: Path) -> None:
    for name in ("one", "two"):
        entry = LINE + b"Subject: %s\n\n>From me\n\n" % name.encode()
        (tmp_path / name).write_bytes(entry * 2)
    reader = Reader()
    found = [s for name in ("one", "two") for s in find(str(tmp_path / name), folders=False)]
    assert [one.name.removeprefix(f"{tmp_path}/") for one in found] == [
        "one#1", "one#2", "two#1", "two#2",
    ]  # fmt: skip
    for stored in (*found, *found[::-1]):
        subject = b"Subject: %s" % Path(stored.path).name.encode()
        letter = reader.read(stored).letter
        assert letter.from_line == LINE
        assert letter.memory == subject + b"\n\nFrom me\n"
    reader.close()
    reader.close()


def test_what_uw_imap_keeps_is_no_mail(tmp_path: Path) -> None:
    own = LINE + b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nx\n\n"
    (tmp_path / "mbox").write_bytes(own + (LINE + b"Subject: x\n\n\n"))
    assert [one.name for one in find(str(tmp_path / "mbox"), folders=False)] == [
        f"{tmp_path}/mbox#2"
    ]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OSError, match=r"no Maildir|No such file"):
            list(find(str(path), folders=False))
