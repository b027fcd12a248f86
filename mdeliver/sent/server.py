"""`mdeliver bcc-maps --serve`: answers Postfix live, so that a new user needs no new table.

Loop        one thread, selectors; a look-up is a dictionary's. No client can hold up another: what
            a client does not take waits in its own buffer, and beyond a limit it is dropped.
Reload      before an answer, if a source has changed since (their files are looked at once a
            second), every minute at any rate, and on SIGHUP. If a source cannot be read the old
            answers stay, and the error is reported once.
Who         a tag is a secret, so the UNIX socket answers root, ourselves and Postfix's user alone
            (SO_PEERCRED), and TCP is for maps without tags.
Sockets     from systemd (LISTEN_FDS), or made by ourselves.
Ends        on SIGTERM and SIGINT; a socket of our own making is removed.
See also    socketmap.py, sd_listen_fds(3)
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import stat
import struct
import time

from mdeliver import durable
from mdeliver.sent.socketmap import Broken, Engine, NoMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Maps = dict[str, dict[str, str]]
    Load = Callable[[], Maps]
    Fingerprint = Callable[[], object]

LISTEN_FD = 3
"""The first descriptor that systemd hands over (sd_listen_fds(3))."""

CLIENTS = 1000
"""More connections than this at a time wait until one ends."""

UNSENT_BYTES = 1 << 20
"""A client that lets this much wait is dropped."""

LOOK_S = 1.0
RELOAD_S = 60.0

_READ_BYTES = 65536


class LiveMaps:
    """The maps that are answered from, loaded again when their sources change."""

    def __init__(self, load: Load, fingerprint: Fingerprint, report: Callable[[str], None]) -> None:
        self._load = load
        self._fingerprint = fingerprint
        self._report = report
        self._seen = fingerprint()
        self._maps = load()
        self._looked_s = self._loaded_s = time.monotonic()
        self._trouble = ""

    def look_up(self, name: str, key: str) -> str | None:
        """The value of KEY, which Postfix has in any case of letters."""
        if time.monotonic() - self._looked_s >= LOOK_S:
            self.refresh()
        found = self._maps.get(name)
        if found is None:
            raise NoMap(f"there is no map {name}; there are {', '.join(self._maps)}")
        return found.get(key.casefold())

    def refresh(self, *, now: bool = False) -> None:
        """Load again what has changed; NOW: whether it has or not."""
        self._looked_s = time.monotonic()
        try:
            seen = self._fingerprint()
            settled = seen == self._seen and not self._trouble
            if not now and settled and self._looked_s - self._loaded_s < RELOAD_S:
                return
            self._loaded_s = self._looked_s
            self._maps = self._load()
        except Exception as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._report(f"the answers stay as they were: {error}")
            return
        if self._trouble:
            self._trouble = ""
            self._report("the sources can be read again")
        self._seen = seen
        self._looked_s = time.monotonic()


class Server:
    """Listens until it is told to stop."""

    def __init__(
        self, listeners: list[socket.socket], maps: LiveMaps, trusted: frozenset[int] | None
    ) -> None:
        """TRUSTED are the user ids that are answered; None for all."""
        self._maps = maps
        self._trusted = trusted
        self._selector = selectors.DefaultSelector()
        self._clients: dict[socket.socket, tuple[Engine, bytearray]] = {}
        self._listeners = listeners
        self._stopping = self._reloading = False
        for listener in listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)

    def run(self) -> None:
        """Answer until SIGTERM or SIGINT."""
        awake, wakes = socket.socketpair()
        awake.setblocking(False)
        wakes.setblocking(False)
        before = signal.set_wakeup_fd(wakes.fileno())
        self._selector.register(awake, selectors.EVENT_READ)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            while not self._stopping:
                for key, events in self._selector.select():
                    if key.fileobj is awake:
                        awake.recv(100)
                    elif key.fileobj in self._listeners:
                        self._accept(key.fileobj)
                    elif isinstance(key.fileobj, socket.socket):
                        self._serve(key.fileobj, events)
                if self._reloading:
                    self._reloading = False
                    self._maps.refresh(now=True)
        finally:
            signal.set_wakeup_fd(before)
            for client in list(self._clients):
                self._drop(client)
            self._selector.close()
            awake.close()
            wakes.close()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            self._reloading = True
        else:
            self._stopping = True

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _address = listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: the others are served on
        if len(self._clients) >= CLIENTS or not self._is_trusted(client):
            client.close()
            return
        client.setblocking(False)
        self._clients[client] = (Engine(self._maps.look_up), bytearray())
        self._selector.register(client, selectors.EVENT_READ)

    def _is_trusted(self, client: socket.socket) -> bool:
        if self._trusted is None or client.family != socket.AF_UNIX:
            return True
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _pid, uid, _gid = struct.unpack("iII", credentials)
        return uid in self._trusted

    def _serve(self, client: socket.socket, events: int) -> None:
        engine, unsent = self._clients[client]
        try:
            if events & selectors.EVENT_READ:
                octets = client.recv(_READ_BYTES)
                if not octets:
                    self._drop(client)
                    return
                unsent += engine.receive(octets)
            if unsent:
                del unsent[: client.send(unsent)]
        except BlockingIOError:
            pass
        except Broken as error:
            self._say_last(client, bytes(unsent) + error.args[0])
            return
        except OSError:
            self._drop(client)
            return
        if len(unsent) > UNSENT_BYTES:
            self._drop(client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if unsent else 0)
        self._selector.modify(client, wanted)

    def _say_last(self, client: socket.socket, octets: bytes) -> None:
        """Send what was asked for before the nonsense, if the client takes it, and end."""
        try:
            client.send(octets)
        except OSError:
            pass
        self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._clients[client]
        self._selector.unregister(client)
        client.close()


# --- sockets ---------------------------------------------------------------------------------


def sockets_from_systemd() -> list[socket.socket]:
    """The sockets that systemd hands over; [] if there are none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=fd) for fd in range(LISTEN_FD, LISTEN_FD + count)]


def listen(kind: str, name: str, port: int, gid: int) -> socket.socket:
    """A socket of our own making, for Postfix's group GID. Raises OSError.

    A socket that a server before us has left is replaced; one that is answered is not.
    """
    if kind == "inet":
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        return socket.create_server((name.strip("[]"), port), family=family, backlog=100)
    try:
        if stat.S_ISSOCK(os.lstat(name).st_mode) and not _is_answered(name):
            durable.remove(name)
    except FileNotFoundError:
        pass
    made = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        made.bind(name)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(before)
    os.chown(name, -1, gid)
    os.chmod(name, 0o660)
    made.listen(100)
    return made


def _is_answered(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as tried:
        return tried.connect_ex(path) == 0
