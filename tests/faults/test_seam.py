"""Every system call of a delivery fails once, and kills once: nothing is lost, doubled or torn."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mdeliver.deliver.maildir import make_maildir
from tests.faults.box import FROM_FIRST, FROM_RETRY, Box
from tests.faults.seam import DONE, KINDS, Fault, Kind

pytestmark = pytest.mark.faults

SMALL = (
    b"Subject: small\nFrom: a@example.net\n\nFrom the start\n>From quoted\nno newline at the end"
)
SPOOLED = b"Subject: large\n\n" + b"".join(b"line %d\nFrom %d\n" % (n, n) for n in range(40))
UNQUOTED = b"Subject: large\n\n" + b"".join(b"line %d\n" % n for n in range(40))
OTHER = b"Subject: other\n\nanother message\n"


def nothing(box: Box) -> None:
    pass


def foreign_delivery(box: Box) -> None:
    """procmail or Dovecot appends, as the format wants it: after an empty line."""
    with box.mbox.open("ab") as file:
        if file.tell() and not box.mbox.read_bytes().endswith(b"\n\n"):
            file.write(b"\n\n")
        file.write(b"From x@example.net Tue Nov 14 22:15:00 2023\nSubject: foreign\n\nhello\n\n")


def other_delivery(box: Box) -> None:
    status, _ = box.deliver(FROM_RETRY, message=OTHER)
    assert status == DONE


def pop3_session(box: Box) -> None:
    """A POP3 server rewrites the file: earlier mail goes, its own header lines come."""
    if not box.mbox.exists():
        return
    text = box.mbox.read_bytes().removeprefix(EARLIER)
    box.mbox.write_bytes(text.replace(b"\nSubject:", b"\nX-UID: 7\nStatus: RO\nSubject:"))


def imap_client(box: Box) -> None:
    """A client reads and moves what is new in the inbox."""
    for path in list((box.maildir / "new").glob("*")):
        cur = box.maildir / ".Moved" / "cur"
        cur.mkdir(parents=True, exist_ok=True)
        os.rename(path, cur / f"{path.name}:2,FS")


EARLIER = b"From z@example.net Tue Nov 14 22:00:00 2023\nSubject: earlier\n\nearlier\n\n"

SHORT_KINDS: tuple[Kind, ...] = ("kill after", "EIO")

SHARE = 1 if os.environ.get("MDELIVER_FAULTS") == "all" else 5
"""One call in so many gets its fault where something else happens before the retry: each story
takes other ones of them; MDELIVER_FAULTS=all takes every one."""

MEANWHILE: tuple[Callable[[Box], None], ...] = (
    nothing, foreign_delivery, other_delivery, pop3_session, imap_client,
)  # fmt: skip


def calls_of(home: Path, message: bytes, *, spooled: bool, edited: bool = False) -> list[str]:
    """The system calls of a delivery without a fault."""
    box = _box(home / "count", message, spooled=spooled, edited=edited)
    status, calls = box.deliver(FROM_FIRST)
    assert status == DONE
    assert box.faults_found() == []
    box.remove()
    return calls


def _box(home: Path, message: bytes, *, spooled: bool, edited: bool = False) -> Box:
    box = Box(home, message, spooled=spooled, edited=edited)
    box.mbox.write_bytes(EARLIER)
    return box


@pytest.mark.parametrize("between", MEANWHILE)
@pytest.mark.parametrize("spooled", [False, True], ids=["small", "spooled"])
@pytest.mark.parametrize("boot", ["", "another boot"], ids=["same boot", "reboot"])
def test_one_fault_at_every_call(
    home: Path, between: Callable[[Box], None], spooled: bool, boot: str
) -> None:
    message = SPOOLED if spooled else SMALL
    wrong = []
    calls = calls_of(home, message, spooled=spooled)
    plain = between is nothing and not boot
    share, first_one = SHARE, len(between.__name__) % SHARE
    if plain:
        # A small message takes the same way but for its spool.
        share, first_one = (min(SHARE, 2), 0) if spooled else (1, 0)
    for number, name in list(enumerate(calls))[first_one::share]:
        for kind in KINDS if plain else SHORT_KINDS:
            box = _box(home / "trial", message, spooled=spooled)
            first, _ = box.deliver(FROM_FIRST, Fault(number, kind))
            between(box)
            retried, _ = box.deliver(FROM_RETRY, boot=boot) if first != DONE else (DONE, [])
            found = box.faults_found(moved=box.maildir / ".Moved")
            if retried != DONE or found:
                wrong.append(f"{kind} at call {number} ({name}): {retried} {found}")
            box.remove()
    assert wrong == []


@pytest.mark.parametrize("boot", ["", "another boot"], ids=["same boot", "reboot"])
def test_one_fault_where_a_maildir_takes_the_spool_and_the_mbox_quotes_nothing(
    home: Path, boot: str
) -> None:
    def box_with_maildirs() -> Box:
        box = _box(home / "trial", UNQUOTED, spooled=True)
        for file in box.files:
            if file.store == "maildir":
                make_maildir(file)
        return box

    wrong = []
    clean = box_with_maildirs()
    status, calls = clean.deliver(FROM_FIRST)
    assert (status, clean.faults_found()) == (DONE, [])
    # The file in the Maildir, and the mbox's lock.
    assert calls.count("link") == 2
    clean.remove()
    for number, name in list(enumerate(calls))[:: SHARE if boot else 1]:
        for kind in KINDS if SHARE == 1 else SHORT_KINDS:
            box = box_with_maildirs()
            state, _ = box.deliver(FROM_FIRST, Fault(number, kind))
            if state != DONE:
                state, _ = box.deliver(FROM_RETRY, boot=boot)
            if state != DONE or box.faults_found():
                wrong.append(f"{kind} at call {number} ({name}): {state} {box.faults_found()}")
            box.remove()
    assert wrong == []


def test_one_fault_where_lock_files_are_made_of_one_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Box, "keeps", True)
    wrong = []
    calls = calls_of(home, SMALL, spooled=False)
    assert calls.count("link") == 1
    assert "pwrite" in calls[: calls.index("link")]
    for number, name in enumerate(calls):
        for kind in KINDS if SHARE == 1 else SHORT_KINDS:
            box = _box(home / "trial", SMALL, spooled=False)
            state, _ = box.deliver(FROM_FIRST, Fault(number, kind))
            if state != DONE:
                state, _ = box.deliver(FROM_RETRY)
            if state != DONE or box.faults_found():
                wrong.append(f"{kind} at call {number} ({name}): {state} {box.faults_found()}")
            box.remove()
    assert wrong == []


@pytest.mark.parametrize("spooled", [False, True], ids=["small", "spooled"])
def test_a_header_that_rules_changed_is_the_same_after_the_retry(home: Path, spooled: bool) -> None:
    message = SPOOLED if spooled else SMALL
    wrong = []
    for number, name in enumerate(calls_of(home, message, spooled=spooled, edited=True)):
        box = _box(home / "trial", message, spooled=spooled, edited=True)
        state, _ = box.deliver(FROM_FIRST, Fault(number, "kill after"))
        if state != DONE:
            state, _ = box.deliver(FROM_RETRY)
        if state != DONE or box.faults_found():
            wrong.append(f"killed at call {number} ({name}): {state} {box.faults_found()}")
        box.remove()
    assert wrong == []


def test_a_fault_in_the_retry_too(home: Path) -> None:
    """Two faults in a row, the second in the attempt that mends the first."""
    wrong = []
    calls = calls_of(home, SMALL, spooled=False)
    for number in range(0, len(calls), SHARE + 1):
        for second in range(number % 3, len(calls) + 10, 4 * SHARE + 3):
            for kind in SHORT_KINDS:
                box = _box(home / "trial", SMALL, spooled=False)
                states = [
                    box.deliver(FROM_FIRST, Fault(number, "kill after"))[0],
                    box.deliver(FROM_RETRY, Fault(second, kind))[0],
                    box.deliver(FROM_RETRY.replace(b"22:33", b"22:53"))[0],
                ]
                if states[-1] != DONE or box.faults_found():
                    wrong.append(f"{number}, {kind} at {second}: {states} {box.faults_found()}")
                box.remove()
    assert wrong == []
