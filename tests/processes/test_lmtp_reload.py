"""SIGHUP: other settings come into force, and nobody's mail is put off for it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.lmtpserver import Client, Server, at_work, locked
from tests.waiting import wait_for

Make = Callable[..., Server]


@pytest.fixture
def server(make: Make) -> Server:
    """A running server with settings as they come."""
    return make().start()


def test_sighup_reads_the_settings_again(server: Server) -> None:
    server.site["hostname"] = "other.example.org"
    server.settings["message_mb"] = 1
    assert server.settings_path.exists()
    with server.client() as client:
        client.envelope("ann@example.org")
        before = server.children()[0]
        server.signal(signal.SIGHUP)
        wait_for(lambda: "read again" in server.log.read_text(), "the settings to be read")
        # A session within a message goes on with the old front.
        assert client.say("DATA").code == 354
        client.send(b"hello\r\n.\r\n")
        assert client.reply().code == 250
        assert client.reply().code == 421
    with Client(server.path, greet=False) as client:
        assert client.reply().text.startswith("other.example.org")
        assert "SIZE 1048576" in client.say("LHLO mx").text.split("\n")
    wait_for(lambda: before not in server.children(), "the old front to end")


def test_sighup_under_load_puts_nobody_off(make: Make) -> None:
    """What the old front has in hand stays with the old worker; the new one gets one of its own."""
    server = make().start()
    with server.client() as one, server.client() as two:
        with ExitStack() as three:
            with locked(server, "ann"):
                one.start_message("ann@example.org", ident="1")
                wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
                two.start_message("ann@example.org", ident="2")
                server.signal(signal.SIGHUP)
                wait_for(lambda: "read again" in server.log.read_text(), "the settings to be read")
                new = three.enter_context(server.client())
                new.start_message("ann@example.org", ident="3")
                with server.client() as other:
                    # The master has heard of the third by the time that it starts one for bob.
                    assert other.deliver("bob@example.org")[0].code == 250
            replies = [client.reply() for client in (one, two, new)]
    assert [reply.code for reply in replies] == [250, 250, 250], replies
    assert server.copies("ann") == (3, 3)


def test_an_old_front_takes_no_worker_of_the_new_one(make: Make) -> None:
    """It asks for one after the reload: the new front's has something to do, and more waiting."""
    server = make().start()
    with server.client() as old, ExitStack() as new:
        old.envelope("ann@example.org", ident="1")
        server.signal(signal.SIGHUP)
        wait_for(lambda: "read again" in server.log.read_text(), "the settings to be read")
        two, three = [new.enter_context(server.client()) for _ in range(2)]
        with locked(server, "ann"):
            two.start_message("ann@example.org", ident="2")
            wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
            three.start_message("ann@example.org", ident="3")
            before = len(server.workers())
            old.message()
            wait_for(lambda: len(server.workers()) > before, "the old front to have a worker")
        replies = [client.reply() for client in (old, two, three)]
    assert [reply.code for reply in replies] == [250, 250, 250], replies
    assert server.copies("ann") == (3, 3)


def test_sighup_with_a_mistake_changes_nothing(server: Server) -> None:
    server.settings["message_mb"] = -1
    assert server.settings_path.exists()
    server.signal(signal.SIGHUP)
    wait_for(lambda: "stay as they were" in server.log.read_text(), "the complaint")
    assert "lmtp.message_mb" in server.log.read_text()
    with server.client() as client:
        assert client.deliver("ann@example.org")[0].code == 250
