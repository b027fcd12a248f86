"""Every system call of `mdeliver lmtp` while it takes one message: master, front and worker.

The fault strikes any of them that comes to its call. Then all are killed, a server without a fault
is started, and the message is brought again until it is taken, as Postfix does.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.faults.strace import KILL, Point, points_of
from tests.installation import open_directory
from tests.lmtpserver import MDELIVER, Server
from tests.mboxreader import Torn
from tests.torture.stories import CannotBeHad, Story

_WHATS = (KILL, "EIO", "ENOSPC", "ENOMEM", "EMFILE", "EINTR")
_NOT_OURS = frozenset({"brk", "mmap", "munmap", "rt_sigaction", "rt_sigprocmask", "getpid"})
_TRIES = 4


class StruckServer:
    """See Story; cases are points of strace, from the greeting on."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._log = top / "trace"
        self._numbers = count()
        server = self._server([])
        try:
            with server.client() as client:
                assert client.deliver("ann@example.org", ident="4A")[0].code == 250
        finally:
            self._end(server)
        found = points_of(self._log.read_text(errors="replace"), begin="LHLO ")
        self._points = {
            str(point): point
            for point in found
            if point.what in _WHATS and point.call not in _NOT_OURS
        }
        self.cases: Sequence[str] = list(self._points)

    def _server(self, options: list[str]) -> Server:
        # Its own directory each time: a socket that a killed one left is another story.
        directory = self._top / f"server{next(self._numbers)}"
        directory.mkdir()
        directory.chmod(0o755)
        server = Server(directory)
        server.settings["virtual_homes"] = str(self._homes())
        server.before = ["/usr/bin/strace", "-f", "-qq", "-o", str(self._log), *options]
        return server.start(start_new_session=True)

    def _homes(self) -> Path:
        homes = self._top / "homes"
        if not homes.exists():
            homes.mkdir()
            shutil.copytree(self._top / "server0" / "homes", homes, dirs_exist_ok=True)
            for path in [homes, *homes.rglob("*")]:
                shutil.chown(path, "nobody", "nogroup")
        return homes

    def _end(self, server: Server) -> None:
        assert server.process is not None
        try:
            os.killpg(server.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        server.process.wait(60)
        shutil.rmtree(server.top, ignore_errors=True)

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        point = self._points[case]
        subject = f"message {next(self._numbers)}"
        message = f"From: <a@example.net>\nSubject: {subject}\n\nhello\n".encode()
        taken = self._try(self._options(point), subject, message)
        tries = 0
        while not taken and tries < _TRIES:
            tries += 1
            taken = self._try([], subject, message)
        if not taken:
            return ["stuck: it is never taken"]
        return self._account(subject.encode())

    def _options(self, point: Point) -> list[str]:
        how = "signal=SIGKILL" if point.what == KILL else f"error={point.what}"
        inject = f"inject={point.call}:{how}:when={point.nth}"
        return ["-e", f"trace={point.call}", "-e", inject]

    def _try(self, options: list[str], subject: str, message: bytes) -> bool:
        """Whether a server, started with OPTIONS for strace, takes the message."""
        try:
            server = self._server(options)
        except AssertionError:
            return False  # struck before it listened
        try:
            with server.client() as client:
                client.sock.settimeout(20)
                replies = client.deliver(
                    "ann@example.org", ident=subject.replace(" ", ""), message=message
                )
                return replies[0].code == 250
        except (OSError, AssertionError):
            return False
        finally:
            self._end(server)

    def _account(self, subject: bytes) -> list[str]:
        home = self._homes() / "ann"
        wrong = []
        server = Server.__new__(Server)
        server.top, server.home = self._top, lambda name: self._homes() / name  # type: ignore[method-assign]
        try:
            in_mbox = [m for m in server.in_mbox("ann") if b"Subject: " + subject + b"\n" in m]
        except Torn as torn:
            return [f"torn mbox: {torn}"]
        in_maildir = [m for m in server.in_maildir("ann") if b"Subject: " + subject + b"\n" in m]
        for place, found in (("mbox", in_mbox), ("Maildir", in_maildir)):
            if len(found) != 1:
                wrong.append(f"{'doubled' if found else 'lost'} {place}: {len(found)} times")
        wrong += [f"litter: {path.name}" for path in home.glob("*.lock")]
        return wrong + [f"litter: {path.name}" for path in home.glob("Maildir/tmp/*")]


@contextmanager
def opened(_top: Path) -> Iterator[Story]:
    """For the table of parts."""
    if shutil.which("strace") is None or not MDELIVER.exists():
        raise CannotBeHad("strace or the installed mdeliver is missing")
    top = open_directory("struck")
    try:
        yield StruckServer(top)
    finally:
        shutil.rmtree(top, ignore_errors=True)
