from __future__ import annotations

import os
from _blake2 import blake2b

import pytest

from mdeliver.lmtp.frames import INLINE_BYTES
from mdeliver.lmtp.parcel import Parcel, Room


def digest(octets: bytes) -> bytes:
    return blake2b(octets, digest_size=16).digest()


def test_a_small_message_stays_in_memory() -> None:
    parcel = Parcel(Room(1000))
    assert parcel.add(b"one ")
    assert parcel.add(b"two")
    assert parcel.close_up() == (digest(b"one two"), b"one two")
    assert parcel.fd < 0


def test_a_large_one_is_sealed() -> None:
    room = Room(10 * INLINE_BYTES)
    parcel = Parcel(room)
    octets = b"x" * INLINE_BYTES
    assert parcel.add(octets)
    assert parcel.add(b"yz")
    assert parcel.close_up() == (digest(octets + b"yz"), b"")
    assert os.pread(parcel.fd, 10, INLINE_BYTES - 1) == b"xyz"
    # Who has the descriptor may read it and nothing else, by another name too.
    for fd in (parcel.fd, os.open(f"/proc/self/fd/{parcel.fd}", os.O_RDWR)):
        for attempt in (lambda fd=fd: os.pwrite(fd, b"!", 0), lambda fd=fd: os.ftruncate(fd, 0)):
            with pytest.raises(PermissionError):
                attempt()
    os.close(fd)


def test_room_is_given_back_after_the_last_holder() -> None:
    room = Room(10)
    parcel = Parcel(room)
    assert parcel.add(b"12345678")
    assert not parcel.add(b"123")
    parcel.hold()
    parcel.let_go()
    assert not room.take(3)
    parcel.let_go()
    assert room.take(10)


def test_a_descriptor_is_closed_after_the_last_holder() -> None:
    parcel = Parcel(Room(10 * INLINE_BYTES))
    assert parcel.add(b"x" * (INLINE_BYTES + 1))
    fd = parcel.fd
    parcel.hold()
    parcel.let_go()
    os.fstat(fd)
    parcel.let_go()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
