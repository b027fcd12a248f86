"""The process that talks to the network: unprivileged, one loop, never waiting for anybody.

Does      sessions (sessions.py), hands messages to workers (crew.py), asks the master for workers
Has       the listening sockets, one channel to the master, one to each worker; no rights but those
          of a user who owns nothing
Ends      when the master says FINISH or is gone, and every message in hand has its reply
See also  master.py, epoll(7)
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
from contextlib import suppress
from functools import partial
from select import EPOLLIN, EPOLLOUT, epoll

from mdeliver.lmtp import frames
from mdeliver.lmtp.accounts import SystemAccounts, VirtualAccounts
from mdeliver.lmtp.crew import Crew, Mate
from mdeliver.lmtp.events import Offers
from mdeliver.lmtp.parcel import Room
from mdeliver.lmtp.sessions import Session
from mdeliver.lmtp.wire import tls_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mdeliver.lmtp.sessions import Accounts
    from mdeliver.lmtp.settings import Lmtp
    from mdeliver.settings import Site

_CLOCK_S = 1.0
_ACCEPTED_AT_ONCE = 64


class Front:
    """The loop of this process."""

    def __init__(
        self,
        settings: Lmtp,
        site: Site,
        listeners: list[socket.socket],
        master: socket.socket,
        report: Callable[[str], None],
    ) -> None:
        """MASTER is our end of the channel to it; REPORT takes one line for the administrator."""
        self.settings = settings
        self.report = report
        self.now_s = time.monotonic()
        self.room = Room(settings.receiving_mb << 20)
        virtual = settings.users == "virtual"
        kind = VirtualAccounts if virtual else SystemAccounts
        self.accounts: Accounts = kind(settings, site.recipient_delimiter)
        self.tls: ssl.SSLContext | None = None
        if settings.tls_certificate:
            self.tls = tls_context(settings.tls_certificate, settings.tls_key)
        self.crew = Crew(settings, self._tell_master, self._watch_mate)
        self._hostname = site.hostname
        self._trusted = [ipaddress.ip_network(network) for network in settings.trusted]
        self._listeners = listeners
        self._master = master
        self._finishing = False
        self._sessions: dict[int, Session] = {}
        self._masks: dict[int, int] = {}
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._epoll = epoll()
        self._to_master: list[bytes] = []

    def run(self) -> None:
        """Serve until told to finish, and everything is finished."""
        self._watch(self._master.fileno(), EPOLLIN, self._master_ready)
        for listener in self._listeners:
            listener.setblocking(False)
            fd = listener.fileno()
            self._watch(fd, EPOLLIN, partial(self._accept, listener))
        next_look_s = self.now_s + _CLOCK_S
        while not (self._finishing and not self._sessions and self.crew.idle):
            self._turn(max(0.0, next_look_s - self.now_s))
            if self.now_s >= next_look_s:
                self._look_at_the_clock()
                next_look_s = self.now_s + _CLOCK_S

    def _turn(self, wait_s: float) -> None:
        """Wait for something to do, for up to WAIT_S, and do all that there is."""
        ready = self._epoll.poll(wait_s)
        self.now_s = time.monotonic()
        for fd, events in ready:
            session = self._sessions.pop(fd, None)
            if session is not None:
                # In the order of their last sign of life, so that the oldest is found at once.
                self._sessions[fd] = session
                self._session_ready(session, events)
            elif (handler := self._handlers.get(fd)) is not None:
                handler(events)

    def _look_at_the_clock(self) -> None:
        for session in list(self._sessions.values()):
            session.look_at_the_clock()
        self.crew.look_at_the_clock(self.now_s)

    # --- descriptors -------------------------------------------------------------------------

    def _watch(self, fd: int, mask: int, handler: Callable[[int], None]) -> None:
        self._handlers[fd] = handler
        self._wait_for(fd, mask)

    def _wait_for(self, fd: int, mask: int) -> None:
        """Wait for the events in MASK; for the end of a connection in any case."""
        known = self._masks.get(fd)
        if known is None:
            self._epoll.register(fd, mask)
        elif known != mask:
            self._epoll.modify(fd, mask)
        self._masks[fd] = mask

    def _unwatch(self, fd: int) -> None:
        if self._masks.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            self._handlers.pop(fd, None)

    def watch(self, session: Session) -> None:
        """Wait for what SESSION waits for."""
        mask = EPOLLOUT if session.outgoing else EPOLLIN
        if self._masks.get(session.fd) != mask:
            self._sessions[session.fd] = session
            self._wait_for(session.fd, mask)

    def forget(self, session: Session) -> None:
        """SESSION is over, or gets another socket."""
        self._unwatch(session.fd)
        self._sessions.pop(session.fd, None)

    def _session_ready(self, session: Session, events: int) -> None:
        if events & EPOLLOUT:
            session.flush()
        elif session.engine.wants_input or events != EPOLLIN:
            # Or it has hung up while it waits for us: deliveries go on, nobody hears of them.
            session.readable()
        else:
            # It goes on before it has its answer, and is heard then. Few do: to look for input
            # only when it is wanted would take two system calls for each message.
            self._wait_for(session.fd, 0)

    def _watch_mate(self, channel: socket.socket, mate: Mate | None, writing: bool) -> None:
        if mate is None:
            self._unwatch(channel.fileno())
            return
        found = mate
        mask = EPOLLIN | (EPOLLOUT if writing else 0)
        self._watch(channel.fileno(), mask, lambda _: self.crew.ready(found, self.now_s))

    # --- clients -----------------------------------------------------------------------------

    def _accept(self, listener: socket.socket, _events: int) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._end_oldest()
                return  # else it has gone again
            sock.setblocking(False)
            if not self._make_place():
                with sock, suppress(OSError):
                    sock.send(b"421 4.3.2 too many sessions, and all are at work\r\n")
                continue
            local = sock.family == socket.AF_UNIX
            if not local:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            offers = Offers(
                self._hostname,
                self.settings.message_mb << 20,
                self.settings.recipients,
                starttls=self.tls is not None and not local,
                xforward=local or self._is_trusted(address[0]),
            )
            Session(self, sock, offers).go_on()

    def _is_trusted(self, address: str) -> bool:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._trusted)

    def _make_place(self) -> bool:
        """Whether there is room for another session, if need be in the place of an old one."""
        if len(self._sessions) >= self.settings.sessions:
            self._end_oldest()
        return len(self._sessions) < self.settings.sessions

    def _end_oldest(self) -> None:
        """End the session that has been silent for longest, but none that waits for us.

        One between two messages is preferred: an MTA keeps connections in store, and makes another.
        """
        sessions = self._sessions.values()
        oldest = next((s for s in sessions if s.engine.between_messages), None)
        oldest = oldest or next((s for s in sessions if s.engine.wants_input), None)
        if oldest is not None:
            oldest.end("421 4.3.2 too many sessions; the one that was silent for longest is ended")

    # --- the master --------------------------------------------------------------------------

    def _tell_master(self, packet: bytes) -> None:
        self._to_master.append(packet)
        self._send_to_master()

    def _send_to_master(self) -> None:
        try:
            while self._to_master and frames.send(self._master, self._to_master[0]):
                self._to_master.pop(0)
        except OSError:
            return  # the master is gone, which reading from it tells too
        mask = EPOLLIN | (EPOLLOUT if self._to_master else 0)
        self._watch(self._master.fileno(), mask, self._master_ready)

    def _master_ready(self, _events: int) -> None:
        self._send_to_master()
        while (received := self._from_master()) is not None:
            packet, fd = received
            kind, fields = frames.unpack(packet) if packet else (frames.FINISH, [])
            if kind == frames.WORKER:
                channel = socket.socket(fileno=fd) if fd >= 0 else None
                if channel is not None:
                    channel.setblocking(False)
                name, lane, why_not = (f.decode("utf-8", "surrogateescape") for f in fields)
                self.crew.started(name, int(lane), channel, why_not, self.now_s)
            elif kind == frames.FINISH:
                self._finish()
            if not packet:
                self._unwatch(self._master.fileno())
                self.crew.orphan()
                return

    def _from_master(self) -> tuple[bytes, int] | None:
        try:
            return frames.receive(self._master)
        except ValueError:
            return None  # no descriptor is left for a worker's channel; crew.py asks again
        except OSError:
            return b"", -1

    def _finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        for listener in self._listeners:
            self._unwatch(listener.fileno())
            listener.close()
        for session in list(self._sessions.values()):
            session.finish()
