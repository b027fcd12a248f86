"""`mdeliver pop-sync` for one user, until it is told to stop.

Wakes      when the kernel says that an mbox was written to (watch.py); waits until it has been
           quiet for a moment, a second at most, so that a burst of deliveries is one look.
Again      after trouble (a lock that was not to be had, a file that is being rewritten), and a
           second after a change, when the file's times can be relied on.
Settings   rules and choices are read again on SIGHUP.
Ends       on SIGTERM and SIGINT, after the look at hand.
See also   site.py, which starts one look at a time for each user
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Callable

from mdeliver.lmtp import systemd
from mdeliver.outcome import Deferral, deferred_by
from mdeliver.popsync import sync
from mdeliver.popsync.carry import Change
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.sync import Account
from mdeliver.popsync.watch import Watch

QUIET_S = 0.15
"""An mbox that nobody has written to for so long is looked at."""

LONGEST_S = 1.0
"""It is looked at after so long in any case."""

SETTLED_S = 1.2
"""When the times of a file that was just changed say whether it has changed again."""

DELETED_S = 2.0
"""A Maildir in which something has changed is looked at after so long (bothways.py)."""

AGAIN_S = 10.0
"""After trouble."""


class Signals:
    """SIGTERM, SIGINT and SIGHUP as something to select on."""

    def __init__(self, *others: signal.Signals) -> None:
        self.stopping = self.reloading = False
        self._ours, self._kernels = socket.socketpair()
        self._ours.setblocking(False)
        self._kernels.setblocking(False)
        signal.set_wakeup_fd(self._kernels.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, *others):
            signal.signal(number, self._came)

    def _came(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            self.reloading = True
        elif number in (signal.SIGTERM, signal.SIGINT):
            self.stopping = True

    def fileno(self) -> int:
        """Ready after a signal."""
        return self._ours.fileno()

    def drain(self) -> None:
        """Be ready no longer."""
        try:
            while self._ours.recv(4096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Wake nobody any longer."""
        signal.set_wakeup_fd(-1)
        self._ours.close()
        self._kernels.close()


class Alarm:
    """When something is to be done next: as soon as it is quiet, but not too late."""

    def __init__(self, *, at_once: bool) -> None:
        self._first_s = self._due_s = time.monotonic() if at_once else float("inf")

    def ring(self) -> None:
        """Something has happened just now."""
        now_s = time.monotonic()
        if self._first_s > now_s:
            self._first_s = now_s
        self._due_s = min(now_s + QUIET_S, self._first_s + LONGEST_S)

    def within(self, seconds: float) -> None:
        """Look again in SECONDS, if not earlier."""
        self._due_s = min(self._due_s, time.monotonic() + seconds)
        self._first_s = min(self._first_s, self._due_s)

    def later(self, seconds: float) -> None:
        """Look again in SECONDS, unless something happens earlier."""
        self._first_s = self._due_s = time.monotonic() + seconds

    def off(self) -> None:
        """Nothing is to be done until something happens."""
        self._first_s = self._due_s = float("inf")

    def left_s(self) -> float | None:
        """Seconds until it is due; None for never."""
        if self._due_s == float("inf"):
            return None
        return max(0.0, self._due_s - time.monotonic())


def run(
    load: Callable[[], Account], report: Callable[[str], None], tell: Callable[[Change], None]
) -> None:
    """Serve one user until a signal says to stop.

    load    the account by rules and settings as they are now
    report  takes a line for the administrator
    tell    is told of each change
    Raises OSError, Deferral where it cannot begin.
    """
    signals = Signals()
    account = load()
    with sync.alone(account.state):
        ledger = Ledger(account.state, keep=True)
        watch = Watch(account.choices.poll_s)
        watch.follow(sync.watched(account))
        alarm = Alarm(at_once=True)
        said = ""
        systemd.notify("READY=1")
        report(f"ready: {' '.join(account.mboxes) or 'POP3 has no mbox'}")
        while not signals.stopping:
            _wait(signals, watch, alarm)
            if signals.reloading:
                signals.reloading = False
                account = _loaded(load, account, report)
                watch.follow(sync.watched(account))
                alarm.ring()
            for path in watch.read():
                heard(alarm, path)
            if alarm.left_s() != 0:
                continue
            trouble, unsettled = _look(account, ledger, tell)
            watch.follow(sync.watched(account))
            if trouble and trouble != said:
                report(trouble)
            said = trouble
            if trouble:
                alarm.later(AGAIN_S)
            elif unsettled:
                alarm.later(SETTLED_S)
            else:
                alarm.off()
        systemd.notify("STOPPING=1")
        watch.close()
        ledger.close()
    signals.close()


def heard(alarm: Alarm, path: str) -> None:
    """Set ALARM, since the mbox or directory PATH may have changed."""
    if path.endswith("/"):
        alarm.within(DELETED_S)
    else:
        alarm.ring()


def _wait(signals: Signals, watch: Watch, alarm: Alarm) -> None:
    limits = [seconds for seconds in (alarm.left_s(), watch.timeout_s()) if seconds is not None]
    with selectors.DefaultSelector() as selector:
        selector.register(signals, selectors.EVENT_READ)
        selector.register(watch, selectors.EVENT_READ)
        selector.select(min(limits, default=None))
    signals.drain()


def _loaded(load: Callable[[], Account], before: Account, report: Callable[[str], None]) -> Account:
    try:
        account = load()
    except (OSError, Deferral) as error:
        report(f"{deferred_by(error).text}; all stays as it was")
        return before
    report("rules and settings have been read again")
    return account._replace(state=before.state)


def _look(account: Account, ledger: Ledger, tell: Callable[[Change], None]) -> tuple[str, bool]:
    """What went wrong, "" for nothing; and whether to look again soon."""
    try:
        looked = sync.look(account, ledger, tell, do=True)
    except (OSError, Deferral) as error:
        return deferred_by(error).text, False
    return "; ".join(looked.troubles), looked.unsettled
