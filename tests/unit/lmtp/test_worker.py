"""A worker between two fronts, each with numbers of its own; and how many launchers it takes in."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import shutil
import socket
from pathlib import Path

import pytest

from mdeliver.lmtp import door, frames, worker
from mdeliver.lmtp.jobs import Job, pack_job
from mdeliver.lmtp.settings import Lmtp
from mdeliver.settings import Site


def job(number: int) -> bytes:
    octets = b"Received: by mx\nSubject: %d\n\nhello\n" % number
    return pack_job(
        Job(
            number, "", "a@example.net", "ann@example.org", "", "", "", "", "", "", "",
            b"%d" % number, len(octets), octets,
        )
    )  # fmt: skip


def new_front(control: socket.socket) -> socket.socket:
    ours, theirs = frames.pair()
    with theirs:
        frames.send(control, frames.pack(frames.FRONT), theirs.fileno())
    return ours


def test_a_front_hears_of_its_own_jobs_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_LOOK_S", -1.0)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.parent.mkdir(parents=True)
    rules.write_text('mailbox imap = maildir "~/Maildir"\ninbox = imap\n')
    control, theirs = frames.pair()
    identity = worker.Identity("ann", os.getuid(), os.getgid(), str(tmp_path), "ann")
    this = worker.Worker(identity, Lmtp(), Site(hostname="host", syslog=""), theirs)
    with control, new_front(control) as old:
        this._take_packets(0)
        frames.send(old, job(1))
        this._take_packets(0)
        with new_front(control) as new:
            # The other one comes while job 1 waits for what else there is.
            this._go_round()
            assert frames.receive(new) is None
            assert frames.receive(old) == (b"", -1)
            frames.send(new, job(1))
            this._take_packets(0)
            this._go_round()
            received = frames.receive(new)
            assert received is not None
            kind, (number, reply) = frames.unpack(received[0])
            assert (kind, number, reply[:3]) == (frames.DONE, b"1", b"250")
    # Brought again, it was known.
    assert len(list((tmp_path / "Maildir" / "new").iterdir())) == 1
    # Both ends are gone: it ends, and lets go of all it has.
    this.run()


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """It may not be mounted; so too where it was there a round before."""
    home = tmp_path / "ann"
    home.mkdir()
    control, theirs = frames.pair()
    identity = worker.Identity("ann", os.getuid(), os.getgid(), str(home), "ann")
    this = worker.Worker(identity, Lmtp(), Site(hostname="host", syslog=""), theirs)
    replies = []
    with control, new_front(control) as front:
        this._take_packets(0)
        for number in (1, 2):
            frames.send(front, job(number))
            this._take_packets(0)
            this._go_round()
            received = frames.receive(front)
            assert received is not None
            replies.append(frames.unpack(received[0])[1][1])
            shutil.rmtree(home, ignore_errors=True)
    assert replies[0].startswith(b"250")
    assert replies[1] == b"451 4.3.0 home directory %s of user ann does not exist" % bytes(home)
    assert not home.exists()
    this.run()


def test_a_descriptor_that_belongs_to_no_job_is_closed(tmp_path: Path) -> None:
    control, theirs = frames.pair()
    identity = worker.Identity("ann", os.getuid(), os.getgid(), str(tmp_path), "ann")
    this = worker.Worker(identity, Lmtp(), Site(hostname="host", syslog=""), theirs)
    with control, new_front(control) as front:
        this._take_packets(0)
        gc.collect()  # what an earlier test left open is closed now, not in between
        before = sorted(os.listdir("/proc/self/fd"))
        for packet in (frames.pack(frames.CANCEL, b"1"), frames.pack(frames.ROOM, b"2", b"", b"0")):
            frames.send(front, packet, control.fileno())
        frames.send(front, frames.pack(b"?"), control.fileno())
        this._take_packets(0)
        assert sorted(os.listdir("/proc/self/fd")) == before
        this._hung_up(theirs)
        assert this._front is not None
        this._hung_up(this._front)


def test_a_front_does_not_wait_for_an_answer_that_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    monkeypatch.setattr(os, "environ", dict(os.environ))
    control, theirs = frames.pair()
    identity = worker.Identity("ann", os.getuid(), os.getgid(), str(tmp_path), "ann")
    this = worker.Worker(identity, Lmtp(), Site(hostname="host", syslog=""), theirs)
    with control, new_front(control) as front:
        this._take_packets(0)
        monkeypatch.setattr(frames, "send", fail)
        this.answer(this._front, 1, "250 2.0.0 delivered")
        assert frames.receive(front) == (b"", -1)
        # It sees so too, and lives on for the next front.
        this._take_packets(0)
        assert this._front is None
    this.run()


class Launcher:
    """One that waits at the door, with its request sent already."""

    def __init__(self, control: socket.socket, home: Path, number: int) -> None:
        self.sock, theirs = socket.socketpair()
        message = home / f"message {number}"
        message.write_bytes(b"From a@b.example  Mon Nov 23 10:00:00 2026\nSubject: %d\n\n" % number)
        entries = [f"HOME={home}", "USER=ann", "RECIPIENT=ann"]
        strings = b"".join(entry.encode() + b"\0" for entry in entries)
        with theirs, message.open("rb") as standard_input:
            header = door.REQUEST.pack(door.MAGIC, 0, len(entries), len(strings))
            socket.send_fds(self.sock, [header + strings], [standard_input.fileno()])
            frames.send(control, frames.pack(frames.DOOR), theirs.fileno())

    def heard(self) -> bytes:
        """The statuses of all answers so far."""
        self.sock.setblocking(False)
        try:
            return self.sock.recv(4096)[4 :: door.ANSWER.size]
        except BlockingIOError:
            return b""


def greeted_in_rounds(home: Path, count: int) -> list[int]:
    """How many of COUNT launchers are greeted in each round."""
    control, theirs = frames.pair()
    identity = worker.Identity("ann", os.getuid(), os.getgid(), str(home), "ann")
    this = worker.Worker(identity, Lmtp(), Site(hostname="host", syslog=""), theirs)
    with control, contextlib.ExitStack() as stack:
        waiting = [Launcher(control, home, number) for number in range(count)]
        for launcher in waiting:
            stack.enter_context(launcher.sock)
        greeted = []
        this._take_packets(0)
        while waiting:
            this._go_round()
            answers = [launcher.heard() for launcher in waiting]
            assert set(answers) <= {bytes((door.READY, 0)), b""}
            waiting = waiting[len(answers) - answers.count(b"") :]
            greeted.append(len(answers) - len(waiting))
    this.run()
    return greeted


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.parent.mkdir(parents=True)
    rules.write_text('mailbox imap = maildir "~/Maildir"\ninbox = imap\n')
    return tmp_path


def test_more_and_more_launchers_at_once(home: Path) -> None:
    assert greeted_in_rounds(home, 20) == [1, 2, 4, 8, 5]


def test_a_launcher_does_not_wait_for_another_ones_program(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not greeted, and can still go the direct way."""
    monkeypatch.setattr(worker, "SLOW_S", 0.0)
    with (home / ".config" / "mdeliver" / "rules").open("a") as rules:
        rules.write('if program "/bin/true" succeeds: keep\n')
    assert greeted_in_rounds(home, 4) == [1, 1, 1, 1]
