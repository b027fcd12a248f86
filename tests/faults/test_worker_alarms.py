"""A worker's alarm comes at any system call of a round, and the worker goes on.

Who is told that his message is put off has no copy anywhere; the retry, by the same process,
delivers it at once: no lock of the round that was cut short is left, nor a file in tmp.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from mdeliver import durable, limits, rulescache
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.lmtp.rounds import Brought, Kept, Round
from mdeliver.outcome import Outcome
from mdeliver.settings import Site
from tests.faults.seam import Fault, count_calls
from tests.mboxreader import read_mbox

pytestmark = pytest.mark.faults

SHARE = 1 if os.environ.get("MDELIVER_FAULTS") == "all" else 9
"""One call in so many, other ones for each kind of alarm."""

NAMES = ("one", "two", "three")
"""Those of the first round; `later` comes with the second."""
RULES = 'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n'
TWO_MBOXES = 'mailbox imap = mbox "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n'


class Armed(list[str]):
    """Calls, and at which of them an alarm may come."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def append(self, name: str) -> None:
        if signal.getitimer(signal.ITIMER_REAL)[0] > 0:
            self.numbers.append(len(self))
        super().append(name)


class Task:
    """A message that waits for its answer."""

    limit_s = 60

    def __init__(self, home: Path, name: str, told: dict[str, str]) -> None:
        self._home, self._name, self._told = home, name, told

    def open(self) -> Brought:
        state = str(self._home / "state")
        durable.make_directory(state)
        # Neither a queue id nor a Received line: what is brought again could be another message.
        letter = letter_of(b"Subject: %s\n\nhello\n" % self._name.encode())
        envelope = Envelope("ann", str(self._home), os.geteuid())
        return Brought(letter, envelope, Site(hostname="host", syslog=""), state, {})

    def is_wanted(self) -> bool:
        return True

    def answer(self, outcome: Outcome) -> None:
        self._told[self._name] = outcome.fate

    def close(self) -> None:
        pass


def go_round(kept: Kept, home: Path, names: tuple[str, ...]) -> dict[str, str]:
    """What each is told."""
    told: dict[str, str] = {}
    this = Round(kept)
    for name in names:
        this.take(Task(home, name, told))
    this.end()
    return told


def copies(home: Path) -> dict[str, tuple[int, int]]:
    """How often each is in the mbox and in the Maildir, or the mbox in its place."""
    stored = messages_in(home / "mbox")
    filed = messages_in(home / "Maildir")

    def count(texts: list[bytes], name: str) -> int:
        return sum(text.startswith(f"Subject: {name}\n".encode()) for text in texts)

    return {name: (count(stored, name), count(filed, name)) for name in (*NAMES, "later")}


def messages_in(mailbox: Path) -> list[bytes]:
    if mailbox.is_file():
        return [entry.message for entry in read_mbox(mailbox.read_bytes())]
    return [path.read_bytes() for path in mailbox.glob("new/*")]


def try_once(
    home: Path, names: tuple[str, ...], fault: Fault | None, rules: str = RULES
) -> dict[str, Any]:
    """Two rounds in a child of ours: the second is for whom the first has put off."""
    (home / ".config" / "mdeliver").mkdir(parents=True)
    (home / ".config" / "mdeliver" / "rules").write_text(rules)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            report = json.dumps(_in_child(home, names, fault))
            os.write(writing, report.encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as pipe:
        octets = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    found: dict[str, Any] = json.loads(octets)
    found["after"] = copies(home)
    shutil.rmtree(home)
    return found


def _in_child(home: Path, names: tuple[str, ...], fault: Fault | None) -> dict[str, Any]:
    limits.LOCK_WAIT_S = 2
    # Kept on disk after the first round, however old they are: each run has the same calls.
    rulescache._SETTLED_S = -1
    calls = Armed()
    kept = Kept()
    # What a worker has imported before its first message.
    go_round(Kept(), home.parent / "nobody", ())
    count_calls(calls, fault)
    # Who meets a lock sleeps between two looks; there is nobody else here who could have one.
    slept: list[object] = []
    time.sleep = slept.append
    first = go_round(kept, home, names)
    between = copies(home)
    left = [str(path) for path in home.glob("Maildir/tmp/*")]
    put_off = tuple(name for name in names if first[name] != "delivered")
    armed = list(calls.numbers)
    second = go_round(kept, home, (*put_off, "later"))
    return {
        "calls": list(calls), "armed": armed, "first": first, "between": between,
        "second": second, "waited": bool(slept), "left": left,
    }  # fmt: skip


@pytest.mark.parametrize("names", [NAMES, NAMES[:1]], ids=["together", "alone"])
@pytest.mark.parametrize("kind", ["alarm before", "alarm after"])
def test_an_alarm_at_every_call(
    home: Path, kind: Any, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    well = try_once(home / "trial", names, None)
    assert set(well["first"].values()) == {"delivered"}
    assert len(well["armed"]) > 50
    first = SHARE // 2 if kind == "alarm after" else 0
    faults = [Fault(number, kind) for number in well["armed"][first::SHARE]]
    assert not broken_promises(home, names, faults)


@pytest.mark.parametrize("names", [NAMES, NAMES[:1]], ids=["together", "alone"])
def test_an_alarm_as_the_first_of_two_mboxes_is_given_back(
    home: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second must not stay locked as long as the worker lives."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    well = try_once(home / "trial", names, None, TWO_MBOXES)
    first, second = [n for n in well["armed"] if well["calls"][n] == "unlink"][:2]
    giving_back = range(first - 3, second + 2)
    given = [well["calls"][n] for n in giving_back]
    # The first lock file is made of what the worker keeps, the other one is a file of its own.
    assert (given.count("close"), given.count("flock")) == (3, 1)
    faults = [Fault(number, "alarm before") for number in giving_back]
    assert not broken_promises(home, names, faults, TWO_MBOXES)


def broken_promises(
    home: Path, names: tuple[str, ...], faults: list[Fault], rules: str = RULES
) -> list[str]:
    """After which of FAULTS, each tried, anybody was told what is not so, or was kept waiting."""
    broken = []
    for fault in faults:
        found = try_once(home / "trial", names, fault, rules)
        told, between = found["first"], found["between"]
        promised = {"delivered": [1, 1], "deferred": [0, 0]}
        good = (
            set(told) == set(names)
            and all(between[name] == promised[told[name]] for name in names)
            and set(found["second"].values()) == {"delivered"}
            and all(found["after"][name] == (1, 1) for name in (*names, "later"))
            and not found["waited"]
            and not found["left"]
        )
        if not good:
            call = f"{fault.number} {found['calls'][fault.number]}"
            broken.append(
                f"{call}: {told} {between} {found['second']} {found['after']} {found['left']}"
            )
    return broken
