"""`pipe to` and `run` within a transaction: once, in their order, and with the octets filed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mdeliver.deliver.contents import Contents
from mdeliver.deliver.deliverers import Attempt
from mdeliver.deliver.journal import Journal
from mdeliver.deliver.pipe import PipeCopy, RunCopy, program_delivery
from mdeliver.deliver.transaction import deliver_files
from mdeliver.envelope import Envelope
from mdeliver.letter import Letter, letter_of
from mdeliver.locks import WHOLE_FILE, try_lock
from mdeliver.outcome import Deferral
from mdeliver.plan import Content, Edit, File, Pipe, Run
from tests.mboxreader import read_mbox

if TYPE_CHECKING:
    from mdeliver.plan import Action

FROM_LINE = b"From a@example.org Thu Jan  1 00:00:00 1970\n"
LATER = b"From a@example.org Thu Jan  1 00:10:00 1970\n"
MESSAGE = b"Subject: a\n\nbody\n"
TAGGED = Content(1, (Edit("add", "X-Tag", "b c", None),))


def appends(name: str) -> tuple[str, ...]:
    return ("sh", "-c", 'cat >>"$0"', name)


class Home:
    """A home, and deliveries into it in this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "state").mkdir()
        self.envelope = Envelope("ann", str(path), os.geteuid(), sender="a@example.org")
        self.mbox = File("mbox", str(path / "mbox"), str(path / "mbox"), None, None, (), None)

    def deliver(
        self, *actions: Action, from_line: bytes = FROM_LINE, filtered: tuple[Letter, ...] = ()
    ) -> str:
        return deliver_files(
            actions,
            letter_of(from_line + MESSAGE),
            self.envelope,
            filtered=filtered,
            state_directory=str(self.path / "state"),
            hostname="host",
            now_s=0,
        )

    def given(self, name: str) -> bytes:
        path = self.path / name
        return path.read_bytes() if path.exists() else b""

    def in_mbox(self) -> list[bytes]:
        return [stored.message for stored in read_mbox(self.given("mbox"))]

    @property
    def kept(self) -> list[Path]:
        directory = self.path / "state" / "filtered"
        return [*directory.iterdir()] if directory.exists() else []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize("kind", [Pipe, Run])
@pytest.mark.parametrize("content", [Content(), TAGGED], ids=["plain", "changed"])
def test_the_journal_can_name_it(
    kind: type[Pipe] | type[Run], content: Content, home: Home
) -> None:
    planned = kind(("~/a b", "", "-x\n", "ü"), None, content)
    contents = Contents(letter_of(MESSAGE), {1: letter_of(MESSAGE)})
    journal = Journal(str(home.path / "state"), b"a" * 32)
    attempt = Attempt(contents, home.envelope, b"", journal, "host", str(home.path), "")
    copy = (PipeCopy if isinstance(planned, Pipe) else RunCopy)(planned, attempt)
    assert program_delivery(copy.words()) == planned
    journal.close()


def test_it_is_given_what_the_message_is_by_then(home: Home) -> None:
    filtered = letter_of(b"Subject: filtered\n\nbody\n")
    said = home.deliver(
        Pipe(appends("plain"), None),
        home.mbox.replace(content=Content(1)),
        Pipe(appends("filtered"), None, Content(1)),
        Pipe(appends("tagged"), None, TAGGED),
        Run(appends("besides"), None, TAGGED),
        filtered=(filtered,),
    )
    assert said == "delivered to 1 place, pipe, pipe, pipe"
    assert home.given("plain") == MESSAGE
    assert home.in_mbox() == [home.given("filtered")] == [b"Subject: filtered\n\nbody\n"]
    tagged = b"Subject: filtered\nX-Tag: b c\n\nbody\n"
    assert (home.given("tagged"), home.given("besides")) == (tagged, tagged)
    assert home.kept == []


def test_a_failure_takes_the_copies_back_and_the_rest_is_not_begun(home: Home) -> None:
    fails = Pipe(("sh", "-c", "echo oh dear >&2; exit 3"), None)
    actions = (home.mbox, fails, Pipe(appends("later"), None), Run(appends("besides"), None))
    with pytest.raises(Deferral, match='program "sh": exit status 3: oh dear'):
        home.deliver(*actions)
    assert home.given("mbox") == home.given("later") == home.given("besides") == b""


def test_what_succeeded_is_not_run_again_after_a_failure_behind_it(home: Home) -> None:
    fails = Pipe(("test", "-e", "ready"), None)
    filtered = letter_of(b"X: 1\n\nbody\n")
    actions = (
        home.mbox.replace(content=Content(1)),
        Pipe(appends("first"), None, Content(1)),
        fails,
        Pipe(appends("last"), None, Content(1)),
    )
    with pytest.raises(Deferral):
        home.deliver(*actions, filtered=(filtered,))
    assert home.given("first") == b"X: 1\n\nbody\n"
    assert len(home.kept) == 1
    (home.path / "ready").touch()
    # The filter gives something else by now.
    home.deliver(*actions, from_line=LATER, filtered=(letter_of(b"X: 2\n\nbody\n"),))
    assert home.given("first") == home.given("last") == b"X: 1\n\nbody\n"
    assert home.in_mbox() == [b"X: 1\n\nbody\n"]
    assert home.kept == []


def test_a_clean_failure_keeps_nothing(home: Home) -> None:
    fails = Pipe(("false",), None, Content(1))
    with pytest.raises(Deferral):
        home.deliver(home.mbox, fails, filtered=(letter_of(b"X: 1\n\nbody\n"),))
    assert home.kept == []


def test_what_has_no_say_is_tried_with_no_mailbox_locked(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def look(_copy: RunCopy) -> None:
        seen.append(not (home.path / "mbox.lock").exists())
        fd = os.open(home.path / "mbox", os.O_RDWR)
        seen.append(try_lock(fd, 0, WHOLE_FILE, exclusive=True))
        os.close(fd)

    monkeypatch.setattr(RunCopy, "commit", look)
    home.deliver(home.mbox, Run(("true",), None))
    assert seen == [True, True]


def test_what_has_no_say_tells_how_it_failed(home: Home) -> None:
    said = home.deliver(home.mbox, Run(("sh", "-c", "echo no >&2; exit 1"), None))
    assert said == 'delivered to 1 place, program "sh": exit status 1: no'
    assert home.in_mbox() == [MESSAGE]


def test_what_has_no_say_is_done_by_the_retry_if_it_was_not_begun(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = (home.mbox, Run(appends("one"), None, Content(1)), Run(appends("two"), None))
    filtered = (letter_of(b"X: 1\n\nbody\n"),)

    def die(*_arguments: object) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr("mdeliver.deliver.transaction._do_besides", die)
        with pytest.raises(SystemExit):
            home.deliver(*actions, filtered=filtered)
    assert len(home.kept) == 1
    for from_line in (LATER, LATER.replace(b"10", b"20")):
        assert home.deliver(from_line=from_line) == "delivered by an earlier attempt"
        assert home.in_mbox() == [MESSAGE]
        assert (home.given("one"), home.given("two")) == (b"X: 1\n\nbody\n", MESSAGE)
    assert home.kept == []


def test_what_has_no_say_is_not_begun_twice(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Journal.mark_durably

    def die(journal: Journal, place: int, letter: bytes) -> None:
        mark(journal, place, letter)
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(Journal, "mark_durably", die)
        with pytest.raises(SystemExit):
            home.deliver(home.mbox, Run(appends("one"), None), Run(appends("two"), None))
    home.deliver(from_line=LATER)
    assert (home.given("one"), home.given("two")) == (b"", MESSAGE)
