"""Rounds of a worker: filed together, each with its own answer, nobody held up by another."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mdeliver import durable
from mdeliver.agent import DeadlinePassed, Passage, start_deadline
from mdeliver.deliver.journal import Journal
from mdeliver.deliver.transaction import key_of
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.lmtp import rounds
from mdeliver.lmtp.rounds import MESSAGES, Brought, Kept, Round
from mdeliver.outcome import Deferral, Outcome
from mdeliver.settings import Site
from tests.mboxreader import read_mbox

BOTH = 'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n'


class Task:
    """A message that came from somewhere."""

    limit_s = 60

    def __init__(self, home: Path, name: str, log: list[str]) -> None:
        self.home, self.name, self.log = home, name, log
        self.wanted = True
        self.state = "state"

    def open(self) -> Brought:
        if self.name == "bad":
            raise Deferral("a bad message")
        state = self.home / self.state
        durable.make_directory(str(state))
        letter = letter_of(b"Subject: %s\nReceived: by mx\n\nhello\n" % self.name.encode())
        envelope = Envelope("ann", str(self.home), os.geteuid(), queue_id="4ABC")
        return Brought(letter, envelope, Site(hostname="host", syslog=""), str(state), {})

    def is_wanted(self) -> bool:
        return self.wanted

    def answer(self, outcome: Outcome) -> None:
        self.log.append(f"{self.name} {outcome.fate}")

    def close(self) -> None:
        self.log.append(f"{self.name} closed")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.parent.mkdir(parents=True)
    rules.write_text(BOTH)
    return tmp_path


def go_round(kept: Kept, *tasks: Task) -> None:
    this = Round(kept)
    for task in tasks:
        this.take(task)
    this.end()


def answers(log: list[str]) -> list[str]:
    return [line for line in log if not line.endswith(" closed")]


def subjects(home: Path) -> list[str]:
    text = (home / "mbox").read_bytes()
    return [stored.message.split(b"\n")[0][9:].decode() for stored in read_mbox(text)]


def test_one_sync_of_the_journal_for_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync_content = durable.sync_content

    def count(fd: int) -> None:
        synced.append(fd)
        sync_content(fd)

    monkeypatch.setattr(durable, "sync_content", count)
    log: list[str] = []
    names = ["one", "two", "three", "four"]
    go_round(Kept(), *[Task(home, name, log) for name in names])
    assert answers(log) == [f"{name} delivered" for name in names]
    assert len(log) == 2 * len(names)
    assert len(synced) == 1
    assert subjects(home) == names
    assert len(list((home / "Maildir" / "new").iterdir())) == len(names)
    assert not list(home.rglob("*.lock"))


def test_nothing_is_left_for_the_garbage_collector(home: Path) -> None:
    """It would come by after hundreds of messages, which would all be in memory until then."""
    kept = Kept()
    tasks = [Task(home, name, []) for name in ("one", "two", "three")]
    go_round(kept, *tasks[:1])
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        go_round(kept, *tasks[1:])
        gc.collect()
        # The test runner's threads may leave something meanwhile.
        assert [one for one in gc.garbage if type(one).__module__.startswith("mdeliver.")] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def test_a_bad_message_fails_alone(home: Path) -> None:
    log: list[str] = []
    go_round(Kept(), *[Task(home, name, log) for name in ("one", "bad", "two")])
    assert sorted(answers(log)) == ["bad deferred", "one delivered", "two delivered"]
    assert subjects(home) == ["one", "two"]


def test_letting_go_of_one_message_fails_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_passage: Passage) -> None:
        raise OSError("no")

    monkeypatch.setattr(Passage, "close", fail)
    log: list[str] = []
    names = ["one", "two", "three"]
    go_round(Kept(), *[Task(home, name, log) for name in names])
    assert answers(log) == [f"{name} delivered" for name in names]
    assert len(log) == 2 * len(names)


@pytest.mark.parametrize("names", [("one",), ("one", "two", "three")])
def test_what_goes_wrong_when_all_is_done_fails_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    def fail(_passage: Passage) -> None:
        raise MemoryError

    monkeypatch.setattr(Passage, "look_at_sent_copies", fail)
    log: list[str] = []
    go_round(Kept(), *[Task(home, name, log) for name in names])
    assert answers(log) == [f"{name} delivered" for name in names]
    assert subjects(home) == list(names)


def test_what_goes_wrong_when_all_is_done_keeps_no_account_from_the_log(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refused(Task):
        """One whose launcher names rules that are none."""

        def open(self) -> Brought:
            return super().open().replace(rules=str(home / "bad rules"))

    def fail(_passage: Passage) -> None:
        raise DeadlinePassed

    (home / "bad rules").write_text("no rules\n")
    monkeypatch.setattr(Passage, "look_at_sent_copies", fail)
    go_round(Kept(), Task(home, "one", []), Refused(home, "two", []))
    lines = (home / "state" / "log").read_bytes().splitlines()
    assert sorted(json.loads(line)["outcome"] for line in lines) == ["deferred", "delivered"]


def test_the_log_says_of_messages_filed_together_what_it_says_of_each_alone(home: Path) -> None:
    rules = home / ".config" / "mdeliver" / "rules"
    rules.write_text(BOTH + 'if subject is "two":\n    file to imap/Two\n')
    kept, names = Kept(), ("one", "two", "three")
    go_round(kept, *[Task(home, name, []) for name in names])
    for name in names:
        task = Task(home, name, [])
        task.state = "other state"
        go_round(kept, task)
    together, alone = (
        [json.loads(line) for line in (home / state / "log").read_bytes().splitlines()]
        for state in ("state", "other state")
    )
    assert [said["rule"] for said in together] == [None, f"{rules}:5", None]
    assert [action["folder"] for action in together[1]["actions"]] == ["Two"]
    for one, other in zip(together, alone, strict=True):
        for key in ("subject", "outcome", "text", "rule", "fired"):
            assert one[key] == other[key]
        for key in ("store", "mailbox", "folder", "path", "flags", "rule"):
            assert [a[key] for a in one["actions"]] == [a[key] for a in other["actions"]]


def test_what_no_longer_fits_waits_for_nothing(home: Path) -> None:
    log: list[str] = []
    this = Round(Kept())
    for number in range(MESSAGES):
        this.take(Task(home, str(number), log))
    assert len(answers(log)) == MESSAGES
    this.end()


def test_nobody_waits_while_rules_ask_a_program(home: Path) -> None:
    """What was decided before is delivered, and answered, before the program runs."""
    mark = home / "mark"
    rules = home / ".config" / "mdeliver" / "rules"
    copies = f'program "/bin/cp" "{home}/mbox" "{mark}" succeeds'
    asks = f'if subject is "asks" and {copies}:\n    keep\n'
    rules.write_text(BOTH + asks)
    log: list[str] = []
    go_round(Kept(), *[Task(home, name, log) for name in ("one", "asks", "two")])
    assert answers(log) == ["one delivered", "asks delivered", "two delivered"]
    assert b"Subject: one" in mark.read_bytes()
    assert subjects(home) == ["one", "asks", "two"]


def test_the_same_message_twice_is_one(home: Path) -> None:
    log: list[str] = []
    go_round(Kept(), *[Task(home, name, log) for name in ("one", "one", "two")])
    assert answers(log) == ["one delivered", "two delivered", "one delivered"]
    assert subjects(home) == ["one", "two"]


def test_over_several_rounds_the_journal_stays_open(home: Path) -> None:
    kept = Kept()
    log: list[str] = []
    for names in (("one", "two"), ("three",), ("four", "one")):
        go_round(kept, *[Task(home, name, log) for name in names])
    assert subjects(home) == ["one", "two", "three", "four"]
    (home / "state" / "journal").unlink()
    go_round(kept, Task(home, "five", log), Task(home, "six", log))
    assert subjects(home)[-2:] == ["five", "six"]
    assert b"\t" in (home / "state" / "journal").read_bytes()


def test_what_nobody_waits_for_is_not_delivered_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front has taken it back while the mbox was locked by somebody else."""
    monkeypatch.setattr("mdeliver.limits.LOCK_WAIT_TOGETHER_S", 0)
    (home / "mbox.lock").write_text("somebody else")
    log: list[str] = []
    one, two = Task(home, "one", log), Task(home, "two", log)
    one.wanted = two.wanted = False
    go_round(Kept(), one, two)
    assert log == ["one closed", "two closed"]
    assert not (home / "mbox").exists()


def test_a_quota_holds_within_a_round(home: Path) -> None:
    """Two messages have room; the third is told so, as it would be alone."""
    (home / ".config" / "mdeliver" / "rules").write_text(
        'mailbox imap = maildir "~/Maildir"\ninbox = imap\n'
    )
    for part in ("tmp", "new", "cur"):
        (home / "Maildir" / part).mkdir(parents=True)
    (home / "Maildir" / "maildirsize").write_text("2C\n")
    log: list[str] = []
    go_round(Kept(), *[Task(home, name, log) for name in ("one", "two", "three")])
    assert answers(log) == ["one delivered", "two delivered", "three deferred"]
    assert len(list((home / "Maildir" / "new").iterdir())) == 2


def test_nobody_waits_for_what_another_process_delivers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message whose key is taken is tried last, when all others have their answers."""
    monkeypatch.setattr("mdeliver.limits.LOCK_WAIT_TOGETHER_S", 0)
    log: list[str] = []
    one, same, two = [Task(home, name, log) for name in ("one", "same", "two")]
    brought = same.open()
    elsewhere = Journal(brought.state, key_of(brought.letter, brought.envelope, ""))
    monkeypatch.setattr(two, "close", elsewhere.close)
    go_round(Kept(), one, same, two)
    assert answers(log) == ["one delivered", "two delivered", "same delivered"]


def test_a_message_keeps_its_limit_when_others_go_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited is for another state directory, and is delivered under a limit of its own."""
    left_s: list[float] = []
    decide = Passage.decide

    def look(passage: Passage, before_asking: Callable[[], None]) -> None:
        left_s.append(signal.getitimer(signal.ITIMER_REAL)[0])
        decide(passage, before_asking)

    monkeypatch.setattr(Passage, "decide", look)
    log: list[str] = []
    one, two = Task(home, "one", log), Task(home, "two", log)
    two.state = "another"
    go_round(Kept(), one, two)
    assert answers(log) == ["one delivered", "two delivered"]
    assert all(0 < seconds <= Task.limit_s for seconds in left_s)


def test_the_alarm_of_one_does_not_come_where_others_go_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would find them on nobody's list, and they had no answer."""
    left_s: list[float] = []
    deliver_waiting = Round._deliver_waiting

    def look(this: Round) -> None:
        if this._waiting:
            left_s.append(signal.getitimer(signal.ITIMER_REAL)[0])
        deliver_waiting(this)

    monkeypatch.setattr(Round, "_deliver_waiting", look)
    log: list[str] = []
    one, two = Task(home, "one", log), Task(home, "two", log)
    two.state = "another"
    go_round(Kept(), one, two)
    assert answers(log) == ["one delivered", "two delivered"]
    assert left_s == [0, 0]


def test_a_journal_that_cannot_be_opened_fails_only_who_needs_it(home: Path) -> None:
    (home / "broken" / "journal").mkdir(parents=True)
    log: list[str] = []
    tasks = [Task(home, name, log) for name in ("one", "two", "three", "four")]
    tasks[1].state = "broken"
    kept = Kept()
    go_round(kept, *tasks)
    assert sorted(answers(log)) == [
        "four delivered", "one delivered", "three delivered", "two deferred",
    ]  # fmt: skip
    assert sorted(subjects(home)) == ["four", "one", "three"]


def test_a_journal_that_fails_once_is_opened_for_the_next(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened anew at the beginning of a round, which fails: the next message asks again."""
    monkeypatch.setattr("mdeliver.limits.JOURNAL_BYTES", 10)
    log: list[str] = []
    kept = Kept()
    go_round(kept, Task(home, "one", log), Task(home, "two", log))
    open_own_file = durable.open_own_file
    failures = [OSError(24, "too many open files")]

    def fail_once(path: str, *, create: bool) -> int:
        if path.endswith("journal") and failures:
            raise failures.pop()
        return open_own_file(path, create=create)

    monkeypatch.setattr(durable, "open_own_file", fail_once)
    go_round(kept, *[Task(home, name, log) for name in ("three", "four")])
    assert sorted(answers(log)[2:]) == ["four delivered", "three deferred"]


def test_a_round_in_which_no_journal_could_be_opened_ends_well(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mdeliver.limits.JOURNAL_BYTES", 10)
    log: list[str] = []
    kept = Kept()
    go_round(kept, Task(home, "one", log))
    (home / "state" / "journal").unlink()
    (home / "state" / "journal").mkdir()
    go_round(kept, Task(home, "two", log))
    go_round(kept, Task(home, "three", log))
    (home / "state" / "journal").rmdir()
    go_round(kept, Task(home, "four", log))
    assert answers(log) == ["one delivered", "two deferred", "three deferred", "four delivered"]


@pytest.mark.parametrize("names", [("one",), ("one", "two", "three")])
def test_an_alarm_that_comes_as_it_is_called_off(
    home: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    """Who is told that it took too long has no copy; who has one is told so."""
    left = [0]

    def call_off(seconds: int) -> None:
        start_deadline(seconds)
        if seconds == 0:
            left[0] -= 1
            if left[0] == 0:
                raise DeadlinePassed

    monkeypatch.setattr(rounds, "start_deadline", call_off)
    for number in range(1, 10):
        (home / "mbox").write_bytes(b"")
        log: list[str] = []
        left[0] = number
        go_round(Kept(), *[Task(home, f"{name}-{number}", log) for name in names])
        delivered = [line.split()[0] for line in answers(log) if line.endswith(" delivered")]
        assert sorted(delivered) == sorted(subjects(home))
        assert len(answers(log)) == len(names)
    assert left[0] > 0  # all of them have had it
