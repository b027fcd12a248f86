"""`mdeliver lmtp` on TCP: STARTTLS, and who may say where mail came from."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installation import lacking
from tests.lmtpserver import MDELIVER, MESSAGE, Client, Server
from tests.servers.ports import free_ports
from tests.servers.postfix import make_certificate


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)[0]


@pytest.fixture
def tls_server(make: Callable[..., Server], tmp_path: Path, port: int) -> Server:
    """A server on UNIX and TCP, with a certificate of its own."""
    make_certificate(tmp_path / "tls.pem")
    server = make(tls_certificate=str(tmp_path / "tls.crt"), tls_key=str(tmp_path / "tls.key"))
    # The UNIX socket last: where it answers, the other does.
    server.settings["listen"] = [f"inet:127.0.0.1:{port}", f"unix:{server.path}"]
    return server.start()


def offers(client: Client) -> list[str]:
    return client.say("LHLO client.example.net").text.split("\n")


def test_starttls(tls_server: Server, tmp_path: Path, port: int) -> None:
    trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    with Client(("127.0.0.1", port)) as client:
        assert "STARTTLS" in offers(client)
        assert client.say("STARTTLS").code == 220
        client.sock = trusted.wrap_socket(client.sock, server_hostname="mail.example.org")
        # What was said before TLS counts no more.
        assert client.say("MAIL FROM:<a@example.net>").code == 503
        assert "STARTTLS" not in offers(client)
        large = MESSAGE + b"a line of a message that does not fit into one TLS record\n" * 20_000
        assert client.deliver("ann@example.org", message=large)[0].code == 250
        assert client.deliver("ann@example.org")[0].code == 250
    assert tls_server.copies("ann") == (2, 2)


def test_the_end_of_tls_is_said(tls_server: Server, tmp_path: Path, port: int) -> None:
    """Else a client cannot tell it from a connection that somebody has cut (RFC 8446, 6.1)."""
    trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    trusted.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    with Client(("127.0.0.1", port)) as client:
        assert client.say("STARTTLS").code == 220
        client.sock = trusted.wrap_socket(
            client.sock, server_hostname="mail.example.org", suppress_ragged_eofs=False
        )
        assert client.say("QUIT").code == 221
        assert client.sock.recv(100) == b""


def test_what_follows_starttls_is_not_believed(tls_server: Server, port: int) -> None:
    with Client(("127.0.0.1", port)) as client:
        client.send(b"STARTTLS\r\nMAIL FROM:<eve@example.net>\r\n")
        assert client.reply().code == 421
        assert client.reply().code == 0


def test_a_client_that_breaks_the_handshake(tls_server: Server, port: int) -> None:
    with Client(("127.0.0.1", port)) as client:
        assert client.say("STARTTLS").code == 220
        client.send(b"this is no TLS\r\n" * 100)
        try:
            while client.sock.recv(4096):
                pass
        except ConnectionResetError:
            pass
    with Client(("127.0.0.1", port)) as client:
        assert client.deliver("ann@example.org")[0].code == 250


def test_there_is_no_starttls_on_a_unix_socket(tls_server: Server) -> None:
    with tls_server.client() as client:
        assert "STARTTLS" not in offers(client)
        assert client.say("STARTTLS").code == 502


def test_xforward_is_for_those_who_are_trusted(make: Callable[..., Server], port: int) -> None:
    server = make(trusted=["192.0.2.0/24"])
    # The UNIX socket last: where it answers, the other does.
    server.settings["listen"] = [f"inet:127.0.0.1:{port}", f"unix:{server.path}"]
    server.start()
    with Client(("127.0.0.1", port)) as client:
        assert not [words for words in offers(client) if words.startswith("XFORWARD")]
        assert client.say("XFORWARD NAME=x").code == 550
        assert client.deliver("ann@example.org")[0].code == 250
    with server.client() as client:
        assert [words for words in offers(client) if words.startswith("XFORWARD")]


def run(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(MDELIVER), "lmtp", "--settings", str(server.settings_path), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_check(make: Callable[..., Server]) -> None:
    server = make()
    done = run(server, "--check")
    assert (done.returncode, done.stdout) == (0, f"{server.settings_path}: fine\n")
    assert not server.path.exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("virtual_user", "nobody-of-that-name", "lmtp.virtual_user: there is no user"),
        ("tls_certificate", "/nonexistent", "lmtp.tls_certificate"),
        ("listen", ["inet:192.0.2.1:24"], "cannot listen at 192.0.2.1:24"),
        ("listen", [f"unix:/tmp/{'x' * 120}"], "path too long"),
        ("colour", "red", "lmtp.colour"),
    ],
)
def test_it_does_not_start(
    make: Callable[..., Server], key: str, value: object, words: str
) -> None:
    server = make(tls_key="/nonexistent") if key == "tls_certificate" else make()
    server.settings[key] = value
    done = run(server)
    if key == "virtual_user" and "there is no user" not in done.stderr:
        lacking("only root looks for other users")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_option_that_is_no_address(make: Callable[..., Server]) -> None:
    done = run(make(), "--listen", "somewhere")
    assert done.returncode == 2
    assert "unix:/path" in done.stderr


def test_a_port_that_is_taken(make: Callable[..., Server], port: int) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        done = run(make(), "--listen", f"inet:127.0.0.1:{port}", "--launcher", "")
    assert done.returncode == 1
    assert f"cannot listen at 127.0.0.1:{port}" in done.stderr
