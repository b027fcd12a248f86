"""A turn at an mbox: it is locked once, for all that is appended to it in one go.

One message's delivery takes a turn of its own. Messages that are delivered together share theirs:
each appends where the one before it will end, and the file is synced once.

Fails with  Deferral, OSError, as mboxlock.py
See also    mbox.py, together.py
"""

from __future__ import annotations

from mdeliver import durable, limits, system
from mdeliver.deliver.mboxlock import HeldMbox, lock_mbox
from mdeliver.locks import give_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class MboxTurn:
    """One mbox, locked.

    fd      open for reading and appending
    size    octets when it was locked
    end     where the next entry begins; as long as it is not known, -1
    synced  whether all that was appended is on disk
    """

    __slots__ = ("_held", "end", "fd", "path", "shares", "size", "synced")

    def __init__(self, path: str, held: HeldMbox) -> None:
        self._held = held
        self.path = path
        self.fd = held.fd
        self.size = held.size
        self.end = -1
        self.shares = 0
        self.synced = True

    def sync(self) -> None:
        """Return once all that was appended so far is on disk."""
        if not self.synced:
            durable.sync(self.fd)
            self.synced = True

    def release(self) -> None:
        """Give the locks back."""
        self._held.release()


class MboxTurns:
    """The turns that this process has at the moment."""

    def __init__(self, hostname: str, wait_s: float | None = None) -> None:
        """HOSTNAME stands in lock files; WAIT_S is how long others may have an mbox."""
        self._hostname = hostname
        self._wait_s = limits.LOCK_WAIT_S if wait_s is None else wait_s
        self._turns: dict[str, MboxTurn] = {}

    def take(self, path: str) -> MboxTurn:
        """A share of the turn at the mbox PATH, which `leave` gives back."""
        turn = self._turns.get(path)
        if turn is None:
            held = lock_mbox(path, self._hostname, self._wait_s, create=True)
            turn = self._turns[path] = MboxTurn(path, held)
        turn.shares += 1
        return turn

    def leave(self, turn: MboxTurn) -> None:
        """Give a share back; with the last one the locks."""
        turn.shares -= 1
        if turn.shares == 0:
            del self._turns[turn.path]
            turn.release()

    def take_all(self, paths: Iterable[str]) -> list[MboxTurn]:
        """Shares of the turns at PATHS, locked in an order that all processes have."""
        taken: list[MboxTurn] = []
        try:
            for path in sorted(set(paths)):
                taken.append(self.take(path))
        except BaseException:
            give_back(self.leave, taken)
            raise
        return taken


def same_place(one: str, other: str) -> bool:
    """Whether ONE and OTHER are names of one file, by directories that are the same."""
    directory, _, name = one.rpartition("/")
    other_directory, _, other_name = other.rpartition("/")
    if name != other_name:
        return False
    return one == other or system.same(system.stat(directory), system.stat(other_directory))
