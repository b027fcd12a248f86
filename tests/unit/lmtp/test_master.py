"""The master where the kernel has nothing left to give."""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import socket
from collections.abc import Iterator

import pytest

from mdeliver.lmtp import frames, identity
from mdeliver.lmtp.identity import NotServed
from mdeliver.lmtp.master import Master, _Child
from mdeliver.lmtp.settings import Lmtp
from mdeliver.lmtp.worker import Identity
from mdeliver.settings import Site

IDENTITY = Identity("ann", 1000, 1000, "/home/ann", "ann")
ANN = ("ann", 0, 0)
KNOCK = frames.pack(frames.DOOR)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def child_at(pid: int, channel: socket.socket) -> _Child:
    child = _Child(channel, IDENTITY)
    child.pid = pid
    return child


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def master(reports: list[str]) -> Iterator[Master]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    made = Master(lambda: (Lmtp(), Site()), reports.append)
    yield made
    made._watch.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_no_process_for_a_front_is_no_end(
    master: Master, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is tried a little later, and nothing is left open by this one."""

    def fail() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fail)
    gc.collect()  # what an earlier test left open is closed now, not in between
    before = sorted(os.listdir("/proc/self/fd"))
    master._after_signals()
    assert reports == [
        "the front has ended unexpectedly; another one is started",
        "no front can be started: Resource temporarily unavailable",
    ]
    monkeypatch.setattr("mdeliver.lmtp.master._FRONT_AGAIN_S", 3600.0)
    master._after_signals()
    assert len(reports) == 2
    monkeypatch.setattr("mdeliver.lmtp.master._FRONT_AGAIN_S", -1.0)
    master._after_signals()
    assert len(reports) == 4
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_there_are_descriptors_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, int]] = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, both: limits.append(both))
    identity.make_room(Lmtp(workers=500))
    assert limits == [(1024, 4096)]
    identity.make_room(Lmtp(workers=2000))
    assert limits[-1] == (2100, 4096)
    identity.make_room(Lmtp(workers=9000))
    assert limits[-1] == (4096, 4096)


def test_what_sighup_cannot_change_is_said(
    master: Master, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Lmtp(listen=("inet:127.0.0.1:24",), socket_mode="0660", command_s=10)
    monkeypatch.setattr(master, "_load", lambda: (settings, Site()))
    monkeypatch.setattr(master, "_start_front", lambda: None)
    master._reload()
    assert reports == [
        "the settings have been read again",
        "lmtp.listen comes into force when the server is restarted",
        "lmtp.socket_mode comes into force when the server is restarted",
    ]


def test_a_front_has_only_its_own_workers_killed(
    master: Master, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reload the old front's worker for ann is let go; the new front has another."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _signal: killed.append(pid))
    ends = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    old, new, let_go, working = [child_at(n, end) for n, end in enumerate(ends, 1)]
    master._pids = {3: let_go, 4: working}
    master._workers = {("ann", 0, 1): working}
    old.given, new.given = {("ann", 0): let_go}, {("ann", 0): working}
    master._kill(old, "ann", 0)
    master._kill(old, "bob", 0)
    assert killed == [3]
    del master._pids[3]
    master._kill(old, "ann", 0)
    assert killed == [3]
    assert len(reports) == 1
    for end in ends:
        end.close()


def test_a_reload_with_fewer_lanes_leaves_the_old_front_its_own(master: Master) -> None:
    """It asks as it was told it may; it is not cut off, with all mail that it has in hand."""
    ours, theirs = frames.pair()
    old = child_at(1, ours)
    old.lanes = 2
    master._old_fronts = [old]
    master._watch.add(ours, lambda: None)
    assert master._settings.user_workers == 1
    with ours, theirs:
        theirs.send(frames.pack(frames.KILL, b"ann", b"1"))
        master._from_child(old)
        assert ours.fileno() >= 0
        theirs.send(frames.pack(frames.KILL, b"ann", b"2"))
        master._from_child(old)
        assert ours.fileno() < 0


def test_a_worker_that_takes_nothing_more_gets_no_second_one(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who stops his worker, and knocks until its channel is full, has one all the same."""
    ours, theirs = frames.pair()
    full = child_at(1, ours)
    master._workers = {ANN: full}
    monkeypatch.setattr(master, "_start_worker", lambda _identity: pytest.fail("a second one"))
    with ours, theirs:
        while frames.send(ours, KNOCK):
            pass
        with pytest.raises(NotServed):
            master._give(ANN, IDENTITY, KNOCK, -1)
    assert master._workers == {ANN: full}


def test_a_worker_that_could_not_be_asked_now_stays_the_one(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many descriptors are under way (unix(7)): that says nothing of the worker."""

    def send(*_arguments: object) -> bool:
        raise OSError(errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))

    ours, theirs = frames.pair()
    with ours, theirs:
        there = master._workers[ANN] = child_at(1, ours)
        monkeypatch.setattr(frames, "send", send)
        with pytest.raises(OSError, match="Too many references"):
            master._give(ANN, IDENTITY, KNOCK, -1)
        assert master._workers == {ANN: there}


def test_a_front_hears_at_once_that_its_worker_could_not_be_passed_on(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for lmtp.slow_s, and all mail of that user with it."""
    send, (ours, theirs) = frames.send, frames.pair()
    front = child_at(1, ours)

    def refuse(channel: socket.socket, packet: bytes, fd: int = -1) -> bool:
        if channel is ours and fd >= 0:
            raise OSError(errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))
        return send(channel, packet, fd)

    monkeypatch.setattr(frames, "send", refuse)
    monkeypatch.setattr(master, "_give", lambda *_: child_at(2, ours))
    monkeypatch.setattr(f"{Master.__module__}.identity_of_account", lambda *_: IDENTITY)
    with ours, theirs:
        master._answer(front, "ann", 0)
        received = frames.receive(theirs)
    assert received is not None
    kind, (name, lane, why) = frames.unpack(received[0])
    assert (kind, name, lane) == (frames.WORKER, b"ann", b"0")
    assert b"passed on" in why


def test_a_worker_that_has_ended_gets_a_successor(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = frames.pair(), frames.pair()
    gone, successor = child_at(1, before[0]), child_at(2, after[0])
    master._workers = {ANN: gone}
    monkeypatch.setattr(master, "_start_worker", lambda _identity: successor)
    before[1].close()
    with before[0], after[0], after[1]:
        assert master._give(ANN, IDENTITY, KNOCK, -1) is successor
        assert frames.receive(after[1]) == (KNOCK, -1)
    assert master._workers == {ANN: successor}


@pytest.mark.parametrize(
    "changed",
    [{"uid": 2000}, {"gid": 2000}, {"home": "/srv/ann"}, {"groups_since_ns": 1}],
    ids=lambda one: next(iter(one)),
)
def test_an_account_that_has_changed_gets_another_worker(
    changed: dict[str, object], master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login's mail does not go to who had it before, nor with what she was allowed then."""
    before, after = frames.pair(), frames.pair()
    former, successor = child_at(1, before[0]), child_at(2, after[0])
    now = IDENTITY.replace(**changed)
    master._workers = {ANN: former}
    started: list[Identity] = []

    def start(identity: Identity) -> _Child:
        started.append(identity)
        return successor

    monkeypatch.setattr(master, "_start_worker", start)
    with before[0], before[1], after[0], after[1]:
        assert master._give(ANN, IDENTITY, KNOCK, -1) is former
        assert frames.receive(before[1]) == (KNOCK, -1)
        assert master._give(ANN, now, KNOCK, -1) is successor
        assert started == [now]
        assert frames.receive(after[1]) == (KNOCK, -1)
        # The former finishes what it has, and ends.
        assert frames.receive(before[1]) == (frames.pack(frames.RETIRE), -1)
        assert frames.receive(before[1]) == (b"", -1)
    assert master._workers == {ANN: successor}
