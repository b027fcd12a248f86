"""Woken by what happens to files, also where the kernel lost count, or cannot tell."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from inotify_simple import Event, flags

from mdeliver.popsync import watch as module
from mdeliver.popsync.watch import Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch(poll_s=0)
    yield made
    made.close()


def test_only_the_files_that_were_asked_for(watch: Watch, tmp_path: Path) -> None:
    ann, bob = tmp_path / "ann", tmp_path / "bob"
    watch.follow([str(ann), str(bob)])
    assert watch.timeout_s() is None
    assert watch.read() == set()
    ann.write_bytes(b"x")
    (tmp_path / "ann.lock").write_bytes(b"x")
    assert watch.read() == {str(ann)}
    assert watch.read() == set()


def test_a_file_that_is_replaced(watch: Watch, tmp_path: Path) -> None:
    ann, fresh = tmp_path / "ann", tmp_path / "fresh"
    watch.follow([str(ann)])
    fresh.write_bytes(b"x")
    watch.read()
    fresh.rename(ann)
    assert watch.read() == {str(ann)}
    ann.rename(fresh)
    assert watch.read() == {str(ann)}


def test_an_overflow_is_a_change_of_all(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {str(tmp_path / name) for name in ("ann", "bob")}
    watch.follow(sorted(paths))
    lost = [Event(-1, int(flags.Q_OVERFLOW), 0, "")]
    monkeypatch.setattr(watch._inotify, "read", lambda **_: lost)
    assert watch.read() == paths


def test_a_directory_that_is_renamed_and_comes_back(watch: Watch, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    ann = spool / "ann"
    ann.write_bytes(b"x")
    watch.follow([str(ann)])
    spool.rename(tmp_path / "away")
    assert watch.read() == {str(ann)}
    assert watch.timeout_s() == 0
    spool.mkdir()
    assert watch.read() == {str(ann)}
    assert watch.timeout_s() is None
    ann.write_bytes(b"new")
    assert watch.read() == {str(ann)}


def test_a_directory_that_is_not_there_yet(watch: Watch, tmp_path: Path) -> None:
    ann = tmp_path / "later" / "ann"
    watch.follow([str(ann)])
    assert watch.read() == set()
    ann.parent.mkdir()
    assert watch.read() == {str(ann)}
    assert watch.timeout_s() is None


def test_what_the_kernel_cannot_tell_of_is_polled(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_is_remote", lambda *_: True)
    ann = tmp_path / "ann"
    ann.write_bytes(b"x")
    watch.follow([str(ann)])
    assert watch.timeout_s() is not None
    assert watch.read() == set()
    ann.write_bytes(b"more")
    assert watch.read() == {str(ann)}
    assert watch.read() == set()


def test_nfs_is_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / {tmp_path} rw shared:1 - nfs4 h:/m rw\n"
    monkeypatch.setattr("mdeliver.durable.read_file", lambda _path, _limit: mounts.encode())
    kinds = module._mounted()
    assert module._is_remote(str(tmp_path), kinds)
    assert not module._is_remote("/usr", kinds)


def test_whatever_happens_in_a_directory(watch: Watch, tmp_path: Path) -> None:
    directory = tmp_path / "cur"
    directory.mkdir()
    watch.follow([f"{directory}/"])
    (directory / "1.host:2,").write_bytes(b"x")
    assert watch.read() == {f"{directory}/"}
    (directory / "1.host:2,").unlink()
    assert watch.read() == {f"{directory}/"}


def test_without_room_for_another_watch_it_is_polled(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "max_user_watches")

    with monkeypatch.context() as patch:
        patch.setattr(watch._inotify, "add_watch", full)
        watch.follow([str(tmp_path / "ann")])
        assert watch.timeout_s() == 0
        (tmp_path / "ann").write_bytes(b"x")
        assert watch.read() == {str(tmp_path / "ann")}
    assert watch.read() == {str(tmp_path / "ann")}
    assert watch.timeout_s() is None
