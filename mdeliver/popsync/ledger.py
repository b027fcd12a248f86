"""What pop-sync remembers of one user from one look to the next: `pop-sync.db` in the state.

mbox      each mbox as it was at the last look: the file's identity, size and times, and its blocks
          in their order
block     some hundred messages, what became of each, and where its copies were put
delivery  what the decision log says was put into an mbox, until its message is found there
download  what POP3 has downloaded, until it has been carried over
taken     how far the decision log has been taken over, before rotation loses it
words     what else is to be remembered, by names

Guarantee  one look is one transaction: what was noticed and what was known before agree, and a
           download is in the table before anything is done about it. What a kill leaves undone
           the next look does; doing it twice changes nothing (carry.py).
Why SQLite 50 000 messages must not be read or written again for one that changed.
Fails with OSError: LedgerError, where the file is damaged or cannot be written
See also   sync.py
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeVar

from mdeliver import system
from mdeliver.popsync.blocks import Block, packed, unpacked
from mdeliver.popsync.entry import CopyAt, Known, State

NAME = "pop-sync.db"
_VERSION = 1

How = Literal["seen", "removed"]

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

_PAIR_BYTES = 16
"""Of a place that a block watches: where it begins, and how long it is (blocks.py)."""

_TABLES = """
CREATE TABLE mbox (path TEXT PRIMARY KEY, status TEXT NOT NULL, blocks TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE block (
    id INTEGER PRIMARY KEY, length INTEGER NOT NULL, first BLOB, watched BLOB, digest BLOB,
    names BLOB, downloaded INTEGER NOT NULL, messages BLOB NOT NULL);
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY, mbox TEXT NOT NULL, from_line BLOB, message_id TEXT,
    start INTEGER, length INTEGER, copies TEXT NOT NULL,
    UNIQUE (mbox, from_line, start, copies));
CREATE TABLE download (
    id INTEGER PRIMARY KEY, mbox TEXT NOT NULL, key BLOB, how TEXT NOT NULL,
    message_id TEXT, content BLOB, bytes INTEGER, quoted INTEGER, copies TEXT NOT NULL);
CREATE TABLE taken (file TEXT PRIMARY KEY, octets INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE words (name TEXT PRIMARY KEY, words TEXT NOT NULL) WITHOUT ROWID;
"""


class LedgerError(OSError):
    """The ledger cannot be used; the text says why and what to do."""


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

    key     of its entry; b"" where it was never seen
    copies  () where the log does not know them
    content, bytes, quoted  of its entry; b"", 0, 0 where it was never seen
    """

    mbox: str
    key: bytes
    how: How
    message_id: str
    content: bytes
    bytes: int
    quoted: int
    copies: tuple[CopyAt, ...]
    id: int = 0


class Written(NamedTuple):
    """A block that is to be written, with its messages."""

    block: Block
    messages: list[Known]


def _read(
    method: Callable[Concatenate[Ledger, Asked], Answer],
) -> Callable[Concatenate[Ledger, Asked], Answer]:
    """METHOD, with LedgerError for whatever a damaged file makes of it."""

    @wraps(method)
    def told(self: Ledger, /, *asked: Asked.args, **named: Asked.kwargs) -> Answer:
        try:
            return method(self, *asked, **named)
        except (sqlite3.Error, ValueError, TypeError, AttributeError, EOFError) as error:
            raise self._damaged(error) from None

    return told


def _block(row: tuple[Any, ...]) -> Block:
    """The block of a ROW. Raises TypeError or ValueError where it is none."""
    block = Block(*row)
    if [type(part) for part in block[1:]] != [int, bytes, bytes, bytes, bytes]:
        raise TypeError("a block has other kinds of fields")
    if len(block.watched) % _PAIR_BYTES:
        raise ValueError("a block watches half a place")
    return block


class Ledger:
    """The open file, or a copy of it in memory."""

    def __init__(self, state: str, *, keep: bool) -> None:
        """Open that in the state directory STATE; KEEP: or only look, and forget what is noted.

        Raises LedgerError.
        """
        self.path = system.join(state, NAME)
        # Nobody else writes while we have the user's lock (sync.alone).
        self._kept: dict[str, list[Block]] = {}
        self._saved: dict[str, list[Block]] = {}
        self._open(keep)

    @_read
    def _open(self, keep: bool) -> None:
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
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> LedgerError:
        words = (
            f"{error}; it is left as it is, and nothing is carried over while it is there: without "
            "it pop-sync begins anew"
        )
        return LedgerError(0, words, self.path)

    @_read
    def _rows(self, query: str, *words: str | int) -> list[Any]:
        return self._base.execute(query, words).fetchall()

    # --- mboxes ------------------------------------------------------------------------------

    @_read
    def status(self, mbox: str) -> str:
        """What was noted of the file MBOX; "" if it was never looked at."""
        rows = self._rows("SELECT status FROM mbox WHERE path = ?", mbox)
        return str(rows[0][0]) if rows else ""

    @_read
    def blocks(self, mbox: str) -> list[Block]:
        """The messages of MBOX in their order, in blocks."""
        kept = self._kept.get(mbox)
        if kept is not None:
            return kept
        query = "SELECT id, length, first, watched, digest, names FROM block WHERE id = ?"
        made = [_block(row) for id_ in self._ids(mbox) for row in self._rows(query, id_)]
        return self._kept.setdefault(mbox, made)

    @_read
    def _ids(self, mbox: str) -> list[int]:
        rows = self._rows("SELECT blocks FROM mbox WHERE path = ?", mbox)
        return [int(id_) for id_ in rows[0][0].split()] if rows else []

    @_read
    def messages(self, block: Block) -> list[Known]:
        """The messages of BLOCK. Raises LedgerError."""
        (row,) = self._rows("SELECT messages FROM block WHERE id = ?", block.id)
        return unpacked(row[0])

    def save(self, mbox: str, status: str, now: Sequence[Block | Written]) -> None:
        """Note that MBOX, whose file is as STATUS says, holds NOW; only new blocks are written."""
        self._kept.pop(mbox, None)
        blocks = [self._written(part) if isinstance(part, Written) else part for part in now]
        ids = [block.id for block in blocks]
        gone = set(self._ids(mbox)) - set(ids)
        self._base.executemany("DELETE FROM block WHERE id = ?", [(id_,) for id_ in gone])
        row = (mbox, status, " ".join(map(str, ids)))
        self._base.execute("INSERT OR REPLACE INTO mbox VALUES (?, ?, ?)", row)
        self._saved[mbox] = blocks

    def _written(self, written: Written) -> Block:
        block, messages = written
        downloaded = sum(known.state == "downloaded" for known in messages)
        row = (*block[1:], downloaded, packed(messages))
        done = self._base.execute("INSERT INTO block VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)
        return block._replace(id=done.lastrowid or 0)

    def set_state(self, mbox: str, keys: Collection[bytes], state: State) -> None:
        """Note what became of the messages KEYS of MBOX."""
        if not keys:
            return
        now: list[Block | Written] = []
        for block in self.blocks(mbox):
            messages = self.messages(block)
            changed = [k._replace(state=state) if k.entry.key in keys else k for k in messages]
            # As what it watches is chosen by the states, the next look goes through it.
            is_same = changed == messages
            now.append(block if is_same else Written(block._replace(digest=b""), changed))
        self.save(mbox, self.status(mbox), now)

    # --- deliveries --------------------------------------------------------------------------

    @_read
    def taken(self) -> tuple[str, int]:
        """The newest file of the log that was read, and how far."""
        rows = self._rows("SELECT file, octets FROM taken")
        return (str(rows[0][0]), int(rows[0][1])) if rows else ("", 0)

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

    @_read
    def deliveries(self, mbox: str) -> list[Delivered]:
        """Those into MBOX whose messages were not found yet."""
        rows = self._rows(
            "SELECT mbox, from_line, message_id, start, length, copies, id FROM delivery "
            "WHERE mbox = ? ORDER BY id",
            mbox,
        )
        return [Delivered._make((*row[:5], copies_of(row[5]), row[6])) for row in rows]

    def forget_deliveries(self, ids: Iterable[int]) -> None:
        """Their messages were found, or have gone."""
        self._base.executemany("DELETE FROM delivery WHERE id = ?", [(i,) for i in ids])

    # --- downloads ---------------------------------------------------------------------------

    def add_downloads(self, downloads: Iterable[Download]) -> None:
        """Note that these are to be carried over."""
        self._base.executemany(
            "INSERT INTO download (mbox, key, how, message_id, content, bytes, quoted, copies) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(*d[:7], copies_word(d.copies)) for d in downloads],
        )

    @_read
    def downloads(self) -> list[Download]:
        """What is to be carried over, the oldest first."""
        rows = self._rows(
            "SELECT mbox, key, how, message_id, content, bytes, quoted, copies, id "
            "FROM download ORDER BY id"
        )
        return [Download._make((*row[:7], copies_of(row[7]), row[8])) for row in rows]

    def forget_downloads(self, ids: Iterable[int]) -> None:
        """They have been carried over."""
        self._base.executemany("DELETE FROM download WHERE id = ?", [(i,) for i in ids])

    # --- words -------------------------------------------------------------------------------

    @_read
    def words(self, name: str) -> str:
        """What was noted under NAME; "" for nothing."""
        rows = self._rows("SELECT words FROM words WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def note_words(self, name: str, words: str) -> None:
        """Note it."""
        self._base.execute("INSERT OR REPLACE INTO words VALUES (?, ?)", (name, words))

    @_read
    def counts(self, mbox: str) -> tuple[int, int]:
        """How many messages MBOX has, and how many of them were downloaded."""
        query = "SELECT downloaded FROM block WHERE id = ?"
        downloaded = [row[0] for id_ in self._ids(mbox) for row in self._rows(query, id_)]
        return sum(block.messages for block in self.blocks(mbox)), sum(downloaded)


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
