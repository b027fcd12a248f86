"""Splitting of heads, texts and limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver import limits
from mdeliver.message import Message
from tests.cputime import cpu_limit
from tests.messages.generate import messages

EXAMPLES = Path(__file__).parent.parent / "messages"


def message(head: bytes) -> Message:
    return Message(head, len(head))


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_fields_in_order_unfolded(eol: bytes) -> None:
    head = eol.join([b"Subject: one", b"\ttwo", b"  three", b"X-A:4", b"x-a: 5 ", b"", b"Body: no"])
    found = message(head)
    assert [name for name, _ in found.fields] == ["Subject", "X-A", "x-a"]
    # RFC 5322 2.2.3: only the line end goes.
    assert found.texts("subject") == ("one\ttwo  three",)
    assert found.texts("x-a") == ("4", "5")
    assert found.whole_fields()[1] == "X-A: 4"


@pytest.mark.parametrize(
    "head", [b"", b"\n", b"\r\n", b"\n\nSubject: no", b"hello there\n", b" folded\n"]
)
def test_no_field_at_all(head: bytes) -> None:
    assert message(head).fields == []
    assert message(head).texts("subject") == ()
    assert message(head).addresses("to") == ()


def test_lines_that_are_no_fields_are_skipped_with_their_folds() -> None:
    head = (
        b">From bob@example.org Mon Nov  2 10:00:00 2026\n"
        b"From bob@example.org Mon Nov  2 10:00:00 2026\n folded: x\n"
        b"no colon\n: no name\nX Space: x\nB\xe4d: x\nSubject : obsolete\nX-Empty:\n\n"
    )
    assert message(head).whole_fields() == ("Subject: obsolete", "X-Empty: ")


def test_raw_8bit_is_utf8_else_latin1() -> None:
    assert message("Subject: Grüße 你好\n".encode()).texts("subject") == ("Grüße 你好",)
    assert message("Subject: Grüße\n".encode("latin-1")).texts("subject") == ("Grüße",)


def test_nul_and_lone_cr_stay() -> None:
    assert message(b"Subject: a\0b\rc\r\n").texts("subject") == ("a\0b\rc",)


def test_several_fields_of_one_name_hold_all_addresses() -> None:
    found = message(b"From: a@example.org\nX: y\nfrom: b@example.org, c@example.org\n")
    assert [a.text for a in found.addresses("from")] == [
        "a@example.org", "b@example.org", "c@example.org",
    ]  # fmt: skip


def test_limits_are_named() -> None:
    lines = message(b"X: y\n" * (limits.HEADER_LINES + 5))
    assert len(lines.fields) == limits.HEADER_LINES
    assert str(limits.HEADER_LINES) in lines.limit
    words = message(b"Subject:" + b" =?utf-8?q?x?=" * (limits.ENCODED_WORDS + 1) + b"\n")
    assert words.texts("subject")[0] == "x" * limits.ENCODED_WORDS + " =?utf-8?q?x?="
    assert "encoded words" in words.limit
    addresses = message(b"To: " + b"a@example.org," * 40_000 + b"\n")
    assert 0 < len(addresses.addresses("to")) <= limits.ADDRESSES
    assert "addresses" in addresses.limit
    assert Message(b"X: y\n", 9, cut=True).limit
    assert not message(b"X: y\n\n").limit


@pytest.mark.parametrize(
    "piece",
    [
        b"X-Header: x\n", b"\n x", b"=?", b"=?a?q?", b" =?utf-8?b?YQ?=", b" =?nope?q?a?=", b"(",
        b'"', b"<", b"[", b"\\", b"@", b",", b":", b";", b"a@b,", b'"a@b" <c@d>,', b"(a)",
        b"x\n", b"\xff",
    ],
)  # fmt: skip
def test_hostile_heads_take_linear_time(piece: bytes) -> None:
    head = b"To: " + piece * (limits.HEAD_BYTES // len(piece))
    # Linear is some 0.1 s on a slow machine; a quadratic step would take minutes.
    with cpu_limit(5):
        hostile = message(head)
        hostile.texts("to")
        hostile.addresses("to")
        hostile.whole_fields()


def test_every_varied_message_can_be_read() -> None:
    for _name, whole in messages(150, seed=7):
        found = message(whole[: limits.HEAD_BYTES])
        for field, _value in found.fields[:200]:
            found.texts(field.lower())
            found.addresses(field.lower())
        for text in found.whole_fields():
            text.encode()


def test_examples() -> None:
    def read(name: str) -> Message:
        return message((EXAMPLES / name).read_bytes())

    assert read("list.eml").texts("subject") == ("[pfx] Re: mailbox_command",)
    words = read("encoded-words.eml")
    assert words.texts("subject") == ("snow ☃ and� =?utf-8?Q?open",)
    assert words.texts("x-not-a-word") == ("abc",)
    assert [a.display_name for a in words.addresses("from")] == ["日本"]
    assert [a.display_name for a in words.addresses("to")] == ["Jürgen"]
    spoofed = read("spoofed-name.eml")
    assert [a.text for a in spoofed.addresses("from")] == ["evil@example.com"]
    assert [(a.text, a.display_name) for a in spoofed.addresses("reply-to")] == [
        ("evil@example.com", '"ann@example.org" <ann@example.org>')
    ]
    assert read("crlf.eml").texts("subject") == ("folded\tover CRLF",)
    assert read("mbox-leftovers.eml").texts("subject") == (
        "stored once already", "space before the colon",
    )  # fmt: skip
