"""What is an address, whose sender it is, and what another host gets."""

from __future__ import annotations

import pytest

from mdeliver.addresses import can_be_sent_to
from mdeliver.edits import passed_on
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.message import Message
from mdeliver.scene import Scene
from mdeliver.settings import Site


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.org", "a.b+c@x-y.example", "o'brien@example.org", "bob", "a=b@c",
        "ä@bücher.example",
        '"john smith"@example.org', '"a\\"b"@example.org', "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
    ],
)  # fmt: skip
def test_addresses(text: str) -> None:
    assert can_be_sent_to(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a@", "@b", "-f@b", "-", "a b@c", "a@b c", "a@b,c@d", "<a@b>", "A <a@b>", "a@b..c",
        "a..b@c", ".a@b", "a.@b", "a@-b", "a@b-", "a@b\n", "a\0@b", "a@[x y]", "a@[",
        '"a"b"@c', '"a\\"@c',
        "a" * 400 + "@b", "|/bin/sh", ":include:/etc/passwd", "a@b@c",
    ],
)  # fmt: skip
def test_no_addresses(text: str) -> None:
    assert not can_be_sent_to(text)


@pytest.mark.parametrize(
    ("sender", "head", "real"),
    [
        ("o_brien@x", "Return-Path: <o'brien@x>\n", "o'brien@x"),
        ("_j s_@x".replace(" ", "_"), 'Return-Path: <"j s"@x>\n', '"j s"@x'),
        ("o_brien@x", "Received: x\nReturn-Path: <o'brien@x>\n", "o_brien@x"),
        ("o_brien@x", "Return-Path: <eve@example.com>\n", "o_brien@x"),
        ("obrien@x", "Return-Path: <o'rien@x>\n", "obrien@x"),
        ("a_b@x", "", "a_b@x"),
        ("", "Return-Path: <eve@x>\n", ""),
    ],
)
def test_the_sender_that_the_environment_cannot_say(sender: str, head: str, real: str) -> None:
    envelope = Envelope("ann", "/home/ann", 1000, sender=sender)
    scene = Scene(Message(head.encode() + b"\n", 1), envelope, Site(), 0.0, False)
    assert scene.return_path() == real


LOCAL8 = b"Return-Path: <a@b>\nX-Original-To: x\nDelivered-To: ann@example.org\n"
REST = b"Received: by x\nDelivered-To: other@example.net\nSubject: x\n\nReturn-Path: body\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LOCAL8 + REST, REST),
        (REST, REST),
        (b"Return-Path:\n <a@b>\n" + REST, REST),
        (b" folded\n" + REST, b" folded\n" + REST),
        (b"\nbody only\n", b"\nbody only\n"),
        (b"", b""),
    ],
)
def test_what_was_written_for_this_delivery_stays_here(before: bytes, after: bytes) -> None:
    sent = passed_on(letter_of(before), "X-Mark", "ann@host")
    assert b"".join(sent.chunks()) == b"X-Mark: ann@host\n" + after
    assert sent.size == len(after) + len(b"X-Mark: ann@host\n")
