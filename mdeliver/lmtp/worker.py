"""A process that delivers for one user, as that user, for as long as mail keeps coming.

Runs as    the recipient, with the recipient's groups, from before it reads anything
Takes      jobs from the front, and launchers' connections and orders from the master, from nobody
           else: a front that strangers have taken over can have mail delivered, no more
Limits     time of each delivery; memory, processes and open files of this process and of whatever
           programs the rules start
Ends       when it was idle for a while and nobody has more to do (BYE), or when both ends are gone
Fails with nothing: every job gets its answer; where this process dies the front answers for it
See also   rounds.py, frames.py, jobs.py, door.py
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque

from mdeliver import durable, system
from mdeliver.deliver import quota
from mdeliver.envelope import Envelope
from mdeliver.intake import state_directory
from mdeliver.lmtp import frames
from mdeliver.lmtp.door import Caller, Environment, Habit
from mdeliver.lmtp.jobs import Job, letter_for, unpack_job
from mdeliver.lmtp.rounds import MESSAGES, Brought, Kept, Round
from mdeliver.outcome import Deferral, Outcome
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.letter import Letter
    from mdeliver.lmtp.settings import Lmtp
    from mdeliver.settings import Site

CALLERS = 8
"""Launchers whose messages are taken in one round: each is waited for while it hands over."""

SLOW_S = 1.0
"""Where one message takes longer, launchers are greeted one by one: who was greeted has given its
message away, and waits; who was not can go the direct way, and need not wait for the others'
programs."""

_LOOK_S = 0.05

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class Identity(Record):
    """Whom a worker is for.

    name     login name, or virtual address
    uid, gid what it runs as
    home     of a user of the system; "" for a virtual one, whose jobs say it
    login    whose groups it has
    groups_since_ns  when the groups of the system changed last; 0 where it does not matter
    """

    name: str
    uid: int
    gid: int
    home: str
    login: str
    groups_since_ns: int = 0


class Worker:
    """The loop of this process."""

    def __init__(
        self, identity: Identity, settings: Lmtp, site: Site, control: socket.socket
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._site = site
        self._control: socket.socket | None = control
        self._front: socket.socket | None = None
        self._jobs: deque[tuple[bytes, list[bytes], int]] = deque()
        self._doors: deque[int] = deque()
        self._at_once = 1
        self.limit_s = settings.delivery_s
        self._cancelled: set[int] = set()
        self._kept = Kept()
        self._environment = Environment()
        self._habit = Habit()
        self._retiring = False
        self._unwanted = False
        self._seen: set[str] = set()
        """State directories that were there in this round."""
        self._environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": identity.home or "/",
            "USER": identity.name,
            "LOGNAME": identity.name,
            "SHELL": "/bin/sh",
        }

    def run(self) -> None:
        """Work until there is nothing more to come."""
        while self.turn():
            pass

    def turn(self) -> bool:
        """Take what comes, and deliver what is there; false when there is nothing more to come."""
        waiting = bool(self._jobs or self._doors)
        if not waiting and self._control is None and self._front is None:
            self._kept.close()
            return False
        ending = self._retiring or self._unwanted
        came = self._take_packets(0.0 if waiting or ending else self._settings.worker_idle_s)
        if self._jobs or self._doors:
            self._go_round()
        elif not came:
            self._say_bye()
            self._take_packets(self._settings.worker_idle_s)
        return True

    # --- packets -----------------------------------------------------------------------------

    def _take_packets(self, wait_s: float) -> bool:
        """Take all that is there, waiting up to WAIT_S for the first; whether anything came."""
        poll = select.poll()
        channels = {c.fileno(): c for c in (self._control, self._front) if c is not None}
        for fd in channels:
            poll.register(fd, _READABLE)
        ready = poll.poll(wait_s * 1000)
        for fd, _ in ready:
            channel = channels[fd]
            try:
                # One that was replaced by what the other has just brought is closed already.
                while channel.fileno() >= 0 and (received := frames.receive(channel)) is not None:
                    self._take(channel, *received)
            except (OSError, ValueError, IndexError):
                # The end of the channel, or what no front of ours sends.
                self._hung_up(channel)
        return bool(ready)

    def _hung_up(self, channel: socket.socket) -> None:
        channel.close()
        if channel is self._control:
            self._control = None
        elif channel is self._front:
            # Nobody waits for these any more: the MTA has lost its connection and comes again.
            self._front = None
            self._unwanted = True
            self._cancelled.clear()
            while self._jobs:
                self._close(self._jobs.popleft()[2])

    def _take(self, channel: socket.socket, packet: bytes, fd: int) -> None:
        if not packet:
            raise ValueError("the other end has hung up")
        kind, fields = frames.unpack(packet)
        if channel is not self._control:
            if kind != frames.JOB:
                self._close(fd)  # no front of ours sends one
                fd = -1
            if kind == frames.CANCEL:
                self._cancel(fields[0])
            elif kind in (frames.JOB, frames.ROOM):
                self._jobs.append((kind, fields, fd))
        elif kind == frames.FRONT:
            if self._front is not None:
                self._hung_up(self._front)
            self._front = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fd)
            self._front.setblocking(False)
            self._unwanted = False
        elif kind == frames.DOOR and fd >= 0:
            self._doors.append(fd)
            self._unwanted = False
        elif kind == frames.RETIRE:
            self._retiring = True

    def _cancel(self, number: bytes) -> None:
        for job in self._jobs:
            if job[1][0] == number:
                self._jobs.remove(job)
                self._close(job[2])
                return
        self._cancelled.add(int(number))

    def is_wanted(self, front: socket.socket | None, number: int) -> bool:
        """Whether FRONT still waits for its job NUMBER, which is in this round."""
        self._take_packets(0)
        return number not in self._cancelled and front is not None and front is self._front

    def _close(self, fd: int) -> None:
        if fd >= 0:
            durable.close_read(fd)

    def _say_bye(self) -> None:
        """Offer to end, first to the front, then to the master; whoever has more to do says so."""
        channel = self._front or self._control
        try:
            if channel is not None and frames.send(channel, frames.pack(frames.BYE)):
                return
        except OSError:
            pass

    # --- deliveries --------------------------------------------------------------------------

    def _go_round(self) -> None:
        """Deliver what is there; what comes meanwhile too, up to a round's fill."""
        this = Round(self._kept)
        self._seen.clear()
        looked_s = time.monotonic()
        taken = 0
        try:
            if self._doors:
                for caller in self._callers():
                    this.take(caller)
            while self._jobs and taken < MESSAGES:
                self._do(this, *self._jobs.popleft())
                taken += 1
                if time.monotonic() > looked_s + _LOOK_S:
                    # Somebody's rules took their time: not all of this may be wanted any more.
                    self._take_packets(0)
                    looked_s = time.monotonic()
        finally:
            this.end()
            self._cancelled.clear()
            self._at_once = 1 if this.longest_s > SLOW_S else min(CALLERS, 2 * self._at_once)

    def _callers(self) -> list[Caller]:
        """Launchers that wait, each with its request."""
        callers: list[Caller] = []
        while self._doors and len(callers) < self._at_once:
            caller = Caller(self._doors.popleft(), self._site, self._environment, self._habit)
            if caller.greet():
                callers.append(caller)
        return [caller for caller in callers if caller.hear()]

    def _do(self, this: Round, kind: bytes, fields: list[bytes], fd: int) -> None:
        try:
            if kind == frames.ROOM:
                number, home, size = fields
                self.answer(
                    self._front, int(number), self._room(system.from_octets(home), int(size))
                )
                return
            job = unpack_job(fields)
        except ValueError:
            # No front of ours sends that: there is nobody to answer.
            self._close(fd)
            return
        this.take(_FromFront(self, self._front, job, fd))

    def answer(self, front: socket.socket | None, number: int, reply: str) -> None:
        """Tell FRONT what became of its job NUMBER.

        Another one may have come meanwhile, which has a job of its own under that number.
        """
        packet = frames.pack(frames.DONE, b"%d" % number, system.to_octets(reply))
        try:
            while front is not None and front is self._front and not frames.send(front, packet):
                select.select([], [front], [])
        except OSError:
            # It is gone, or must not wait for an answer that is lost: both ends see the end of it.
            _hang_up(front)

    def bring(self, job: Job, letter: Letter) -> Brought:
        """JOB's LETTER for a round."""
        self._environment.become(self._environment.own)
        envelope = self._envelope(job)
        state = state_directory(envelope, self._environ)
        if state not in self._seen:
            self._make_state(state, envelope.home)
            self._seen.add(state)
        return Brought(letter, envelope, self._site, state, self._environ)

    def _make_state(self, state: str, home: str) -> None:
        """See that the directory STATE is there; where it is, so is HOME, which it is in."""
        if system.is_directory(state):
            return
        # Nobody's home is made by us but a virtual user's: it may not be mounted.
        if self._identity.home and not system.is_directory(home):
            raise Deferral(f"home directory {home} of user {self._identity.name} does not exist")
        durable.make_directory(state)

    def _envelope(self, job: Job) -> Envelope:
        identity = self._identity
        home = identity.home or job.home
        return Envelope(
            user=identity.name,
            home=home,
            uid=identity.uid,
            sender=job.sender,
            recipient=job.recipient,
            original_recipient=job.original or job.recipient,
            extension=job.extension,
            domain=job.recipient.rpartition("@")[2].lower() if "@" in job.recipient else "",
            client_address=job.client_address,
            client_hostname=job.client_hostname,
            client_helo=job.client_helo,
            client_protocol=job.client_protocol,
            queue_id=job.queue_id,
        )

    def _room(self, home: str, size: int) -> str:
        """The reply that refuses a message of SIZE octets, or "" if it fits."""
        root = system.join(self._identity.home or home, self._settings.quota_maildir)
        try:
            quota.refuse_if_full(root, size)
        except Deferral as full:
            if self._settings.over_quota == "reject":
                return f"552 5.2.2 {full.text}"
            return f"452 4.2.2 {full.text}"
        except OSError:
            pass  # whatever that is, the delivery meets it too and says so
        return ""


def _hang_up(channel: socket.socket | None) -> None:
    """The next look at CHANNEL, from either end, finds its end."""
    try:
        if channel is not None:
            channel.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has none any more


class _FromFront:
    """A job of the front's (rounds.Task)."""

    def __init__(self, worker: Worker, front: socket.socket | None, job: Job, fd: int) -> None:
        self._worker = worker
        self._front = front
        self._job = job
        self._fd = fd
        self._letter: Letter | None = None
        self.limit_s = worker.limit_s

    def open(self) -> Brought:
        """The message."""
        letter = self._letter = letter_for(self._job, self._fd, time.time())
        return self._worker.bring(self._job, letter)

    def is_wanted(self) -> bool:
        """Whether the front has not taken it back."""
        return self._worker.is_wanted(self._front, self._job.number)

    def answer(self, outcome: Outcome) -> None:
        """Tell the front."""
        self._worker.answer(self._front, self._job.number, outcome.reply)

    def close(self) -> None:
        """Let go of the message."""
        if self._letter is not None:
            self._letter.close()
        elif self._fd >= 0:
            durable.close_read(self._fd)
