"""Header fields are changed, and nothing else; the properties are in tests/properties."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver import limits
from mdeliver.edits import edited_head, edited_letter, field_line
from mdeliver.letter import letter_of, read_letter
from mdeliver.plan import Edit
from tests.cputime import cpu_limit

HEAD = b"Received: by x\n\tfor y\nSubject: old\n more\nTo: ann@x\nSubject: twice\n\n"


def edit(deed: str, name: str, text: str = "") -> Edit:
    return Edit(deed, name, text, "rules:1")  # type: ignore[arg-type]


def edited(head: bytes, *edits: Edit, cut: bool = False) -> bytes:
    return edited_head(head, edits, cut=cut)


def test_set_stands_where_the_first_stood_and_further_ones_go() -> None:
    assert edited(HEAD, edit("set", "subject", "new")) == (
        b"Received: by x\n\tfor y\nsubject: new\nTo: ann@x\n\n"
    )


def test_set_adds_what_is_not_there() -> None:
    assert edited(b"To: ann@x\n\n", edit("set", "X-A", "1")) == b"To: ann@x\nX-A: 1\n\n"


def test_add_leaves_those_that_are_there() -> None:
    assert edited(HEAD, edit("add", "Subject", "new")) == HEAD[:-1] + b"Subject: new\n\n"


def test_remove_takes_the_folded_lines_with_it() -> None:
    assert edited(HEAD, edit("remove", "SUBJECT")) == b"Received: by x\n\tfor y\nTo: ann@x\n\n"


def test_prepend_stands_above_the_first_received_and_is_folded() -> None:
    line = edit("prepend", "X-Results", "host; a=1; b=2")
    assert edited(b"Return-Path: <a>\n" + HEAD, line) == (
        b"Return-Path: <a>\nX-Results: host;\n\ta=1;\n\tb=2\n" + HEAD
    )
    assert edited(b"To: x\r\n\r\n", line) == (
        b"X-Results: host;\r\n\ta=1;\r\n\tb=2\r\nTo: x\r\n\r\n"
    )
    assert edited(b"\n", line) == b"X-Results: host;\n\ta=1;\n\tb=2\n\n"
    # A fold of no field does not become one of ours.
    assert edited(b" x\nTo: x\n\n", line).startswith(b" x\nX-Results: host;\n")
    assert edited(b" x", line) == b" x\nX-Results: host;\n\ta=1;\n\tb=2\n"


def test_drop_takes_those_that_are_numbered() -> None:
    head = b"X-A: 1\nx-a: 2\n 2\nTo: x\nX-A : 3\nX-A: 4\n\n"
    assert edited(head, edit("drop", "X-A", "2,4")) == b"X-A: 1\nTo: x\nX-A : 3\n\n"
    assert edited(head, edit("drop", "X-A", "9")) == head
    # What is cut at the limit stays: the rest of it would be a field of its own.
    assert edited(b"X-A: 1\nX-A: 2", edit("drop", "X-A", "1,2"), cut=True) == b"X-A: 2"


@pytest.mark.parametrize("field", [b"X-A: 1", b"X-A : 1", b"X-A\t:", b"x-a:1\n\t\n 2"])
def test_every_way_to_write_a_field_is_that_field(field: bytes) -> None:
    assert edited(field + b"\nTo: x\n\n", edit("remove", "X-A")) == b"To: x\n\n"


@pytest.mark.parametrize("line", [b">X-A: 1\n", b"From X-A: 1\n", b"X-AB: 1\n", b" X-A: 1\n"])
def test_what_is_no_field_of_that_name_stays(line: bytes) -> None:
    assert edited(line + b"To: x\n\n", edit("remove", "X-A")) == line + b"To: x\n\n"


def test_edits_are_done_in_their_order() -> None:
    edits = (edit("add", "X-A", "1"), edit("add", "X-A", "2"), edit("set", "X-A", "3"))
    assert edited(b"\n", *edits) == b"X-A: 3\n\n"
    assert edited(b"\n", *edits, edit("remove", "X-A")) == b"\n"


def test_line_ends_are_those_of_the_message() -> None:
    assert edited(b"To: x\r\n\r\n", edit("add", "X-A", "é" * 40)).count(b"\r\n") == (
        edited(b"To: x\r\n\r\n", edit("add", "X-A", "é" * 40)).count(b"\n")
    )


def test_a_message_that_is_all_head_has_no_end_of_it_afterwards_either() -> None:
    assert edited(b"To: x", edit("add", "X-A", "1")) == b"To: x\nX-A: 1\n"
    assert edited(b"", edit("add", "X-A", "1")) == b"X-A: 1\n"


@pytest.mark.parametrize("part", [b"X-A: begin", b"X-A: begin\n", b"X-A: begin\n and", b"X-A: x\r"])
def test_a_field_that_the_limit_cuts_stays_whole(part: bytes) -> None:
    """What comes after the limit would be a field of its own, or the end of the head."""
    head = b"X-A: 0\nTo: x\n" + part
    assert edited(head, edit("remove", "X-A"), cut=True) == b"To: x\n" + part
    assert edited(head, edit("set", "X-A", "2"), cut=True) == b"X-A: 2\nTo: x\n" + part
    assert edited(part, edit("set", "X-A", "2"), cut=True) == b"X-A: 2\n" + part
    assert edited(b"X-A: 1", edit("add", "X-B", "2"), cut=True) == b"X-B: 2\nX-A: 1"


def test_a_long_text_keeps_to_the_length_of_lines() -> None:
    for text in ("word " * 1000, "é" * 5000, "=?x" * 2000):
        assert max(map(len, field_line("X-A", text).split(b"\n"))) <= 998


def test_a_bomb_of_a_text_costs_no_time_and_no_room() -> None:
    with cpu_limit(2):
        line = field_line("Subject", "é \n" * (1 << 20))
    assert len(line) < 30_000 < 4 * limits.HEADER_TEXT


def test_the_letter_is_the_edited_head_and_the_rest() -> None:
    letter = letter_of(b"From x\nSubject: a\n\nFrom the body\r\n\0")
    changed = edited_letter(letter, (edit("set", "Subject", "b"),))
    assert b"".join(changed.chunks()) == b"Subject: b\n\nFrom the body\r\n\0"
    assert changed.size == len(b"Subject: b\n\nFrom the body\r\n\0")
    assert (changed.digest, changed.from_line) == (letter.digest, letter.from_line)
    assert edited_letter(letter, ()) is letter


@pytest.mark.parametrize("head", [b"Subject: a\n\n", b"Subject: a\n" * 100 + b"\n", b"\n"])
def test_a_spooled_letter_likewise(
    head: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MEMORY_BYTES", "COPY_BYTES"):
        monkeypatch.setattr(limits, name, 64)
    body = b"line\n" * 100
    (tmp_path / "message").write_bytes(head + body)
    fd = os.open(tmp_path / "message", os.O_RDONLY)
    letter = read_letter(fd, str(tmp_path))
    os.close(fd)
    try:
        assert letter.memory is None
        for edits in ((edit("set", "Subject", "b"),), (edit("remove", "Subject"),)):
            changed = edited_letter(letter, edits)
            wanted = edited_head(head, edits, cut=False) + body
            assert b"".join(changed.chunks()) == b"".join(changed.chunks()) == wanted
            assert changed.size == len(wanted)
    finally:
        letter.close()
