"""What pop-sync remembers of one user from one look to the next: `pop-sync.db` in the state.

mbox      each mbox as it was at the last look: the file's identity, size and times
entry     its messages in their order, what became of each, and where its copies were put
delivery  what the decision log says was put into an mbox, until its message is found there
download  what POP3 has downloaded, until it has been carried over
taken     how far the decision log has been taken over, before rotation loses it

Guarantee  one look is one transaction: what was noticed and what was known before agree, and a
           download is in the table before anything is done about it. What a kill leaves undone
           the next look does; doing it twice changes nothing (carry.py).
Why SQLite 50 000 messages must not be written again for one that changed.
Fails with OSError: LedgerError, where the file is damaged or cannot be written
See also   sync.py
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from mdeliver import system
from mdeliver.popsync.mboxindex import Entry, Found

NAME = "pop-sync.db"
_VERSION = 1

State = Literal["here", "downloaded", "marked when it came"]
"""Of an entry. The last: its Status line says nothing, since the sender wrote it; only when the
message has gone was it downloaded."""

How = Literal["seen", "removed"]

_TABLES = """
CREATE TABLE mbox (path TEXT PRIMARY KEY, status TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (
    mbox TEXT NOT NULL, place INTEGER NOT NULL, state TEXT NOT NULL, copies TEXT NOT NULL,
    key BLOB, from_line BLOB, head_bytes INTEGER, head_hash BLOB, length INTEGER,
    own_bytes INTEGER, message_id TEXT, content BLOB, quoted INTEGER, seen INTEGER,
    PRIMARY KEY (mbox, place)) WITHOUT ROWID;
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY, mbox TEXT NOT NULL, from_line BLOB, message_id TEXT,
    start INTEGER, length INTEGER, copies TEXT NOT NULL,
    UNIQUE (mbox, from_line, start, copies));
CREATE TABLE download (
    id INTEGER PRIMARY KEY, mbox TEXT NOT NULL, place INTEGER, how TEXT NOT NULL,
    message_id TEXT, content BLOB, bytes INTEGER, quoted INTEGER, copies TEXT NOT NULL);
CREATE TABLE taken (file TEXT PRIMARY KEY, octets INTEGER NOT NULL) WITHOUT ROWID;
"""

_SAVED = "INSERT OR REPLACE INTO entry VALUES (" + ", ".join("?" * (4 + len(Entry._fields))) + ")"


class LedgerError(OSError):
    """The ledger cannot be used; the text says why and what to do."""


class CopyAt(NamedTuple):
    """A copy in a Maildir, as it was delivered.

    root, folder  the Maildir, and the folder in it (the same for its inbox)
    name          unique name
    letters       flags it was delivered with
    """

    root: str
    folder: str
    name: str
    letters: str


class Known(NamedTuple):
    """A message of an mbox, and what is remembered of it."""

    place: int
    state: State
    copies: tuple[CopyAt, ...]
    entry: Entry


class Delivered(NamedTuple):
    """A delivery that the log tells of.

    start   where it was appended, the line ends that mend a file included
    length  octets from there on, without the From_ line
    """

    mbox: str
    from_line: bytes
    message_id: str
    start: int
    length: int
    copies: tuple[CopyAt, ...]
    id: int = 0


class Download(NamedTuple):
    """A message that POP3 has downloaded.

    place   of its entry; None where it has gone
    copies  () where the log does not know them
    content, bytes, quoted  of its entry; b"", 0, 0 where it was never seen
    """

    mbox: str
    place: int | None
    how: How
    message_id: str
    content: bytes
    bytes: int
    quoted: int
    copies: tuple[CopyAt, ...]
    id: int = 0


class Ledger:
    """The open file, or a copy of it in memory."""

    def __init__(self, state: str, *, keep: bool) -> None:
        """Open that in the state directory STATE; KEEP: or only look, and forget what is noted.

        Raises LedgerError.
        """
        self.path = system.join(state, NAME)
        # Nobody else writes while we have the user's lock (sync.alone).
        self._kept: dict[str, list[Known]] = {}
        self._saved: dict[str, list[Known]] = {}
        with self._told():
            if keep:
                self._base = sqlite3.connect(self.path, timeout=30, isolation_level=None)
                self._base.execute("PRAGMA synchronous = FULL")
            else:
                self._base = sqlite3.connect(":memory:", isolation_level=None)
                if system.exists(self.path):
                    uri = f"file:{_quoted(self.path)}?mode=ro"
                    before = sqlite3.connect(uri, uri=True, timeout=30)
                    before.backup(self._base)
                    before.close()
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._base.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT")
        elif version != _VERSION:
            raise LedgerError(0, f"is of another version of mdeliver ({version})", self.path)

    def close(self) -> None:
        """Close it; what was not committed is forgotten."""
        self._base.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside, or nothing, is on disk afterwards."""
        with self._told():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._saved.clear()
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")
            self._kept.update(self._saved)
            self._saved.clear()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            words = f"{error}; without this file pop-sync begins anew"
            raise LedgerError(0, words, self.path) from None

    # --- mboxes ------------------------------------------------------------------------------

    def status(self, mbox: str) -> str:
        """What was noted of the file MBOX; "" if it was never looked at."""
        row = self._base.execute("SELECT status FROM mbox WHERE path = ?", (mbox,)).fetchone()
        return str(row[0]) if row else ""

    def note_status(self, mbox: str, status: str) -> None:
        """Note it."""
        self._base.execute("INSERT OR REPLACE INTO mbox VALUES (?, ?)", (mbox, status))

    def known(self, mbox: str) -> list[Known]:
        """The messages of MBOX in their order."""
        kept = self._kept.get(mbox)
        if kept is not None:
            return kept
        rows = self._base.execute(
            "SELECT place, state, copies, key, from_line, head_bytes, head_hash, length, "
            "own_bytes, message_id, content, quoted, seen FROM entry WHERE mbox = ? ORDER BY place",
            (mbox,),
        )
        made = [Known(row[0], row[1], copies_of(row[2]), Entry._make(row[3:])) for row in rows]
        return self._kept.setdefault(mbox, made)

    def save(
        self, mbox: str, before: list[Known], after: list[Known], found: Found, *, anew: bool
    ) -> None:
        """Note what is in MBOX now, writing what has changed.

        before  what `known` said
        after   its messages now; those that are the same objects are not written
        anew    their places have changed
        """
        self._kept.pop(mbox, None)
        if not anew:
            for number in found.vanished:
                self._forget(mbox, before[number].place)
            was = {id(known) for known in before}
            changed = [known for known in after if id(known) not in was]
        else:
            self._base.execute("DELETE FROM entry WHERE mbox = ?", (mbox,))
            changed = after
        self._base.executemany(
            _SAVED,
            [(mbox, k.place, k.state, copies_word(k.copies), *k.entry) for k in changed],
        )
        self._saved[mbox] = after

    def _forget(self, mbox: str, place: int) -> None:
        self._base.execute("DELETE FROM entry WHERE mbox = ? AND place = ?", (mbox, place))

    def set_state(self, mbox: str, place: int, state: State) -> None:
        """Note what became of one message."""
        self._kept.pop(mbox, None)
        row = (state, mbox, place)
        self._base.execute("UPDATE entry SET state = ? WHERE mbox = ? AND place = ?", row)

    # --- deliveries --------------------------------------------------------------------------

    def taken(self) -> tuple[str, int]:
        """The newest file of the log that was read, and how far."""
        row = self._base.execute("SELECT file, octets FROM taken").fetchone()
        return (str(row[0]), int(row[1])) if row else ("", 0)

    def note_taken(self, file: str, octets: int) -> None:
        """Note it."""
        self._base.execute("DELETE FROM taken")
        self._base.execute("INSERT INTO taken VALUES (?, ?)", (file, octets))

    def add_deliveries(self, deliveries: Iterable[Delivered]) -> None:
        """Remember them until their messages are found."""
        self._base.executemany(
            "INSERT OR IGNORE INTO delivery (mbox, from_line, message_id, start, length, copies) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(*d[:5], copies_word(d.copies)) for d in deliveries],
        )

    def deliveries(self, mbox: str) -> list[Delivered]:
        """Those into MBOX whose messages were not found yet."""
        rows = self._base.execute(
            "SELECT mbox, from_line, message_id, start, length, copies, id FROM delivery "
            "WHERE mbox = ? ORDER BY id",
            (mbox,),
        )
        return [Delivered._make((*row[:5], copies_of(row[5]), row[6])) for row in rows]

    def forget_deliveries(self, ids: Iterable[int]) -> None:
        """Their messages were found, or have gone."""
        self._base.executemany("DELETE FROM delivery WHERE id = ?", [(i,) for i in ids])

    # --- downloads ---------------------------------------------------------------------------

    def add_downloads(self, downloads: Iterable[Download]) -> None:
        """Note that these are to be carried over."""
        self._base.executemany(
            "INSERT INTO download (mbox, place, how, message_id, content, bytes, quoted, copies) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(*d[:7], copies_word(d.copies)) for d in downloads],
        )

    def downloads(self) -> list[Download]:
        """What is to be carried over, the oldest first."""
        rows = self._base.execute(
            "SELECT mbox, place, how, message_id, content, bytes, quoted, copies, id "
            "FROM download ORDER BY id"
        )
        return [Download._make((*row[:7], copies_of(row[7]), row[8])) for row in rows]

    def forget_downloads(self, ids: Iterable[int]) -> None:
        """They have been carried over."""
        self._base.executemany("DELETE FROM download WHERE id = ?", [(i,) for i in ids])

    def counts(self, mbox: str) -> tuple[int, int]:
        """How many messages MBOX has, and how many of them were downloaded."""
        all_, downloaded = self._base.execute(
            "SELECT count(*), total(state = 'downloaded') FROM entry WHERE mbox = ?", (mbox,)
        ).fetchone()
        return int(all_), int(downloaded)


def copies_word(copies: Iterable[CopyAt]) -> str:
    """COPIES as one word of the ledger."""
    return json.dumps([list(copy) for copy in copies])


def copies_of(word: str) -> tuple[CopyAt, ...]:
    """The copies that WORD of the ledger names."""
    if word == "[]":
        return ()
    return tuple([CopyAt(*copy) for copy in json.loads(word)])


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(system.to_octets(path))
