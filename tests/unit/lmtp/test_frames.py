from __future__ import annotations

import gc
import os
import socket
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.lmtp import frames
from mdeliver.lmtp.jobs import Job, added_lines, external, letter_for, pack_job, unpack_job


def job(**changes: object) -> Job:
    octets = b"Subject: x\n\nhello\n"
    made = Job(
        1, "", "a@example.net", "ann@example.org", "", "", "", "", "", "", "",
        b"digest", len(octets), octets,
    )  # fmt: skip
    return made.replace(**changes)


@given(st.binary(min_size=1, max_size=1), st.lists(st.binary(max_size=50), max_size=5))
def test_what_is_packed_is_unpacked(kind: bytes, fields: list[bytes]) -> None:
    assert frames.unpack(frames.pack(kind, *fields)) == (kind, fields)


@given(st.binary(max_size=60))
def test_nothing_but_a_value_error(packet: bytes) -> None:
    try:
        kind, fields = frames.unpack(packet)
    except ValueError:
        return
    assert frames.pack(kind, *fields) == packet


@given(st.text(max_size=20), st.binary(max_size=50))
def test_jobs(text: str, octets: bytes) -> None:
    text = text.encode("utf-8", "ignore").decode()
    made = job(sender=text, octets=octets, size=len(octets))
    kind, fields = frames.unpack(pack_job(made))
    assert kind == frames.JOB
    assert unpack_job(fields) == made


def test_a_job_that_is_none() -> None:
    _, fields = frames.unpack(pack_job(job()))
    for broken, words in (
        (fields[:-1], "14 fields, not 13"),
        ([b"x", *fields[1:]], "invalid literal"),
        ([*fields[:-2], b"3", fields[-1]], "size"),
    ):
        with pytest.raises(ValueError, match=words):
            unpack_job(broken)


def test_descriptors_travel_and_the_end_is_seen() -> None:
    one, other = frames.pair()
    reading, writing = os.pipe()
    with one, other:
        assert frames.receive(other) is None
        assert frames.send(one, frames.pack(frames.FRONT), writing)
        received = frames.receive(other)
        assert received is not None
        os.write(received[1], b"x")
        assert os.read(reading, 1) == b"x"
        for fd in (reading, writing, received[1]):
            os.close(fd)
        assert frames.send(one, frames.pack(frames.BYE))
        one.close()
        assert frames.receive(other) == (frames.pack(frames.BYE), -1)
        assert frames.receive(other) == (b"", -1)


def test_a_second_descriptor_does_not_stay_open() -> None:
    """Users' workers send to the front and the master, whose descriptors are everybody's."""
    one, other = frames.pair()
    with one, other:
        gc.collect()  # what an earlier test left open is closed now, not in between
        before = sorted(os.listdir("/proc/self/fd"))
        for count in (2, 3, 30):
            rights = array("i", [one.fileno()] * count)
            one.sendmsg([b"packet"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            with pytest.raises(ValueError, match="cut"):
                frames.receive(other)
            assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_full_channel_is_told() -> None:
    one, other = frames.pair()
    with one, other:
        packet = frames.pack(frames.JOB, b"x" * frames.INLINE_BYTES)
        sent = 0
        while frames.send(one, packet):
            sent += 1
        assert sent > 1
        assert frames.receive(other) is not None
        assert frames.send(one, packet)


def test_few_descriptors_are_under_way_in_a_small_channel() -> None:
    """The kernel counts those of the whole server against one limit (ETOOMANYREFS)."""
    one, other = frames.pair(frames.ORDERS_BYTES)
    with one, other:
        knock = frames.pack(frames.DOOR)
        sent = 0
        while frames.send(one, knock, one.fileno()):
            sent += 1
        assert 20 < sent < 200


def test_the_largest_packet_fits_an_ordinary_socket() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        assert frames.send(one, b"x" * frames.PACKET_BYTES)


def test_a_letter_has_the_lines_of_local_8() -> None:
    made = letter_for(job(original="old@example.org"), -1, 0.0)
    lines = b"Return-Path: <a@example.net>\nX-Original-To: old@example.org\n"
    lines += b"Delivered-To: ann@example.org\n"
    assert b"".join(made.chunks()) == lines + b"Subject: x\n\nhello\n"
    assert made.head == lines + b"Subject: x\n\n"
    assert (made.from_line, made.digest) == (b"", b"digest")


def test_a_signed_message_has_a_from_line() -> None:
    assert letter_for(job(queue_id="4ABC"), -1, 0.0).from_line.startswith(b"From a@example.net ")
    received = b"X: y\nReceived: by mx\n\n"
    made = letter_for(job(octets=received, size=len(received)), -1, 0.0)
    assert made.from_line.startswith(b"From ")


def test_a_large_message_is_read_where_it_is() -> None:
    octets = b"Subject: x\n\n" + b"hello\n" * 50_000
    fd = os.memfd_create("test")
    os.write(fd, octets)
    made = letter_for(job(octets=b"", size=len(octets)), fd, 0.0)
    assert b"".join(made.chunks()) == added_lines(job()) + octets
    assert made.size == len(added_lines(job()) + octets)
    made.close()


def test_addresses_are_quoted_where_they_must() -> None:
    assert external("ann@example.org") == "ann@example.org"
    assert external('a b"c@example.org') == '"a b\\"c"@example.org'
    assert external("a>b@example.org") == '"a>b"@example.org'
    assert external("") == ""
