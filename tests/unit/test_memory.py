"""The memory of deliveries: what was written is found, what is torn is not, the newest stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mdeliver import limits
from mdeliver.memory import DELIVERED, REPLIED, Memory, Recollection, name_of
from mdeliver.outcome import Deferral

ONE, OTHER = name_of(b"one"), name_of(b"other")
DAY_S = 86400.0


def remembered(directory: Path, *names: bytes, owner: bytes = bytes(8)) -> None:
    memory = Memory(str(directory), owner)
    memory.remember(DELIVERED, *names)
    memory.close()


def holds(directory: Path, name: bytes, within_s: float = DAY_S, owner: bytes = bytes(8)) -> bool:
    return Recollection(str(directory), owner).holds(DELIVERED, name, within_s)


def test_a_name_does_not_run_into_its_neighbour() -> None:
    assert name_of(b"ab", b"c") != name_of(b"a", b"bc")


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    assert not holds(tmp_path, ONE)
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_found_by_the_next(tmp_path: Path) -> None:
    remembered(tmp_path, ONE)
    assert holds(tmp_path, ONE)
    assert not holds(tmp_path, OTHER)


def test_kinds_do_not_meet(tmp_path: Path) -> None:
    remembered(tmp_path, ONE)
    assert not Recollection(str(tmp_path)).holds(REPLIED, ONE, DAY_S)


def test_only_within_the_time_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered(tmp_path, ONE)
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 2 * DAY_S)
    assert not holds(tmp_path, ONE, DAY_S)
    assert holds(tmp_path, ONE, 3 * DAY_S)


def test_a_clock_that_was_ahead_does_not_make_it_remember_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.time()
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: now_s + 3650 * DAY_S)
        remembered(tmp_path, ONE)
    assert not holds(tmp_path, ONE, DAY_S)


def test_the_same_delivery_does_not_find_what_it_wrote(tmp_path: Path) -> None:
    remembered(tmp_path, ONE, owner=b"delivery")
    assert not holds(tmp_path, ONE, owner=b"delivery")
    assert holds(tmp_path, ONE, owner=b"another!")


def test_a_name_that_stands_across_two_records_is_none(tmp_path: Path) -> None:
    remembered(tmp_path, ONE, OTHER)
    octets = (tmp_path / "memory").read_bytes()
    across = octets[30:46]
    assert not holds(tmp_path, across)


@pytest.mark.parametrize("left", range(1, 40))
def test_a_torn_record_counts_as_none_and_is_cut_off(tmp_path: Path, left: int) -> None:
    remembered(tmp_path, ONE)
    path = tmp_path / "memory"
    path.write_bytes(path.read_bytes()[:left])
    assert not holds(tmp_path, ONE)
    remembered(tmp_path, OTHER)
    assert holds(tmp_path, OTHER)
    assert path.stat().st_size == 40


def test_zeros_that_a_power_cut_left_are_no_record(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(bytes(80))
    (tmp_path / "memory").chmod(0o600)
    assert not holds(tmp_path, bytes(16))
    remembered(tmp_path, ONE)
    assert holds(tmp_path, ONE)


def test_a_full_file_keeps_the_newest_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REMEMBERED_BYTES", 40 * 20)
    memory = Memory(str(tmp_path))
    memory.remember(REPLIED, ONE)
    names = [name_of(b"%d" % number) for number in range(20)]
    for name in names:
        memory.remember(DELIVERED, name)
        assert (tmp_path / "memory").stat().st_size <= 40 * 20
    assert memory.holds(REPLIED, ONE, DAY_S)
    assert [memory.holds(DELIVERED, name, DAY_S) for name in names] == [False] * 14 + [True] * 6
    memory.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["memory", "memory-locks"]


def test_zeros_without_end_do_not_stop_it(tmp_path: Path) -> None:
    """No memory could hold what a slip of the hand has made of it."""
    remembered(tmp_path, ONE)
    os.truncate(tmp_path / "memory", 1 << 40)
    remembered(tmp_path, OTHER)
    assert holds(tmp_path, OTHER)
    assert (tmp_path / "memory").stat().st_size <= limits.REMEMBERED_BYTES


def test_who_holds_a_name_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOCK_WAIT_S", 0)
    first, second = Memory(str(tmp_path)), Memory(str(tmp_path))
    first.hold(ONE)
    first.hold(ONE)  # its own is no obstacle
    second.hold(OTHER)
    with pytest.raises(Deferral, match="another copy of this message"):
        second.hold(ONE)
    first.close()
    second.hold(ONE)
    second.close()


def test_of_two_claims_one_is_granted(tmp_path: Path) -> None:
    first, second = Memory(str(tmp_path)), Memory(str(tmp_path))
    assert first.claim(REPLIED, ONE, DAY_S)
    assert not second.claim(REPLIED, ONE, DAY_S)
    first.close()
    second.close()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    state = tmp_path / "state"
    state.mkdir()
    (state / "memory").symlink_to(elsewhere)
    memory = Memory(str(state))
    with pytest.raises(Deferral, match="not a regular file"):
        memory.remember(DELIVERED, ONE)
    memory.close()
    assert elsewhere.read_bytes() == b""


def test_where_it_cannot_be_read_its_name_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "memory")
    memory = Memory(str(tmp_path))
    with pytest.raises(OSError, match="Illegal seek") as told:
        memory.holds(DELIVERED, ONE, DAY_S)
    memory.close()
    assert told.value.filename == str(tmp_path / "memory")
