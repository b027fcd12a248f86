"""Odd hosts: a clock that is set back, names with slashes, a huge mbox, Maildir++ quota.

Each is a small class with cases; subjects are those of tests/faults.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.faults import account
from tests.faults.direct import EARLIER, Direct, Fresh, Unended
from tests.faults.seam import DONE, FAILED, KILLED, Fault, disturbed
from tests.faults.subject import litter_in
from tests.local8 import from_line
from tests.torture.filesystems import empty
from tests.torture.stories import Opened, Story

_DAY_S = 86400
_OFFSETS = {
    "a day back": -_DAY_S, "ten years back": -3650 * _DAY_S, "to 1970": -time.time() + 5,
    "ten years ahead": 3650 * _DAY_S, "a second back": -1.0,
}  # fmt: skip


class Clock:
    """Killed at a call; by the time of the retry the clock was set."""

    def __init__(self, home: Path) -> None:
        self._home = home
        trial = Unended(home)
        trial.prepare()
        _status, calls = disturbed(partial(trial.act, 0))
        self.cases: Sequence[str] = [
            f"{number} {name}" for name in _OFFSETS for number in range(0, len(calls), 2)
        ]

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        number, _, name = case.partition(" ")
        empty(self._home)
        trial = Unended(self._home)
        trial.prepare()
        status, _ = disturbed(partial(trial.act, 0), Fault(int(number), "kill after"))
        if status == KILLED:
            status, _ = disturbed(partial(_at_another_time, trial, _OFFSETS[name]))
        return trial.wrong() if status == DONE else [f"stuck: ended with {status}"]


def _at_another_time(trial: Direct, offset_s: float) -> None:
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + offset_s
    time.time_ns = lambda: real_ns() + int(offset_s * 1e9)
    trial.act(1)


class Named(Fresh):
    """The site says what the host is called."""

    hostname = "host"

    def prepare(self) -> None:
        super().prepare()
        name = self.hostname.encode()
        self.write("mdeliver.toml", b'[site]\nhostname = "%b"\n[log]\nsyslog = "/no"\n' % name)


_NAMES = {
    "slash": "a/b", "dots": "../../x", "colon": "a:b:2,S", "comma": "a,S=1,b", "space": "a b",
    "long": "x" * 63, "very long": "a." * 120 + "example", "not ASCII": "bücher.example",
    "leading hyphen": "-rf", "new line": "a\\nb", "percent": "%s%n", "dot": ".", "empty": "",
}  # fmt: skip


class Names:
    """Hosts with names that no host should have."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.cases: Sequence[str] = list(_NAMES)

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        empty(self._home)
        trial = Named(self._home)
        trial.hostname = _NAMES[case]
        trial.prepare()
        before = {path for path in self._home.parent.rglob("*") if self._home not in path.parents}
        status, _ = disturbed(partial(trial.act, 0), Fault(30, "kill before"))
        status, _ = disturbed(partial(trial.act, 1))
        after = {path for path in self._home.parent.rglob("*") if self._home not in path.parents}
        wrong = [f"litter: {path}" for path in after - before]
        unread = [
            f"torn: {path.name}: its flags cannot be read"
            for path in self._home.glob("Maildir/**/cur/*")
            if not path.name.endswith(":2,S")
        ]
        wrong += unread
        return wrong + (trial.wrong() if status == DONE else [f"stuck: ended with {status}"])


class Huge:
    """The mbox has four gigabytes already, most of them a hole."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.cases: Sequence[str] = ["delivered", "killed before the append", "killed after it"]

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        empty(self._home)
        trial = Direct(self._home)
        trial.prepare()
        tail = b"\n\n" + from_line(at=1) + EARLIER + b"\n"
        with (self._home / "mbox").open("r+b") as mbox:
            mbox.seek(4 << 30)
            mbox.write(tail)
        before = (self._home / "mbox").stat().st_size
        if case != "delivered":
            calls = disturbed(partial(self._counted, trial))[1]
            at = max(n for n, call in enumerate(calls) if call == "write" and n < len(calls) * 0.8)
            number = at if "after" in case else at - 1
            disturbed(partial(trial.act, 0), Fault(number, "kill after"))
        status, _ = disturbed(partial(trial.act, 1))
        if status != DONE:
            return [f"stuck: ended with {status}"]
        with (self._home / "mbox").open("rb") as mbox:
            mbox.seek(before)
            added = mbox.read()
        wrong = [] if added.count(b"Subject: struck\n") == 1 else [f"lost mbox: {added[:80]!r}"]
        # Nobody could read all of it.
        in_maildir = partial(account.in_maildir, self._home / "Maildir")
        wrong += account.faults_in("Maildir", in_maildir, [EARLIER, trial.message])
        return wrong + litter_in(self._home)

    def _counted(self, trial: Direct) -> None:
        """The calls of a delivery, in another home: this one stays as it is."""
        other = Direct(self._home.parent / "other")
        empty(other.home)
        other.prepare()
        other.act(0)


class Allowed:
    """A Maildir++ quota: enough for one more message, and just short of it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.cases: Sequence[str] = [
            *[f"{over} octets" for over in (-50, -1, 0, 1, 50)],
            *[f"{over} messages" for over in (-1, 0, 1)],
            "the sum is wrong",
        ]

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        empty(self._home)
        trial = Direct(self._home)
        trial.prepare()
        octets, wanted = len(EARLIER), len(EARLIER) + len(trial.message)
        over, _, unit = case.partition(" ")
        fits, sums = True, b"%d 1\n" % octets
        if unit == "octets":
            fits, limit = int(over) >= 0, b"%dS" % (wanted + int(over))
        elif unit == "messages":
            fits, limit = int(over) >= 0, b"%dC" % (2 + int(over))
        else:
            limit, sums = b"%dS" % wanted, b"99999999 9999\n"
        trial.write("Maildir/maildirsize", limit + b"\n" + sums)
        status, _ = disturbed(partial(trial.act, 0))
        if status != (DONE if fits else FAILED):
            return [f"stuck: {'fits' if fits else 'does not fit'}, but it ended with {status}"]
        if not fits:
            if len(account.in_maildir(self._home / "Maildir")) != 1:
                return ["doubled: put off, and yet it is there"]
            trial.write("Maildir/maildirsize", b"")
            status, _ = disturbed(partial(trial.act, 1))
        return trial.wrong() if status == DONE else [f"stuck: ended with {status}"]


def odd_host(kind: Callable[[Path], Story]) -> Callable[[Path], Opened]:
    """A story that needs nothing but a home."""

    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        home = top / "home"
        home.mkdir()
        os.umask(0o077)
        yield kind(home)

    return opened
