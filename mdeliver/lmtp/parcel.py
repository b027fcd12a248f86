"""The message that a session is receiving: in memory while it is small, then in a sealed memfd.

Once      received, hashed and spooled, for all its recipients: workers read the same pages, and the
          seals keep everybody, the front too, from changing what another worker has yet to read.
Room      all that is being received, or waits for a worker, counts against one bound; where it is
          reached a message is refused for now (452) and none is lost.
See also  memfd_create(2), fcntl(2) F_ADD_SEALS
"""

from __future__ import annotations

import fcntl
import os
from _blake2 import blake2b

from mdeliver import durable
from mdeliver.lmtp.frames import INLINE_BYTES

_DIGEST_BYTES = 16


class Room:
    """How much of the memory for messages is taken, in octets."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def take(self, octets: int) -> bool:
        """Take room for OCTETS; false where there is none."""
        if self._taken + octets > self._limit:
            return False
        self._taken += octets
        return True

    def give_back(self, octets: int) -> None:
        """Give room for OCTETS back."""
        self._taken -= octets


class Parcel:
    """One message under way; `hold` and `let_go` count who still needs it."""

    def __init__(self, room: Room) -> None:
        self.size = 0
        self.fd = -1
        self._room = room
        self._pieces: list[bytes] = []
        self._digest = blake2b(digest_size=_DIGEST_BYTES)
        self._holders = 1

    def add(self, octets: bytes) -> bool:
        """Add OCTETS; false where there is no room for them. Raises OSError."""
        if not self._room.take(len(octets)):
            return False
        self.size += len(octets)
        self._digest.update(octets)
        if self.fd >= 0:
            durable.write_all(self.fd, octets)
            return True
        self._pieces.append(octets)
        if self.size > INLINE_BYTES:
            self.fd = os.memfd_create("message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            durable.write_chunks(self.fd, self._pieces)
            self._pieces.clear()
        return True

    def close_up(self) -> tuple[bytes, bytes]:
        """Nothing more comes: the digest, and the octets or b"" if they are behind `fd`."""
        if self.fd >= 0:
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
        return self._digest.digest(), b"".join(self._pieces)

    def hold(self) -> None:
        """One more needs it."""
        self._holders += 1

    def let_go(self) -> None:
        """One less needs it; after the last it is gone."""
        self._holders -= 1
        if self._holders == 0:
            self._room.give_back(self.size)
            self._pieces.clear()
            if self.fd >= 0:
                durable.close_read(self.fd)
                self.fd = -1
