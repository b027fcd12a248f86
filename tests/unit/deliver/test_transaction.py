"""Whole deliveries: what a retry, another plan or another name of a place makes of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver import agent, durable, limits
from mdeliver.deliver.journal import Journal
from mdeliver.deliver.maildir import MaildirCopy
from mdeliver.deliver.mbox import MboxCopy
from mdeliver.deliver.transaction import deliver_files
from mdeliver.envelope import Envelope
from mdeliver.letter import Letter, read_letter
from mdeliver.outcome import Deferral
from mdeliver.plan import Content, Edit, File, Plan, Verdict
from mdeliver.settings import Site
from tests.mboxreader import read_mbox

FROM_LINE = b"From a@example.org Thu Jan  1 00:00:00 1970\n"
LATER = b"From a@example.org Thu Jan  1 00:10:00 1970\n"


class Home:
    """A home, and deliveries into it in this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "state").mkdir()
        self.envelope = Envelope("ann", str(path), os.geteuid(), sender="a@example.org")
        self.mbox = self.place("mbox", "mbox")
        self.maildir = self.place("maildir", "Maildir")

    def place(self, store: str, name: str) -> File:
        path = str(self.path / name)
        kind = "mbox" if store == "mbox" else "maildir"
        return File(kind, path, path, None, None, (), None)  # type: ignore[arg-type]

    def letter(self, message: bytes) -> Letter:
        (self.path / "incoming").write_bytes(message)
        fd = os.open(self.path / "incoming", os.O_RDONLY)
        try:
            return read_letter(fd, str(self.path))
        finally:
            os.close(fd)

    def deliver(self, message: bytes, *files: File, rules: str = "") -> str:
        return deliver_files(
            files or (self.maildir, self.mbox),
            self.letter(message),
            self.envelope,
            state_directory=str(self.path / "state"),
            hostname="host",
            now_s=0,
            rules=rules,
        )

    def kill_at(
        self, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, message: bytes, *files: File
    ) -> None:
        """An attempt that dies at METHOD: nothing is taken back, as after SIGKILL."""

        def die(*_arguments: object) -> None:
            raise SystemExit

        with monkeypatch.context() as dying:
            dying.setattr(kind, method, die)
            dying.setattr("mdeliver.deliver.steps.Transaction.roll_back", lambda *_: None)
            dying.setattr(MaildirCopy, "release", lambda _: None)
            with pytest.raises(SystemExit):
                self.deliver(message, *files)

    def in_mbox(self) -> list[bytes]:
        return [stored.message for stored in read_mbox((self.path / "mbox").read_bytes())]

    def in_maildir(self, name: str = "Maildir") -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.path / name / "new").glob("*"))]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_delivered_message_is_never_taken_for_the_torn_tail_of_another(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same sender in the same second: the From_ lines are equal, the second is shorter."""
    first, second, third = (b"Subject: %d\n\n" % n + b"x" * (40 - 15 * n) for n in (0, 1, 2))
    home.kill_at(monkeypatch, MboxCopy, "commit", FROM_LINE + first, home.maildir, home.mbox)
    home.deliver(FROM_LINE + second)
    home.deliver(FROM_LINE + third)
    assert home.in_mbox() == [second + b"\n", third + b"\n"]
    home.deliver(LATER + first)
    assert sorted(home.in_mbox()) == sorted(m + b"\n" for m in (first, second, third))


def test_what_is_taken_back_after_the_last_letter_is_not_done(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm may come with the write of D; a client may have moved a copy meanwhile."""
    state = Journal.state

    def interrupted(journal: Journal, letter: bytes) -> None:
        state(journal, letter)
        if letter == b"D":
            for path in (home.path / "Maildir" / "new").iterdir():
                path.rename(home.path / "Maildir" / "cur" / f"{path.name}:2,S")
            raise Deferral("too late")

    with monkeypatch.context() as alarmed:
        alarmed.setattr(Journal, "state", interrupted)
        with pytest.raises(Deferral):
            home.deliver(FROM_LINE + b"Subject: a\n\n")
    assert home.in_mbox() == []
    home.deliver(LATER + b"Subject: a\n\n")
    assert home.in_mbox() == [b"Subject: a\n\n"]
    assert len(list((home.path / "Maildir" / "cur").iterdir())) == 1
    assert home.in_maildir() == []


@pytest.mark.parametrize("fate", ["discard", "reject", "defer"])
def test_what_was_begun_is_completed_though_rules_now_say_otherwise(
    home: Home, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    home.kill_at(monkeypatch, MaildirCopy, "commit", FROM_LINE + b"Subject: a\n\n")
    plan = Plan((), Verdict(fate, "5.7.1", "no", "rules:1"))  # type: ignore[arg-type]
    letter = home.letter(LATER + b"Subject: a\n\n")
    outcome = agent.carry_out(plan, letter, home.envelope, Site(), str(home.path / "state"))
    assert outcome.fate == "delivered"
    assert home.in_mbox() == home.in_maildir() == [b"Subject: a\n\n"]


def test_a_verdict_alone_delivers_nothing(home: Home) -> None:
    plan = Plan((), Verdict("reject", "5.7.1", "no", "rules:1"))
    letter = home.letter(FROM_LINE + b"Subject: a\n\n")
    outcome = agent.carry_out(plan, letter, home.envelope, Site(), str(home.path / "state"))
    assert outcome.line == "5.7.1 no"
    assert not (home.path / "mbox").exists()


def test_two_names_of_one_place_are_one_copy(home: Home) -> None:
    home.deliver(FROM_LINE + b"Subject: first\n\n")
    (home.path / "Mail").symlink_to("Maildir")
    (home.path / "spool").symlink_to(".")
    places = [home.place("maildir", "Mail"), home.place("mbox", "spool/mbox")]
    home.deliver(FROM_LINE + b"Subject: a\n\n", home.maildir, home.mbox, *places)
    assert len(home.in_maildir()) == len(home.in_mbox()) == 2


def test_under_other_rules_it_is_another_delivery(home: Home) -> None:
    other = home.place("maildir", "Other")
    home.deliver(FROM_LINE + b"Subject: a\n\n", rules="one")
    home.deliver(LATER + b"Subject: a\n\n", other, rules="other")
    assert home.in_maildir() == home.in_maildir("Other") == [b"Subject: a\n\n"]


def test_a_copy_taken_back_is_gone_from_the_disk_before_that_is_written(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds: list[str] = []
    state = Journal.state
    synced: list[str] = []

    def sync(path: str) -> None:
        synced.append(path)
        deeds.append("sync")

    def fail(_copy: MaildirCopy) -> None:
        raise OSError(5, "injected")

    def note(journal: Journal, letter: bytes) -> None:
        deeds.append(letter.decode())
        state(journal, letter)

    monkeypatch.setattr(Journal, "state", note)
    monkeypatch.setattr(MaildirCopy, "sync", fail)
    monkeypatch.setattr("mdeliver.durable.sync_directory", sync)
    with pytest.raises(OSError, match="injected"):
        home.deliver(FROM_LINE + b"Subject: a\n\n", home.maildir)
    assert deeds[-3:] == [".", "sync", "R"]
    assert synced[-1].endswith("/new")


@pytest.mark.parametrize("method", ["prepare", "commit", "sync"])
def test_an_error_that_names_no_file_names_the_place(
    home: Home, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MaildirCopy, method, fail)
    with pytest.raises(OSError, match=str(home.path / "Maildir")):
        home.deliver(FROM_LINE + b"Subject: a\n\n")


def edited(file: File) -> File:
    return file.replace(content=Content(0, (Edit("set", "X-A", "one\ttwo é", None),)))


@pytest.mark.parametrize("first", ["maildir", "mbox"])
def test_a_retry_completes_with_the_octets_of_the_attempt(
    home: Home, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The rules have changed meanwhile: what they planned then is what both places get."""
    message = b"Subject: a\nX-A: old\n\nbody\n"
    plain = home.place("maildir", "Plain")
    kind = MaildirCopy if first == "maildir" else MboxCopy
    places = (plain, edited(home.maildir), edited(home.mbox))
    home.kill_at(monkeypatch, kind, "commit", FROM_LINE + message, *places)
    home.deliver(LATER + message, home.place("maildir", "Elsewhere"))
    (stored,) = home.in_maildir()
    assert home.in_mbox() == [stored]
    assert stored.startswith(b"Subject: a\nX-A: =?utf-8?")
    assert home.in_maildir("Plain") == [message]
    assert not (home.path / "Elsewhere").exists()


def test_a_torn_edited_copy_is_mended(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    message = b"Subject: a\n\n" + b"body\n" * 100
    write = durable.write_all

    def half(fd: int, octets: bytes) -> None:
        if b"Subject" not in octets:
            return write(fd, octets)  # a lock file
        write(fd, octets[: len(octets) // 2])
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr("mdeliver.deliver.steps.Transaction.roll_back", lambda *_: None)
        dying.setattr("mdeliver.deliver.mbox.durable.write_all", half)
        with pytest.raises(SystemExit):
            home.deliver(FROM_LINE + message, edited(home.mbox))
    home.deliver(LATER + message, home.mbox)
    (stored,) = home.in_mbox()
    assert stored.endswith(b"\n\n" + b"body\n" * 100)
    assert b"\nX-A: =?utf-8?" in stored


def test_all_is_on_disk_before_anything_is_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many places: few files stay open, and every one is synced before the first rename."""
    home = Home(tmp_path)
    places = [home.place("maildir", f"Maildir{number}") for number in range(20)]
    home.deliver(b"Subject: first\n\n", *places)
    done: list[str] = []
    most = 0

    def watched(name: str, under: str) -> None:
        step = getattr(durable, name)

        def call(what: int | str, *rest: object) -> object:
            nonlocal most
            path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else what
            if under in path:
                done.append(name)
                opened = [
                    os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                ]
                most = max(most, sum("/tmp/mdeliver." in path for path in opened))
            return step(what, *rest)

        monkeypatch.setattr(durable, name, call)

    watched("sync", "/tmp/mdeliver.")
    watched("sync_content", "/journal")
    watched("rename", "/tmp/mdeliver.")
    home.deliver(b"Subject: second\n\n", *places)
    assert done == ["sync"] * 20 + ["sync_content"] + ["rename"] * 20
    assert most <= limits.SYNCED_TOGETHER + 1


def test_places_are_counted_as_one_says_it(home: Home) -> None:
    assert home.deliver(b"Subject: 1\n\n", home.mbox) == "delivered to 1 place"
    assert home.deliver(b"Subject: 2\n\n") == "delivered to 2 places"


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("settle", "delivered to 1 place"),
        ("sync", "delivered to 1 place by an earlier attempt"),
    ],
)
def test_what_an_earlier_attempt_made_is_not_counted_as_new(
    home: Home, monkeypatch: pytest.MonkeyPatch, method: str, said: str
) -> None:
    home.kill_at(monkeypatch, MboxCopy, method, b"Subject: hi\n\n", home.mbox)
    assert home.deliver(b"Subject: hi\n\n", home.mbox) == said
    assert home.in_mbox() == [b"Subject: hi\n\n"]
