"""Every system call of a running `mdeliver lmtp`: master, front and worker, struck from outside.

Ways      a message by LMTP, or one that the launcher brings to the door
Struck    the front, the master (and a worker from its birth on), or a worker that waits; strace
          attaches to it, so that nothing else is hit and the calls are counted from there
Then      the message is brought again until it is taken, as Postfix does: to the same server,
          which has to go on; where its master has ended it is started anew, as systemd does
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.faults.strace import ALWAYS, KILL, Point, looking_on, points_of
from tests.faults.subject import Bounced
from tests.installation import LDA, open_directory, unreachable
from tests.lmtpserver import MDELIVER, Server
from tests.local8 import Person, as_handed_over, environment, from_line, hand_over
from tests.mboxreader import Torn
from tests.torture.stories import CannotBeHad, Opened, Story
from tests.waiting import wait_for

_STRUCK = ("front", "master", "worker")
_PATIENCE_S = 60.0
"""So long it is tried to bring the message to a server that goes on."""


class Way:
    """How a message comes to the server: by LMTP."""

    settings: ClassVar[dict[str, Any]] = {}

    def bring(self, server: Server, name: str, attempt: int) -> bool:
        """Whether the message NAME was taken."""
        message = f"From: <a@example.net>\nSubject: {name}\n\nhello\n".encode()
        with server.client() as client:
            client.sock.settimeout(_PATIENCE_S)
            try:
                replies = client.deliver("ann@example.org", ident=f"4{name}", message=message)
            except AssertionError:
                return False  # the session was ended before the message
            return replies[0].code == 250


class Door(Way):
    """By the launcher, which delivers by itself where no server answers."""

    settings: ClassVar[dict[str, Any]] = {"users": "system", "first_uid": 1}

    def bring(self, server: Server, name: str, attempt: int) -> bool:
        owner = server.owner
        person = Person(owner.pw_name, server.home("ann"), owner.pw_uid, owner.pw_gid)
        message = as_handed_over(f"Subject: {name}\n\nhello\n".encode(), person)
        handed = from_line(at=1_700_000_000 + 600 * attempt) + message
        command = [str(LDA), "--server", str(server.door)]
        answer = hand_over(command, handed, environment(person), person, timeout_s=_PATIENCE_S)
        if answer.verdict == "bounced":
            raise Bounced(str(answer))
        return answer.verdict == "sent"


class StruckServer:
    """See Story; cases say who is struck, and a point of strace."""

    def __init__(self, top: Path, way: Way) -> None:
        self._top, self._way = top, way
        self._log = top / "trace"
        self._number = 0
        self._server = Server(top, **way.settings)
        self._server.start(start_new_session=True)
        self._points: dict[str, tuple[str, Point]] = {}
        for who in _STRUCK:
            taken, _name = self._struck(who, None)
            assert taken, f"no message is taken while strace looks at the {who}"
            text = self._log.read_text(errors="replace")
            for point in points_of(text, more=ALWAYS):
                # Linux closes a descriptor whatever close(2) answers; struck, it would stay open,
                # and whoever waits for the end of a channel would wait for ever.
                if point.call != "close" or point.what == KILL:
                    self._points[f"{who} {point}"] = who, point
        self.cases: Sequence[str] = list(self._points)

    def close(self) -> None:
        """End the server and whatever it has left."""
        process = self._server.process
        assert process is not None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(_PATIENCE_S)

    def _go_on(self) -> None:
        """Start the server anew if its master has ended."""
        process = self._server.process
        assert process is not None
        if process.poll() is not None:
            self.close()
            self._server.start(start_new_session=True)

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        self._go_on()
        who, point = self._points[case]
        try:
            taken, name = self._struck(who, point)
            deadline = time.monotonic() + _PATIENCE_S
            attempt = 0
            while not taken:
                attempt += 1
                self._go_on()
                taken = self._try(name, attempt)
                if not taken and time.monotonic() > deadline:
                    self.close()
                    return ["stuck: the server does not go on"]
        except Bounced as error:
            return [f"bounced: {error}"]
        except subprocess.TimeoutExpired:
            self.close()
            return ["stuck: the launcher hangs"]
        except AssertionError as error:
            self.close()
            return [f"stuck: {error}"]
        return self._account(name)

    def _struck(self, who: str, point: Point | None) -> tuple[bool, str]:
        """Bring a message with strace at WHO; whether it was taken, and its name."""
        with looking_on(self._pid(who), self._log, point):
            name = self._next()
            return self._try(name, 0), name

    def _next(self) -> str:
        self._number += 1
        return f"m{self._number}."

    def _pid(self, who: str) -> int:
        process = self._server.process
        assert process is not None
        front = wait_for(self._front, "the front to be there")
        if who == "master":
            for pid in self._workers():
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not self._workers(), "the master to see that its worker has gone")
            return process.pid
        if who == "worker" and not self._workers():
            wait_for(lambda: self._try(self._next(), 0), "a worker")
        return self._workers()[0] if who == "worker" else front

    def _front(self) -> int:
        """Its pid, 0 where there is none: another one has a later pid than workers."""
        return next((pid for pid in self._server.children() if _may_gain_nothing(pid)), 0)

    def _workers(self) -> list[int]:
        return [pid for pid in self._server.children() if not _may_gain_nothing(pid)]

    def _try(self, name: str, attempt: int) -> bool:
        try:
            return self._way.bring(self._server, name, attempt)
        except (OSError, TimeoutError):
            return False

    def _account(self, name: str) -> list[str]:
        server, subject = self._server, f"Subject: {name}\n".encode()
        try:
            in_mbox = sum(subject in message for message in server.in_mbox("ann"))
        except Torn as torn:
            return [f"torn mbox: {torn}"]
        in_maildir = sum(subject in message for message in server.in_maildir("ann"))
        wrong = [
            f"{'doubled' if found else 'lost'} {place}: {found} times"
            for place, found in (("mbox", in_mbox), ("Maildir", in_maildir))
            if found != 1
        ]
        home = server.home("ann")
        return wrong + [
            f"litter: {path.name}" for path in [*home.glob("*.lock"), *home.glob("Maildir/tmp/*")]
        ]


def _may_gain_nothing(pid: int) -> bool:
    """Whether PID has given up all new privileges, as a front does and no worker."""
    try:
        return "\nNoNewPrivs:\t1\n" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has gone


def struck(way: type[Way]) -> Callable[[Path], Opened]:
    """The story of a server to which messages come in that WAY."""

    @contextmanager
    def opened(_top: Path) -> Iterator[Story]:
        if shutil.which("strace") is None or not MDELIVER.exists():
            raise CannotBeHad("strace or the installed mdeliver is missing")
        # Workers run as somebody who must reach it.
        top = open_directory("struck")
        try:
            story = StruckServer(top, way())
            try:
                if why := unreachable(LDA, Person("nobody", top, 65534, 65534)):
                    raise CannotBeHad(why)
                yield story
            finally:
                story.close()
        finally:
            shutil.rmtree(top, ignore_errors=True)

    return opened
