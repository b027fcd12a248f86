"""What one user's deliveries remember: messages that were delivered, and replies that were sent.

`duplicate within` asks for the first, `reply with … every` for the second. Two files in the state
directory: `memory` holds the records, `memory-locks` nothing but locks.

    record = NAME(16) KIND(1) OWNER(8) TIME(7) CHECKSUM(8)     40 octets, appended, never changed

    NAME   a hash of what is remembered        KIND  d delivered, r replied
    OWNER  which delivery wrote it: a retry of that very delivery does not find its own records, and
           so decides as the attempt before it did; zeros where a delivery cannot be told from its
           retry
    TIME   milliseconds since 1970

Guarantee   a record that was written is found until it is among the oldest of its kind in a file
            that is full (limits.REMEMBERED_BYTES): then the newest half of each kind stays. Torn,
            or not ours, it counts as none; the next writer cuts a torn end off, and takes out what
            is no record where it meets with it (damage.py).
            Of two deliveries that `hold` one name the second waits for the end of the first.
Locks       on `memory-locks`, which is never replaced: a byte per name that is held, taken before
            the locks of the journal; byte 0 by whoever writes, who waits for nothing else then.
Reads       `mdeliver test` reads the same file and takes no lock (`Recollection`).
Fails with  OSError; Deferral where it waited in vain.
See also    deliver/outside.py, conditions/duplicate.py, RFC 5230 4.2
"""

from __future__ import annotations

import time
from _blake2 import blake2b

from mdeliver import durable, limits, locks, system

DELIVERED = b"d"
REPLIED = b"r"
_KINDS = (DELIVERED, REPLIED)

NOBODY = bytes(8)
"""Owner of what was written by a delivery that cannot be told from its retry."""

_NAME, _OWNER, _TIME, _CHECKSUM = 16, 8, 7, 8
_CONTENT = _NAME + 1 + _OWNER + _TIME
_RECORD = _CONTENT + _CHECKSUM

_WRITING = 0
"""The byte that whoever writes has locked, for as long as that takes."""

_FIRST_NAME = 1
"""The first of the bytes that stand for names."""


def name_of(*parts: bytes) -> bytes:
    """A name for what PARTS tell."""
    digest = blake2b(digest_size=_NAME)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def reply_name(to: str, text: str) -> bytes:
    """The name of the reply TEXT, as the rules have it, to the address TO."""
    return name_of(
        *[part.encode("utf-8", "surrogateescape") for part in ("reply", to.lower(), text)]
    )


class Recollection:
    """The memory as one may read it: nothing is written, nothing is locked.

    owner  which delivery asks: what it wrote itself in an earlier attempt is not found
    """

    def __init__(self, directory: str, owner: bytes = NOBODY) -> None:
        self._path = system.join(directory, "memory")
        self._owner = owner
        self._damaged = False

    def holds(self, kind: bytes, name: bytes, within_s: float) -> bool:
        """Whether NAME was remembered no more than WITHIN_S seconds ago.

        Of a time that lies ahead, as after a clock that was wrong, only as much is believed.
        """
        records = durable.read_file(self._path, 2 * limits.REMEMBERED_BYTES)
        # Zeros are what a crash leaves. What else is no record only its checksum tells, and to look
        # at all of them would cost more than the message.
        self._damaged |= _ZEROS in records
        wanted = name + kind
        found = records.rfind(wanted)
        while found >= 0:
            if found % _RECORD == 0:
                record = records[found : found + _RECORD]
                if _is_whole(record) and not self._is_own(record):
                    age_s = time.time() - _time_ms(record) / 1000
                    if abs(age_s) <= within_s:
                        return True
            found = records.rfind(wanted, 0, found + len(wanted) - 1)
        return False

    def _is_own(self, record: bytes) -> bool:
        return self._owner != NOBODY and record[_NAME + 1 : _NAME + 1 + _OWNER] == self._owner


class Memory(Recollection):
    """The memory as one delivery has it; `close` gives its locks back."""

    def __init__(self, directory: str, owner: bytes = NOBODY) -> None:
        super().__init__(directory, owner)
        self._fd = durable.open_own_file(self._path + "-locks", create=True)

    def close(self) -> None:
        """Let others ask for what this delivery asked for."""
        system.close(self._fd)

    def hold(self, name: bytes) -> None:
        """From now on no other delivery gets past this point with NAME until this one is closed.

        Raises Deferral if the other does not end.
        """
        byte = _FIRST_NAME + int.from_bytes(name[:7], "little")
        patience = locks.Patience(limits.LOCK_WAIT_S)
        while not locks.try_lock(self._fd, byte, 1, exclusive=True):
            patience.wait("the delivery of another copy of this message")

    def remember(self, kind: bytes, *names: bytes) -> None:
        """Write NAMES down, and return once they are on disk."""
        self._lock_for_writing()
        try:
            self._append(b"".join([self._record(kind, name) for name in names]))
        finally:
            locks.unlock(self._fd, _WRITING, 1)

    def claim(self, kind: bytes, name: bytes, within_s: float) -> bool:
        """Write NAME down unless it was within the last WITHIN_S seconds; whether it was done.

        Of two that ask at once one is told yes.
        """
        self._lock_for_writing()
        try:
            if self.holds(kind, name, within_s):
                return False
            self._append(self._record(kind, name))
            return True
        finally:
            locks.unlock(self._fd, _WRITING, 1)

    def _lock_for_writing(self) -> None:
        patience = locks.Patience(limits.LOCK_WAIT_S)
        while not locks.try_lock(self._fd, _WRITING, 1, exclusive=True):
            patience.wait("another delivery to write down what it did")

    def _record(self, kind: bytes, name: bytes) -> bytes:
        now_ms = int(time.time() * 1000)
        content = name + kind + self._owner + now_ms.to_bytes(_TIME, "big")
        return content + _checksum(content)

    def _append(self, written: bytes) -> None:
        fd = durable.open_own_file(self._path, create=True)
        try:
            size = durable.size_of(fd)
            torn = size % _RECORD
            if torn:
                # A writer was killed, or the disk was full: nobody was told that it is written.
                durable.truncate(fd, size - torn)
            end = size - torn
            is_full = end + len(written) > limits.REMEMBERED_BYTES
            if is_full or self._damaged or _is_foreign(fd, end):
                self._rewrite(fd, end, written, is_full=is_full)
                return
            durable.write_at_once(fd, written)
            durable.sync_content(fd)
        finally:
            system.close(fd)

    def _rewrite(self, fd: int, end: int, written: bytes, *, is_full: bool) -> None:
        """Put into the file's place what it has as far as END, and what is WRITTEN now.

        is_full  only the newest half of each kind
        """
        records = _records_of(fd, end)
        whole = [record for record in _parted(records) if _is_whole(record)]
        foreign = end - len(whole) * _RECORD
        kept = b"".join(whole)
        text = (_newest(kept) if is_full else kept) + written
        self._damaged = False
        if not foreign:
            durable.replace(self._path, text)
            return
        from mdeliver import damage

        found = damage.kept(self._path, f"{foreign} octets of it were no records", records, end)
        durable.replace(self._path, text)
        damage.note(found)


_ZEROS = bytes(_RECORD)
"""No record has so many on end."""


def _is_foreign(fd: int, end: int) -> bool:
    """Whether the first or the last record of a file of END octets is none."""
    ends = {0, end - _RECORD} if end else set()
    return not all(_is_whole(durable.read_at(fd, _RECORD, at)) for at in ends)


def _records_of(fd: int, end: int) -> bytes:
    """All records as far as END; of a file that something else has made huge, those at both of its
    ends: memory for all of it cannot be had, and ours stand before what was put behind them."""
    most = 2 * limits.REMEMBERED_BYTES // _RECORD * _RECORD
    if end <= 2 * most:
        return durable.read_at(fd, end, 0)
    return durable.read_at(fd, most, 0) + durable.read_at(fd, most, end - most)


def _parted(records: bytes) -> list[bytes]:
    return [records[at : at + _RECORD] for at in range(0, len(records), _RECORD)]


def _newest(records: bytes) -> bytes:
    """The newest half of each kind in RECORDS; each has room of its own, so that a flood of one
    kind does not make the other forgotten."""
    room = limits.REMEMBERED_BYTES // 4 // _RECORD
    left = dict.fromkeys(_KINDS, room)
    kept: list[bytes] = []
    for start in range(len(records) - _RECORD, -1, -_RECORD):
        record = records[start : start + _RECORD]
        kind = record[_NAME : _NAME + 1]
        if left.get(kind, 0) and _is_whole(record):
            left[kind] -= 1
            kept.append(record)
    kept.reverse()
    return b"".join(kept)


def _is_whole(record: bytes) -> bool:
    return len(record) == _RECORD and _checksum(record[:_CONTENT]) == record[_CONTENT:]


def _checksum(content: bytes) -> bytes:
    return blake2b(content, digest_size=_CHECKSUM).digest()


def _time_ms(record: bytes) -> int:
    return int.from_bytes(record[_CONTENT - _TIME : _CONTENT], "big")
