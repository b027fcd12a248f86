"""The private servers, made once for all stories of a test process, and people for each of them.

In CI (CI is set) whatever is missing is a failure; elsewhere the tests are skipped and say why.
MDELIVER_TEST_MAILBOX_COMMAND puts another agent in mdeliver-lda's place: the harness itself was
proved with procmail that way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.installation import LDA, lacking, open_directory, unreachable
from tests.local8 import Person
from tests.servers.dovecot import Dovecot
from tests.servers.people import SPOOL, add_person, make_spool, remove_person
from tests.servers.postfix import Postfix
from tests.waiting import wait_for

PROGRAMS = ("postfix", "dovecot", "doveadm", "openssl", "useradd")
ROLES = ("ann", "bob")


class Box(NamedTuple):
    """The whole mail server."""

    postfix: Postfix
    dovecot: Dovecot
    mailbox_command: str
    people: tuple[Person, ...]


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """Postfix and Dovecot, running, with mdeliver-lda as mailbox_command."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        lacking("the servers' tests make users and start Postfix: run them as root")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            lacking(f"{program} is not installed (Debian: postfix dovecot-imapd dovecot-pop3d)")
    top = open_directory("box")
    people: list[Person] = []
    mailbox_command = os.environ.get("MDELIVER_TEST_MAILBOX_COMMAND", str(LDA))
    try:
        homes = top / "homes"
        homes.mkdir()
        people.extend(add_person(role, homes) for role in ROLES)
        if mailbox_command == str(LDA) and (why := unreachable(LDA, people[0])):
            lacking(why)
        yield from _running(top, people, mailbox_command)
    finally:
        for person in people:
            remove_person(person)
        shutil.rmtree(top, ignore_errors=True)


def _running(top: Path, people: list[Person], mailbox_command: str) -> Iterator[Box]:
    for name in ("postfix", "dovecot"):
        (top / name).mkdir()
    postfix = Postfix(top / "postfix", people, mailbox_command)
    dovecot = Dovecot(top / "dovecot", people, postfix.top / "queue" / "private" / "auth")
    try:
        postfix.start()
        dovecot.start()
        yield Box(postfix, dovecot, mailbox_command, tuple(people))
    finally:
        dovecot.stop()
        postfix.stop()


@pytest.fixture
def postfix(box: Box) -> Postfix:
    """The mail server."""
    return box.postfix


@pytest.fixture
def dovecot(box: Box) -> Dovecot:
    """The store server."""
    return box.dovecot


@pytest.fixture
def ann(box: Box) -> Person:
    """A user with an empty home and an empty mbox; nothing is in the queue."""
    box.postfix.forget_queue()
    return _fresh(box, box.people[0])


@pytest.fixture
def bob(box: Box) -> Person:
    """Another one."""
    return _fresh(box, box.people[1])


def _fresh(box: Box, person: Person) -> Person:
    """Empty the person's home and mbox."""
    wait_for(lambda: not box.dovecot.serves(person), "sessions of an earlier test to end")
    for entry in person.home.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    spool = SPOOL / person.name
    spool.unlink(missing_ok=True)
    make_spool(person)
    return person


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Attach both servers' logs to a failure."""
    report = yield
    made = getattr(item, "funcargs", {}).get("box")
    if report.failed and isinstance(made, Box):  # type: ignore[attr-defined]
        report.sections += [  # type: ignore[attr-defined]
            ("mail log", made.postfix.log[-8000:]),
            ("Dovecot log", made.dovecot.log[-4000:]),
        ]
    return report
