"""A process that somebody has stopped: whoever has its uid may."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.lmtpserver import Server
from tests.waiting import wait_for

Make = Callable[..., Server]


def stopped_worker(server: Server) -> int:
    """The pid of ann's worker, which is stopped."""
    with server.client() as client:
        assert client.deliver("ann@example.org")[0].code == 250
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    return worker


def test_it_does_not_keep_the_server_from_its_end(make: Make) -> None:
    server = make().start()
    stopped_worker(server)
    assert server.stop() == 0


def test_a_front_does_not_keep_the_server_from_its_end(make: Make) -> None:
    server = make().start()
    with server.client():
        os.kill(server.children()[0], signal.SIGSTOP)
    assert server.stop() == 0


def test_it_does_not_outlive_a_reload(make: Make) -> None:
    server = make().start()
    worker = stopped_worker(server)
    server.signal(signal.SIGHUP)
    wait_for(lambda: worker not in server.children(), "the worker to end")
    with server.client() as client:
        assert client.deliver("ann@example.org")[0].code == 250
    assert server.stop() == 0
