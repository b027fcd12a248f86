"""What filters made of a message is on disk until its delivery is done."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mdeliver import durable, limits
from mdeliver.deliver.kept import Kept
from mdeliver.letter import letter_of

FIRST, SECOND = letter_of(b"X: 1\n\nfirst\n"), letter_of(b"From a b\nX: 2\n\nsecond\n")
BOTH = (FIRST, SECOND)


def octets(kept: Kept) -> dict[int, bytes]:
    return {number: b"".join(letter.chunks()) for number, letter in kept.letters.items()}


def test_what_was_kept_is_fetched_octet_for_octet(tmp_path: Path) -> None:
    one = Kept(str(tmp_path), b"abc", {1, 2})
    one.keep(BOTH)
    one.close(forget=False)
    again = Kept(str(tmp_path), b"abc", {1, 2})
    again.fetch()
    assert octets(again) == {1: b"X: 1\n\nfirst\n", 2: b"X: 2\n\nsecond\n"}
    again.close(forget=True)
    assert list((tmp_path / "filtered").iterdir()) == []


def test_a_body_that_looks_like_a_from_line_is_not_cut(tmp_path: Path) -> None:
    letter = letter_of(b"From a b\nFrom c d\n\nbody\n")
    one = Kept(str(tmp_path), b"abc", {1})
    one.keep((letter,))
    again = Kept(str(tmp_path), b"abc", {1})
    again.fetch()
    assert octets(again) == {1: b"From c d\n\nbody\n"}


def test_only_what_is_asked_for_is_kept_and_what_stood_there_is_replaced(tmp_path: Path) -> None:
    Kept(str(tmp_path), b"abc", {2}).keep((FIRST, FIRST))
    Kept(str(tmp_path), b"abc", {2}).keep(BOTH)
    (file,) = (tmp_path / "filtered").iterdir()
    assert (file.name, file.read_bytes()) == ("abc.2", b"X: 2\n\nsecond\n")


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    kept = Kept(str(tmp_path), b"abc", {1})
    kept.fetch()
    assert kept.letters == {}


def test_large_ones_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_BYTES", 4)
    before = set(os.listdir("/proc/self/fd"))
    Kept(str(tmp_path), b"abc", {1}).keep(BOTH)
    kept = Kept(str(tmp_path), b"abc", {1})
    kept.fetch()
    assert kept.letters[1].memory is None
    assert octets(kept) == {1: b"X: 1\n\nfirst\n"}
    kept.close(forget=True)
    assert set(os.listdir("/proc/self/fd")) <= before


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(durable, "sync", full)
    with pytest.raises(OSError, match="full"):
        Kept(str(tmp_path), b"abc", {1, 2}).keep(BOTH)
    assert list((tmp_path / "filtered").iterdir()) == []


def test_what_no_retry_came_for_is_swept(tmp_path: Path) -> None:
    Kept(str(tmp_path), b"old", {1}).keep(BOTH)
    Kept(str(tmp_path), b"new", {1}).keep(BOTH)
    os.utime(tmp_path / "filtered" / "old.1", (0, 0))
    Kept(str(tmp_path), b"abc", {1}).keep(BOTH)
    assert sorted(file.name for file in (tmp_path / "filtered").iterdir()) == ["abc.1", "new.1"]
