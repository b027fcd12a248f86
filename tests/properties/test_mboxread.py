"""What mdeliver writes into an mbox is what the replay reads out of it."""

from __future__ import annotations

from itertools import pairwise
from tempfile import TemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.deliver.mboxrd import framed_text, make_from_line, tidy_from_line
from mdeliver.replay import mboxread
from tests.mboxreader import read_mbox
from tests.messages.generate import messages

# Pieces near to being From_ lines, whole ones among them, so that every border is met.
WORDS = st.sampled_from(
    [
        b"From ", b"From", b">", b"\n", b"\r\n", b" ", b"x", b"\0", b"\xff",
        b"\nFrom a@example.org Mon Nov  2 10:00:00 2026\n",
        b"\r\n\r\nFrom a@example.org Mon Nov  2 10:00:00 2026\r\n",
    ]
)  # fmt: skip
MESSAGES = st.lists(WORDS, max_size=30).map(b"".join)
SENDERS = st.sampled_from(["", "a@example.org", '"x y"@example.org', "From", "ü@example.org"])


def stored(content: bytes) -> list[bytes]:
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        fd = file.fileno()
        found = list(mboxread.entries(fd))
        assert [one.end for one in found] == [
            *(other.start for _one, other in pairwise(found)),
            *([len(content)] if found else []),
        ]
        return [mboxread.read_entry(fd, entry) for entry in found]


def entry(message: bytes, sender: str = "a@example.org") -> bytes:
    line = tidy_from_line(make_from_line(sender, 1_000_000_000))
    return line + b"".join(framed_text([message] if message else []))


@given(st.lists(st.tuples(MESSAGES, SENDERS), min_size=1, max_size=5))
def test_what_was_written_is_read_back(written: list[tuple[bytes, str]]) -> None:
    content = b"".join(entry(*one) for one in written)
    whole = [
        message if message.endswith(b"\n") or not message else message + b"\n"
        for message, _sender in written
    ]
    assert [one.partition(b"\n")[2] for one in stored(content)] == whole


@given(st.binary())
def test_no_octets_make_it_fail(content: bytes) -> None:
    stored(content)
    mboxread.arrival_of(content)
    mboxread.sender_of(content)


@pytest.mark.parametrize("buffer_bytes", [mboxread._FROM_LINE_BYTES + 8, 5000, 1 << 20])
def test_borders_of_the_buffer(buffer_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mboxread, "_BUFFER_BYTES", buffer_bytes)
    small = [message for _name, message in messages(100) if len(message) < 20_000]
    content = b"".join(entry(message) for message in small)
    assert stored(content) == [one.from_line + one.message for one in read_mbox(content)]


def test_the_last_message_may_lack_its_end() -> None:
    content = entry(b"Subject: a\n\nb\n")
    for cut in range(1, 3):
        assert stored(content + content[:-cut])[-1].rstrip() == content.rstrip()
    assert stored(content * 2) == [content[:-1]] * 2
