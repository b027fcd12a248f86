"""`mdeliver lmtp` as processes: deliveries, signals, and what happens when one of them dies."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.lmtpserver import MDELIVER, MESSAGE, RULES, Client, Reply, Server, at_work, locked
from tests.waiting import wait_for

Make = Callable[..., Server]


@pytest.fixture
def server(make: Make) -> Server:
    """A running server with settings as they come."""
    return make().start()


def test_each_recipient_has_a_reply_and_a_copy(server: Server) -> None:
    with server.client() as client:
        replies = client.deliver("ann@example.org", "Bob+lists@Example.ORG")
        assert [reply.code for reply in replies] == [250, 250]
        assert client.say("QUIT").code == 221
    for name, address in (("ann", "ann@example.org"), ("bob", "Bob+lists@Example.ORG")):
        stored = f"Return-Path: <a@example.net>\nDelivered-To: {address}\n".encode() + MESSAGE
        assert server.in_mbox(name) == server.in_maildir(name) == [stored]


def test_unknown_users_are_refused_at_once(server: Server) -> None:
    with server.client() as client:
        client.say("MAIL FROM:<a@example.net>")
        reply = client.say("RCPT TO:<dora@example.org>")
        assert (reply.code, reply.text[:5]) == (550, "5.1.1")
        assert client.say("DATA").code == 503


def test_a_large_message_to_several(server: Server) -> None:
    large = MESSAGE + b"a line of text that is nothing but long enough\n" * 50_000
    with server.client() as client:
        replies = client.deliver("ann@example.org", "bob@example.org", message=large)
        assert [reply.code for reply in replies] == [250, 250]
    for name in ("ann", "bob"):
        assert [stored.endswith(large) for stored in server.in_maildir(name)] == [True]
        assert server.in_mbox(name) == server.in_maildir(name)


def test_the_same_message_again(server: Server) -> None:
    """With a queue id, or a Received line, it is a retry; else it is another letter."""
    received = b"Received: by mx.example.org id 4ABC\n" + MESSAGE
    with server.client() as client:
        for _ in range(2):
            client.deliver("ann@example.org", ident="4ABC")
            client.deliver("bob@example.org", message=received)
            client.deliver("carl@example.org")
    assert server.copies("ann") == (1, 1)
    assert server.copies("carl") == (2, 2)
    # Two attempts within one second bear the same From_ line; the Received line decides.
    assert server.copies("bob") == (1, 1)


def test_a_slow_user_holds_up_nobody_else(make: Make) -> None:
    server = make(slow_s=1, user_workers=1, worker_idle_s=600).start()
    with server.client() as before:
        # A worker that is yet to be started may be slow, too: then nobody is at work.
        wait_for(lambda: before.deliver("ann@example.org", ident="4ABC")[0].code == 250, "a worker")
    with locked(server, "ann"), server.client() as first, server.client() as second:
        # Accepted before there is anything slow, however long this takes.
        second.envelope("ann@example.org")
        first.start_message("ann@example.org")
        wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
        second.message()
        with server.client() as other:
            wait_for(lambda: other.deliver("bob@example.org")[0].code == 250, "bob's message")
        # What waits behind the slow delivery is sent away, and so is what comes now.
        reply = second.reply()
        assert (reply.code, reply.text[:5]) == (451, "4.3.2")
        second.say("MAIL FROM:<a@example.net>")
        assert second.say("RCPT TO:<ann@example.org>").code == 451
        assert second.say("RCPT TO:<carl@example.org>").code == 250
    assert server.stop() == 0
    assert server.copies("ann") == (2, 2)


def test_one_user_in_several_sessions_has_several_workers(make: Make) -> None:
    server = make(user_workers=2).start()
    with ExitStack() as held, ExitStack() as stack:
        held.enter_context(locked(server, "ann"))
        clients = [stack.enter_context(server.client()) for _ in range(3)]
        for number, client in enumerate(clients):
            client.start_message("ann@example.org", ident=f"4ABC{number}")
        wait_for(lambda: len(server.workers()) == 2, "a second worker")
        held.close()
        assert [client.reply().code for client in clients] == [250, 250, 250]
    assert len(server.workers()) == 2
    assert server.copies("ann") == (3, 3)


def test_a_delivery_has_a_time_limit(make: Make) -> None:
    server = make(delivery_s=1).start()
    with locked(server, "ann"), server.client() as client:
        (reply,) = client.deliver("ann@example.org", ident="4ABC")
        assert (reply.code, reply.text) == (451, "4.3.0 the delivery took longer than 1 s")
    assert server.in_maildir("ann") == []
    with server.client() as client:
        # On a busy machine a second may not be enough the next time either.
        wait_for(
            lambda: client.deliver("ann@example.org", ident="4ABC")[0].code == 250, "a delivery"
        )
    assert server.copies("ann") == (1, 1)


def test_a_delivery_that_needs_too_much_memory(make: Make) -> None:
    server = make(memory_mb=80).start()
    server.write_rules("ann", RULES + 'if body contains "no such word": discard\n')
    large = MESSAGE + b"a line of text that is nothing but long enough\n" * 600_000
    with server.client() as client:
        bad, good = client.deliver("ann@example.org", "bob@example.org", message=large)
        assert (bad.code, bad.text) == (451, "4.3.1 out of memory")
        assert good.code == 250
    assert server.copies("ann") == (0, 0)
    assert server.copies("bob") == (1, 1)


def test_a_worker_that_is_killed(server: Server) -> None:
    with server.client() as client:
        with locked(server, "ann"):
            client.start_message("ann@example.org", ident="4ABC")
            wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
            (worker,) = server.workers()
            os.kill(worker, signal.SIGKILL)
            reply = client.reply()
            assert (reply.code, reply.text[:5]) == (451, "4.3.0")
        assert client.deliver("ann@example.org", ident="4ABC")[0].code == 250
    assert server.copies("ann") == (1, 1)


def test_a_server_that_is_killed(server: Server) -> None:
    with locked(server, "ann"):
        with server.client() as client:
            client.start_message("ann@example.org", ident="4ABC")
            wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
            server.kill()
            assert client.reply().code == 0
    server.start()
    with server.client() as client:
        assert client.deliver("ann@example.org", ident="4ABC")[0].code == 250
    assert server.copies("ann") == (1, 1)


def test_nobody_outlives_a_master_that_is_killed(server: Server) -> None:
    assert server.process is not None
    with server.client() as client:
        with locked(server, "ann"):
            client.start_message("ann@example.org")
            wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
            children = server.children()
            server.process.kill()
        # What was in hand is finished all the same.
        assert client.reply().code == 250
        assert client.reply().code == 421
    for pid in children:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"{pid} to end")  # type: ignore[misc]
    assert server.copies("ann") == (1, 1)


def test_nobody_waits_for_a_worker_that_a_killed_master_was_asked_for(make: Make) -> None:
    server = make().start()
    assert server.process is not None
    with server.client() as client:
        server.signal(signal.SIGSTOP)
        client.start_message("ann@example.org")
        server.process.kill()
        client.sock.settimeout(120)
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (451, "4.3.0")
        assert client.reply().code == 421


def test_a_front_that_is_killed_is_replaced(server: Server) -> None:
    with server.client() as client:
        os.kill(server.children()[0], signal.SIGKILL)
        assert client.reply().code == 0
    with server.client() as client:
        assert client.deliver("ann@example.org")[0].code == 250


def test_sigterm_finishes_what_is_in_hand(server: Server) -> None:
    assert server.process is not None
    with server.client() as client, server.client() as idle:
        with locked(server, "ann"):
            client.start_message("ann@example.org")
            wait_for(lambda: at_work(server, "ann"), "the delivery to be under way")
            server.signal(signal.SIGTERM)
            assert idle.reply().code == 421
        assert client.reply().code == 250
        assert client.reply().code == 421
    assert server.process.wait(120) == 0
    assert server.copies("ann") == (1, 1)


def test_workers_end_when_they_are_idle(make: Make) -> None:
    server = make(worker_idle_s=1).start()
    with server.client() as client:
        assert client.deliver("ann@example.org")[0].code == 250
        (front,) = server.children()[:1]
        wait_for(lambda: server.children() == [front], "the worker to end")
        assert client.deliver("ann@example.org")[0].code == 250


def test_there_are_no_more_workers_than_allowed(make: Make) -> None:
    server = make(workers=1).start()
    with server.client() as client:
        for _ in range(2):
            replies = client.deliver("ann@example.org", "bob@example.org", "carl@example.org")
            assert [reply.code for reply in replies] == [250, 250, 250], replies


@contextmanager
def many_descriptors(count: int) -> Iterator[int]:
    """So many open files for this process, or as many as there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield count
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_idle_connections_do_not_shut_anybody_out(make: Make) -> None:
    server = make(sessions=100).start()
    with many_descriptors(10_200) as count, ExitStack() as held:
        clients = [held.enter_context(Client(server.path, greet=False)) for _ in range(count - 200)]
        with server.client() as client:
            assert client.deliver("ann@example.org")[0].code == 250
        clients[0].reply()
        assert clients[0].reply().code == 421


def test_who_says_nothing_is_sent_away(make: Make) -> None:
    server = make(command_s=1).start()
    with Client(server.path, greet=False) as silent, Client(server.path, greet=False) as other:
        # Where this machine is busy, 421 may come before the client is heard.
        with suppress(BrokenPipeError):
            other.send(b"LHLO client.example.net\r\n")
        for client in (silent, other):
            said = [reply.code for reply in iter(client.reply, Reply(0, ""))]
            assert said[0] == 220
            assert said[-1] == 421


def test_who_drips_is_sent_away(make: Make) -> None:
    server = make(message_s=1).start()
    with server.client() as slow:
        slow.envelope("ann@example.org")
        assert slow.say("DATA").code == 354
        # Where this machine is busy, 421 may come before that.
        with suppress(BrokenPipeError):
            slow.send(b"x")
        assert slow.reply().code == 421
    assert server.in_maildir("ann") == []


def test_room_for_messages_is_bounded(make: Make) -> None:
    server = make(receiving_mb=1).start()
    with server.client() as client:
        (reply,) = client.deliver("ann@example.org", message=MESSAGE + b"x" * 2_000_000 + b"\n")
        assert (reply.code, reply.text[:5]) == (452, "4.3.1")
        assert client.deliver("ann@example.org")[0].code == 250


@pytest.mark.parametrize(("over_quota", "code"), [("defer", 452), ("reject", 552)])
def test_over_quota_at_rcpt(make: Make, over_quota: str, code: int) -> None:
    server = make(over_quota=over_quota).start()
    maildir = server.home("ann") / "Maildir"
    with server.client() as client:
        assert client.deliver("ann@example.org")[0].code == 250
        (maildir / "maildirsize").write_text("1C\n100 1\n")
        client.say("MAIL FROM:<a@example.net> SIZE=100")
        assert client.say("RCPT TO:<ann@example.org>").code == code
        assert client.say("RCPT TO:<bob@example.org>").code == 250


def test_rules_with_an_error_defer_only_their_owner(server: Server) -> None:
    server.write_rules("ann", "if subject is\n")
    with server.client() as client:
        bad, good = client.deliver("ann@example.org", "bob@example.org")
        assert (bad.code, bad.text[:5]) == (451, "4.3.5")
        assert good.code == 250
        # Mended rules hold from the next message on, in the same worker.
        server.write_rules("ann", 'reject "5.7.1 no thank you"\n')
        (reply,) = client.deliver("ann@example.org")
        assert (reply.code, reply.text) == (550, "5.7.1 no thank you")


def test_systemd_hands_over_the_socket_and_hears_of_readiness(make: Make) -> None:
    server = make(listen=["unix:/nonexistent/socket"])
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        listener.bind(str(server.path))
        os.chmod(server.path, 0o666)
        listener.listen()
        notify = server.top / "notify"
        told.bind(str(notify))
        told.settimeout(120)

        script = 'exec 3<&"$1"; LISTEN_PID=$$; export LISTEN_PID; shift; exec "$@"'
        environ = {"LISTEN_FDS": "1", "NOTIFY_SOCKET": str(notify), "PATH": os.environ["PATH"]}
        _start_through_shell(server, script, listener.fileno(), environ)
        assert told.recv(100) == b"READY=1"
        with server.client() as client:
            assert client.deliver("ann@example.org")[0].code == 250
        server.signal(signal.SIGTERM)
        assert told.recv(100) == b"STOPPING=1"
        assert server.process is not None
        assert server.process.wait(120) == 0


def _start_through_shell(server: Server, script: str, fd: int, environ: dict[str, str]) -> None:
    """Start the server by a shell that puts the socket where systemd puts it."""
    command = ["/bin/bash", "-c", script, "sh", str(fd), str(MDELIVER), "lmtp"]
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            [*command, "--settings", str(server.settings_path)],
            stdout=log, stderr=log, env=environ, pass_fds=[fd],
        )  # fmt: skip


def test_another_server_is_not_pushed_aside(server: Server) -> None:
    command = [str(MDELIVER), "lmtp", "--settings", str(server.settings_path)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 1
    assert b"another server listens" in done.stderr
    with server.client() as client:
        assert client.deliver("ann@example.org")[0].code == 250


def test_a_dead_server_does_not_keep_the_sockets(server: Server) -> None:
    server.kill()
    server.start()
    assert server.stop() == 0
