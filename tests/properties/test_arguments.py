"""Whatever a message brings into an argument, the program can be run with it."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from mdeliver import limits, system
from mdeliver.envelope import Envelope
from mdeliver.programs import argument, environment_of, run_program

ANY_TEXT = st.text(st.characters(categories=None, exclude_categories=()))


@given(ANY_TEXT, st.integers(1, 3 * limits.ARGUMENT_BYTES))
def test_an_argument_is_one_the_kernel_takes(text: str, times: int) -> None:
    made = argument(text * (1 + times // (len(text) + 1)))
    octets = system.to_octets(made)
    assert b"\0" not in octets
    assert len(octets) <= limits.ARGUMENT_BYTES
    assert argument(made) == made


@settings(max_examples=30, deadline=None)
@given(st.lists(ANY_TEXT, max_size=5))
def test_a_program_gets_its_arguments_one_by_one(texts: list[str]) -> None:
    given_back = b""

    def take(piece: bytes) -> bool:
        nonlocal given_back
        given_back += piece
        return True

    argv = ("printf", r"%s\0", "first", *texts)
    ended = run_program(argv, [], Envelope("ann", "/", os.geteuid()), None, take)
    assert ended.status == 0
    expected = [b"first", *[system.to_octets(argument(text)) for text in texts]]
    assert given_back == b"".join(word + b"\0" for word in expected)


@given(ANY_TEXT, ANY_TEXT)
def test_nothing_but_harmless_characters_gets_into_the_environment(one: str, other: str) -> None:
    envelope = Envelope(
        "ann", "/", 1000, sender=one, recipient=other, extension=one, client_helo=other
    )
    for name in ("SENDER", "RECIPIENT", "LOCAL", "EXTENSION", "CLIENT_HELO"):
        value = environment_of(envelope).get(name, "")
        assert value.isascii()
        assert not set(value) & set(" \t\n\0`$(){}[]<>|&;'\"\\*?~#^")
