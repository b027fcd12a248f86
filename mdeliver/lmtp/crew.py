"""The workers as the front sees them: a queue for each, and an answer for every job.

Lanes       an account has up to `user_workers` workers. One is the rule: it delivers together what
            comes by several sessions (rounds.py). A further one is started only when all that are
            there have something to do, and while there are fewer than ENOUGH in all: it helps
            users whose rules wait for programs.
Window      a worker has at most WINDOW jobs in hand; the others wait here
Slow        where a worker has not answered anything for `slow_s`, all that waits for it but the
            job in its hands is answered with 451 and taken back, and further mail is refused at
            RCPT. So one user's slow program holds a session for each of the user's
            workers, not all of them.
Stuck       after `delivery_s`, and GRACE_S more, the master is asked to kill the worker
Gone        a worker that ends without BYE had its jobs: they are answered with 451; the retry finds
            in the journal what was done
See also    frames.py, worker.py
"""

from __future__ import annotations

from collections import deque

from mdeliver.lmtp import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from mdeliver.lmtp.parcel import Parcel
    from mdeliver.lmtp.settings import Lmtp

    Answer = Callable[[str], None]

ENOUGH = 8
"""Workers of which no more is gained by having several for one user."""

WINDOW = 32
GRACE_S = 15


_ORPHANED = "451 4.3.0 the server is ending; it is tried again"


class Errand:
    """One packet for a worker, and who waits for the answer."""

    __slots__ = ("answer", "number", "packet", "parcel")

    def __init__(self, number: int, packet: bytes, parcel: Parcel | None, answer: Answer) -> None:
        self.number = number
        self.packet = packet
        self.parcel = parcel
        self.answer = answer
        if parcel is not None:
            parcel.hold()

    def settle(self, reply: str) -> None:
        """Tell who waits."""
        if self.parcel is not None:
            self.parcel.let_go()
        self.answer(reply)


class Mate:
    """One worker."""

    def __init__(self, name: str, lane: int, now_s: float) -> None:
        self.name = name
        self.lane = lane
        self.channel: socket.socket | None = None
        self.waiting: deque[Errand] = deque()
        self.in_hand: dict[int, Errand] = {}
        self.progress_s = now_s
        self.blocked = False
        self.killed = False

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return not self.waiting and not self.in_hand

    def about(self, kind: bytes) -> bytes:
        """A packet of KIND for the master, about this worker."""
        return frames.pack(kind, self.name.encode("utf-8", "surrogateescape"), b"%d" % self.lane)


class Crew:
    """All workers of this front."""

    def __init__(
        self,
        settings: Lmtp,
        tell_master: Callable[[bytes], None],
        watch: Callable[[socket.socket, Mate | None, bool], None],
    ) -> None:
        """TELL_MASTER sends a packet; WATCH(channel, mate, writing) has a channel looked at."""
        self._settings = settings
        self._tell_master = tell_master
        self._watch = watch
        self._mates: dict[tuple[str, int], Mate] = {}
        self._lanes: dict[str, list[Mate]] = {}
        self._numbers = 0
        self._orphaned = False

    def is_slow(self, name: str, now_s: float) -> float:
        """For how many seconds the worker of NAME has not answered, if that is too long; else 0."""
        silent_s = [now_s - mate.progress_s for mate in self._lanes.get(name, ()) if mate.in_hand]
        longest_s = max(silent_s, default=0.0)
        return longest_s if longest_s > self._settings.slow_s else 0

    def next_number(self) -> int:
        """A number for a job."""
        self._numbers += 1
        return self._numbers

    def send(self, name: str, errand: Errand, now_s: float) -> None:
        """Have ERRAND done by the worker of NAME, which is started if there is none."""
        lanes = self._lanes.get(name, [])
        mate = min(lanes, key=lambda mate: len(mate.waiting) + len(mate.in_hand), default=None)
        if mate is None or (not mate.idle and self._may_have_more(lanes)):
            mate = mate if self._orphaned else self._new_mate(name, now_s)
        if mate is None:
            errand.settle(_ORPHANED)
            return
        mate.waiting.append(errand)
        self._push(mate, now_s)

    def _may_have_more(self, lanes: list[Mate]) -> bool:
        enough = min(ENOUGH, self._settings.workers)
        return len(lanes) < self._settings.user_workers and len(self._mates) < enough

    def _new_mate(self, name: str, now_s: float) -> Mate:
        lanes = self._lanes.setdefault(name, [])
        taken = [mate.lane for mate in lanes]
        mate = Mate(name, next(n for n in range(len(lanes) + 1) if n not in taken), now_s)
        lanes.append(mate)
        self._mates[name, mate.lane] = mate
        self._make_place()
        self._tell_master(mate.about(frames.WANT))
        return mate

    def _make_place(self) -> None:
        """Let the worker end that has been idle for longest, where there are too many."""
        if len(self._mates) > self._settings.workers:
            idle = [mate for mate in self._mates.values() if mate.idle and mate.channel]
            if idle:
                self._forget(min(idle, key=lambda mate: mate.progress_s))

    def _push(self, mate: Mate, now_s: float) -> None:
        """Send what waits, as far as the window and the channel let us."""
        blocked = False
        try:
            while mate.waiting and mate.channel and len(mate.in_hand) < WINDOW and not blocked:
                errand = mate.waiting[0]
                fd = errand.parcel.fd if errand.parcel is not None else -1
                if not mate.in_hand:
                    mate.progress_s = now_s
                blocked = not frames.send(mate.channel, errand.packet, fd)
                if not blocked:
                    mate.in_hand[errand.number] = mate.waiting.popleft()
        except OSError:
            self.hung_up(mate)
            return
        if mate.channel and blocked != mate.blocked:
            mate.blocked = blocked
            self._watch(mate.channel, mate, blocked)

    # --- what comes back ---------------------------------------------------------------------

    def started(
        self, name: str, lane: int, channel: socket.socket | None, why_not: str, now_s: float
    ) -> None:
        """The master's answer: the worker's CHANNEL, or WHY_NOT."""
        mate = self._mates.get((name, lane))
        if mate is None or mate.channel is not None:
            if channel is not None:
                channel.close()
            return
        if channel is None:
            self._give_up(mate, f"451 4.3.0 {why_not}")
            return
        mate.channel = channel
        self._watch(channel, mate, False)
        self._push(mate, now_s)

    def ready(self, mate: Mate, now_s: float) -> None:
        """Take what the worker has sent; and send what waits."""
        try:
            while mate.channel is not None:
                # Descriptors that come along are closed by the kernel: nobody asks for them here.
                packet = mate.channel.recv(frames.PACKET_BYTES)
                if not packet:
                    raise ValueError("the worker has hung up")
                self._take(mate, *frames.unpack(packet), now_s)
                if not mate.in_hand:
                    break
        except BlockingIOError:
            pass
        except (OSError, ValueError, IndexError):
            self.hung_up(mate)
            return
        if mate.waiting or mate.blocked:
            self._push(mate, now_s)
        if len(self._mates) > self._settings.workers and mate.idle and self._starting():
            self._make_place()

    def _starting(self) -> bool:
        """Whether a worker was asked for that is not there yet."""
        return any(mate.channel is None for mate in self._mates.values())

    def _take(self, mate: Mate, kind: bytes, fields: list[bytes], now_s: float) -> None:
        if kind == frames.BYE:
            if mate.idle:
                self._forget(mate)
        elif kind == frames.DONE:
            mate.progress_s = now_s
            errand = mate.in_hand.pop(int(fields[0]), None)
            if errand is not None:
                errand.settle(fields[1].decode("utf-8", "backslashreplace"))

    def hung_up(self, mate: Mate) -> None:
        """The worker has ended in the midst of its work."""
        why = "took too long and was ended" if mate.killed else "ended before it was done"
        self._give_up(mate, f"451 4.3.0 the delivery {why}; it is tried again")

    def _give_up(self, mate: Mate, reply: str) -> None:
        self._forget(mate)
        for errand in [*mate.in_hand.values(), *mate.waiting]:
            errand.settle(reply)

    def _forget(self, mate: Mate) -> None:
        if mate.channel is not None:
            self._watch(mate.channel, None, False)
            mate.channel.close()
            mate.channel = None
        if self._mates.get((mate.name, mate.lane)) is mate:
            del self._mates[mate.name, mate.lane]
            self._lanes[mate.name].remove(mate)
            if not self._lanes[mate.name]:
                del self._lanes[mate.name]

    def orphan(self) -> None:
        """The master is gone: nobody starts the workers that were asked for, and no others."""
        self._orphaned = True
        for mate in [mate for mate in self._mates.values() if mate.channel is None]:
            self._give_up(mate, _ORPHANED)

    # --- time --------------------------------------------------------------------------------

    def look_at_the_clock(self, now_s: float) -> None:
        """Take back what waits for slow workers, and have the stuck ones killed."""
        for mate in list(self._mates.values()):
            silent_s = now_s - mate.progress_s
            if mate.idle or silent_s <= self._settings.slow_s:
                continue
            if mate.channel is None:
                # Asking for it, or the answer, may have been lost: the next message asks again.
                self._give_up(mate, slow_reply(mate.name, silent_s))
                continue
            self._take_back(mate, silent_s)
            if silent_s > self._settings.delivery_s + GRACE_S and mate.in_hand and not mate.killed:
                mate.killed = True
                self._tell_master(mate.about(frames.KILL))

    def _take_back(self, mate: Mate, silent_s: float) -> None:
        reply = slow_reply(mate.name, silent_s)
        waiting, mate.waiting = mate.waiting, deque()
        for errand in waiting:
            errand.settle(reply)
        for errand in list(mate.in_hand.values())[1:]:
            try:
                packet = frames.pack(frames.CANCEL, b"%d" % errand.number)
                if mate.channel is None or not frames.send(mate.channel, packet):
                    return
            except OSError:
                return
            del mate.in_hand[errand.number]
            errand.settle(reply)

    @property
    def idle(self) -> bool:
        """Whether nobody has anything to do."""
        return all(mate.idle for mate in self._mates.values())


def slow_reply(name: str, silent_s: float) -> str:
    """What mail for NAME is told while a delivery takes its time."""
    return f"451 4.3.2 a delivery to {name} has been at work for {silent_s:.0f} s; try again later"
