"""The journal: what one user's deliveries have begun and finished, so that a retry can know.

One file per user, `journal` in the state directory. One line per attempt that came as far as
making something visible:

    STATE PLACES TAB CHECKSUM TAB KEY TAB BOOT TAB TURN TAB FROM TAB PLACE [TAB PLACE ...]

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
See also    journalline.py, journalfile.py; transaction.py
"""

from __future__ import annotations

import time

from mdeliver import durable, limits, locks, system
from mdeliver.deliver.journalfile import JournalFile, short
from mdeliver.deliver.journalline import Recorded, make_line, message_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Journal", "Recorded", "begin_together", "boot_id", "message_key"]

_BOOT: list[str] = []
"""What `boot_id` has found."""


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

    def __init__(
        self,
        directory: str,
        key: bytes,
        kept: JournalFile | None = None,
        wait_s: float | None = None,
    ) -> None:
        """Open the journal in DIRECTORY for an attempt at the message KEY.

        kept    the same, where this process has it open already
        wait_s  how long another process may have the message before Deferral; limits.LOCK_WAIT_S,
                if that is not said
        """
        self.key = key
        self.boot = boot_id()
        self.is_open = False
        """Whether a retry would need what the line of this message names."""
        self.line = b""
        """What `begin` writes."""
        self._line_at = -1
        self._byte = 1 + short(key)
        self._file = kept if kept is not None else JournalFile(directory)
        try:
            patience = locks.Patience(limits.LOCK_WAIT_S if wait_s is None else wait_s)
            # A lock does not exclude whoever has the same file open.
            while key in self._file.keys or not locks.try_lock(
                self._file.fd, self._byte, 1, exclusive=True
            ):
                patience.wait("another delivery of this same message")
            self._file.begin_attempt()
        except BaseException:
            if key not in self._file.keys:
                self._file.end_attempt(self._byte)
            raise
        self._file.keys.add(key)

    def close(self) -> None:
        """Give the locks back."""
        self._file.keys.discard(self.key)
        self._file.end_attempt(self._byte)

    def earlier(self) -> Recorded | None:
        """The last line about this message; from then on `is_open` speaks of it."""
        recorded = self._file.about(self.key)
        if recorded is not None:
            self.is_open = recorded.state in (".", "D")
        return recorded

    def torn_by(self, mbox: str) -> list[tuple[str, ...]]:
        """The places, as words, where other messages' attempts may have torn the file MBOX.

        Called with MBOX locked, and read afresh. Lines are begun under that lock, so only those of
        the last turn that names the file can have left a torn tail: whoever came after it has
        mended it. Any earlier open line says nothing, and other mail may stand where its own was to
        be. Returns the words of each place and its From_ line.
        """
        found: list[tuple[str, ...]] = []
        turn = ""
        for recorded in self._file.naming(mbox):
            if turn not in ("", recorded.turn):
                break
            turn = recorded.turn
            place = next(n for n, p in enumerate(recorded.places) if p[:2] == ("mbox", mbox))
            open_still = recorded.state == "." and recorded.marks[place] != "c"
            if open_still and recorded.key != self.key:
                from_line = system.from_octets(recorded.from_line)
                found.append((*recorded.places[place], from_line))
        return found

    def compose(
        self,
        from_came: bytes,
        from_line: bytes,
        places: Sequence[tuple[str, ...]],
        marks: str,
        turn_ns: int,
    ) -> None:
        """Make the line of this attempt, which `begin_together` writes; TURN_NS in nanoseconds."""
        froms = (from_came, from_line)
        self.line = make_line(self.key, self.boot, turn_ns, froms, places, marks)

    def begin(
        self, from_came: bytes, from_line: bytes, places: Sequence[tuple[str, ...]], marks: str
    ) -> None:
        """Write the line of this attempt; it is on disk once `settle` has returned."""
        self.compose(from_came, from_line, places, marks, time.time_ns())
        begin_together([self])

    def settle(self) -> None:
        """Return once the line is on disk."""
        durable.sync_content(self._file.fd)

    def resume(self, recorded: Recorded) -> None:
        """Take RECORDED as the line of this attempt: nothing is left to do but to finish it."""
        self._line_at = recorded.offset
        self.is_open = True
        self._file.set_appending(False)

    def supersede(self, recorded: Recorded) -> None:
        """Say that the line of this attempt stands for RECORDED from now on."""
        durable.overwrite(self._file.fd, b"S", recorded.offset)

    def mark(self, place: int, letter: bytes) -> None:
        """Write the letter of one place (counted from 0)."""
        durable.overwrite(self._file.fd, letter, self._line_at + 1 + place)

    def mark_durably(self, place: int, letter: bytes) -> None:
        """Likewise, and return once it is on disk: for what no mailbox shows."""
        self.mark(place, letter)
        durable.sync_content(self._file.fd)

    def state(self, letter: bytes) -> None:
        """Write the STATE letter of this attempt."""
        durable.overwrite(self._file.fd, letter, self._line_at)
        self.is_open = letter not in (b"F", b"R")
        if not self.is_open:
            self._file.ended(self._line_at)


def begin_together(journals: Sequence[Journal]) -> None:
    """Write the lines of attempts that have the same file open, in one piece."""
    for journal in journals:
        journal.is_open = True
    file = journals[0]._file
    at = file.append(b"".join([journal.line for journal in journals]))
    for journal in journals:
        journal._line_at = at + 1
        at += len(journal.line)
