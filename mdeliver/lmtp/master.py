"""The process that has the privileges, and reads nothing that a stranger or a user wrote.

Does      binds sockets, forks the front and the workers, gives each worker its uid; accepts at the
          launcher's door, asks the kernel who is there, passes the connection on unread
Reads     settings and the passwd database; from the front names of accounts, nothing else from
          anybody
Signals   SIGTERM, SIGINT: what is in hand is finished, then all end. SIGHUP: settings are read
          again; a new front takes over the sockets, the old one finishes what it has
Forked    a child closes every descriptor but its own: else a worker would keep open the ends of
          others, and none of them would ever see that the other side has gone
Fails with  OSError, Deferral at the start; later trouble is reported and mail stays in the queue
See also  front.py, worker.py, frames.py, door.py; credentials(7)
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time

from mdeliver import durable
from mdeliver.lmtp import frames, systemd
from mdeliver.lmtp.door import decline
from mdeliver.lmtp.forked import STOPPING, begin_child
from mdeliver.lmtp.front import Front
from mdeliver.lmtp.identity import (
    Callers,
    NotServed,
    become_front,
    become_user,
    identity_of_account,
    make_room,
)
from mdeliver.lmtp.settings import changed_for_the_next_start
from mdeliver.lmtp.watch import Watch
from mdeliver.lmtp.worker import Worker
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mdeliver.lmtp.listeners import Door
    from mdeliver.lmtp.settings import Lmtp
    from mdeliver.lmtp.worker import Identity
    from mdeliver.settings import Site

_CREDENTIALS_BYTES = 12
_KNOCK = frames.pack(frames.DOOR)
_DOOR_LANE = -1
"""Of workers that the front cannot have: it knows virtual users, the door those of the system."""
_FRONT_AGAIN_S = 1.0


class _Child:
    """A front or a worker: its process, and our end of the channel to it."""

    pid = 0

    def __init__(self, channel: socket.socket, identity: Identity | None = None) -> None:
        """IDENTITY is who a worker becomes; a front has none."""
        self.channel = channel
        self.identity = identity
        self.name = identity.name if identity else "front"
        self.generation = self.lanes = 0
        """Of a front: how many reloads came before it, and how many lanes an account has there."""
        self.given: dict[tuple[str, int], _Child] = {}
        """The workers that a front has, by account and lane."""


class Master:
    """The loop of this process."""

    def __init__(
        self,
        load: Callable[[], tuple[Lmtp, Site]],
        report: Callable[[str], None],
    ) -> None:
        """LOAD reads the settings; REPORT takes one line for the administrator."""
        self._load = load
        self._settings, self._site = load()
        self._listeners: list[socket.socket] = []
        self._door: Door | None = None
        self._report = report
        self._front: _Child | None = None
        self._old_fronts: list[_Child] = []
        self._workers: dict[tuple[str, int, int], _Child] = {}
        self._generation = 0
        self._pids: dict[int, _Child] = {}
        self._wanted: list[tuple[_Child, str, int]] = []
        self._front_began_s = 0.0
        self._stopping = self._reloading = self._child_ended = False
        self._callers = Callers(self._settings)
        # From now on, so that no signal comes too early.
        self._watch = Watch()
        for number in (*STOPPING, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._signalled)

    def run(self, listeners: list[socket.socket], door: Door | None) -> None:
        """Serve at LISTENERS and DOOR until a signal says to stop, and everything is finished."""
        self._listeners, self._door = listeners, door
        if self._door is not None:
            self._door.setblocking(False)
            self._watch.add(self._door, self._at_the_door)
        gc.collect()
        gc.freeze()
        make_room(self._settings)
        self._start_front()
        systemd.notify("READY=1")
        while not (self._stopping and not self._pids):
            came = self._watch.turn(_FRONT_AGAIN_S)
            # A look where there is nothing else to do costs nothing.
            if self._child_ended or not came:
                self._reap()
            self._after_signals()

    # --- signals -----------------------------------------------------------------------------

    def _signalled(self, number: int, _frame: object) -> None:
        if number in STOPPING:
            self._stopping = True
        elif number == signal.SIGHUP:
            self._reloading = True
        elif number == signal.SIGCHLD:
            self._child_ended = True

    def _after_signals(self) -> None:
        if self._stopping:
            self._stop()
        elif self._reloading:
            self._reloading = False
            self._reload()
        again = time.monotonic() > self._front_began_s + _FRONT_AGAIN_S
        if self._front is None and not self._stopping and again:
            self._report("the front has ended unexpectedly; another one is started")
            self._try_front()

    def _stop(self) -> None:
        """Have the front finish; when it has, the workers."""
        if self._front is not None:
            systemd.notify("STOPPING=1")
            self._retire_front()
        for listener in [*self._listeners, *([self._door] if self._door else [])]:
            if listener is self._door:
                self._watch.drop(listener)
            listener.close()
        self._listeners, self._door = [], None
        if not self._old_fronts:
            for child in list(self._workers.values()):
                self._let_go(child)

    def _reload(self) -> None:
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        before = self._settings
        try:
            self._settings, self._site = self._load()
        except (Deferral, OSError) as error:
            self._report(f"{error}; the settings stay as they were")
        else:
            self._callers = Callers(self._settings)
            self._retire_front()
            self._generation += 1
            make_room(self._settings)
            self._try_front()
            # They finish what the old front has in hand; another front's mail is not for them.
            for child in list(self._workers.values()):
                self._retire(child)
            self._report("the settings have been read again")
            for key in changed_for_the_next_start(before, self._settings):
                self._report(f"lmtp.{key} comes into force when the server is restarted")
        systemd.notify("READY=1")

    # --- children ----------------------------------------------------------------------------

    def _try_front(self) -> None:
        """Start one; where there is no process for it now, `_after_signals` comes again."""
        try:
            self._start_front()
        except OSError as error:
            self._report(f"no front can be started: {error.strerror}")

    def _start_front(self) -> None:
        self._front_began_s = time.monotonic()
        ours, theirs = frames.pair()
        settings, site = self._settings, self._site

        def serve() -> None:
            front = Front(settings, site, self._listeners, theirs, self._report)
            become_front(settings)
            front.run()

        keep = [theirs.fileno(), *[one.fileno() for one in self._listeners]]
        with theirs:
            self._front = self._fork(_Child(ours), serve, keep)
        self._front.generation, self._front.lanes = self._generation, settings.user_workers

    def _retire_front(self) -> None:
        if self._front is not None:
            self._send(self._front, frames.pack(frames.FINISH))
            self._continue(self._front)
            self._old_fronts.append(self._front)
            self._front = None

    def _start_worker(self, identity: Identity) -> _Child:
        ours, theirs = frames.pair(frames.ORDERS_BYTES)
        settings, site = self._settings, self._site

        def work() -> None:
            become_user(identity, settings)
            Worker(identity, settings, site, theirs).run()

        with theirs:
            return self._fork(_Child(ours, identity), work, [theirs.fileno()])

    def _fork(self, child: _Child, task: Callable[[], None], keep: list[int]) -> _Child:
        """Run TASK as CHILD, which has standard error and the descriptors in KEEP only."""
        try:
            child.pid = os.fork()
        except OSError:
            child.channel.close()
            raise
        if child.pid == 0:
            status = 1
            try:
                begin_child(keep)
                task()
                status = 0
            except BaseException as error:
                self._report(f"{child.name}: {type(error).__name__}: {error}")
            finally:
                os._exit(status)
        self._pids[child.pid] = child
        self._watch.add(child.channel, lambda: self._from_child(child))
        return child

    def _reap(self) -> None:
        self._child_ended = False
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._pids.pop(pid)
            if status:
                how = os.waitstatus_to_exitcode(status)
                self._report(f"the process of {child.name} has ended with {how}")
            self._close(child)
            if child is self._front:
                self._front = None
            if child in self._old_fronts:
                self._old_fronts.remove(child)
            for front in (self._front, *self._old_fronts):
                if front is not None:
                    front.given = {k: one for k, one in front.given.items() if one is not child}
            self._serve_wanted()

    def _retire(self, worker: _Child) -> None:
        """It finishes what it has in hand, and takes nothing more."""
        self._send(worker, frames.pack(frames.RETIRE))
        self._let_go(worker)

    def _let_go(self, child: _Child) -> None:
        """Nothing more goes to CHILD: it ends when it has done what it has.

        Our end stays open: closed over something unread it would take from the child what it has
        yet to read (ECONNRESET).
        """
        for key, known in list(self._workers.items()):
            if known is child:
                del self._workers[key]
        try:
            child.channel.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has ended, or was let go before
        self._continue(child)

    def _continue(self, child: _Child) -> None:
        """Somebody with its uid may have stopped CHILD: it would never end, nor would we."""
        if self._pids.get(child.pid) is child:
            os.kill(child.pid, signal.SIGCONT)

    def _close(self, child: _Child) -> None:
        self._let_go(child)
        if child.channel.fileno() >= 0:
            self._watch.drop(child.channel)
            child.channel.close()

    def _send(self, child: _Child, packet: bytes, fd: int = -1) -> bool:
        try:
            return frames.send(child.channel, packet, fd)
        except OSError:
            return False  # it has ended, which `_reap` sees

    # --- what children ask -------------------------------------------------------------------

    def _from_child(self, child: _Child) -> None:
        try:
            received = frames.receive(child.channel)
            if received is None:
                return
            packet, fd = received
            if fd >= 0:
                durable.close_read(fd)
            if not packet:
                raise ValueError("it has hung up")
            kind, fields = frames.unpack(packet)
            if child in (self._front, *self._old_fronts):
                name, lane = fields[0].decode("utf-8", "surrogateescape"), int(fields[1])
                if not 0 <= lane < child.lanes:
                    raise ValueError("there is no such lane")
                if kind == frames.WANT:
                    self._wanted.append((child, name, lane))
                    self._serve_wanted()
                elif kind == frames.KILL:
                    self._kill(child, name, lane)
            elif kind == frames.BYE:
                self._let_go(child)
        except (OSError, ValueError, IndexError):
            self._close(child)

    def _serve_wanted(self) -> None:
        """Answer those who want workers, as far as there may be more of them."""
        waiting = self._wanted
        self._wanted = []
        for front, name, lane in waiting:
            busy = len(self._pids) > self._settings.workers + len(self._old_fronts) + 1
            if busy and (name, lane, front.generation) not in self._workers:
                self._wanted.append((front, name, lane))
            else:
                self._answer(front, name, lane)

    def _answer(self, front: _Child, name: str, lane: int) -> None:
        fields = (name.encode("utf-8", "surrogateescape"), b"%d" % lane)
        try:
            identity = identity_of_account(name, self._settings)
            theirs, fronts = frames.pair()
            with theirs, fronts:
                # Another generation's would drop what it has for its own front.
                key = (identity.name, lane, front.generation)
                worker = self._give(key, identity, frames.pack(frames.FRONT), theirs.fileno())
                front.given[name, lane] = worker
                packet = frames.pack(frames.WORKER, *fields, b"")
                if not self._send(front, packet, fronts.fileno()):
                    raise NotServed("its process could not be passed on")
        except (NotServed, OSError) as error:
            why = str(error).encode("utf-8", "backslashreplace")
            self._report(f"no worker for {name}: {error}")
            self._send(front, frames.pack(frames.WORKER, *fields, why))

    def _give(
        self, key: tuple[str, int, int], identity: Identity, packet: bytes, fd: int
    ) -> _Child:
        """Send PACKET and FD to the worker with KEY, or a new one. Raises NotServed, OSError."""
        child = self._workers.get(key)
        if child is not None and child.identity != identity:
            # The account has changed; or the login is another one's now, whose mail is not hers.
            self._retire(child)
            child = None
        try:
            if child is not None and frames.send(child.channel, packet, fd):
                return child
        except ConnectionError:
            self._workers.pop(key)
            child = None  # it has ended, which `_reap` sees; no other error says so
        if child is None:
            child = self._workers[key] = self._start_worker(identity)
            if self._send(child, packet, fd):
                return child
        # A second one would help nobody but a user who stops each, and so takes all there may be.
        raise NotServed("its process takes no more for now")

    def _kill(self, front: _Child, name: str, lane: int) -> None:
        """End the worker that FRONT has, which may be let go already; another front's is not it."""
        child = front.given.get((name, lane))
        if child is not None and self._pids.get(child.pid) is child:
            self._report(f"the process of {name} does not answer and is killed")
            os.kill(child.pid, signal.SIGKILL)

    # --- the door ----------------------------------------------------------------------------

    def _at_the_door(self) -> None:
        assert self._door is not None
        try:
            connection, _ = self._door.accept()
        except OSError:
            return
        with connection:
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS_BYTES)
            uid = int.from_bytes(peer[4:8], "little")
            try:
                identity = self._callers.find(uid, time.monotonic())
                # A virtual account may be called as a login is; its worker is another user's.
                lane = _DOOR_LANE if self._settings.users == "virtual" else 0
                key = (identity.name, lane, self._generation)
                if key not in self._workers and len(self._pids) > self._settings.workers:
                    raise NotServed("too many workers")
                self._give(key, identity, _KNOCK, connection.fileno())
            except (NotServed, OSError):
                decline(connection)
