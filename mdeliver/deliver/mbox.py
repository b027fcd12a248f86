"""Append a message to an mbox file.

Guarantee   the file grows by exactly one message, or not at all; what is there is never read as
            mail nor changed, but for a torn tail that our own journal proves to be ours.
Locks       mboxlock.py
Fails with  TempFail always; mbox damage is never the sender's fault.
See also    mbox(5), mboxrd.py, RFC 4155
"""

from __future__ import annotations

from mdeliver import durable, system
from mdeliver.deliver import mboxrd
from mdeliver.deliver.contents import content_word
from mdeliver.deliver.mboxturn import MboxTurns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.deliver.deliverers import Phase
    from mdeliver.deliver.journal import Journal
    from mdeliver.deliver.mboxturn import MboxTurn
    from mdeliver.letter import Letter
    from mdeliver.plan import File


class MboxCopy:
    """One copy on its way into one mbox; the file stays locked from `prepare` to `release`."""

    phase: Phase = "undoable"
    remark = ""

    def __init__(
        self,
        file: File,
        letter: Letter,
        from_line: bytes,
        journal: Journal,
        hostname: str,
        turns: MboxTurns | None = None,
    ) -> None:
        """TURNS: shared with what is delivered together with it."""
        self.file = file
        self.done = False
        self._letter = letter
        self._from_line = from_line
        self._journal = journal
        self._turns = turns if turns is not None else MboxTurns(hostname)
        self._turn: MboxTurn | None = None
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
        turn = self._turn = self._turns.take(self.file.path)
        if recorded is not None:
            self._start, self._length = int(recorded[-2]), int(recorded[-1])
            self.done = believed or self._look(turn)
        if turn.end < 0:
            turn.end = self._mend_torn_tail(turn)
        if self.done:
            # The attempt that appended it may have come to no sync.
            turn.synced = False
            return
        self._start = turn.end
        self._mending = self._missing_end(turn)
        if self._letter.memory is not None:
            self._entry = b"".join(self._pieces())
            self._length = len(self._entry)
        elif self._letter.mbox_end:
            before, after = self._mending + self._from_line, self._letter.mbox_end
            self._length = len(before) + self._letter.size + len(after)
        else:
            self._length = sum(len(piece) for piece in self._pieces())
        turn.end += self._length

    def _missing_end(self, turn: MboxTurn) -> bytes:
        """Every message ends in an empty line; a writer that forgot it gets it now."""
        if turn.end == 0 or turn.end > turn.size:
            return b""
        end = durable.read_at(turn.fd, 2, max(0, turn.end - 2))
        return b"" if end == b"\n\n" else b"\n" * (2 - end.endswith(b"\n"))

    def _pieces(self) -> Iterator[bytes]:
        """The entry in pieces; the From_ line goes out with the first, so that it is never alone
        at the end of the file when somebody else appends after a kill."""
        start = self._mending + self._from_line
        for piece in self._text():
            yield start + piece
            start = b""

    def _text(self) -> Iterator[bytes]:
        """What follows the From_ line."""
        letter = self._letter
        if letter.mbox_end:
            yield from letter.chunks()
            yield letter.mbox_end
        else:
            yield from mboxrd.framed_text(letter.chunks())

    def _look(self, turn: MboxTurn) -> bool:
        """Whether the earlier attempt's copy is there; a torn one is cut off."""
        from mdeliver.deliver import mboxfind

        for mending in (b"", b"\n", b"\n\n"):
            self._mending = mending
            found, at = mboxfind.stands_at(turn.fd, self._start, turn.size, self._pieces())
            if found != "absent":
                break
        else:
            found, at = mboxfind.find_copy(turn.fd, self._from_line, self._text)
        if found == "torn":
            durable.truncate(turn.fd, at)
            turn.size = at
        return found == "whole"

    def _mend_torn_tail(self, turn: MboxTurn) -> int:
        """Cut off what a killed delivery of another message left at the end; returns the size.

        We hold the lock that it would hold if it lived.
        """
        for *_, start, length, from_line in self._journal.torn_by(self.file.path):
            from mdeliver.deliver import mboxfind

            octets = system.to_octets(from_line)
            if mboxfind.torn_tail_of(turn.fd, int(start), int(length), octets, turn.size):
                durable.truncate(turn.fd, int(start))
                turn.size = int(start)
        return turn.size

    @property
    def _fd(self) -> int:
        assert self._turn is not None, "the mbox is locked from prepare to release"
        return self._turn.fd

    def settle(self) -> None:
        """Nothing was written yet."""

    def commit(self) -> None:
        """Append. If it fails, a part may stand there until `undo`."""
        assert self._turn is not None
        self._turn.synced = False
        if self._entry is not None:
            durable.write_all(self._fd, self._entry)
            durable.start_writing(self._fd, self._start, self._length)
        else:
            durable.write_flowing(self._fd, self._pieces(), self._start)

    def sync(self) -> None:
        """Return once it is on disk."""
        if self._turn is not None:
            self._turn.sync()

    def undo(self) -> bool:
        """Cut it off again: nobody can have appended since, the file is locked.

        What was appended after it in the same turn is taken back before.
        """
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
        turn, self._turn = self._turn, None
        if turn is not None:
            self._turns.leave(turn)
