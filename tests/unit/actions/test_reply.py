"""The answer itself: a message that every mail program can read, whatever it answers to."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.message import Message
from mdeliver.plan import Reply
from mdeliver.settings import Site

HEAD = b"From: Bob <bob@example.net>\nTo: ann+x@example.org\n"
ENVELOPE = Envelope(
    "ann", "/home/ann", 1000, "bob@example.net", "ann+x@example.org", domain="example.org"
)


def reply_to(more: bytes = b"", rules: str = 'reply with "away"\n', **envelope: str) -> Reply:
    (reply,) = replies(more, rules, **envelope)
    return reply


def replies(more: bytes, rules: str, **envelope: str) -> list[Reply]:
    program = compile_rules([Source("rules", rules)], str).program
    assert program is not None
    message = Message(HEAD + more + b"\n", 1)
    site = Site(hostname="mail.example.org")
    decision = evaluate(program, message, ENVELOPE.replace(**envelope), site, 1e9, explain=False)
    return [action for action in decision.plan.actions if isinstance(action, Reply)]


def test_the_address_that_was_written_to_answers() -> None:
    read = BytesParser(policy=policy.default).parsebytes(reply_to().octets)
    assert read["from"] == "ann+x@example.org"
    assert read["subject"] == "Automatic reply"
    assert read["date"].datetime.timestamp() == 1e9
    assert read.get_content() == "away\n"
    assert "in-reply-to" not in read


def test_the_same_message_has_the_same_answer() -> None:
    assert reply_to(b"Subject: x\n") == reply_to(b"Subject: x\n")
    assert reply_to(b"Subject: x\n").octets != reply_to(b"Subject: y\n").octets


def test_the_text_is_known_again_as_the_rules_have_it() -> None:
    rules = 'reply with "about {subject}"\n'
    one, other = (reply_to(b"Subject: %s\n" % word, rules) for word in (b"a", b"b"))
    assert one.name == other.name
    assert one.octets != other.octets
    assert one.name != reply_to(rules='reply with "about"\n').name
    assert one.name != reply_to(b"Subject: a\n", rules, sender="eve@example.net").name
    assert one.name == reply_to(b"Subject: a\n", rules, sender="BOB@example.net").name


def test_no_message_makes_the_answer_long() -> None:
    rules = 'reply with "Subject: {subject}\\n\\nabout {subject}{subject}{subject}"\n'
    reply = reply_to(b"Subject: " + b"x" * 200_000 + b"\n", rules)
    assert len(reply.octets) < 100_000


def test_references_are_those_of_the_message_and_bounded() -> None:
    old = b" ".join(b"<%d@example.net>" % number for number in range(1000))
    more = b"Message-ID: <new@example.net> (x)\nReferences: junk %s\n" % old
    read = BytesParser(policy=policy.compat32).parsebytes(reply_to(more).octets)
    references = read["References"].split()
    assert references[-2:] == ["<999@example.net>", "<new@example.net>"]
    assert 50 < len(references) < 150
    assert read["In-Reply-To"] == "<new@example.net>"


@pytest.mark.parametrize(
    "value",
    [b"", b"none", b"<a b@c>", b"<\x00@c>", b"<" + b"x" * 300 + b">", b"<\xc3\xa4@c>", b"<>"],
)
def test_what_is_no_message_id_is_not_repeated(value: bytes) -> None:
    assert b"In-Reply-To" not in reply_to(b"Message-ID: " + value + b"\n").octets


@given(st.binary(max_size=300), st.binary(max_size=100), st.text(max_size=200))
def test_no_message_adds_a_field_or_breaks_the_answer(
    subject: bytes, message_id: bytes, name: str
) -> None:
    flat = subject.replace(b"\n", b"\r")
    more = b"Subject: %s\nMessage-ID: <%s>\nReferences: %s\n" % (
        flat, message_id.replace(b"\n", b" "), flat,
    )  # fmt: skip
    more += f"X-Name: {name!r}\n".encode("utf-8", "replace")
    rules = 'reply with "Subject: Re {subject}\\n\\nDear {from name}: {subject}"\n'
    for found in replies(more, 'reply with "ä"\n') + replies(more, rules):
        head, _, body = found.octets.partition(b"\n\n")
        assert head.isascii()
        assert b"\r" not in found.octets
        assert b"\0" not in found.octets
        assert body.isascii()
        names = [line.split(b":")[0] for line in head.split(b"\n") if line[:1] not in b" \t"]
        assert len(names) == len(set(names)) <= 12
        assert max(map(len, head.split(b"\n"))) < 998
