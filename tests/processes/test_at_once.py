"""Deliveries at the same time, and locks that others hold."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.installation import lacking
from tests.local8 import as_handed_over, identity
from tests.processes.conftest import Home
from tests.waiting import wait_for

CROWD = 20

# As Postfix writes it; the queue id makes every message on this host different.
RECEIVED = (
    b"Received: from client.example.net (unknown [192.0.2.7])\n"
    b"\tby mail.example.org (Postfix) with ESMTP id %b\n"
    b"\tfor <ann@example.org>; Mon, 13 Nov 2023 10:00:00 +0000 (UTC)\n"
)


def message(queue_id: str, size: int = 100) -> bytes:
    head = RECEIVED % queue_id.encode() + b"Subject: " + queue_id.encode() + b"\n\n"
    return head + b"a line of ordinary length, more or less\n" * (size // 40)


def deliver_at_once(home: Home, handed: list[bytes]) -> None:
    """Start deliveries of all these messages, each of which must be taken."""
    with ThreadPoolExecutor(len(handed)) as crowd:
        for answer in crowd.map(home.deliver, handed):
            assert answer.verdict == "sent", answer


def test_the_same_message_twice_at_once_is_one_copy(home: Home) -> None:
    """Postfix brings a message to oneself twice when sender_bcc_maps adds the sender."""
    deliver_at_once(home, [message("3A001")] * 2)
    assert home.holds_once(message("3A001"))


def test_the_same_message_brought_again_later_is_one_copy(home: Home) -> None:
    for minutes in range(3):
        assert home.deliver(message("3A002"), at=1_700_000_000 + 60 * minutes).verdict == "sent"
    assert home.holds_once(message("3A002"))


def test_two_messages_at_once_are_two(home: Home) -> None:
    deliver_at_once(home, [message("3A003"), message("3A004")])
    assert len(home.in_mbox()) == len(home.in_maildir()) == 2


def test_a_crowd_of_deliveries_loses_and_doubles_nothing(home: Home) -> None:
    messages = [message(f"3B{number:03}", size=2000 * number) for number in range(CROWD)]
    deliver_at_once(home, messages)

    expected = Counter(as_handed_over(m, home.person) for m in messages)
    assert Counter(home.in_mbox()) == expected
    assert Counter(home.in_maildir()) == expected
    assert not (home.path / "mbox.lock").exists()


def is_sleeping(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process, or one that it started, waits with nanosleep."""
    assert process.poll() is None, process.communicate()
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        pids = [str(process.pid), *children]
        return any("nanosleep" in Path(f"/proc/{pid}/wchan").read_text() for pid in pids)
    except (FileNotFoundError, ProcessLookupError):
        return False  # one has just ended


@contextmanager
def started(home: Home, handed: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """A delivery that has its whole message and goes on by itself, until it is killed."""
    with subprocess.Popen(
        home.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=home.environ,
        **identity(home.person),
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(home.handed(handed))
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait until the delivery is done; it must have succeeded."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def test_a_delivery_waits_for_a_dotlock_of_procmails_lockfile(home: Home) -> None:
    if shutil.which("lockfile") is None:
        lacking("lockfile is not installed (Debian: procmail)")
    lock = home.path / "mbox.lock"
    subprocess.run(["lockfile", "-r0", str(lock)], check=True, **identity(home.person))
    with started(home, message("3C001")) as process:
        wait_for(lambda: is_sleeping(process), "the delivery to wait for the lock")
        assert lock.exists()
        assert home.in_mbox() == []

        lock.unlink()
        finish(process)
    assert home.holds_once(message("3C001"))
    assert not lock.exists()


def test_a_delivery_waits_for_a_record_lock_as_dovecot_takes_it(home: Home) -> None:
    mbox = home.path / "mbox"
    mbox.touch(0o600)
    home.give(mbox)
    with mbox.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        with started(home, message("3C002")) as process:
            wait_for(lambda: is_sleeping(process), "the delivery to wait for the lock")
            # Not by a file of our own: closing that would give the lock up.
            assert mbox.stat().st_size == 0
            # Whoever waits for the one lock must not keep the other: Dovecot takes them in turn.
            wait_for(lambda: not (home.path / "mbox.lock").exists(), "the dotlock to be given back")
            held.close()
            finish(process)
    assert home.holds_once(message("3C002"))


@pytest.mark.parametrize("content", [b"", b"%d", b"%d:otherhost"])
def test_a_foreign_dotlock_is_never_taken_over(home: Home, content: bytes) -> None:
    """Even where its process seems to be dead: pids are reused, hosts have the same names."""
    lock = home.path / "mbox.lock"
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    lock.write_bytes(content % dead.pid if b"%" in content else content)
    os.utime(lock, (0, 0))
    home.give(lock)
    with started(home, message("3C003")) as process:
        wait_for(lambda: is_sleeping(process), "the delivery to wait for the lock")
        assert lock.exists()
        lock.unlink()
        finish(process)
    assert home.holds_once(message("3C003"))
