"""The front: what it waits for, and where the kernel has nothing left to give."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import closing

from mdeliver import limits
from mdeliver.lmtp import frames
from mdeliver.lmtp.accounts import Account
from mdeliver.lmtp.events import Offers, State
from mdeliver.lmtp.front import Front
from mdeliver.lmtp.sessions import Session
from mdeliver.lmtp.settings import Lmtp
from mdeliver.settings import Site


def test_no_descriptor_for_a_worker_is_no_end() -> None:
    """Who waits for that worker is put off in a while; all others are served."""
    ours, theirs = frames.pair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ours, theirs:
        front = Front(Lmtp(), Site(), [], theirs, lambda _words: None)
        frames.send(ours, frames.pack(frames.WORKER, b"ann", b"0", b""), ours.fileno())
        next_fd = os.dup(0)
        os.close(next_fd)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_fd, hard))
            front._master_ready(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        after = [front._finishing]
        frames.send(ours, frames.pack(frames.FINISH))
        front._master_ready(0)
        after.append(front._finishing)
        front._epoll.close()
    assert after == [False, True]


class Everybody:
    """Accounts: whoever is asked for is ann."""

    def find(self, _address: str, _now_s: float) -> Account:
        return Account("ann", "", "")


def test_who_speaks_before_the_answer_is_heard_after_it() -> None:
    """It has no processor to itself meanwhile, and nothing of it is lost."""
    ours, theirs = frames.pair()
    client, served = socket.socketpair()
    front = Front(Lmtp(), Site(), [], theirs, lambda _words: None)
    with ours, theirs, client, closing(front._epoll):
        front.accounts = Everybody()
        served.setblocking(False)
        session = Session(front, served, Offers("host"))
        session.go_on()
        client.send(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann>\r\nDATA\r\n\r\n.\r\n")
        front._turn(0)
        assert session.engine.state is State.SETTLING
        client.send(b"NOOP\r\n")
        front._turn(0)
        assert front._epoll.poll(0) == []
        client.recv(1000)
        session._settle(0, "250 2.0.0 delivered")
        front._turn(0)
        assert client.recv(1000) == b"250 2.0.0 delivered\r\n250 2.0.0 ok\r\n"
        client.close()
        front._turn(0)
        assert front._sessions == {}


def test_who_hangs_up_before_the_answer_is_forgotten_at_once() -> None:
    ours, theirs = frames.pair()
    client, served = socket.socketpair()
    front = Front(Lmtp(), Site(), [], theirs, lambda _words: None)
    with ours, theirs, client, closing(front._epoll):
        front.accounts = Everybody()
        served.setblocking(False)
        Session(front, served, Offers("host")).go_on()
        client.send(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann>\r\nDATA\r\n\r\n.\r\n")
        front._turn(0)
        client.close()
        front._turn(0)
        assert front._sessions == {}


def test_whose_lines_are_too_long_too_often_is_sent_away() -> None:
    """Not kept for ever, in a place that another one would need."""
    ours, theirs = frames.pair()
    client, served = socket.socketpair()
    front = Front(Lmtp(), Site(), [], theirs, lambda _words: None)
    with ours, theirs, client, served, closing(front._epoll):
        served.setblocking(False)
        Session(front, served, Offers("host")).go_on()
        line = b"x" * (limits.LMTP_COMMAND_BYTES + 1) + b"\r\n"
        for _ in range(limits.LMTP_ERRORS + 1):
            client.send(line)
            front._turn(0)
        assert front._sessions == {}
        assert client.recv(10_000).endswith(b"\r\n421 4.7.0 too many errors\r\n")
