"""The journal: lines that survive, letters that change, attempts that wait for each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver import durable, limits, system
from mdeliver.deliver.journal import Journal, message_key
from mdeliver.outcome import Deferral

KEY, OTHER = message_key(b"one"), message_key(b"other")
PLACES = [("maildir", "/home/ann/Maild ir", "/home/ann", "", "name%1"), ("mbox", "/m\udcffbox", "")]
CAME, LINE = b"From a b\n", b"From a  b\n"


def begun(directory: Path, key: bytes = KEY) -> Journal:
    journal = Journal(str(directory), key)
    journal.begin(CAME, LINE, PLACES, "..")
    return journal


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.mark(1, b"c")
    journal.close()

    found = Journal(str(tmp_path), KEY).earlier()
    assert found is not None
    assert (found.state, found.marks, found.key) == (".", ".c", KEY)
    assert (found.from_came, found.from_line) == (CAME, LINE)
    assert found.places == tuple(PLACES)


def test_the_last_line_of_a_message_counts(tmp_path: Path) -> None:
    for letter in (b"D", b"R", b"F"):
        journal = begun(tmp_path)
        journal.state(letter)
        journal.close()
    found = Journal(str(tmp_path), KEY).earlier()
    assert found is not None
    assert found.state == "F"


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_a_torn_line_counts_as_none(tmp_path: Path, cut: int) -> None:
    begun(tmp_path).close()
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes()[:-cut])
    assert Journal(str(tmp_path), KEY).earlier() is None

    begun(tmp_path, OTHER).close()
    assert Journal(str(tmp_path), OTHER).earlier() is not None


def test_a_changed_line_counts_as_none(tmp_path: Path) -> None:
    begun(tmp_path).close()
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes().replace(b"Maild", b"Mails"))
    assert Journal(str(tmp_path), KEY).earlier() is None


def test_only_the_last_line_that_names_a_mbox_may_have_torn_it(tmp_path: Path) -> None:
    mbox = PLACES[1][1]
    dead = begun(tmp_path, OTHER)
    dead.close()
    journal = Journal(str(tmp_path), KEY)
    assert journal.torn_by(mbox) == [(*PLACES[1], LINE.decode())]
    assert journal.torn_by("/another/mbox") == []
    journal.close()

    later = begun(tmp_path, message_key(b"later"))
    later.state(b"D")
    later.close()
    assert Journal(str(tmp_path), KEY).torn_by(mbox) == []


@pytest.mark.parametrize("letter", [b"D", b"F", b"R", b"S"])
def test_a_line_that_is_not_open_has_torn_nothing(tmp_path: Path, letter: bytes) -> None:
    ended = begun(tmp_path, OTHER)
    ended.state(letter)
    ended.close()
    assert Journal(str(tmp_path), KEY).torn_by(PLACES[1][1]) == []


def test_a_line_that_is_written_in_parts_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = system.write
    monkeypatch.setattr(system, "write", lambda fd, octets: whole(fd, octets[: len(octets) // 2]))
    with pytest.raises(OSError, match="short write"):
        begun(tmp_path)


def test_a_journal_that_was_replaced_is_not_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another attempt put a shorter one in its place after we had opened the long one."""
    begun(tmp_path).close()
    path = tmp_path / "journal"
    size_of = durable.size_of

    def meanwhile(fd: int) -> int:
        size = size_of(fd)
        if size > limits.JOURNAL_BYTES:
            (tmp_path / "fresh").write_bytes(b"")
            (tmp_path / "fresh").rename(path)
        return size

    monkeypatch.setattr(limits, "JOURNAL_BYTES", 10)
    monkeypatch.setattr(durable, "size_of", meanwhile)
    Journal(str(tmp_path), OTHER).close()
    assert path.read_bytes() == b""


def test_what_was_finished_later_is_not_open_again_after_a_rewriting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path, OTHER).close()
    again = begun(tmp_path, OTHER)
    again.state(b"F")
    again.close()
    for number in range(20):
        journal = begun(tmp_path, message_key(b"%d" % number))
        journal.state(b"F")
        journal.close()
    monkeypatch.setattr(limits, "JOURNAL_BYTES", (tmp_path / "journal").stat().st_size - 1)
    assert Journal(str(tmp_path), OTHER).earlier() is None


def test_a_second_attempt_waits_and_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOCK_WAIT_S", 0)
    held = begun(tmp_path)
    with pytest.raises(Deferral, match="another delivery of this same message"):
        Journal(str(tmp_path), KEY)
    Journal(str(tmp_path), OTHER).close()
    held.close()
    Journal(str(tmp_path), KEY).close()


def test_a_long_journal_keeps_its_newest_half_and_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path, OTHER).close()
    for number in range(20):
        journal = begun(tmp_path, message_key(b"%d" % number))
        journal.state(b"F")
        journal.close()
    size = (tmp_path / "journal").stat().st_size
    monkeypatch.setattr(limits, "JOURNAL_BYTES", size - 1)

    journal = Journal(str(tmp_path), message_key(b"19"))
    assert (tmp_path / "journal").stat().st_size < size * 2 / 3
    found = journal.earlier()
    assert found is not None
    assert found.state == "F"
    journal.close()
    assert Journal(str(tmp_path), message_key(b"0")).earlier() is None
    assert Journal(str(tmp_path), OTHER).earlier() is not None
    assert not (tmp_path / "journal.new").exists()


@pytest.mark.parametrize("state", [b".", b"D", b"F"])
def test_a_line_longer_than_a_journal_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: bytes
) -> None:
    begun(tmp_path, OTHER).close()
    monkeypatch.setattr(limits, "JOURNAL_BYTES", 4000)
    journal = Journal(str(tmp_path), KEY)
    journal.begin(b"", b"", [("run", "/bin/true", "", "x" * 5000)], ".")
    journal.state(state)
    journal.close()
    journal = Journal(str(tmp_path), KEY)
    found = journal.earlier()
    journal.close()
    assert found is not None
    assert found.state == state.decode()
    journal = Journal(str(tmp_path), OTHER)
    assert journal.earlier() is not None
    journal.close()


def test_a_journal_is_not_rewritten_under_a_living_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = begun(tmp_path)
    monkeypatch.setattr(limits, "JOURNAL_BYTES", 10)
    inode = (tmp_path / "journal").stat().st_ino
    Journal(str(tmp_path), OTHER).close()
    assert (tmp_path / "journal").stat().st_ino == inode
    living.close()


def test_a_journal_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "journal").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Deferral, match="is not a regular file"):
        Journal(str(tmp_path), KEY)
