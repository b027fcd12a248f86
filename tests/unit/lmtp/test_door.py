"""The launcher's door: a request is read in time, or not at all."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from mdeliver.lmtp import door


def test_a_request_that_drips_in_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "REQUEST_S", 0.3)
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def drip() -> None:
        # Once nobody reads any more, there may be no room for another octet.
        with suppress(BrokenPipeError):
            while not over.wait(0.01):
                theirs.sendall(b"x")

    message = tmp_path / "message"
    message.write_bytes(b"Subject: x\n\n")
    descriptors = set(os.listdir("/proc/self/fd"))
    with ours, theirs, message.open("rb") as standard_input:
        header = door.REQUEST.pack(door.MAGIC, 1, 0, 100_000)
        socket.send_fds(theirs, [header], [standard_input.fileno()])
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            with pytest.raises(TimeoutError):
                door.read_request(ours)
        finally:
            over.set()
            ours.shutdown(socket.SHUT_RD)
            dripping.join()
    assert set(os.listdir("/proc/self/fd")) <= descriptors


@pytest.mark.parametrize("before", [b"", door.REQUEST.pack(door.MAGIC, 1, 0, 5)])
def test_what_comes_out_of_band_keeps_nobody_waiting(
    before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is something to read, and nothing is read: a worker would wait for ever."""
    monkeypatch.setattr(door, "REQUEST_S", 0.3)
    launcher, connection = socket.socketpair()
    with launcher, connection:
        if before:
            socket.send_fds(launcher, [before], [0])
        with suppress(OSError):  # a kernel that has no such thing
            launcher.send(b"x", socket.MSG_OOB)
        with pytest.raises((OSError, door.Malformed)):
            door.read_request(connection)
