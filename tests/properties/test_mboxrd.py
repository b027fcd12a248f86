"""The mboxrd format, however a message falls into pieces."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from mdeliver import limits
from mdeliver.deliver import mboxrd
from mdeliver.letter import Letter, read_letter
from tests.mboxreader import read_mbox

FROM_LINE = b"From a@example.org Thu Jan  1 00:00:00 1970\n"

# Small words that are near to being `From ` lines, so that every border is met.
WORDS = st.sampled_from(
    [b"From ", b"From", b"F", b">", b">>", b"\n", b"\r\n", b"rom ", b" ", b"x", b"\0", b"\xff"]
)
MESSAGES = st.lists(WORDS, max_size=30).map(b"".join)


def in_pieces(message: bytes, cuts: list[int]) -> Iterator[bytes]:
    borders = sorted({0, len(message), *(cut % (len(message) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(borders):
        yield message[start:end]


@given(MESSAGES, st.lists(st.integers(0, 100), max_size=8))
def test_quoting_does_not_depend_on_the_pieces(message: bytes, cuts: list[int]) -> None:
    whole = re.sub(rb"^(?=>*From )", b">", message, flags=re.MULTILINE)
    assert b"".join(mboxrd.quoted(in_pieces(message, cuts))) == whole


@given(st.lists(MESSAGES, max_size=4), st.lists(st.integers(0, 100), max_size=4))
def test_what_is_written_is_read_back(written: list[bytes], cuts: list[int]) -> None:
    entries = [
        FROM_LINE + b"".join(mboxrd.framed_text(in_pieces(message, cuts))) for message in written
    ]
    read = [stored.message for stored in read_mbox(b"".join(entries))]
    ended = [m if m.endswith(b"\n") or not m else m + b"\n" for m in written]
    assert read == ended


@given(st.text(max_size=20))
def test_any_sender_makes_one_from_line(sender: str) -> None:
    line = mboxrd.make_from_line(sender, 0)
    assert line.startswith(b"From ")
    assert line.count(b"\n") == 1
    assert len(line.split(b" ")) == len(mboxrd.make_from_line("a@b", 0).split(b" "))


def test_the_null_sender_is_mailer_daemon() -> None:
    assert mboxrd.make_from_line("", 0).startswith(b"From MAILER-DAEMON ")


def read(incoming: bytes, spool_directory: str) -> Letter:
    fd = os.memfd_create("letter")
    try:
        os.write(fd, incoming)
        os.lseek(fd, 0, os.SEEK_SET)
        return read_letter(fd, spool_directory)
    finally:
        os.close(fd)


@given(MESSAGES, st.integers(1, 12))
def test_what_needs_no_quoting_is_known_when_a_large_message_was_read(
    message: bytes, piece_bytes: int
) -> None:
    with patch.multiple(limits, MEMORY_BYTES=0, COPY_BYTES=piece_bytes):
        letter = read(message, "/tmp")
        stored = b"".join(letter.chunks())
        entry = b"".join(mboxrd.framed_text(letter.chunks()))
        letter.close()
    if letter.mbox_end:
        assert stored + letter.mbox_end == entry
    elif letter.memory is None:
        assert b"From " in stored


@given(MESSAGES, st.booleans())
def test_a_letter_is_what_came(message: bytes, with_from_line: bool) -> None:
    incoming = (FROM_LINE if with_from_line else b"") + message
    letter = read(incoming, str(Path("/nonexistent")))
    assert letter.from_line + b"".join(letter.chunks()) == incoming
    assert letter.size == len(incoming) - len(letter.from_line)
    assert message.startswith(letter.head) or not with_from_line
    assert letter.head.count(b"\n\n") <= 1
