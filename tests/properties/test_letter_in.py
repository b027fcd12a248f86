"""A letter out of a file is the letter that these octets are."""

from __future__ import annotations

import os
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from mdeliver import limits
from mdeliver.edits import edited_letter
from mdeliver.letter import Letter, letter_in, letter_of
from mdeliver.plan import Edit

LINES = st.lists(
    st.sampled_from([b"From a b\n", b"X: y\n", b"\n", b" fold\n", b"no end", b"\r\n", b"x\0\xff\n"])
)


def out_of_a_file(octets: bytes, memory_bytes: int, *, from_line: bool) -> Letter:
    fd = os.memfd_create("letter")
    os.write(fd, octets)
    with patch.object(limits, "MEMORY_BYTES", memory_bytes):
        return letter_in(fd, from_line=from_line)


@given(LINES, st.sampled_from([0, 20, 1000]))
def test_it_is_the_same_in_memory_and_on_disk(lines: list[bytes], memory_bytes: int) -> None:
    octets = b"".join(lines)
    letter = out_of_a_file(octets, memory_bytes, from_line=True)
    expected = letter_of(octets)
    try:
        assert b"".join(letter.chunks()) == b"".join(expected.chunks())
        assert (letter.head, letter.head_cut) == (expected.head, expected.head_cut)
        assert letter.size == expected.size
        edit = (Edit("add", "X-New", "text", None),)
        edited = [b"".join(edited_letter(one, edit).chunks()) for one in (letter, expected)]
        assert edited[0] == edited[1]
    finally:
        letter.close()


@given(LINES, st.sampled_from([0, 20, 1000]))
def test_nothing_is_dropped_that_no_program_gave(lines: list[bytes], memory_bytes: int) -> None:
    octets = b"".join(lines)
    letter = out_of_a_file(octets, memory_bytes, from_line=False)
    try:
        assert b"".join(letter.chunks()) == octets
    finally:
        letter.close()
