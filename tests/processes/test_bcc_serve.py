"""`mdeliver bcc-maps --serve` as a process: Postfix asks it, and so do others."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdeliver.sent.socketmap import netstring
from tests.installation import open_directory
from tests.unit.conftest import etc
from tests.waiting import wait_for

__all__ = ["etc"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the socket is made over to Postfix")


class Served:
    """The server under test and its files."""

    def __init__(self, etc: Path, top: Path) -> None:
        self.etc = etc
        self.top = top
        self.path = top / "socket"
        self.log = top / "log"
        self.list = top / "list"
        self.list.write_text("ann@example.org\n#bob@example.org\n\n#odd@example.org\n")
        self.settings = top / "mdeliver.toml"
        self.settings.write_text(
            f'[bcc_maps]\nsources = ["list:{self.list}"]\nkey = "{top}/keys"\n'
            f'tags = "{top}/tags"\npostfix = "{etc}"\nserve = "unix:{self.path}"\n'
        )
        self.command = [sys.executable, "-m", "mdeliver", "bcc-maps", "--serve"]
        self.command += ["--settings", str(self.settings)]

    def ask(self, key: str, name: str = "sender_bcc") -> str:
        """What Postfix's own client gets."""
        asked = ["/usr/sbin/postmap", "-q", key, f"socketmap:unix:{self.path}:{name}"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
        assert not done.stderr, done.stderr
        return done.stdout.strip()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(120)
        client.connect(str(self.path))
        return client


@pytest.fixture
def top() -> Iterator[Path]:
    """A directory that strangers can get at."""
    made = open_directory("serve")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def served(etc: Path, top: Path) -> Iterator[Served]:
    made = Served(etc, top)
    with made.log.open("wb") as log, subprocess.Popen(made.command, stderr=log) as process:
        try:
            wait_for(lambda: "answering" in made.log.read_text(), "the server")
            yield made
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0, made.log.read_text()
    assert not made.path.exists()


def exchange(client: socket.socket, request: bytes) -> bytes:
    client.sendall(netstring(request))
    reply = b""
    while not reply.endswith(b","):
        octets = client.recv(1000)
        if not octets:
            break
        reply += octets
    return reply


def test_postfix_gets_answers_and_a_new_user_needs_nothing(served: Served) -> None:
    ann = served.ask("Ann@Example.org")
    assert ann.startswith("ann+sent-")
    assert served.ask("ann@example.org", "sender_bcc-local") == "ann@example.org"
    assert served.ask("ann@example.org", "sender_bcc-login") == "ann,ann@example.org"
    assert served.ask("new@example.org") == ""
    served.list.write_text("ann@example.org\nnew@example.org\n")
    wait_for(lambda: served.ask("new@example.org").startswith("new+sent-"), "the new user")
    # Deliveries know the new tag, and nobody else can read a secret.
    assert (served.top / "tags").read_text().count("\n") == 2
    assert (served.top / "tags").stat().st_mode & 0o777 == 0o644
    assert served.path.stat().st_mode & 0o777 == 0o660


def test_bad_requests_and_clients_that_go_away_harm_nobody(served: Served) -> None:
    with served.connect() as patient:
        for nonsense in (b"GET / HTTP/1.0\r\n\r\n", b"99999999:", b"5:abc", b"", b"\xff" * 5000):
            with served.connect() as client:
                client.sendall(nonsense)
        with served.connect() as client:
            client.sendall(b"x")
            assert client.recv(10) == b""
        assert b"PERM " in exchange(patient, b"nonsense")
        assert b"OK ann+sent-" in exchange(patient, b"sender_bcc ann@example.org")


def test_a_source_that_cannot_be_read_leaves_the_answers_as_they_are(served: Served) -> None:
    before = served.ask("ann@example.org")
    served.list.write_text("nonsense\n")
    wait_for(
        lambda: (
            served.ask("ann@example.org") == before
            and "the answers stay as they were" in served.log.read_text()
        ),
        "the report",
    )
    served.list.write_text("ann@example.org\n")
    wait_for(
        lambda: (
            served.ask("ann@example.org") == before
            and "can be read again" in served.log.read_text()
        ),
        "the other report",
    )


def flood(client: socket.socket, request: bytes) -> None:
    """Send and never receive, until that is no longer possible."""
    try:
        while True:
            client.sendall(request)
    except OSError:
        return


def test_a_client_that_takes_nothing_is_dropped_and_the_others_are_served(served: Served) -> None:
    with served.connect() as greedy, served.connect() as other:
        request = netstring(b"sender_bcc ann@example.org") * 100
        greedy.settimeout(0.2)
        flood(greedy, request)
        assert b"OK" in exchange(other, b"sender_bcc ann@example.org")


def test_sockets_of_systemd(etc: Path, tmp_path: Path) -> None:
    made = Served(etc, tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(made.path))
        listener.listen()
        script = f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        command = ["bash", "-c", script, "bash", *made.command]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as process:
            try:
                # It waits in the socket's own queue until the server is there.
                assert made.ask("ann@example.org").startswith("ann+sent-")
            finally:
                process.terminate()
                assert process.wait(120) == 0
    assert made.path.exists()


def test_strangers_on_this_host_are_not_answered(served: Served) -> None:
    served.path.chmod(0o666)
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'26:sender_bcc ann@example.org,'); print(s.recv(100))"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", code, str(served.path)],
        user="nobody", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert b"ann+sent" not in done.stdout.encode()
    assert done.stdout.strip() == "b''" or "reset" in done.stderr or "Broken" in done.stderr, done
