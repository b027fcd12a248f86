"""Append a message to an mbox file.

Guarantee   the file grows by exactly one message, or not at all; what is there is never read as
            mail nor changed, but for a torn tail that our own journal proves to be ours.
Locks       dotlock, then fcntl, both tried without waiting: whoever finds the second taken gives
            the first back. So the opposite order, which Dovecot has, cannot deadlock with us.
            Where the directory lets us make no dotlock (Debian's /var/mail), fcntl is what is left,
            and what Dovecot and Postfix honour.
Fails with  TempFail always; mbox damage is never the sender's fault.
See also    mbox(5), dotlock.py, mboxrd.py, RFC 4155
"""

from __future__ import annotations

import errno

from mdeliver import durable, limits, locks, system
from mdeliver.deliver import mboxrd
from mdeliver.deliver.contents import content_word
from mdeliver.dotlock import Dotlock, try_dotlock
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.deliver.deliverers import Phase
    from mdeliver.deliver.journal import Journal
    from mdeliver.letter import Letter
    from mdeliver.plan import File

_NOT_OPEN = -1
_NO_DOTLOCK = (errno.EACCES, errno.EPERM, errno.EROFS)


class MboxCopy:
    """One copy on its way into one mbox; the file stays locked from `prepare` to `release`."""

    phase: Phase = "undoable"
    remark = ""

    def __init__(
        self, file: File, letter: Letter, from_line: bytes, journal: Journal, hostname: str
    ) -> None:
        self.file = file
        self.done = False
        self._letter = letter
        self._from_line = from_line
        self._journal = journal
        self._hostname = hostname
        self._fd = _NOT_OPEN
        self._dotlock: Dotlock | None = None
        self._start = 0
        self._mending = b""
        self._length = 0
        self._entry: bytes | None = None

    def words(self) -> tuple[str, ...]:
        """This place for the journal; the last two are offset and length of what is appended."""
        f = self.file
        content = content_word(f.content)
        return ("mbox", f.path, f.root, "", content, str(self._start), str(self._length))

    def prepare(self, recorded: tuple[str, ...] | None, believed: bool) -> None:
        """Lock the file, and know what to append where; nothing is changed yet.

        recorded  this place's words in the journal's line of the earlier attempt
        believed  whether that line says it was committed, in this boot
        """
        self._lock()
        size = durable.size_of(self._fd)
        if recorded is not None:
            self._start, self._length = int(recorded[-2]), int(recorded[-1])
            self.done = believed or self._look(size)
        size = self._mend_torn_tail()
        if self.done:
            return
        self._start = size
        end = durable.read_at(self._fd, 2, max(0, size - 2))
        # Every message ends in an empty line; a writer that forgot it gets it now.
        self._mending = b"" if size == 0 or end == b"\n\n" else b"\n" * (2 - end.endswith(b"\n"))
        if self._letter.memory is not None:
            self._entry = b"".join(self._pieces())
            self._length = len(self._entry)
        else:
            self._length = sum(len(piece) for piece in self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        """The entry in pieces; the From_ line goes out with the first, so that it is never alone
        at the end of the file when somebody else appends after a kill."""
        start = self._mending + self._from_line
        for piece in mboxrd.framed_text(self._letter.chunks()):
            yield start + piece
            start = b""

    def _look(self, size: int) -> bool:
        """Whether the earlier attempt's copy is there; a torn one is cut off."""
        from mdeliver.deliver import mboxfind

        for mending in (b"", b"\n", b"\n\n"):
            self._mending = mending
            found, at = mboxfind.stands_at(self._fd, self._start, size, self._pieces())
            if found != "absent":
                break
        else:
            found, at = mboxfind.find_copy(
                self._fd, self._from_line, lambda: mboxrd.framed_text(self._letter.chunks())
            )
        if found == "torn":
            durable.truncate(self._fd, at)
        return found == "whole"

    def _mend_torn_tail(self) -> int:
        """Cut off what a killed delivery of another message left at the end; returns the size.

        We hold the lock that it would hold if it lived.
        """
        size = durable.size_of(self._fd)
        torn = self._journal.torn_by(self.file.path)
        if torn is not None:
            from mdeliver.deliver import mboxfind

            *_, start, length, from_line = torn
            if mboxfind.torn_tail_of(
                self._fd, int(start), int(length), system.to_octets(from_line), size
            ):
                size = int(start)
                durable.truncate(self._fd, size)
        return size

    def _lock(self) -> None:
        path = self.file.path
        patience = locks.Patience(limits.LOCK_WAIT_S)
        while not self._try_to_lock():
            patience.wait(f"the lock of {path}")

    def _try_to_lock(self) -> bool:
        path = self.file.path
        try:
            self._dotlock = self._dotlock_as_may_be()
            if self._dotlock is None:
                return False
        except FileNotFoundError:
            durable.make_directory(system.dirname(path))
            return False
        except OSError as error:
            if error.errno not in _NO_DOTLOCK:
                raise
        try:
            self._fd = self._open()
            if locks.try_lock(self._fd, 0, locks.WHOLE_FILE, exclusive=True) and durable.same_file(
                self._fd, path
            ):
                return True
        except BaseException:
            self.release()
            raise
        self.release()
        return False

    def _dotlock_as_may_be(self) -> Dotlock | None:
        path = self.file.path
        try:
            return try_dotlock(path, self._hostname)
        except PermissionError:
            from mdeliver import mailgroup

            if not mailgroup.is_lent_for(path):
                raise
            return mailgroup.borrowing(try_dotlock, path, self._hostname)

    def _open(self) -> int:
        path = self.file.path
        try:
            return durable.open_own_file(path, create=True)
        except PermissionError:
            if system.exists(path):
                raise
            from mdeliver import mailgroup

            if mailgroup.is_lent_for(path):
                return mailgroup.borrowing(durable.open_own_file, path, create=True)
            raise Deferral(
                f"{path} does not exist and uid {system.geteuid()} may not make it; "
                f"as root: install -m 660 -o {system.geteuid()} -g mail /dev/null {path}"
            ) from None

    def commit(self) -> None:
        """Append. If it fails, a part may stand there until `undo`."""
        if self._entry is not None:
            durable.write_all(self._fd, self._entry)
        else:
            durable.write_chunks(self._fd, self._pieces())

    def sync(self) -> None:
        """Return once it is on disk."""
        durable.sync(self._fd)

    def undo(self) -> bool:
        """Cut it off again: nobody can have appended since, the file is locked."""
        durable.truncate(self._fd, self._start)
        durable.sync(self._fd)
        return True

    def cut_off(self) -> bool:
        """After `prepare` has found it: take it back, if it is the last message and unchanged.

        Returns whether it was.
        """
        from mdeliver.deliver import mboxfind

        size = durable.size_of(self._fd)
        if self._start + self._length != size:
            return False
        found, _at = mboxfind.stands_at(self._fd, self._start, size, self._pieces())
        return found == "whole" and self.undo()

    def finish(self) -> None:
        """Nothing follows."""

    def release(self) -> None:
        """Give the locks back."""
        fd, dotlock = self._fd, self._dotlock
        self._fd, self._dotlock = _NOT_OPEN, None
        try:
            if fd != _NOT_OPEN:
                system.close(fd)
        finally:
            if dotlock is not None:
                dotlock.release()
