"""An mbox is looked through again without reading what is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mdeliver.deliver import mboxrd
from mdeliver.popsync import noting
from mdeliver.popsync.blocks import Block, packed, unpacked
from mdeliver.popsync.entry import Entry, Known, content_of
from mdeliver.popsync.ledger import Written
from mdeliver.popsync.mboxindex import Found, NotWhole, look, mapped
from mdeliver.popsync.noting import note

FROM = b"From a@b.example Tue Nov 14 22:13:%02d 2023\n"


def message(number: int, extra: bytes = b"", body: bytes = b"") -> bytes:
    head = b"Message-ID: <%d@x>\n%sSubject: %d\n\n" % (number, extra, number)
    return head + (body or b"body %d\n" % number)


def entry(number: int, extra: bytes = b"", body: bytes = b"") -> bytes:
    return FROM % number + b"".join(mboxrd.framed_text([message(number, extra, body)]))


class Looker:
    """Looks again and again at one mbox, as sync.py does; blocks hold three messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocks: list[Block] = []
        self.loaded: list[int] = []
        self._messages: dict[int, bytes] = {}

    def look(self, content: bytes, tail: bool = False) -> Found:
        """What is found when the file has CONTENT."""
        self.path.write_bytes(content)
        self.loaded.clear()
        fd = os.open(self.path, os.O_RDONLY)
        try:
            with mapped(fd) as file:
                found = look(fd, file, self.blocks, self._load, trust_tail=tail)
                noted = note(str(self.path), file, found, (), self._load)
        finally:
            os.close(fd)
        self.blocks = [self._kept(block) for block in noted.blocks]
        return found

    def _load(self, block: Block) -> list[Known]:
        self.loaded.append(block.id)
        return unpacked(self._messages[block.id])

    def _kept(self, block: Block | Written) -> Block:
        if isinstance(block, Block):
            return block
        number = len(self._messages) + 1
        self._messages[number] = packed(block.messages)
        return block.block._replace(id=number)

    def entries(self) -> list[Entry]:
        """Of all that is known."""
        return [known.entry for block in self.blocks for known in self._load(block)]

    def ids(self) -> list[str]:
        """Message-IDs without what all have in common."""
        return [entry.message_id.strip("<>").removesuffix("@x") for entry in self.entries()]


@pytest.fixture
def mbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looker:
    monkeypatch.setattr("mdeliver.popsync.noting.MESSAGES", 3)
    return Looker(tmp_path / "mbox")


def gone(found: Found) -> list[str]:
    return [known.entry.message_id.strip("<>").removesuffix("@x") for known in found.vanished]


def test_a_first_look(mbox: Looker) -> None:
    found = mbox.look(entry(1) + entry(2, b"Status: RO\n") + entry(3, b"Status: O\n"))
    assert mbox.ids() == ["1", "2", "3"]
    assert [e.seen for e in mbox.entries()] == [False, True, False]
    assert gone(found) == []


def test_servers_lines_come_and_go_and_messages_move(mbox: Looker) -> None:
    mbox.look(entry(1) + entry(2) + entry(3))
    rewritten = entry(3, b"X-UID: 9\nStatus: RO\n") + entry(1, b"X-IMAPbase: 1 9\n") + entry(4)
    second = mbox.look(rewritten)
    assert mbox.ids() == ["3", "1", "4"]
    assert [e.seen for e in mbox.entries()] == [True, False, False]
    assert gone(second) == ["2"]
    third = mbox.look(rewritten + entry(5))
    assert mbox.ids() == ["3", "1", "4", "5"]
    assert gone(third) == []


def test_blocks_that_are_as_they_were_are_not_even_loaded(mbox: Looker) -> None:
    many = [entry(n) for n in range(20)]
    mbox.look(b"".join(many))
    mbox.look(b"".join(many))
    assert mbox.loaded == []
    before = [block.id for block in mbox.blocks]
    mbox.look(b"".join([*many, entry(20)]))
    assert mbox.loaded == before[-1:]
    many[10] = entry(10, b"Status: RO\n")
    found = mbox.look(b"".join([*many, entry(20)]))
    assert set(mbox.loaded) <= {before[3], mbox.blocks[-1].id}
    assert gone(found) == []
    assert [e.message_id for e in mbox.entries() if e.seen] == ["<10@x>"]


@pytest.mark.parametrize("remove", [{0}, {1}, {2, 3}, {3, 4, 5}, {1, 2, 3, 4}, {19}, {17, 18, 19}])
def test_what_goes_shifts_the_rest(mbox: Looker, remove: set[int]) -> None:
    mbox.look(b"".join(entry(n) for n in range(20)))
    left = [n for n in range(20) if n not in remove]
    found = mbox.look(b"".join(entry(n) for n in left))
    assert gone(found) == [str(n) for n in sorted(remove)]
    assert mbox.ids() == [str(n) for n in left]


def test_a_mark_that_changes_no_length_is_seen(mbox: Looker) -> None:
    before = [entry(n, b"X-UID: %d\nStatus: O \n" % n) for n in range(10)]
    mbox.look(b"".join(before))
    for n in range(10):
        before[n] = entry(n, b"X-UID: %d\nStatus: RO\n" % n)
        assert gone(mbox.look(b"".join(before))) == []
        assert [e.seen for e in mbox.entries()] == [m <= n for m in range(10)]


def test_one_of_several_with_the_same_message_id_goes(mbox: Looker) -> None:
    """Those behind it stand where it stood, and look alike."""
    twins = [FROM % n + message(1, body=b"body %d\n" % n) + b"\n" for n in range(8)]
    mbox.look(b"".join(twins))
    for n in range(8):
        found = mbox.look(b"".join(twins[n + 1 :]))
        (lost,) = found.vanished
        assert lost.entry.content == content_of(message(1, body=b"body %d\n" % n))


def test_many_messages_of_one_name_are_told_apart_once_each(
    mbox: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger can send thousands."""
    changed: list[int] = []
    change = noting._Contents._change

    def counted(this: Any, part: Any, n: int, **changes: Any) -> None:
        changed.append(n)
        change(this, part, n, **changes)

    monkeypatch.setattr(noting._Contents, "_change", counted)
    mbox.look(b"".join(entry(1) for _ in range(60)))
    assert len(changed) == 60
    changed.clear()
    mbox.look(b"".join(entry(1) for _ in range(70)))
    assert len(changed) <= 70


def test_a_later_twin_makes_one_of_an_earlier_message(mbox: Looker) -> None:
    first = FROM % 1 + message(1, body=b"one\n") + b"\n"
    second = FROM % 2 + message(1, body=b"two\n") + b"\n"
    mbox.look(first + b"".join(entry(n) for n in range(2, 12)))
    mbox.look(first + b"".join(entry(n) for n in range(2, 12)) + second)
    found = mbox.look(second)
    assert second.split(b"\n\n")[1] == b"two"
    assert content_of(message(1, body=b"one\n")) in [k.entry.content for k in found.vanished]
    assert mbox.entries()[0].content == content_of(message(1, body=b"two\n"))


@pytest.mark.parametrize("text", [b">From me\n\n>From you\n", b"x\nFrom me\n\nFrom you\n"])
def test_a_line_of_text_that_begins_with_from_ends_no_message(mbox: Looker, text: bytes) -> None:
    """Wherever servers' lines move it to: also to where the message ended before."""
    whole = FROM % 1 + b"Message-ID: <1@x>\n\n" + text + b"\n"
    mbox.look(whole)
    for room in range(len(text) + 20):
        rewritten = whole.replace(b"\n\n", b"\nStatus: RO%s\n\n" % (b" " * room), 1)
        found = mbox.look(rewritten)
        assert (mbox.ids(), gone(found)) == (["1"], [])
        assert mbox.entries()[0].seen
        mbox.look(whole)


def test_known_bodies_are_not_read_again(mbox: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(entry(n) for n in range(50))
    mbox.look(content)
    read: list[int] = []

    def scan(_fd: int, begin: int) -> object:
        read.append(begin)
        return iter([(begin, len(content) + len(entry(51)))])

    monkeypatch.setattr("mdeliver.popsync.mboxindex.entries", scan)
    mbox.look(content + entry(51))
    assert read == [len(content)]
    assert len(mbox.ids()) == 51


def test_what_was_downloaded_is_known_though_it_has_the_header_of_another(mbox: Looker) -> None:
    mbox.look(entry(1, body=b"one\n") + entry(1, body=b"two\n"))
    first = mbox.entries()
    assert len({e.content for e in first}) == 2
    second = mbox.look(entry(1, body=b"two\n"))
    assert [known.entry.content for known in second.vanished] == [first[0].content]


@pytest.mark.parametrize("content", [b"\0\0\0\0\0", b"half a header\n\n" + entry(1)])
def test_what_is_no_mbox_says_nothing(mbox: Looker, content: bytes) -> None:
    with pytest.raises(NotWhole):
        mbox.look(content)


def test_a_last_message_that_is_not_whole_waits(mbox: Looker) -> None:
    whole = entry(1) + entry(2)
    for cut in range(len(entry(1)) + 1, len(whole) - 1):
        mbox.blocks = []
        found = mbox.look(whole[:cut])
        assert found.torn or whole[:cut].endswith(b"\n\n")
        assert not found.torn or len(mbox.ids()) <= 1
    assert not mbox.look(whole).torn
    mbox.look(whole[:-1], tail=True)
    assert mbox.ids() == ["1", "2"]


def test_an_empty_mbox_has_lost_all(mbox: Looker) -> None:
    mbox.look(entry(1) + entry(2))
    assert gone(mbox.look(b"")) == ["1", "2"]


@pytest.mark.parametrize("body", [b"", b"From me\n", b">From me\n\n\n", b"no end", b"\n\n"])
def test_the_copy_in_a_maildir_has_the_same_content(mbox: Looker, body: bytes) -> None:
    mbox.look(entry(1, b"X-UID: 3\nStatus: RO\n", body))
    (found,) = mbox.entries()
    framed = b"".join(mboxrd.framed_text([message(1, b"", body)]))
    assert found.content == content_of(framed)


def test_what_uw_imap_keeps_is_no_message(mbox: Looker) -> None:
    kept = (
        b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\nStatus: RO\n\n"
    )
    mbox.look(FROM % 1 + kept + b"text\n\n")
    (found,) = mbox.entries()
    assert not found.seen
