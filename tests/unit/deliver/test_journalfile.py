"""The journal as a worker keeps it: what others add is seen, and it does not grow without end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mdeliver import limits
from mdeliver.deliver.journal import Journal, begin_together, message_key
from mdeliver.deliver.journalfile import KeptJournal

KEY, OTHER = message_key(b"one"), message_key(b"other")
MBOX = "/home/ann/m box"
PLACES = [("mbox", MBOX, MBOX, "", "", "0", "10")]
LINE = b"From a b\n"


def begun(directory: Path, key: bytes, kept: KeptJournal | None = None) -> Journal:
    journal = Journal(str(directory), key, kept)
    journal.begin(b"", LINE, PLACES, ".")
    return journal


def test_what_another_process_wrote_is_found(tmp_path: Path) -> None:
    kept = KeptJournal(str(tmp_path))
    begun(tmp_path, OTHER).close()
    journal = Journal(str(tmp_path), OTHER, kept)
    found = journal.earlier()
    assert found is not None
    assert (found.state, found.key, found.from_line) == (".", OTHER, LINE)
    assert journal.torn_by(MBOX) == []  # its own
    journal.close()
    journal = Journal(str(tmp_path), KEY, kept)
    assert journal.torn_by(MBOX) == [(*PLACES[0], LINE.decode())]
    journal.close()


def test_letters_are_read_as_they_are_now(tmp_path: Path) -> None:
    kept = KeptJournal(str(tmp_path))
    theirs = begun(tmp_path, OTHER)
    journal = Journal(str(tmp_path), KEY, kept)
    assert len(journal.torn_by(MBOX)) == 1
    theirs.state(b"D")
    theirs.close()
    assert journal.torn_by(MBOX) == []
    journal.close()
    found = Journal(str(tmp_path), OTHER, kept).earlier()
    assert found is not None
    assert found.state == "D"


def test_lines_that_were_begun_together_may_all_have_torn_it(tmp_path: Path) -> None:
    kept = KeptJournal(str(tmp_path))
    begun(tmp_path, message_key(b"before")).close()
    journals = [Journal(str(tmp_path), message_key(b"%d" % n), kept) for n in range(3)]
    turn_ns = time.time_ns()
    for journal in journals:
        journal.compose(b"", LINE, PLACES, ".", turn_ns)
    begin_together(journals)
    journals[0].mark(0, b"c")
    for journal in journals:
        journal.close()
    kept.close()
    for file in (None, KeptJournal(str(tmp_path))):
        later = Journal(str(tmp_path), KEY, file)
        assert len(later.torn_by(MBOX)) == 2
        later.close()


def test_letters_and_lines_take_turns(tmp_path: Path) -> None:
    kept = KeptJournal(str(tmp_path))
    for number in range(3):
        journal = begun(tmp_path, message_key(b"%d" % number), kept)
        journal.mark(0, b"c")
        journal.state(b"F")
        journal.close()
    text = (tmp_path / "journal").read_bytes()
    assert text.count(b"\nFc\t") == 3
    assert text.count(b"\n\n") == 2


def test_a_line_that_somebody_is_still_writing_is_read_later(tmp_path: Path) -> None:
    kept = KeptJournal(str(tmp_path))
    begun(tmp_path, OTHER).close()
    path = tmp_path / "journal"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    journal = Journal(str(tmp_path), OTHER, kept)
    assert journal.earlier() is None
    journal.close()
    path.write_bytes(whole)
    journal = Journal(str(tmp_path), OTHER, kept)
    assert journal.earlier() is not None
    journal.close()


def test_a_long_one_is_rewritten_between_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, lane = KeptJournal(str(tmp_path)), KeptJournal(str(tmp_path))
    monkeypatch.setattr(limits, "JOURNAL_BYTES", 2000)
    for number in range(20):
        journal = begun(tmp_path, message_key(b"%d" % number), kept)
        journal.state(b"F")
        journal.close()
    path = tmp_path / "journal"
    size = path.stat().st_size
    kept.look()
    assert path.stat().st_size == size  # another one has it open
    Journal(str(tmp_path), KEY, lane).close()
    kept.rest()
    lane.rest()
    kept.look()
    assert path.stat().st_size < size
    lane.look()
    journal = Journal(str(tmp_path), message_key(b"19"), lane)
    assert journal.earlier() is not None
    journal.close()


def test_zeros_without_end_neither_stop_a_delivery_nor_make_one_forgotten(tmp_path: Path) -> None:
    """No memory could hold what a slip of the hand has made of it."""
    begun(tmp_path, KEY).close()
    os.truncate(tmp_path / "journal", 1 << 40)
    journal = Journal(str(tmp_path), KEY)
    found = journal.earlier()
    assert found is not None
    assert (found.state, found.from_line) == (".", LINE)
    journal.close()
    assert (tmp_path / "journal").stat().st_size < limits.JOURNAL_BYTES


def test_one_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    kept = KeptJournal(str(tmp_path))
    begun(tmp_path, KEY, kept).close()
    (tmp_path / "journal").unlink()
    kept.look()
    begun(tmp_path, OTHER, kept).close()
    assert Journal(str(tmp_path), KEY, kept).earlier() is None
    assert (tmp_path / "journal").stat().st_size > 0


def test_an_attempt_that_was_never_closed_keeps_no_lock(tmp_path: Path) -> None:
    """An alarm came in the very moment in which it had been opened."""
    kept = KeptJournal(str(tmp_path))
    key = message_key(b"message")
    Journal(str(tmp_path), key, kept)
    kept.look()
    for file in (None, kept):
        Journal(str(tmp_path), key, file, 0).close()
    kept.close()
