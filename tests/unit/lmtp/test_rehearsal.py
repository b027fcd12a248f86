"""The rehearsal: it delivers, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from mdeliver import dotlock
from mdeliver.lmtp import rehearsal
from mdeliver.lmtp.rehearsal import rehearse
from mdeliver.lmtp.worker import Worker


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What its messages are answered."""
    found: list[str] = []
    told = Worker.answer

    def note(worker: Worker, front: object, number: int, reply: str) -> None:
        found.append(reply)
        told(worker, front, number, reply)  # type: ignore[arg-type]

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
