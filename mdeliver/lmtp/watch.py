"""What the master waits for: something to read at its sockets, and signals.

Signals   wake it through a pair of sockets (signal.set_wakeup_fd), so that none can come between a
          look at what it has set and the wait; none stays blocked
Cost      each launcher is a turn or two: epoll(7) without `selectors` takes half the time
Fails with  OSError, where there are no descriptors to be had; and what is called may raise
See also  master.py, which alone has a use for it
"""

from __future__ import annotations

import select
import signal
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Watch:
    """Sockets, each with what is done when there is something to read; of one process."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._acts: dict[int, Callable[[], None]] = {}
        self._wake, self._wake_end = socket.socketpair()
        self._wake.setblocking(False)
        self._wake_end.setblocking(False)
        signal.set_wakeup_fd(self._wake_end.fileno(), warn_on_full_buffer=False)
        self.add(self._wake, self._drain)
        # Whoever started us may have blocked them: an ended child, SIGTERM would go unheard.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def add(self, channel: socket.socket, act: Callable[[], None]) -> None:
        """Have ACT called whenever there is something to read, or the end, at CHANNEL."""
        self._epoll.register(channel, select.EPOLLIN)
        self._acts[channel.fileno()] = act

    def drop(self, channel: socket.socket) -> None:
        """Look at CHANNEL no more; before it is closed."""
        self._epoll.unregister(channel)
        del self._acts[channel.fileno()]

    def turn(self, wait_s: float) -> bool:
        """Wait up to WAIT_S seconds, and act; whether there was anything, signals too."""
        ready = self._epoll.poll(wait_s)
        for fd, _ in ready:
            act = self._acts.get(fd)
            if act is not None:  # else what another one did has dropped it
                act()
        return bool(ready)

    def close(self) -> None:
        """No signal wakes us any more."""
        signal.set_wakeup_fd(-1)
        for end in (self._wake, self._wake_end, self._epoll):
            end.close()

    def _drain(self) -> None:
        try:
            while self._wake.recv(4096):
                pass
        except BlockingIOError:
            pass
