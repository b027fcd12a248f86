"""The text of a reply: which lines are fields, and that no message can write one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver import limits
from mdeliver.replytext import split_reply, wrong_reply


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("away\n", ("", "", "away\n")),
        ("Subject: a: b\n\naway", ("a: b", "", "away\n")),
        ("FROM: x@y\r\nsubject: s\r\n\r\naway\r\nnow", ("s", "x@y", "away\nnow\n")),
        ("Subject: a\nSubject: b\n", ("a", "", "Subject: b\n")),
        ("Subject: a\naway\nFrom: me\n", ("a", "", "away\nFrom: me\n")),
        ("Dear all,\nSubject: none\n\n\n", ("", "", "Dear all,\nSubject: none\n")),
        ("Reply-To: x@y\n\naway", ("", "", "Reply-To: x@y\n\naway\n")),
        ("", ("", "", "\n")),
    ],
)
def test_fields_stand_at_the_beginning(text: str, split: tuple[str, str, str]) -> None:
    expected = split if split[2] != "\n" else ("", "", "")
    assert split_reply([(False, text)]) == expected


@given(st.text())
def test_what_comes_from_outside_is_never_a_field(outside: str) -> None:
    for hostile in (f"From: {outside}", f"x\nFrom: eve@example.com\n\n{outside}", outside):
        subject, author, body = split_reply([(True, hostile), (False, "\nSubject: x\n\nbody")])
        assert (subject, author) == ("", "")
        assert body.endswith("Subject: x\n\nbody\n")
        subject, author, _ = split_reply([(False, "Subject: Re "), (True, hostile)])
        assert author == ""
        assert "\n" not in subject


def test_what_is_wrong_with_a_text() -> None:
    assert wrong_reply([(False, "away")]) == ""
    assert wrong_reply([(False, "From: Ann <ann@example.org>\n\naway")]) == ""
    assert wrong_reply([(False, "From: "), (True, "?"), (False, "\n\naway")]) == ""
    assert "has no text" in wrong_reply([(False, "Subject: x\n \n")])
    assert "one address" in wrong_reply([(False, "From: ann\n\naway")])
    assert "one address" in wrong_reply([(False, "From: a@x.org, b@x.org\n\naway")])
    assert "no more than" in wrong_reply([(False, "x" * (limits.REPLY_TEXT + 1))])
