"""Lock files that a worker makes of one file; deliver/test_stores.py has what holds of all."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mdeliver import system
from mdeliver.dotlock import keep_file_in, stop_keeping, try_dotlock


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """The file of which this process makes its lock files, as a worker does."""
    state = tmp_path / "state"
    state.mkdir()
    keep_file_in(str(state))
    yield state / "dotlock"
    stop_keeping()


def test_a_worker_makes_its_lock_files_of_one_file(tmp_path: Path, kept: Path) -> None:
    for mailbox in ("one", "two", "one"):
        held = try_dotlock(str(tmp_path / mailbox), "host")
        assert held is not None
        lock = tmp_path / f"{mailbox}.lock"
        assert lock.samefile(kept)
        assert lock.read_text() == f"{os.getpid():010d}:host"
        assert try_dotlock(str(tmp_path / mailbox), "host") is None
        held.release()
        assert names(tmp_path) == ["state"]


def test_two_lock_files_at_once_are_two_files(tmp_path: Path, kept: Path) -> None:
    """One flock for both would say that the second is stale when the first is given back."""
    one = try_dotlock(str(tmp_path / "one"), "host")
    two = try_dotlock(str(tmp_path / "two"), "host")
    assert one is not None
    assert two is not None
    assert not (tmp_path / "two.lock").samefile(kept)
    one.release()
    assert try_dotlock(str(tmp_path / "two"), "host") is None
    two.release()
    assert names(tmp_path) == ["state"]


def test_of_two_processes_one_has_the_kept_file(tmp_path: Path, kept: Path) -> None:
    kept.touch(0o600)
    with kept.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        held = try_dotlock(str(tmp_path / "mbox"), "host")
    assert held is not None
    assert not (tmp_path / "mbox.lock").samefile(kept)
    held.release()


def test_what_a_killed_worker_left_is_judged_before_its_file_is_used(
    tmp_path: Path, kept: Path
) -> None:
    kept.write_text("0000012345:host")
    (tmp_path / "one.lock").hardlink_to(kept)
    other = try_dotlock(str(tmp_path / "other"), "host")
    assert other is not None
    assert not (tmp_path / "other.lock").samefile(kept)
    one = try_dotlock(str(tmp_path / "one"), "host")
    assert one is not None
    one.release()
    other.release()
    assert names(tmp_path) == ["state"]


def test_a_kept_file_that_is_gone_is_made_again(tmp_path: Path, kept: Path) -> None:
    for _ in range(3):
        held = try_dotlock(str(tmp_path / "mbox"), "a-long-name" if kept.exists() else "host")
        assert held is not None
        held.release()
        if kept.exists():
            kept.unlink()
    held = try_dotlock(str(tmp_path / "mbox"), "host")
    assert held is not None
    assert (tmp_path / "mbox.lock").read_text() == f"{os.getpid():010d}:host"
    held.release()


def test_a_mailbox_on_another_file_system_has_lock_files_of_its_own(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = system.link

    def refuse(source: str, target: str, **how: Any) -> None:
        if os.stat(source).st_nlink:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target, **how)

    monkeypatch.setattr(system, "link", refuse)
    for _ in range(2):
        held = try_dotlock(str(tmp_path / "mbox"), "host")
        assert held is not None
        assert not (tmp_path / "mbox.lock").samefile(kept)
        held.release()
    assert names(tmp_path) == ["state"]


def test_a_lock_of_a_kept_file_that_another_one_replaced_stays(tmp_path: Path, kept: Path) -> None:
    held = try_dotlock(str(tmp_path / "mbox"), "host")
    assert held is not None
    (tmp_path / "mbox.lock").unlink()
    (tmp_path / "mbox.lock").write_text("0")
    held.release()
    assert (tmp_path / "mbox.lock").read_text() == "0"
    (tmp_path / "mbox.lock").unlink()
    again = try_dotlock(str(tmp_path / "mbox"), "host")
    assert again is not None
    assert (tmp_path / "mbox.lock").samefile(kept)
    again.release()


def test_the_kept_file_is_not_made_with_a_group_that_is_lent(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where users may not even look into the spool directory, the first try has the mail group."""
    own = os.getgid()
    with monkeypatch.context() as borrowed:
        borrowed.setattr(system, "getresgid", lambda: (own, own + 1, own + 1))
        held = try_dotlock(str(tmp_path / "mbox"), "host")
        assert held is not None
        held.release()
        assert not kept.exists()
    held = try_dotlock(str(tmp_path / "mbox"), "host")
    assert held is not None
    assert kept.exists()
    held.release()
