"""What the master waits for."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from mdeliver.lmtp.watch import Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    before = signal.getsignal(signal.SIGUSR1)
    made = Watch()
    yield made
    made.close()
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_ends_the_wait_it_came_before(watch: Watch) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    assert watch.turn(3600)
    assert heard == [signal.SIGUSR1]
    assert not watch.turn(0)


def test_signals_that_were_blocked_come() -> None:
    """Whoever started the server may have: no end of a process would be heard, nor SIGTERM."""
    numbers = {signal.SIGCHLD, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        Watch().close()
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & numbers
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_whoever_has_something_to_read_is_called(watch: Watch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        called: list[bytes] = []
        watch.add(ours, lambda: called.append(ours.recv(9)))
        assert not watch.turn(0)
        theirs.send(b"x")
        assert watch.turn(3600)
        theirs.close()
        assert watch.turn(3600)
        assert called == [b"x", b""]
        watch.drop(ours)
        assert not watch.turn(0)


def test_what_another_one_has_dropped_is_not_called(watch: Watch) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def act(number: int) -> None:
        called.append(number)
        other = pairs[1 - number][0]
        watch.drop(other)
        other.close()

    for number, (ours, theirs) in enumerate(pairs):
        watch.add(ours, partial(act, number))
        theirs.send(b"x")
    assert watch.turn(3600)
    assert len(called) == 1
    for end in (end for ends in pairs for end in ends):
        end.close()
