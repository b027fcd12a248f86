"""Append a message to an mbox file.

Guarantee   the file grows by exactly one message, or not at all; what is there is never read as
            mail nor changed, but for a torn tail that our own journal proves to be ours.
Locks       mboxlock.py
Fails with  TempFail always; mbox damage is never the sender's fault.
See also    mbox(5), mboxrd.py, RFC 4155
"""

from __future__ import annotations

from mdeliver import durable, limits, system
from mdeliver.deliver import mboxrd
from mdeliver.deliver.contents import content_word
from mdeliver.deliver.mboxlock import lock_mbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.deliver.deliverers import Phase
    from mdeliver.deliver.journal import Journal
    from mdeliver.deliver.mboxlock import HeldMbox
    from mdeliver.letter import Letter
    from mdeliver.plan import File

_NOT_OPEN = -1


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
        self._held: HeldMbox | None = None
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
        self._held = lock_mbox(self.file.path, self._hostname, limits.LOCK_WAIT_S, create=True)
        self._fd = self._held.fd

    def settle(self) -> None:
        """Nothing was written yet."""

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
        held, self._held, self._fd = self._held, None, _NOT_OPEN
        if held is not None:
            held.release()
