"""An mbox is looked through again without reading what is known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mdeliver.deliver import mboxrd
from mdeliver.popsync.mboxindex import Entry, Found, NotWhole, content_of, look

FROM = b"From a@b.example Tue Nov 14 22:13:%02d 2023\n"


def message(number: int, extra: bytes = b"", body: bytes = b"") -> bytes:
    head = b"Message-ID: <%d@x>\n%sSubject: %d\n\n" % (number, extra, number)
    return head + (body or b"body %d\n" % number)


def entry(number: int, extra: bytes = b"", body: bytes = b"") -> bytes:
    return FROM % number + b"".join(mboxrd.framed_text([message(number, extra, body)]))


def looked(path: Path, content: bytes, before: Sequence[Entry] = (), tail: bool = False) -> Found:
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return look(fd, before, trust_tail=tail)
    finally:
        os.close(fd)


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    return tmp_path / "mbox"


def entries_of(found: Found) -> list[Entry]:
    return [entry for _known, entry in found.entries]


def test_a_first_look(mbox: Path) -> None:
    found = looked(mbox, entry(1) + entry(2, b"Status: RO\n") + entry(3, b"Status: O\n"))
    assert [e.message_id for e in entries_of(found)] == ["<1@x>", "<2@x>", "<3@x>"]
    assert [e.seen for e in entries_of(found)] == [False, True, False]
    assert found.vanished == []


def test_servers_lines_come_and_go_and_messages_move(mbox: Path) -> None:
    first = looked(mbox, entry(1) + entry(2) + entry(3))
    rewritten = entry(3, b"X-UID: 9\nStatus: RO\n") + entry(1, b"X-IMAPbase: 1 9\n") + entry(4)
    second = looked(mbox, rewritten, entries_of(first))
    assert [known for known, _ in second.entries] == [2, 0, None]
    assert [e.seen for e in entries_of(second)] == [True, False, False]
    assert second.vanished == [1]
    third = looked(mbox, rewritten + entry(5), entries_of(second))
    assert [known for known, _ in third.entries] == [0, 1, 2, None]


def test_known_bodies_are_not_read_again(mbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(entry(n) for n in range(50))
    first = looked(mbox, content)
    read: list[int] = []

    def scan(_fd: int, begin: int) -> object:
        read.append(begin)
        return iter([(begin, len(content) + len(entry(51)))])

    monkeypatch.setattr("mdeliver.popsync.mboxindex.entries", scan)
    found = looked(mbox, content + entry(51), entries_of(first))
    assert read == [len(content)]
    assert len(found.entries) == 51


def test_what_was_downloaded_is_known_though_it_has_the_header_of_another(mbox: Path) -> None:
    twice = entry(1, body=b"one\n") + entry(1, body=b"two\n")
    first = looked(mbox, twice)
    assert len({e.content for e in entries_of(first)}) == 2
    second = looked(mbox, entry(1, body=b"two\n"), entries_of(first))
    assert len(second.vanished) == 1
    assert entries_of(second)[0].content == entries_of(first)[1].content


@pytest.mark.parametrize("content", [b"\0\0\0\0\0", b"half a header\n\n" + entry(1)])
def test_what_is_no_mbox_says_nothing(mbox: Path, content: bytes) -> None:
    with pytest.raises(NotWhole):
        looked(mbox, content)


def test_a_last_message_that_is_not_whole_waits(mbox: Path) -> None:
    whole = entry(1) + entry(2)
    for cut in range(len(entry(1)) + 1, len(whole) - 1):
        found = looked(mbox, whole[:cut])
        assert found.torn or whole[:cut].endswith(b"\n\n")
        assert not found.torn or len(found.entries) <= 1
    assert not looked(mbox, whole).torn
    assert len(looked(mbox, whole[:-1], tail=True).entries) == 2


def test_an_empty_mbox_has_lost_all(mbox: Path) -> None:
    first = looked(mbox, entry(1) + entry(2))
    assert looked(mbox, b"", entries_of(first)).vanished == [0, 1]


@pytest.mark.parametrize("body", [b"", b"From me\n", b">From me\n\n\n", b"no end", b"\n\n"])
def test_the_copy_in_a_maildir_has_the_same_content(mbox: Path, body: bytes) -> None:
    (found,) = entries_of(looked(mbox, entry(1, b"X-UID: 3\nStatus: RO\n", body)))
    framed = b"".join(mboxrd.framed_text([message(1, b"", body)]))
    assert found.content == content_of(framed)


def test_what_uw_imap_keeps_is_no_message(mbox: Path) -> None:
    kept = (
        b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\nStatus: RO\n\n"
    )
    (found,) = entries_of(looked(mbox, FROM % 1 + kept + b"text\n\n"))
    assert not found.seen
