"""`mdeliver pop-sync` for all users of a site: root waits, and users' processes look.

Root       reads settings and who there is (people.py), watches directories, and starts a process
           for each user whose mbox may have changed. It opens nobody's mail, and of what a process
           says it believes only which paths to watch, and prints the rest.
Process    becomes the user (lmtp/identity.py), looks once, says on a pipe what it did, and ends.
           It may take ten minutes; then the kernel ends it.
At start   everybody is looked at once: that is the catching up; but those with whom all is as it
           was at their last look (asbefore.py). Users who come later are found on SIGHUP, and once
           an hour.
See also   daemon.py, watch.py
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from mdeliver.history import decisions
from mdeliver.intake import Options, make_envelope
from mdeliver.lmtp import systemd
from mdeliver.lmtp.identity import NotServed, become_user
from mdeliver.lmtp.settings import Lmtp
from mdeliver.outcome import Deferral, deferred_by
from mdeliver.popsync import sync
from mdeliver.popsync.accounts import account_of
from mdeliver.popsync.asbefore import AsBefore
from mdeliver.popsync.carry import Change
from mdeliver.popsync.daemon import AGAIN_S, SETTLED_S, Alarm, Signals, heard
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.people import Person, everybody, identity_of
from mdeliver.popsync.settings import PopSync, users_path
from mdeliver.popsync.watch import Watch, look_at, look_of
from mdeliver.rulesfile import SITE_RULES, users_directory
from mdeliver.settings import Site

_TIME_S = 600
_USERS_AGAIN_S = 3600.0
_ADDRESS_SPACE_MB = 1 << 20

_SAID_BYTES = 64 << 20
"""More than that of what a process says is not read."""

Tell = Callable[[str, Change], None]


class Settings(NamedTuple):
    """What the site has set; RULES is the option --rules."""

    site: Site
    choices: PopSync
    lmtp: Lmtp
    rules: str | None


def wide(lmtp: Lmtp) -> Lmtp:
    """LMTP with room for an mbox that is mapped whole: the limit of a delivery is too small."""
    return lmtp.replace(memory_mb=_ADDRESS_SPACE_MB)


def run(
    load: Callable[[], Settings], report: Callable[[str], None], tell: Tell, *, once: bool
) -> int:
    """Serve all users until a signal says to stop, or ONCE; the exit status.

    load    the settings as they are now
    report  takes a line for the administrator
    tell    is told of each change, and whose mail it was
    Raises OSError, Deferral where it cannot begin.
    """
    return _Master(load, report, tell, once=once).run()


class _Process:
    """A user's process that looks: its pid, and our end of the pipe."""

    def __init__(self, user: str, pid: int, pipe: int) -> None:
        self.user = user
        self.pid = pid
        self.pipe = pipe
        self.said = bytearray()

    def fileno(self) -> int:
        return self.pipe


class _Master:
    def __init__(
        self,
        load: Callable[[], Settings],
        report: Callable[[str], None],
        tell: Tell,
        *,
        once: bool,
    ) -> None:
        self._load = load
        self._settings = load()
        self._report = report
        self._tell = tell
        self._once = once
        self._signals = Signals()
        self._watch = Watch(self._settings.choices.poll_s)
        self._before = AsBefore(self._settings.choices.remember, self._settings)
        self._owners: dict[str, set[str]] = {}
        self._people: dict[str, Person] = {}
        self._alarms: dict[str, Alarm] = {}
        """Of those who are to be looked at, now or later."""
        self._processes: dict[str, _Process] = {}
        self._users_again_s = 0.0
        self._failed = False
        self._troubles: dict[str, str] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._selector.register(self._watch, selectors.EVENT_READ)

    def run(self) -> int:
        if self._before.trouble:
            self._report(f"{self._before.trouble}; everybody is looked at")
        gc.collect()
        gc.freeze()
        self._find_users()
        if not self._once:
            systemd.notify("READY=1")
            self._report(f"ready: {len(self._people)} users")
        while not (self._signals.stopping and not self._processes):
            self._start_due()
            if self._once and not self._processes and not any(self._due()):
                break
            for key, _ in self._selector.select(self._patience_s()):
                if isinstance(key.fileobj, _Process):
                    self._hear(key.fileobj)
            self._signals.drain()
            self._after()
        systemd.notify("STOPPING=1")
        self._remember()
        self.close()
        return 1 if self._failed else 0

    def close(self) -> None:
        """Watch nothing, and hear no signal, any longer."""
        self._selector.close()
        self._watch.close()
        self._signals.close()

    def _after(self) -> None:
        if self._signals.reloading:
            self._signals.reloading = False
            try:
                self._settings = self._load()
            except (OSError, Deferral) as error:
                self._report(f"{deferred_by(error).text}; the settings stay as they were")
            else:
                self._report("the settings have been read again")
                self._before.settle(self._settings)
                self._people.clear()
            self._find_users()
        elif time.monotonic() >= self._users_again_s:
            self._find_users()
        for path in self._watch.read():
            for user in self._owners.get(path, ()):
                if user in self._people:
                    heard(self._alarm(user), path)

    def _find_users(self) -> None:
        """Look at everybody who has not been looked at."""
        self._users_again_s = time.monotonic() + _USERS_AGAIN_S
        settings = self._settings
        try:
            found = everybody(settings.site, settings.choices, settings.lmtp)
        except Deferral as error:
            self._report(error.text)
            self._failed = True
            return
        for person in found:
            if person.name not in self._people:
                self._meet(person.name)
            self._people[person.name] = person
        self._remember()

    def _meet(self, user: str) -> None:
        """Look at USER's mail, unless it is as it was at the last look."""
        look = self._before.look(user)
        if look is None:
            self._alarms[user] = Alarm(at_once=True)
        elif not self._once:
            for path in look["watch"]:
                self._follow(user, path, look["files"][path])

    def _remember(self) -> None:
        try:
            self._before.keep()
        except (OSError, Deferral) as error:
            words = "the next start looks at everybody"
            self._report(f"{deferred_by(error).text}; {words}")

    def _alarm(self, user: str) -> Alarm:
        return self._alarms.setdefault(user, Alarm(at_once=False))

    # --- processes ---------------------------------------------------------------------------

    def _due(self) -> Iterator[str]:
        """Users who are to be looked at now."""
        for user, alarm in self._alarms.items():
            if user not in self._processes and alarm.left_s() == 0:
                yield user

    def _free(self) -> int:
        """How many more processes there may be."""
        return max(0, self._settings.choices.workers - len(self._processes))

    def _patience_s(self) -> float:
        times = [self._watch.timeout_s(), max(0.0, self._users_again_s - time.monotonic())]
        if self._free():
            waiting = [user for user in self._alarms if user not in self._processes]
            times += [self._alarms[user].left_s() for user in waiting]
        return min(seconds for seconds in times if seconds is not None)

    def _start_due(self) -> None:
        if self._signals.stopping:
            return
        for user in list(islice(self._due(), self._free())):
            del self._alarms[user]
            self._before.note(user, None)
            self._start(self._people[user])

    def _start(self, person: Person) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(reading)
                self._look_as(person, writing)
                status = 0
            except BaseException as error:
                _say(writing, {"trouble": _words_of(error)})
            finally:
                os._exit(status)
        os.close(writing)
        process = self._processes[person.name] = _Process(person.name, pid, reading)
        self._selector.register(process, selectors.EVENT_READ)

    def _look_as(self, person: Person, pipe: int) -> None:
        """In the child: become PERSON, look once, say what was done."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # A look that has begun is finished; the master waits for it.
            signal.signal(number, signal.SIG_IGN)
        signal.alarm(_TIME_S)
        settings = self._settings
        become_user(identity_of(person, settings.lmtp), settings.lmtp)
        environ = {"USER": person.name, "HOME": person.home}
        os.environ.clear()
        os.environ.update(environ)
        envelope = make_envelope(Options(user=person.name, home=person.home), environ)
        read: dict[str, os.stat_result] = {}
        files = {path: look_of(path) for path in _chosen_in(person.home)}
        account = account_of(
            envelope, environ, settings.site, settings.choices, settings.rules, read
        )
        files |= {path: look_at(status) for path, status in read.items()}
        watch = {path: look_of(path) for path in sync.watched(account)}
        files |= watch | {path: look_of(path) for path in decisions.paths(account.state)[-1:]}
        _say(pipe, {"watch": watch})
        with sync.alone(account.state):
            ledger = Ledger(account.state, keep=True)

            def tell(change: Change) -> None:
                _say(pipe, {"change": change})

            look = sync.look_through if self._once else sync.look
            looked = look(account, ledger, tell, do=True)
            ledger.close()
        unsettled = looked.unsettled and not self._once
        said = {"troubles": looked.troubles, "unsettled": unsettled}
        if not (looked.troubles or looked.unsettled):
            files[ledger.path] = look_of(ledger.path)
            said["look"] = {"files": files, "watch": list(watch)}
        _say(pipe, said)

    def _hear(self, process: _Process) -> None:
        octets = os.read(process.pipe, 65536)
        if octets and len(process.said) < _SAID_BYTES:
            process.said += octets
        if octets:
            return
        self._selector.unregister(process)
        os.close(process.pipe)
        _, wait_status = os.waitpid(process.pid, 0)
        del self._processes[process.user]
        trouble = ""
        for line in bytes(process.said).splitlines():
            trouble = self._heard(process.user, line) or trouble
        if wait_status and not trouble:
            trouble = f"its process ended by status {wait_status}"
        if trouble:
            self._failed = True
            if not self._once:
                self._alarm(process.user).later(AGAIN_S)
        if trouble != self._troubles.get(process.user, ""):
            self._troubles[process.user] = trouble
            if trouble:
                self._report(f"{process.user}: {trouble}")

    def _follow(self, user: str, path: str, was: object) -> None:
        """Watch PATH for USER, whose process has looked since it WAS so."""
        owners = self._owners.setdefault(path, set())
        if user not in owners:
            owners.add(user)
            self._watch.follow([path])
            if look_of(path) != was:
                # Nobody was told of that change.
                self._alarm(user).within(SETTLED_S)

    def _heard(self, user: str, line: bytes) -> str:
        """Take in one line of a user's process; returns a trouble, "" for none."""
        try:
            said = json.loads(line)
            for path, was in said.get("watch", {}).items():
                # A look at a path tells root's watch that it changed, and nothing more.
                if path.startswith("/") and "\0" not in path and not self._once:
                    self._follow(user, path, was)
            if "change" in said:
                self._tell(user, Change(*[str(word) for word in said["change"]]))  # type: ignore[arg-type]
            if "look" in said:
                self._before.note(user, said["look"])
            if said.get("unsettled") is True and not self._once:
                self._alarm(user).within(SETTLED_S)
            return "; ".join(
                [str(t) for t in [said.get("trouble"), *said.get("troubles", ())] if t]
            )
        except (ValueError, TypeError, AttributeError, OSError):
            return "its process said something that cannot be read"


def _chosen_in(home: str) -> tuple[str, ...]:
    """Where the user whose home is HOME may choose something, whether or not it is there."""
    return SITE_RULES, f"{users_directory(home)}/rules", users_path(home)


def _say(pipe: int, said: dict[str, Any]) -> None:
    octets = json.dumps(said).encode() + b"\n"
    with open(pipe, "wb", closefd=False) as file:
        file.write(octets)


def _words_of(error: BaseException) -> str:
    if isinstance(error, NotServed):
        return str(error)
    return deferred_by(error).text if isinstance(error, Exception) else type(error).__name__
