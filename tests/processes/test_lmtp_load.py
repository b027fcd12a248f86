"""`mdeliver lmtp` with several messages in hand for one user: kills, hangs, a link in the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lmtpserver import Client, Server, at_work, locked
from tests.waiting import wait_for

Make = Callable[..., Server]

SESSIONS = 6


def letter(number: int) -> bytes:
    """A message like no other."""
    return b"Subject: n%d\nReceived: by mx.example.org\n\nhello\n" % number


def subjects(messages: list[bytes]) -> list[str]:
    return sorted(m.split(b"Subject: ")[1].split(b"\n")[0].decode() for m in messages)


def filed(server: Server, name: str) -> int:
    """Messages in NAME's Maildir."""
    new = server.home(name) / "Maildir" / "new"
    return len(os.listdir(new)) if new.is_dir() else 0


def bring(client: Client, number: int) -> int:
    """Bring message NUMBER to ann, and wait for the reply."""
    (reply,) = client.deliver("ann@example.org", ident=f"4N{number}", message=letter(number))
    return reply.code


@pytest.mark.parametrize("filed_before", [0, 1, 3, SESSIONS - 1])
def test_a_worker_killed_with_several_messages_in_hand(make: Make, filed_before: int) -> None:
    server = make().start()
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(SESSIONS)]
        with locked(server, "ann"):
            for number, client in enumerate(clients):
                client.start_message("ann@example.org", ident=f"4N{number}", message=letter(number))
            wait_for(lambda: at_work(server, "ann"), "a delivery to be under way")
            (worker,) = server.workers()
        wait_for(lambda: filed(server, "ann") >= filed_before, "some to be filed")
        os.kill(worker, signal.SIGKILL)
        codes = [client.reply().code for client in clients]
        assert set(codes) <= {250, 451}
        for number, (client, code) in enumerate(zip(clients, codes, strict=True)):
            if code == 451:
                wait_for(lambda c=client, n=number: bring(c, n) == 250, "the retry")  # type: ignore[misc]
    expected = sorted(f"n{number}" for number in range(SESSIONS))
    assert subjects(server.in_mbox("ann")) == expected
    assert subjects(server.in_maildir("ann")) == expected
    assert not list((server.home("ann") / "Maildir" / "tmp").iterdir())


def test_a_worker_that_hangs_is_ended(make: Make) -> None:
    """It takes its time limit and some grace; nobody else's mail waits for that."""
    server = make(delivery_s=1, slow_s=1).start()

    def brought(number: int) -> None:
        # On a busy machine a delivery may take longer than a second.
        wait_for(lambda: bring(client, number) == 250, f"message {number}")

    with server.client() as client, server.client() as other:
        brought(1)
        # One that was too slow to begin is not waited for, and ends.
        wait_for(lambda: len(server.workers()) == 1, "a worker alone")
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        client.start_message("ann@example.org", ident="4N2", message=letter(2))
        wait_for(lambda: other.deliver("bob@example.org")[0].code == 250, "bob's message")
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (451, "4.3.0")
        wait_for(lambda: not Path(f"/proc/{worker}").exists(), "the worker to be gone")
        brought(2)
    assert subjects(server.in_mbox("ann")) == ["n1", "n2"]


def test_a_link_put_in_the_way_in_mid_delivery_is_not_followed(make: Make) -> None:
    """The mbox becomes a link to somebody else's while the delivery waits for its lock."""
    server = make().start()
    mbox, victim = server.home("ann") / "mbox", server.home("bob") / "mbox"
    with server.client() as client:
        assert client.deliver("bob@example.org")[0].code == 250
        before = victim.read_bytes()
        with locked(server, "ann"):
            client.start_message("ann@example.org", ident="4N1", message=letter(1))
            wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
            mbox.rename(mbox.with_name("aside"))
            mbox.symlink_to(victim)
        reply = client.reply()
        assert reply.code == 451
        assert "is not a regular file" in reply.text
        assert victim.read_bytes() == before
        assert server.in_maildir("ann") == []
        mbox.unlink()
        assert bring(client, 1) == 250
    assert subjects(server.in_mbox("ann")) == subjects(server.in_maildir("ann")) == ["n1"]
