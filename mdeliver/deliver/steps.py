"""The steps of one transaction, each on its own: transaction.py says what they are and what holds.

One message takes them one after the other (`take_all`). Messages that are delivered together take
each step together (together.py), so that one sync serves all of them.

Fails with  OSError, Deferral: whoever takes the steps calls `roll_back` then, and always `release`
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.locks import give_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mdeliver.deliver.deliverers import Attempt, Copy
    from mdeliver.deliver.journal import Recorded


class Transaction:
    """One message on its way to all its places.

    attempt  at the message
    copies   what carries each delivery out
    earlier  the attempt that is completed, if there was one
    lasts    whether it is done for good: nothing is taken back any more
    """

    def __init__(self, attempt: Attempt, copies: list[Copy], earlier: Recorded | None) -> None:
        self.attempt = attempt
        self.copies = copies
        self.earlier = earlier
        self.lasts = False
        self._journal = attempt.journal
        self._begun = False
        self._committed: list[int] = []
        # Maildirs, then mboxes by their paths: two deliveries lock them in the same order.
        self._order = sorted(range(len(copies)), key=lambda place: copies[place].words()[:2])

    def take_all(self) -> None:
        """Steps 2 to 6, and the way back."""
        try:
            self.prepare()
            self.begin()
            self.commit()
            self.sync()
            self.do_finals()
            self._journal.state(b"D")
            self.lasts = True
        except BaseException:
            if not self.lasts:
                self.roll_back()
            raise
        finally:
            self.release()
        self.finish()

    def prepare(self) -> None:
        """Prepare all, mboxes last."""
        earlier, boot = self.earlier, self._journal.boot
        same_boot = earlier is not None and boot != "" and earlier.boot == boot
        for number, place in enumerate(self._order):
            copy = self.copies[place]
            recorded = earlier.places[place] if earlier is not None else None
            # What is done for good has a letter that was synced: it holds after a reboot too.
            lasting = same_boot or copy.phase != "undoable"
            believed = lasting and earlier is not None and earlier.marks[place] == "c"
            _at(copy, copy.prepare, recorded, believed)
            if number >= limits.SYNCED_TOGETHER:
                _at(copy, copy.settle)

    def begin(self) -> None:
        """Write the journal's line; it and what was prepared are on disk once this returns."""
        earlier = self.earlier
        if earlier is not None and all(copy.done for copy in self.copies):
            self._journal.resume(earlier)
            return
        self._journal.begin(*self.line())
        self._begun = True
        self.settle()
        self._journal.settle()
        if earlier is not None:
            self._journal.supersede(earlier)

    def line(self) -> tuple[bytes, bytes, list[tuple[str, ...]], str]:
        """What the journal's line says."""
        marks = "".join("c" if copy.done else "." for copy in self.copies)
        from_came = self.attempt.contents.as_it_came.from_line
        return from_came, self.attempt.from_line, [copy.words() for copy in self.copies], marks

    def begun(self) -> None:
        """Somebody else has written the line."""
        self._begun = True

    def settle(self) -> None:
        """Return once what was prepared is on disk."""
        for copy in self.copies:
            _at(copy, copy.settle)

    def commit(self) -> None:
        """Make the copies visible; mboxes first: the disk is at their text meanwhile."""
        for place in reversed(self._order):
            copy = self.copies[place]
            if not copy.done and copy.phase == "undoable":
                # Counted before it is tried: a half append must be taken back too.
                self._committed.append(place)
                _at(copy, copy.commit)
                self._journal.mark(place, b"c")

    def sync(self) -> None:
        """Return once the copies are on disk.

        The mboxes first: what an mbox has grown by needs a commit of the file system's own journal,
        which takes the names in Maildirs along; not the other way round.
        """
        for place in reversed(self._order):
            _at(self.copies[place], self.copies[place].sync)

    def do_finals(self) -> None:
        """What cannot be undone, now that all copies are on disk."""
        for place, copy in enumerate(self.copies):
            if copy.phase == "final" and not copy.done:
                _at(copy, copy.commit)
                copy.done = True
                self._journal.mark_durably(place, b"c")

    def roll_back(self) -> None:
        """Take back what was committed, the last first; what fails here is left to the retry."""
        journal, copies = self._journal, self.copies
        if not self._begun:
            return
        try:
            # D may stand there already, if an alarm came with it. It must not outlive the copies.
            journal.state(b".")
        except OSError:
            return
        clean = not any(copy.done for copy in copies)
        for place in reversed(self._committed):
            try:
                journal.mark(place, b"u")
                clean = copies[place].undo() and clean
            except OSError:
                clean = False
        if clean:
            try:
                journal.state(b"R")
            except OSError:
                pass

    def release(self) -> None:
        """Release every copy, whatever happens at one of them."""
        give_back(lambda copy: copy.release(), self.copies)

    def finish(self) -> None:
        """What follows a delivery that lasts."""
        for copy in self.copies:
            copy.finish()


def _at(copy: Copy, step: Callable[..., None], *arguments: object) -> None:
    """Take STEP of COPY; an error that names no file, as those of write(2), names its place."""
    try:
        step(*arguments)
    except OSError as error:
        if error.filename is None:
            error.filename = copy.words()[1]
        raise
