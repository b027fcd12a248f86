"""The journal: what one user's deliveries have begun and finished, so that a retry can know.

One file per user, `journal` in the state directory. One line per attempt that came as far as
making something visible:

    STATE PLACES TAB CHECKSUM TAB KEY TAB BOOT TAB TIME TAB FROM TAB PLACE [TAB PLACE ...]

STATE is one letter, PLACES one letter for each place; only these letters ever change, each by a
one-byte write over what was allocated with the line, so that a full disk cannot stop them:

    STATE   .  open: begun, not known to be finished      D  done: every place has it, durably
            F  done, and the delivery ended by itself     R  rolled back: no place has it
            S  superseded by a later line of this key
    PLACE   .  not committed, as far as is known          c  committed (believed in the same boot)
            u  being undone: believe nothing, look

Guarantee   nothing is visible in a mailbox before its line is on disk; of two attempts at one
            message the second waits for the first (a lock on one byte per key).
Letters     need no sync: they matter to a killed process, whose writes the kernel still has;
            after a reboot they are not believed, and the mailboxes are looked at. What no mailbox
            can show (a program ran, mail was forwarded) has a letter that is synced.
Fails with  OSError, Deferral; nothing is visible then.
See also    transaction.py
"""

from __future__ import annotations

import sys
import time
from _blake2 import blake2b

from mdeliver import durable, limits, locks, system
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ROTATION_BYTE = 0
_CHECKSUM_OCTETS = 8

_BOOT: list[str] = []
"""What `boot_id` has found."""

_UNSAFE = bytes(range(0x21)) + b"%\x7f"
"""Octets that do not stand for themselves in a word."""


class Recorded(Record):
    """One line, read.

    offset     of its STATE letter in the file
    state      its STATE letter
    marks      its PLACE letters
    key        which message for whom
    boot       boot id of the kernel that ran the attempt, "" if unknown
    from_came  the From_ line as it came with the message, b"" if none came
    from_line  the From_ line that copies in mboxes carry
    places     each place as its deliverer wrote it (`words` split them)
    """

    offset: int
    state: str
    marks: str
    key: bytes
    boot: str
    from_came: bytes
    from_line: bytes
    places: tuple[tuple[str, ...], ...]


def message_key(*parts: bytes) -> bytes:
    """The key of one message for one recipient: a hash over PARTS, as hexadecimal digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest().encode()


def boot_id() -> str:
    """The id of this boot of the kernel; "" where it cannot be known, which equals no boot."""
    if not _BOOT:
        # A process does not outlive it, so a worker asks once.
        found = durable.read_file("/proc/sys/kernel/random/boot_id", 64).decode("ascii").strip()
        _BOOT.extend(found.split())
    return _BOOT[0] if _BOOT else ""


class Journal:
    """The open journal, as one attempt at one message holds it.

    Two locks are held from opening to closing: byte 0 shared (whoever rewrites the file takes it
    alone), and one byte at a place that the key gives, alone.
    """

    def __init__(self, directory: str, key: bytes) -> None:
        """Open the journal in DIRECTORY for an attempt at the message KEY."""
        self.key = key
        self.boot = boot_id()
        self.is_open = False
        """Whether a retry would need what the line of this message names."""
        self._path = system.join(directory, "journal")
        self._line_at = -1
        self._fd = self._open()
        try:
            byte = 1 + int(key[:15], 16)
            patience = locks.Patience(limits.LOCK_WAIT_S)
            while not locks.try_lock(self._fd, byte, 1, exclusive=True):
                patience.wait("another delivery of this same message")
            self._lines = durable.read_at(self._fd, durable.size_of(self._fd), 0)
        except BaseException:
            system.close(self._fd)
            raise

    def _open(self) -> int:
        patience = locks.Patience(limits.LOCK_WAIT_S)
        most = limits.JOURNAL_BYTES
        while True:
            fd = durable.open_own_file(self._path, create=True)
            try:
                if durable.size_of(fd) > most and locks.try_lock(
                    fd, _ROTATION_BYTE, 1, exclusive=True
                ):
                    # Once: one line may be longer than that.
                    most = sys.maxsize
                    # Somebody may have put a new file in its place: then the next round opens it.
                    if durable.same_file(fd, self._path):
                        _rewrite(fd, self._path)
                elif locks.try_lock(fd, _ROTATION_BYTE, 1, exclusive=False):
                    # Between opening and locking somebody may have put a new file in its place.
                    if durable.same_file(fd, self._path):
                        return fd
                else:
                    patience.wait(f"{self._path} to be rewritten")
            except BaseException:
                system.close(fd)
                raise
            system.close(fd)

    def close(self) -> None:
        """Give the locks back."""
        system.close(self._fd)

    def earlier(self) -> Recorded | None:
        """The last line about this message; from then on `is_open` speaks of it."""
        found = self._lines.rfind(b"\t" + self.key + b"\t")
        while found >= 0:
            start = self._lines.rfind(b"\n", 0, found) + 1
            recorded = _read_line(self._lines, start)
            if recorded is not None and recorded.key == self.key:
                self.is_open = recorded.state in (".", "D")
                return recorded
            found = self._lines.rfind(b"\t" + self.key + b"\t", 0, found)
        return None

    def torn_by(self, mbox: str) -> tuple[str, ...] | None:
        """The place, as words, where another message's attempt may have torn the file MBOX.

        Called with MBOX locked, and read afresh. Lines are begun under that lock, so only the last
        one that names the file can have left a torn tail: whoever came after it has mended it. Any
        earlier open line says nothing, and other mail may stand where its own was to be.
        Returns the words of the place and its From_ line, or None.
        """
        lines = durable.read_at(self._fd, durable.size_of(self._fd), 0)
        named = b"\tmbox " + _word(system.to_octets(mbox)) + b" "
        found = lines.rfind(named)
        while found >= 0:
            recorded = _read_line(lines, lines.rfind(b"\n", 0, found) + 1)
            if recorded is not None:
                place = next(n for n, p in enumerate(recorded.places) if p[:2] == ("mbox", mbox))
                open_still = recorded.state == "." and recorded.marks[place] != "c"
                if recorded.key == self.key or not open_still:
                    return None
                return *recorded.places[place], system.from_octets(recorded.from_line)
            found = lines.rfind(named, 0, found)
        return None

    def begin(
        self, from_came: bytes, from_line: bytes, places: list[tuple[str, ...]], marks: str
    ) -> None:
        """Write the line of this attempt; it is on disk once `settle` has returned."""
        fields = [
            self.key,
            self.boot.encode(),
            str(int(time.time())).encode(),
            _word(from_came) + b" " + _word(from_line),
            *(b" ".join(_word(system.to_octets(w)) for w in place) for place in places),
        ]
        payload = b"\t".join(fields)
        self.is_open = True
        # The leading newline ends whatever a killed writer left of its own line.
        line = b"\n." + marks.encode() + b"\t" + _checksum(payload) + b"\t" + payload + b"\n"
        durable.write_at_once(self._fd, line)
        self._line_at = durable.appended_at(self._fd) - len(line) + 1
        durable.stop_appending(self._fd)
        durable.start_writing(self._fd, self._line_at - 1, len(line))

    def settle(self) -> None:
        """Return once the line is on disk."""
        durable.sync_content(self._fd)

    def resume(self, recorded: Recorded) -> None:
        """Take RECORDED as the line of this attempt: nothing is left to do but to finish it."""
        self._line_at = recorded.offset
        self.is_open = True
        durable.stop_appending(self._fd)

    def supersede(self, recorded: Recorded) -> None:
        """Say that the line of this attempt stands for RECORDED from now on."""
        durable.overwrite(self._fd, b"S", recorded.offset)

    def mark(self, place: int, letter: bytes) -> None:
        """Write the letter of one place (counted from 0)."""
        durable.overwrite(self._fd, letter, self._line_at + 1 + place)

    def mark_durably(self, place: int, letter: bytes) -> None:
        """Likewise, and return once it is on disk: for what no mailbox shows."""
        self.mark(place, letter)
        durable.sync_content(self._fd)

    def state(self, letter: bytes) -> None:
        """Write the STATE letter of this attempt."""
        durable.overwrite(self._fd, letter, self._line_at)
        self.is_open = letter not in (b"F", b"R")


def _word(octets: bytes) -> bytes:
    """OCTETS without white space or control characters, so that they can stand in a line."""
    if not octets:
        return b"%"
    if len(octets.translate(None, _UNSAFE)) == len(octets):
        return octets
    return b"".join(b"%%%02x" % c if c in _UNSAFE else bytes((c,)) for c in octets)


def _unword(word: bytes) -> bytes:
    if word == b"%":
        return b""
    first, *rest = word.split(b"%")
    return first + b"".join(bytes((int(piece[:2], 16),)) + piece[2:] for piece in rest)


def _checksum(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_CHECKSUM_OCTETS).hexdigest().encode()


def _read_line(lines: bytes, start: int) -> Recorded | None:
    """The line that begins at START, or None if it is not a whole one."""
    end = lines.find(b"\n", start)
    if end < 0:
        return None
    letters, _, rest = lines[start:end].partition(b"\t")
    checksum, _, payload = rest.partition(b"\t")
    if _checksum(payload) != checksum:
        return None
    key, boot, _time, froms, *places = payload.split(b"\t")
    came, line = froms.split(b" ")
    return Recorded(
        start,
        letters[:1].decode("latin-1"),
        letters[1:].decode("latin-1"),
        key,
        boot.decode("latin-1"),
        _unword(came),
        _unword(line),
        tuple(tuple(system.from_octets(_unword(w)) for w in place.split(b" ")) for place in places),
    )


def _rewrite(fd: int, path: str) -> None:
    """Put a shorter journal in PATH's place: the newest half, and every line still open.

    Lines stay whole, the newest one however long it is: without it its message would come twice.

    Called with byte 0 locked alone: no attempt is under way, so nobody holds offsets into it.
    """
    lines = durable.read_at(fd, durable.size_of(fd), 0)
    middle = max(len(lines) // 2, len(lines) - limits.JOURNAL_BYTES // 2)
    half = len(lines) - len(_last_lines(lines, len(lines) - middle))
    still_open = b"".join(b"\n" + line + b"\n" for line in _open_lines(lines, half))
    # There are bounds even to what was never finished.
    text = _last_lines(still_open, limits.JOURNAL_BYTES // 4) + lines[half:]
    durable.replace(path, text)


def _last_lines(lines: bytes, most: int) -> bytes:
    """The last of LINES that are whole within MOST octets, one at the least."""
    if len(lines) <= most:
        return lines
    newest = max(0, lines.rfind(b"\n", 0, -1))
    start = lines.find(b"\n", len(lines) - most)
    return lines[min(start, newest) if start >= 0 else newest :]


def _open_lines(lines: bytes, end: int) -> Iterator[bytes]:
    """The open lines before END that are the last of their message."""
    found = lines.find(b"\n.", 0, end)
    while found >= 0:
        recorded = _read_line(lines, found + 1)
        line_end = lines.find(b"\n", found + 1)
        if recorded and lines.find(b"\t" + recorded.key + b"\t", line_end) < 0:
            yield lines[found + 1 : line_end]
        found = lines.find(b"\n.", found + 1, end)
