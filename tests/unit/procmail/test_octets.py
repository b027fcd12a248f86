"""What is handed over: the same, different by design, or different."""

from __future__ import annotations

import pytest

from mdeliver.procmail import octets

MESSAGE = b"From: a@example.org\nSubject: one\n two\nX-A: 1\n\nbody\n"


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (MESSAGE, set()),
        (MESSAGE + b"\n", {octets.AT_THE_END}),
        (MESSAGE.replace(b"X-A: 1\n", b"X-A: 1\nContent-Length: 5\n"), {octets.LENGTH}),
        (MESSAGE.replace(b"X-A", b"Old-X-B: 2\nX-A"), {octets.OLD}),
        (b"X-A: 1\n" + MESSAGE.replace(b"X-A: 1\n", b""), {octets.ORDER}),
        (MESSAGE.replace(b"X-A: 1", b"X-A:1"), {octets.ORDER}),
        (MESSAGE.replace(b"X-A", b"Message-ID: <x>\nX-A"), {octets.ADDED}),
    ],
)
def test_what_is_meant_to_differ(theirs: bytes, why: set[str]) -> None:
    assert octets.difference(theirs, MESSAGE) == octets.Difference(frozenset(why), "")


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (MESSAGE.replace(b"body", b"bodx"), 'line 1 of the body: "bodx" against "body"'),
        (MESSAGE.replace(b"body\n", b"body\nmore"), 'line 2 of the body: "more" against ""'),
        (MESSAGE.replace(b"X-A: 1", b"X-A: 2"), 'only the original has "x-a: 2"'),
        (MESSAGE.replace(b"X-A: 1\n", b""), 'only the rules have "x-a: 1"'),
        (
            MESSAGE.replace(b"X-A: 1\n", b"X-A: \x1b[31m\n"),
            'only the original has "x-a: \\x1b[31m"',
        ),
    ],
)
def test_what_is_not(theirs: bytes, words: str) -> None:
    assert octets.difference(theirs, MESSAGE).other == words
