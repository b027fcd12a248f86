"""The files of the decision log."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver import durable, system
from mdeliver.history import decisions
from mdeliver.outcome import Deferral

LINE = b'{"time": 1}\n'

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(values)
def test_json_by_hand_is_json(value: Any) -> None:
    written = decisions.as_json(value)
    assert written.isascii()
    assert "\n" not in written
    # Halves of UTF-16, which text of another encoding may hold one by one, meet when read.
    meant = json.loads(json.dumps(value))
    assert json.loads(written) == meant


def test_lines_are_added(tmp_path: Path) -> None:
    for number in range(3):
        decisions.append(str(tmp_path), b"%d\n" % number, 100, 4)
    assert (tmp_path / "log").read_bytes() == b"0\n1\n2\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_full_log_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "log").write_bytes(b"%d" % number * 2000)
        (tmp_path / "log").chmod(0o600)
        decisions.append(str(tmp_path), LINE, 1, 2)
        assert (tmp_path / "log").read_bytes() == LINE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert (tmp_path / "log.1").read_bytes()[:1] == b"5"
    assert (tmp_path / "log.2").read_bytes()[:1] == b"4"
    assert decisions.paths(str(tmp_path)) == [str(tmp_path / n) for n in ("log.2", "log.1", "log")]


def test_other_files_are_no_logs(tmp_path: Path) -> None:
    for name in ("log", "log.10", "log.2", "log.old", "logs", "log.", "blog"):
        (tmp_path / name).write_bytes(b"")
    found = [os.path.basename(path) for path in decisions.paths(str(tmp_path))]
    assert found == ["log.10", "log.2", "log"]


def test_deliveries_at_once_mix_no_lines_and_lose_none(tmp_path: Path) -> None:
    def write(mark: bytes) -> None:
        for _ in range(60):
            decisions.append(str(tmp_path), mark * 99 + b"\n", 2, 40)

    marks = [b"a", b"b", b"c", b"d"]
    threads = [threading.Thread(target=write, args=(mark,)) for mark in marks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = b"".join(Path(path).read_bytes() for path in decisions.paths(str(tmp_path)))
    lines = text.splitlines()
    assert len(decisions.paths(str(tmp_path))) > 1
    assert sorted(lines) == sorted(mark * 99 for mark in marks for _ in range(60))


def test_a_log_that_is_put_aside_as_it_is_made_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two deliveries that find none, the first makes it, and a third puts it aside at once."""
    real = system.open
    moved: list[str] = []

    def opened(path: str, flags: int, *mode: int) -> int:
        fd = real(path, flags, *mode)
        if flags & os.O_EXCL and not moved:
            moved.append(path)
            os.rename(path, f"{path}.1")
        return fd

    monkeypatch.setattr(system, "open", opened)
    decisions.append(str(tmp_path), LINE, 1, 2)
    assert moved == [str(tmp_path / "log")]
    assert (tmp_path / "log").read_bytes() == LINE


def test_half_a_line_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(fd: int, octets: bytes) -> None:
        os.write(fd, octets[:5])
        raise OSError("short write")

    monkeypatch.setattr(durable, "write_at_once", half)
    with pytest.raises(OSError, match="short write"):
        decisions.append(str(tmp_path), LINE, 1, 1)
    monkeypatch.undo()
    decisions.append(str(tmp_path), LINE, 1, 1)
    assert (tmp_path / "log").read_bytes() == LINE[:5] + b"\n" + LINE


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Deferral, match="is not a regular file"):
        decisions.append(str(tmp_path), LINE, 1, 1)
    assert (tmp_path / "elsewhere").read_bytes() == b""
