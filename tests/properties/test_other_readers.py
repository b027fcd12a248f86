"""Heads as two other readers read them: Python's email package, and mail-parser.

What people and their mail programs write is read alike: fields, decoded texts, addresses and names.
Where octets are hostile the readers go ways of their own; what is split into fields there is held
against email's splitting alone, and the differences that are meant are listed.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from email.header import Header, decode_header, make_header
from email.utils import getaddresses
from pathlib import Path

import mailparser
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mdeliver.letter import letter_of
from mdeliver.message import Message
from tests.fuzz.target import TESTS

ATOMS = st.text("abcXYZ019-_", min_size=1, max_size=8)
WORDS = st.text("abcdefgXYZ 0123456789.!#-_äßéöñ€字母", min_size=1, max_size=20).map(str.strip)
NAMES = st.text("abcdefgXYZ ,.'äßé字", min_size=1, max_size=12).map(str.strip).filter(bool)
FOLDS = st.sampled_from([" ", "\n ", "\n\t", "\n  "])
CHARSETS = st.sampled_from(["utf-8", "iso-8859-1", "windows-1252", "utf-16-be", "gb18030"])


def encoded(word: str, charset: str) -> str:
    """WORD as it is, or as encoded words where that is needed."""
    if word.isascii():
        return word
    try:
        word.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
    return Header(word, charset).encode()


def squeezed(text: object) -> str:
    """TEXT with its white space as it does not matter."""
    return " ".join(str(text).split())


def read(head: str) -> Message:
    letter = letter_of(head.encode() + b"\nbody\n")
    return Message(letter.head, letter.size)


@st.composite
def subjects(draw: st.DrawFn) -> str:
    words = draw(st.lists(WORDS.filter(bool), min_size=1, max_size=6))
    made = encoded(words[0], draw(CHARSETS))
    for word in words[1:]:
        made += draw(FOLDS) + encoded(word, draw(CHARSETS))
    return made


@given(subjects())
@settings(max_examples=60, deadline=None)
def test_a_subject(subject: str) -> None:
    head = f"Subject: {subject}\nX: y\n"
    (ours,) = read(head).texts("subject")
    other = message_from_bytes(head.encode() + b"\n")["subject"]
    assert squeezed(ours) == squeezed(make_header(decode_header(other)))
    # mail-parser loses the space between a plain and an encoded word.
    parsed = mailparser.parse_from_string(head + "\nbody\n").subject
    assert "".join(ours.split()) == "".join(parsed.split())


@st.composite
def mailboxes(draw: st.DrawFn) -> tuple[str, str, str]:
    """A mailbox as it is written, its name and its address."""
    address = f"{draw(ATOMS)}.{draw(ATOMS)}@{draw(ATOMS).strip('-_') or 'x'}.example"
    name = squeezed(draw(NAMES))
    kind = draw(st.sampled_from(["bare", "angle", "name", "comment"]))
    if kind == "bare":
        return address, "", address
    if kind == "angle":
        return f"<{address}>", "", address
    assume("." not in name or name.isascii())
    # email.utils takes a comma in a comment for an attempt to deceive, and reads nothing.
    if kind == "comment" and name.isascii() and "," not in name:
        return f"{address} ({name})", name, address
    written = f'"{name}"' if name.isascii() else encoded(name, "utf-8")
    return f"{written} <{address}>", name, address


@given(st.lists(mailboxes(), min_size=1, max_size=6), FOLDS)
@settings(max_examples=60, deadline=None)
def test_addresses(written: list[tuple[str, str, str]], fold: str) -> None:
    head = f"To: {f',{fold}'.join(text for text, _, _ in written)}\nX: y\n"
    ours = read(head).addresses("to")
    assert [address.text for address in ours] == [address for _, _, address in written]
    assert [squeezed(a.display_name) for a in ours] == [squeezed(name) for _, name, _ in written]

    value = message_from_bytes(head.encode() + b"\n")["to"]
    theirs = getaddresses([re.sub(r"\n(?=[ \t])", "", value)])
    assert [address for _name, address in theirs] == [address.text for address in ours]
    names = [squeezed(make_header(decode_header(name))) for name, _address in theirs]
    assert names == [squeezed(address.display_name) for address in ours]

    parsed = mailparser.parse_from_string(head + "\nbody\n").to
    assert [address for _name, address in parsed] == [address.text for address in ours]


MESSAGES = sorted((TESTS / "messages").glob("*.eml"))


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_the_fields_of_every_message(path: Path) -> None:
    letter = letter_of(path.read_bytes())
    same_fields(letter.head)


PIECES = st.sampled_from(
    [b"A", b"b-c", b":", b": ", b" ", b"\t", b"\n", b"\n ", b"\r\n", b"\r\n\t", b"x", b"\xff",
     b"\0", b"Subject: s", b"To: a@b", b"=?utf-8?q?x?=", b"From x", b"\n\n", b"(", b"@"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map(b"".join))
@settings(max_examples=120, deadline=None)
@example(b"A: b\n\r\nC: d\n")
def test_the_fields_of_any_octets(octets: bytes) -> None:
    same_fields(letter_of(octets).head)


def same_fields(head: bytes) -> None:
    """Where email sees a sound head, both see the same fields."""
    ours = [(name, _plain(value)) for name, value in Message(head, len(head)).fields]
    parsed = message_from_bytes(head)
    # Meant: a CR alone ends no line here, as it ends none on its way through Postfix; a line that
    # is no field is skipped, where email takes it for the beginning of the body; a name may have
    # white space before its colon (RFC 5322, 4.5).
    lone_cr = b"\r" in head.replace(b"\r\n", b"")
    if lone_cr or parsed.defects or re.search(rb"(?m)^[^:\n]*[ \t]+:", head):
        return
    if not head.startswith((b"\r", b"\n")):
        theirs = [(name, _plain(_octets(value))) for name, value in parsed.raw_items()]
        assert ours == theirs, head


def _octets(value: object) -> bytes:
    """VALUE of email's as it came; it may be a Header where it is not ASCII."""
    return str(value).encode("utf-8", "surrogateescape")


def _plain(value: bytes) -> bytes:
    return b" ".join(value.split())
