"""Logs as they lie about: compressed, rotated, damaged, growing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mdeliver.postfix import logfiles
from mdeliver.postfix.logfiles import Broken, blocks, follow_file, in_order, with_rotated
from tests.installation import lacking

REMOVED = b"Nov %2d 10:00:00 mail postfix/qmgr[1]: A%d: removed\n"
LOG = b"".join(REMOVED % (n % 28 + 1, n) for n in range(5000))


def text(path: Path) -> bytes:
    return b"\n".join(block.octets for block in blocks(str(path)))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_compression_is_told_by_how_a_file_begins(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "log").write_bytes(compress(LOG))
    assert text(tmp_path / "log") == LOG.rstrip(b"\n")


def test_zstandard(tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        lacking("zstd is not installed")
    (tmp_path / "log").write_bytes(LOG)
    subprocess.run(["zstd", "-q", tmp_path / "log"], check=True)
    assert text(tmp_path / "log.zst") == LOG.rstrip(b"\n")


def test_zstandard_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Broken, match=r"zstd.*is not installed"):
        text(tmp_path / "log.zst")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_what_can_be_read_of_a_damaged_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(logfiles, "BLOCK_BYTES", 4096)
    whole = compress(LOG * 6 + os.urandom(600_000).hex().encode() + b"\n")
    (tmp_path / "log").write_bytes(whole[: len(whole) - 100])
    reading = blocks(str(tmp_path / "log"))
    assert next(reading).octets
    with pytest.raises(Broken, match="log: "):
        list(reading)


def test_a_line_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "BLOCK_BYTES", 65_536)
    (tmp_path / "log").write_bytes(b"x" * 10_000_000 + b"\nlast\n")
    read = [block.octets for block in blocks(str(tmp_path / "log"))]
    assert max(map(len, read)) <= 2 * 65_536
    assert read[-1].endswith(b"\nlast")


def test_blocks_say_how_far_they_are(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(LOG)
    assert [block.done for block in blocks(str(tmp_path / "log"))][-1] == len(LOG)


def test_what_logrotate_makes(tmp_path: Path) -> None:
    names = ["mail.log", "mail.log.1", "mail.log.2.gz", "mail.log-20261122", "mail.log-20261121.xz"]
    for name in (*names, "mail.log.bak", "mail.log.d", "mail.logs", "mail.log.1~"):
        (tmp_path / name).write_bytes(b"")
    assert with_rotated(str(tmp_path / "mail.log")) == sorted(str(tmp_path / x) for x in names)
    assert with_rotated(str(tmp_path / "other.log")) == []
    assert with_rotated(str(tmp_path / "no" / "mail.log")) == []


def test_files_are_read_in_the_order_of_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"noise\n" + REMOVED % (20, 3))
    (tmp_path / "b").write_bytes(gzip.compress(REMOVED % (10, 2)))
    (tmp_path / "c").write_bytes(REMOVED % (1, 1))
    (tmp_path / "d").symlink_to("c")
    given = [str(tmp_path / name) for name in "abcd"]
    assert in_order(given) == [str(tmp_path / name) for name in "cba"]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        in_order([str(tmp_path / "none")])


def test_a_log_that_grows_is_rotated_and_is_cut_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntw")
    following = follow_file(str(log))
    assert next(following) == [b"one"]
    assert next(following) == []
    with log.open("ab") as more:
        more.write(b"o\nthree\n")
    assert next(following) == [b"two", b"three"]
    assert next(following) == []

    log.rename(tmp_path / "log.1")
    assert next(following) == []
    with (tmp_path / "log.1").open("ab") as more:
        more.write(b"late\n")
    log.write_bytes(b"new\n")
    assert [next(following) for _ in range(3)] == [[b"late"], [b"new"], []]

    log.write_bytes(b"x\n")
    assert [next(following) for _ in range(2)] == [[b"x"], []]


def test_a_journal_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError), logfiles.journal(follow=False):
        pass
