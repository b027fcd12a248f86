"""The journal's file, open: where lines are found, how it is kept from growing without end.

Locks       byte 0 shared as long as it is open; whoever rewrites the file takes it alone. So while
            one is open, offsets into it hold.
Rewritten   beyond limits.JOURNAL_BYTES, by whoever opens it and finds nobody else: the newest half
            stays, and every line still open.
Kept        a process that has more than one message to deliver keeps it open (KeptJournal) and
            knows where lines are; what others add is read when it is there. Letters change, so they
            are read anew each time.
Damaged     what is no line is none, and is taken out when nobody else has the file open: by whoever
            met with it, once the attempt is over (damage.py).
Fails with  OSError, Deferral
See also    journal.py, journalline.py
"""

from __future__ import annotations

import sys

from mdeliver import durable, limits, locks, system
from mdeliver.deliver.journalline import (
    Recorded,
    glance,
    is_torn,
    last_lines,
    open_lines,
    read_line,
    whole_lines,
    word,
)
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ROTATION_BYTE = 0
_CLOSED = -1


class JournalFile:
    """The open file.

    fd    for locks, reading and writing; it appends but for the time of an attempt
    keys  of attempts that this process has under way
    """

    def __init__(self, directory: str) -> None:
        """Open the journal in DIRECTORY, or make it."""
        self.path = system.join(directory, "journal")
        self.keys: set[bytes] = set()
        self.fd = self._open()
        self._lines = b""
        self._appending = True
        self._flags = -1

    def _open(self) -> int:
        patience = locks.Patience(limits.LOCK_WAIT_S)
        most = limits.JOURNAL_BYTES
        while True:
            fd = durable.open_own_file(self.path, create=True)
            try:
                if durable.size_of(fd) > most and locks.try_lock(
                    fd, _ROTATION_BYTE, 1, exclusive=True
                ):
                    # Once: one line may be longer than that.
                    most = sys.maxsize
                    # Somebody may have put a new file in its place: then the next round opens it.
                    if durable.same_file(fd, self.path):
                        _rewrite(fd, self.path)
                elif locks.try_lock(fd, _ROTATION_BYTE, 1, exclusive=False):
                    # Between opening and locking somebody may have put a new file in its place.
                    if durable.same_file(fd, self.path):
                        return fd
                else:
                    patience.wait(f"{self.path} to be rewritten")
            except BaseException:
                system.close(fd)
                raise
            system.close(fd)

    def begin_attempt(self) -> None:
        """Called with the key's byte locked: what others have written so far is seen from now."""
        self._lines = durable.read_at(self.fd, durable.size_of(self.fd), 0)

    def end_attempt(self, byte: int) -> None:
        """Give back the lock on BYTE; closing does, and all others too."""
        del byte
        system.close(self.fd)
        if _looks_damaged(self._lines):
            self._lines = b""
            _mend(self.path)

    def about(self, key: bytes) -> Recorded | None:
        """The last line about the message KEY, as it was when the attempt began."""
        found = self._lines.rfind(b"\t" + key + b"\t")
        while found >= 0:
            start = self._lines.rfind(b"\n", 0, found) + 1
            recorded = read_line(self._lines, start)
            if recorded is not None and recorded.key == key:
                return recorded
            found = self._lines.rfind(b"\t" + key + b"\t", 0, found)
        return None

    def naming(self, mbox: str) -> Iterator[Recorded]:
        """Lines that name MBOX, the last first, as they are now."""
        lines = durable.read_at(self.fd, durable.size_of(self.fd), 0)
        named = b"\tmbox " + word(system.to_octets(mbox)) + b" "
        found = lines.rfind(named)
        while found >= 0:
            recorded = read_line(lines, lines.rfind(b"\n", 0, found) + 1)
            if recorded is not None:
                yield recorded
            found = lines.rfind(named, 0, found)

    def ended(self, at: int) -> None:
        """The attempt whose line is at offset AT is over: it has torn nothing."""

    def append(self, lines: bytes) -> int:
        """Write LINES at the end, in one piece; returns their offset."""
        self.set_appending(True)
        durable.write_at_once(self.fd, lines)
        at = durable.appended_at(self.fd) - len(lines)
        self.set_appending(False)
        durable.start_writing(self.fd, at, len(lines))
        return at

    def set_appending(self, appending: bool) -> None:
        """Lines can be appended, or letters overwritten: only one of them at a time."""
        if appending != self._appending:
            self._flags = durable.set_appending(self.fd, appending, self._flags)
            self._appending = appending


class KeptJournal(JournalFile):
    """The journal as a process has it that delivers one message after the other.

    Holds for each key the offset of its last line (a key in short: 60 bits, as its lock has them),
    and for each mbox the offsets of those lines that name it in the last turn.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._begin_index()

    def _begin_index(self) -> None:
        self._seen = 0
        self._of_key: dict[int, int] = {}
        self._of_mbox: dict[bytes, tuple[bytes, list[int]]] = {}
        self._resting = False
        self._damaged = False

    def close(self) -> None:
        """Give all locks back."""
        fd, self.fd = self.fd, _CLOSED
        self._appending, self._flags = True, -1
        if fd != _CLOSED:
            system.close(fd)

    def begin_attempt(self) -> None:
        """As JournalFile."""
        self._read_on()

    def end_attempt(self, byte: int) -> None:
        """As JournalFile, but it stays open."""
        locks.unlock(self.fd, byte, 1)

    def rest(self) -> None:
        """With no attempt under way: let others rewrite it, if it is long."""
        if self._damaged and not self.keys:
            # Ours too must not be in the way.
            self.close()
            _mend(self.path)
        elif self._seen > limits.JOURNAL_BYTES and not self._resting:
            locks.unlock(self.fd, _ROTATION_BYTE, 1)
            self._resting = True

    def look(self) -> None:
        """After a rest, or a while: open it anew where another one has its name, or it is long.

        So too where an alarm came before an attempt could be closed: its locks must not stay.
        """
        if self.keys:
            self.keys.clear()
            self.close()
        if self.fd != _CLOSED:
            if not (self._resting and self._try_lock(exclusive=True)):
                held = not self._resting or self._try_lock(exclusive=False)
                if held and durable.same_file(self.fd, self.path):
                    self._resting = False
                    return
            self.close()
        self.fd = self._open()
        self._begin_index()

    def _try_lock(self, *, exclusive: bool) -> bool:
        return locks.try_lock(self.fd, _ROTATION_BYTE, 1, exclusive=exclusive)

    def about(self, key: bytes) -> Recorded | None:
        """As JournalFile."""
        at = self._of_key.get(short(key))
        recorded = self._line_at(at) if at is not None else None
        return recorded if recorded is not None and recorded.key == key else None

    def naming(self, mbox: str) -> Iterator[Recorded]:
        """As JournalFile, those of the last turn."""
        self._read_on()
        _turn, offsets = self._of_mbox.get(word(system.to_octets(mbox)), (b"", []))
        for at in reversed(offsets):
            recorded = self._line_at(at)
            if recorded is not None:
                yield recorded

    def ended(self, at: int) -> None:
        """As JournalFile."""
        for _turn, offsets in self._of_mbox.values():
            if at in offsets:
                offsets.remove(at)

    def _line_at(self, at: int) -> Recorded | None:
        """The line at offset AT, as it is now."""
        count = 1024
        while True:
            lines = durable.read_at(self.fd, count, at)
            if b"\n" in lines or len(lines) < count:
                break
            count *= 8
        recorded = read_line(lines, 0)
        return recorded.replace(offset=at) if recorded is not None else None

    def append(self, lines: bytes) -> int:
        """As JournalFile."""
        at = super().append(lines)
        if at == self._seen:
            self._take_in(lines)
        return at

    def _read_on(self) -> None:
        """Know the lines that were added since."""
        size = durable.size_of(self.fd)
        if size > self._seen:
            self._take_in(durable.read_at(self.fd, size - self._seen, self._seen))

    def _take_in(self, lines: bytes) -> None:
        """Know LINES, which stand where the last look ended, as far as they are whole."""
        start = 0
        end = lines.find(b"\n")
        while end >= 0:
            found = glance(lines[start:end])
            if found is not None:
                self._note(self._seen + start, *found)
            elif start < end and not is_torn(lines, start, end):
                self._damaged = True
            start = end + 1
            end = lines.find(b"\n", start)
        self._seen += start

    def _note(self, at: int, key: bytes, turn: bytes, mboxes: list[bytes]) -> None:
        self._of_key[short(key)] = at
        for mbox in mboxes:
            known = self._of_mbox.get(mbox)
            if known is not None and known[0] == turn:
                known[1].append(at)
            else:
                self._of_mbox[mbox] = (turn, [at])


def short(key: bytes) -> int:
    """KEY as its lock has it: no other key has the same, for all that matters."""
    return int(key[:15], 16)


def _looks_damaged(lines: bytes) -> bool:
    """Whether LINES of a journal hold what no crash of ours leaves, by what a glance can tell.

    The checksum of each line would cost every delivery more than its own line does. What is seen by
    that alone is found when the file is rewritten.
    """
    if not lines:
        return False
    if b"\0" in lines or not lines.startswith(b"\n"):
        return True
    end = len(lines) - lines.endswith(b"\n")
    start = lines.rfind(b"\n", 0, end) + 1
    return start < end and glance(lines[start:end]) is None and not is_torn(lines, start, end)


def _mend(path: str) -> None:
    """Take what is no line out of the journal PATH, if nobody has it open; or leave it to a later
    delivery. Raises no OSError: the message's fate does not hang on it."""
    try:
        fd = durable.open_own_file(path, create=False)
        try:
            alone = locks.try_lock(fd, _ROTATION_BYTE, 1, exclusive=True)
            if alone and durable.same_file(fd, path):
                _rewrite(fd, path)
        finally:
            durable.close_read(fd)
    except (OSError, Deferral, MemoryError):
        pass


def _octets_of(fd: int) -> bytes:
    """All octets; of a file that something else has made huge, those at both of its ends.

    A crash or a slip of the hand may leave zeros without end.
    """
    size, most = durable.size_of(fd), 16 * limits.JOURNAL_BYTES
    if size <= 2 * most:
        return durable.read_at(fd, size, 0)
    return durable.read_at(fd, most, 0) + b"\n" + durable.read_at(fd, most, size - most)


def _rewrite(fd: int, path: str) -> None:
    """Put a shorter journal in PATH's place: the newest half, and every line still open.

    Lines stay whole, the newest one however long it is: without it its message would come twice.
    One that was short enough, and damaged, keeps all its lines.

    Called with byte 0 locked alone: no attempt is under way, so nobody holds offsets into it.
    """
    octets, size = _octets_of(fd), durable.size_of(fd)
    lines, foreign = whole_lines(octets)
    if not foreign and size <= limits.JOURNAL_BYTES:
        return  # it looked damaged, and is not
    text = lines if len(lines) <= limits.JOURNAL_BYTES else _newest(lines)
    if not foreign:
        durable.replace(path, text)
        return
    from mdeliver import damage

    foreign += max(0, size - len(octets))
    found = damage.kept(path, f"{foreign} octets of it were no lines of a journal", octets, size)
    durable.replace(path, text)
    damage.note(found)


def _newest(lines: bytes) -> bytes:
    """The newest half of LINES, and every line still open."""
    middle = max(len(lines) // 2, len(lines) - limits.JOURNAL_BYTES // 2)
    half = len(lines) - len(last_lines(lines, len(lines) - middle))
    still_open = b"".join(b"\n" + line + b"\n" for line in open_lines(lines, half))
    # There are bounds even to what was never finished.
    return last_lines(still_open, limits.JOURNAL_BYTES // 4) + lines[half:]
