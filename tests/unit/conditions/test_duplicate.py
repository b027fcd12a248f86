"""`duplicate within`: what names a message, and what is asked and remembered."""

from __future__ import annotations

import pytest

from mdeliver.conditions.duplicate import message_name
from mdeliver.envelope import NO_TAG, Envelope, SentTag
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.letter import Letter
from mdeliver.message import Message
from mdeliver.plan import Decision
from mdeliver.settings import Site

HEAD = (
    b"Received: from a.example\nMessage-ID: <one@example.net>\n"
    b"Date: Mon, 2 Nov 2026 12:00:00 +0000\nFrom: Bob <Bob@example.net>\nSubject: hello\n\n"
)
RULES = "if duplicate within 2d: discard\n"


class Known:
    """An Outside that knows what it is told, and what it was asked."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer
        self.asked: list[tuple[bytes, float]] = []

    def delivered_before(self, name: bytes, within_s: float) -> bool | None:
        self.asked.append((name, within_s))
        return self.answer

    def succeeds(self, argv: tuple[str, ...], octets: object) -> tuple[bool | None, str]:
        raise AssertionError(argv)

    def filtered(
        self, argv: tuple[str, ...], octets: object, size: int
    ) -> tuple[Letter | None, str]:
        raise AssertionError(argv)

    def names(self) -> None:
        raise AssertionError

    def answered(self, to: str, text: str, every_s: float) -> bool:
        raise AssertionError(to)


def message(head: bytes = HEAD, body: bytes = b"body\n", pieces: int = 1) -> Message:
    whole = head + body
    step = -(-len(whole) // pieces)
    return Message(
        head, len(whole), octets=lambda: [whole[i : i + step] for i in range(0, len(whole), step)]
    )


def decide(rules: str, outside: Known | None, head: bytes = HEAD) -> Decision:
    program = compile_rules([Source("rules", rules)], str).program
    assert program is not None
    envelope = Envelope("ann", "/home/ann", 1000, sender="bob@example.net")
    return evaluate(program, message(head), envelope, Site(), 0.0, explain=True, outside=outside)


def test_what_servers_and_lists_change_is_not_in_the_name() -> None:
    by_a_list = HEAD.replace(b"Subject: ", b"Subject: [list] ").replace(b"Bob <", b"Bobby <")
    by_a_list = b"Received: from b.example\n" + by_a_list.replace(b"\nDate: ", b"\ndate:\n ")
    assert message_name(message()) == message_name(message(by_a_list, b"body\n-- \nfooter\n"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<one@", b"<two@"),
        (b"12:00:00", b"12:00:01"),
        (b"Bob@example.net", b"mallory@example.com"),
        (b"Subject:", b"Resent-Date: Tue, 3 Nov 2026 12:00:00 +0000\nSubject:"),
    ],
)
def test_a_guessed_message_id_is_not_enough(old: bytes, new: bytes) -> None:
    assert message_name(message()) != message_name(message(HEAD.replace(old, new)))


def test_without_a_message_id_fields_and_body_count() -> None:
    bare = HEAD.replace(b"Message-ID: <one@example.net>\n", b"")
    name = message_name(message(bare))
    assert name != message_name(message())
    assert name == message_name(message(bare, pieces=7))
    assert name == message_name(message(bare.replace(b"from a.ex", b"from b.ex")))
    assert name != message_name(message(bare, b"other\n"))
    assert name != message_name(message(bare.replace(b"hello", b"hallo")))


def test_an_empty_message_has_a_name() -> None:
    assert len(message_name(Message(b"", 0))) == 16


def test_what_was_delivered_before_is_a_duplicate() -> None:
    outside = Known(True)
    decision = decide(RULES, outside)
    assert decision.plan.verdict.fate == "discard"
    assert outside.asked == [(message_name(message()), 2 * 86400.0)]
    assert decision.trace[0].because == "it was delivered within 2d"


def test_what_is_asked_for_is_remembered_once() -> None:
    decision = decide(RULES + "if duplicate within 90s: keep\n", Known(False))
    assert decision.plan.remember == (message_name(message()),)
    assert decision.trace[0].because == "it was not delivered before"


def test_what_is_not_known_defers() -> None:
    assert decide(RULES, Known(None)).plan.verdict.fate == "defer"


def test_without_a_memory_nothing_is_a_duplicate() -> None:
    assert decide(RULES, None).plan.verdict.fate == "deliver"


def test_the_name_is_that_of_the_message_as_it_came() -> None:
    changed = decide('set header "Message-ID: <x@example.org>"\n' + RULES, Known(False))
    assert changed.plan.remember == (message_name(message()),)


def test_the_copy_for_the_sent_folder_is_no_duplicate_of_what_i_sent_to_myself() -> None:
    program = compile_rules([Source("rules", RULES)], str).program
    assert program is not None
    known = Known(False)
    for tag in (NO_TAG, SentTag("secret", mine=True, proof=True)):
        envelope = Envelope("ann", "/home/ann", 1000, sent_tag=tag)
        evaluate(program, message(), envelope, Site(), 0.0, explain=False, outside=known)
    (one, _), (other, _) = known.asked
    assert one != other
