"""The rehearsal: it delivers, and leaves nothing behind."""

from __future__ import annotations

import errno
import gc
import os
import socket
from pathlib import Path

import pytest

from mdeliver import dotlock
from mdeliver.lmtp import frames, rehearsal
from mdeliver.lmtp.rehearsal import rehearse
from mdeliver.lmtp.worker import Worker


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What its messages are answered."""
    found: list[str] = []
    told = Worker.answer

    def note(worker: Worker, front: socket.socket | None, number: int, reply: str) -> None:
        found.append(reply)
        told(worker, front, number, reply)

    monkeypatch.setattr(Worker, "answer", note)
    return found


def test_it_delivers_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replies: list[str]
) -> None:
    monkeypatch.setattr(rehearsal, "_IN_MEMORY", str(tmp_path))
    gc.collect()  # what an earlier test left open is closed now, not in between
    before = set(os.listdir("/proc/self/fd"))
    rehearse()
    assert set(replies) == {"250 2.0.0 delivered to 2 places"}
    assert len(replies) > 8
    assert set(os.listdir("/proc/self/fd")) == before
    assert not dotlock._KEPT
    assert list(tmp_path.iterdir()) == []


def test_rules_of_the_one_who_starts_the_server_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replies: list[str]
) -> None:
    theirs = tmp_path / "mdeliver" / "rules"
    theirs.parent.mkdir()
    theirs.write_text("reject")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(rehearsal, "_IN_MEMORY", str(tmp_path))
    rehearse()
    assert set(replies) == {"250 2.0.0 delivered to 2 places"}


def test_where_there_is_no_room_in_memory_it_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replies: list[str]
) -> None:
    monkeypatch.setattr(rehearsal, "_IN_MEMORY", str(tmp_path / "nowhere"))
    rehearse()
    assert replies == []


def test_one_that_breaks_off_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replies: list[str]
) -> None:
    send = frames.send

    def fail(channel: socket.socket, packet: bytes, fd: int = -1) -> bool:
        if replies and packet[:1] == frames.JOB[:1]:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return send(channel, packet, fd)

    monkeypatch.setattr(rehearsal, "_IN_MEMORY", str(tmp_path))
    monkeypatch.setattr(frames, "send", fail)
    gc.collect()  # as above
    before = set(os.listdir("/proc/self/fd"))
    rehearse()
    assert replies == ["250 2.0.0 delivered to 2 places"]
    assert set(os.listdir("/proc/self/fd")) == before
    assert not dotlock._KEPT
    assert list(tmp_path.iterdir()) == []
