"""Socketmap: however the octets are split, the replies are the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.sent.socketmap import REQUEST_BYTES, Broken, Engine, NoMap, netstring

MAP = {"ann@example.org": "ann+sent-x@example.org"}


def look_up(name: str, key: str) -> str | None:
    if name != "m":
        raise NoMap(f"there is no map {name}")
    if key == "trouble":
        raise OSError("no disk")
    return MAP.get(key)


def talk(pieces: list[bytes]) -> tuple[bytes, bool]:
    """All replies to PIECES, and whether the connection broke."""
    engine = Engine(look_up)
    replies = b""
    for piece in pieces:
        try:
            replies += engine.receive(piece)
        except Broken as error:
            return replies + error.args[0], True
    return replies, False


REQUESTS = st.sampled_from(
    [b"m ann@example.org", b"m x", b"m trouble", b"n x", b"m", b"", b" k", b"m \xff", b"m a b"]
)


@given(
    requests=st.lists(REQUESTS, max_size=6),
    tail=st.sampled_from([b"", b"x", b"5", b"3:abcd", b"99999999:", b"-1:,"]),
    cuts=st.lists(st.integers(0, 100), max_size=6),
)
def test_splitting_changes_nothing(requests: list[bytes], tail: bytes, cuts: list[int]) -> None:
    octets = b"".join(map(netstring, requests)) + tail
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    pieces = [octets[a:b] for a, b in pairwise(places)]
    whole = talk([octets])
    assert talk(pieces) == whole
    assert talk([bytes([octet]) for octet in octets]) == whole


@given(octets=st.binary(max_size=60))
def test_nothing_but_broken_is_raised(octets: bytes) -> None:
    talk([octets])


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (b"m ann@example.org", b"OK ann+sent-x@example.org"),
        (b"m bob@example.org", b"NOTFOUND "),
        (b"m \xff", b"NOTFOUND "),
        (b"n x", b"PERM there is no map n"),
        (b"m", b"PERM a request is a map's name, a space and a key"),
        (b"m trouble", b"TEMP OSError: no disk"),
    ],
)
def test_replies(request_: bytes, reply: bytes) -> None:
    assert talk([netstring(request_)]) == (netstring(reply), False)


def test_a_bad_request_does_not_end_the_connection() -> None:
    replies, broken = talk([netstring(b"m"), netstring(b"m ann@example.org")])
    assert not broken
    assert replies.endswith(netstring(b"OK ann+sent-x@example.org"))


def test_what_was_asked_before_the_nonsense_is_answered() -> None:
    replies, broken = talk([netstring(b"m ann@example.org") + b"GET / HTTP/1.0\r\n"])
    assert broken
    assert replies == netstring(b"OK ann+sent-x@example.org")


def test_a_request_without_end_is_refused_at_once() -> None:
    assert talk([b"%d:" % (REQUEST_BYTES + 1)])[1]
    assert talk([b"1" * 100])[1]
