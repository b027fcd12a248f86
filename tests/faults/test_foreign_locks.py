"""A lock of a living program of somebody else is never broken, by however old it looks.

Each program takes the lock of the mbox for real, and the lock file is made to look a day old, which
is when others take it for stale. The delivery waits in vain and is put off; nothing has changed.
When the program has given its lock back, the retry delivers.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from mdeliver import limits
from tests.faults.direct import Direct
from tests.faults.seam import DONE, FAILED, disturbed
from tests.installation import lacking, open_directory, recipient
from tests.local8 import Person, identity
from tests.waiting import wait_for

pytestmark = pytest.mark.faults

_POP3 = "/usr/lib/dovecot/pop3"
_DOVECOT_CONF = """\
base_dir = {home}/run
log_path = {home}/dovecot.log
ssl = no
mail_location = mbox:{home}/.pop3:INBOX={home}/mbox
mail_home = {home}
mbox_read_locks = dotlock fcntl
mbox_write_locks = dotlock fcntl
pop3_lock_session = yes
"""
_PROCMAILRC = """\
SHELL=/bin/sh
:0 : {home}/mbox.lock
| touch {home}/holding; until test -e {home}/over; do sleep 0.1; done
"""


def _by(take: list[str], give: list[str]) -> Callable[[Person], AbstractContextManager[None]]:
    """A program that leaves a lock file, and another that removes it."""

    @contextmanager
    def locked(person: Person) -> Iterator[None]:
        need(take[0])
        names = {"mbox": f"{person.home}/mbox"}
        subprocess.run([word.format(**names) for word in take], check=True, **identity(person))
        yield
        subprocess.run([word.format(**names) for word in give], check=True, **identity(person))

    return locked


@contextmanager
def _by_procmail(person: Person) -> Iterator[None]:
    """procmail itself, in the midst of a delivery."""
    need("procmail")
    home = person.home
    (home / "procmailrc").write_text(_PROCMAILRC.format(home=home))
    shutil.chown(home / "procmailrc", person.uid, person.gid)
    with subprocess.Popen(
        ["procmail", "-m", str(home / "procmailrc")],
        stdin=subprocess.PIPE,
        cwd=home,
        **identity(person),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"Subject: procmail's\n\nhello\n")
        process.stdin.close()
        try:
            wait_for((home / "holding").exists, "procmail to hold its lock")
            yield
        finally:
            (home / "over").touch()
            process.wait(120)


@contextmanager
def _by_dovecot(person: Person) -> Iterator[None]:
    """Dovecot, which keeps the lock as long as a POP3 session lasts."""
    need(_POP3)
    home = person.home
    configuration = home / "dovecot.conf"
    configuration.write_text(_DOVECOT_CONF.format(home=home))
    configuration.chmod(0o644)
    with subprocess.Popen(
        [_POP3, "-c", str(configuration)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(home), "USER": person.name, "PATH": "/usr/bin:/bin"},
        cwd="/",
        **identity(person),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # The lock comes first; until Dovecot answers, it may touch the file and the lock.
            process.stdin.write(b"NOOP\r\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 120)[0], "Dovecot says nothing"
            assert process.stdout.readline().startswith(b"+OK")
            assert (home / "mbox.lock").exists()
            yield
        finally:
            process.communicate(b"QUIT\r\n", timeout=120)


PROGRAMS: dict[str, Callable[[Person], AbstractContextManager[None]]] = {
    "liblockfile": _by(
        ["dotlockfile", "-r", "0", "-l", "{mbox}.lock"], ["dotlockfile", "-u", "{mbox}.lock"]
    ),
    "procmail's lockfile": _by(["lockfile", "-r", "0", "{mbox}.lock"], ["rm", "-f", "{mbox}.lock"]),
    "mutt": _by(["mutt_dotlock", "-r", "0", "{mbox}"], ["mutt_dotlock", "-u", "{mbox}"]),
    "procmail": _by_procmail,
    "Dovecot": _by_dovecot,
}


def need(program: str) -> None:
    if shutil.which(program) is None:
        lacking(f"{program} is not installed")


@pytest.fixture
def person() -> Iterator[Person]:
    """Somebody with mail."""
    top = open_directory("locks")
    try:
        person = recipient(top / "home")
        Direct(person.home).prepare()
        for path in person.home.rglob("*"):
            os.chown(path, person.uid, person.gid)
        yield person
    finally:
        shutil.rmtree(top, ignore_errors=True)


def attempt(person: Person, number: int) -> int:
    """How a delivery by this person ends that waits a second for a lock."""

    def act() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(person.gid)
            os.setuid(person.uid)
        limits.LOCK_WAIT_S = 1
        Direct(person.home).act(number)

    return disturbed(act)[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_lock_of_a_living_program_is_waited_for(person: Person, program: str) -> None:
    lock, mbox = person.home / "mbox.lock", person.home / "mbox"
    with PROGRAMS[program](person):
        day_before = time.time() - 86400
        os.utime(lock, (day_before, day_before))
        before = lock.stat().st_ino, lock.read_bytes(), mbox.read_bytes()
        assert attempt(person, 0) == FAILED
        assert (lock.stat().st_ino, lock.read_bytes(), mbox.read_bytes()) == before
        assert lock.stat().st_mtime == pytest.approx(day_before)
    assert attempt(person, 1) == DONE
    assert Direct(person.home).wrong() == []
