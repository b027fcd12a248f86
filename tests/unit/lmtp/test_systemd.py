from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mdeliver.lmtp import systemd
from mdeliver.lmtp.systemd import inherited_sockets, notify
from mdeliver.outcome import Deferral


@pytest.mark.parametrize("pid", ["", "1", "me too"])
def test_sockets_for_another_process_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    monkeypatch.setenv("LISTEN_PID", pid)
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert inherited_sockets() == []
    # Nor are they for a child of ours.
    assert "LISTEN_FDS" not in os.environ


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (socket.SOCK_DGRAM, "is no listening stream socket"),
        (socket.SOCK_STREAM, "is no listening stream socket"),
        (None, "Socket operation on non-socket"),
    ],
)
def test_what_is_no_listening_socket_is_refused_with_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: socket.SocketKind | None, words: str
) -> None:
    if kind is None:
        fd = os.open(tmp_path, os.O_RDONLY)
    else:
        fd = socket.socket(socket.AF_UNIX, kind).detach()
    monkeypatch.setattr(systemd, "_FIRST", fd)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    with pytest.raises(Deferral, match=f"^LISTEN_FDS: descriptor {fd}:? {words}$"):
        inherited_sockets()
    if kind is None:
        os.close(fd)


@pytest.mark.parametrize("abstract", [False, True])
def test_notify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        name = f"mdeliver-test-{os.getpid()}"
        told.bind(f"\0{name}" if abstract else str(tmp_path / "notify"))
        told.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else str(tmp_path / "notify"))
        notify("READY=1")
        assert told.recv(100) == b"READY=1"


@pytest.mark.parametrize("path", ["", "relative", "/nonexistent/socket"])
def test_nobody_to_tell(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    notify("READY=1")
