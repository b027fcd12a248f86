"""The way back: what was deleted, or moved to Trash, in IMAP leaves the mbox too.

Only       messages whose copies the decision log has told of, all of which are gone or in Trash,
           and which no POP3 client has downloaded. A copy is gone when no folder has its name,
           twice in a row (one may be missed while a client changes it), nor the same message
           under another name, as a server that moves mailboxes gives it. A Maildir that is another
           directory than before, such as one that was made where a disk is not mounted, or was
           restored, says nothing.
Order      Noted as leaving; then the mbox is held, looked through once more, and replaced by a file
           without these messages, in one step. Killed in between, the next look goes on, or takes
           the note back where the copy has come back. POP3 has not downloaded what was leaving.
Replaced   not rewritten in place as Dovecot does: at any moment the mbox is the old or the new, and
           whole. Who takes its dotlock before opening it, and who looks again once it is locked as
           deliveries do, has the new one. Dovecot may wait with the old one open where it takes
           fcntl first; as long as anybody waits, we do not replace it but try again later.
Closed     Where the directory lets us make no dotlock, it does not let us replace a file either.
UIDs       Dovecot keeps their base in the first message; it is handed on to the next.
Cost       nothing while no directory of the Maildirs has changed; then a look at all messages that
           were not downloaded.
Fails with OSError, Deferral
See also   sync.py, links.py; mboxlock.py
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, ParamSpec

from mdeliver import durable, limits, mailgroup, system
from mdeliver.deliver.mboxfind import head_length
from mdeliver.deliver.mboxlock import HeldMbox, lock_mbox
from mdeliver.folders import maildirpp_name, safe_step
from mdeliver.outcome import Deferral
from mdeliver.popsync import mboxindex
from mdeliver.popsync.blocks import Block, Octets
from mdeliver.popsync.carry import Change
from mdeliver.popsync.entry import CopyAt, Known
from mdeliver.popsync.ledger import Download, Ledger
from mdeliver.popsync.links import Shelves
from mdeliver.popsync.mboxindex import Found, NotWhole, Seen, mapped
from mdeliver.popsync.settings import PopSync

_LOCK_WAIT_S = 20.0

_SAME_TICK_NS = 1_000_000_000
"""A directory that was changed so shortly ago may change again, and its time still be the same."""

_LOCKS_BYTES = 64 << 20

_WORDS = "way back"
_MAILDIR = "maildir"

_BASE = re.compile(rb"^X-IMAP(?:base)?:[^\n]*\n", re.IGNORECASE | re.MULTILINE)

Taken = ParamSpec("Taken")

Span = tuple[int, int]
"""Where a message begins and ends."""


def trash_of(root: str, choices: PopSync) -> str:
    """The folder of the Maildir ROOT for deleted mail."""
    steps = [safe_step(step, dots=False) for step in choices.trash.split("/")]
    return system.join(root, maildirpp_name(steps))


def directories_of(roots: Iterable[str]) -> set[str]:
    """Where the messages of the Maildirs ROOTS and of their folders are."""
    folders = [
        system.join(root, name)
        for root in roots
        for name in ("", *durable.names_in(root))
        if name == "" or name.startswith(".")
    ]
    return {system.join(folder, part) for folder in folders for part in ("new", "cur")}


def watched_directories(roots: Iterable[str], choices: PopSync) -> list[str]:
    """Where most of what is deleted was: the inboxes and Trash folders, each with a `/` at its end.

    What is deleted elsewhere is found at the next look.
    """
    folders = [folder for root in roots for folder in (root, trash_of(root, choices))]
    return [f"{folder}/{part}/" for folder in folders for part in ("new", "cur")]


class WaitedFor(Exception):
    """Somebody waits for the mbox, with the file open that is to be replaced."""


class WentBack(NamedTuple):
    """What a look at what was deleted came to.

    settled  whether nothing can have happened since without a trace
    """

    changes: list[Change]
    troubles: list[str]
    settled: bool


class WayBack:
    """Takes out of an mbox what its user has deleted from the Maildirs ROOTS."""

    def __init__(
        self, ledger: Ledger, choices: PopSync, roots: Sequence[str], hostname: str, *, do: bool
    ) -> None:
        self._ledger = ledger
        self._choices = choices
        self._roots = roots
        self._hostname = hostname
        self._do = do
        self._others: set[str] = set()
        """Maildirs that are not the directories that they were."""

    def follow(self, mboxes: Sequence[str], tell: Callable[[Change], None]) -> WentBack:
        """Take out of MBOXES what was deleted."""
        changes: list[Change] = []
        troubles = self._note_maildirs()
        words = self._words(mboxes)
        if words and not troubles and words == self._ledger.words(_WORDS):
            return WentBack(changes, troubles, settled=True)
        waited_for = False
        for mbox in mboxes:
            try:
                changes += self._follow(mbox, tell)
            except WaitedFor:
                waited_for = True
            except (NotWhole, Deferral) as trouble:
                troubles.append(f"{mbox}: {trouble}")
        settled = bool(words) and not changes and not waited_for
        with self._ledger.transaction():
            self._ledger.note_words(_WORDS, words if settled and not troubles else "")
        return WentBack(changes, troubles, settled)

    def _note_maildirs(self) -> list[str]:
        """Note which directories the Maildirs are; what is to be said of those that were others."""
        troubles = []
        for root in self._roots:
            try:
                number = str(system.stat(system.join(root, "cur")).st_ino)
            except FileNotFoundError:
                continue
            noted = self._ledger.words(f"{_MAILDIR} {root}")
            if not noted:
                with self._ledger.transaction():
                    self._ledger.note_words(f"{_MAILDIR} {root}", number)
            elif noted != number:
                self._others.add(root)
                troubles.append(
                    f"{root}: is another directory than before, so what is not there may not have "
                    "been deleted, and stays in the mbox; if that is right, remove pop-sync.db "
                    "from the state directory"
                )
        return troubles

    def _words(self, mboxes: Sequence[str]) -> str:
        """What says, if it is the same again, that there is nothing to do; "" where nothing can."""
        words = [self._ledger.status(mbox) for mbox in mboxes]
        for directory in sorted(directories_of(self._roots)):
            try:
                status = system.stat(directory)
            except FileNotFoundError:
                continue
            if time.time_ns() - status.st_mtime_ns < _SAME_TICK_NS:
                return ""
            words.append(f"{directory}:{status.st_ino}:{status.st_mtime_ns}")
        return " ".join(words)

    def _follow(self, mbox: str, tell: Callable[[Change], None]) -> list[Change]:
        here = list(self._here(mbox))
        deleted = {known.entry.key for known in self._deleted(here)}
        leaving = {known.entry.key for known in here if known.state == "leaving"}
        if not self._do:
            changes = [_change(mbox, known) for known in here if known.entry.key in deleted]
        else:
            if deleted != leaving:
                with self._ledger.transaction():
                    self._ledger.set_state(mbox, leaving - deleted, "here")
                    self._ledger.set_state(mbox, deleted - leaving, "leaving")
            if leaving - deleted:
                _as_may_be(mbox, durable.remove, _fresh(mbox))
            changes = self._take_out(mbox, deleted) if deleted else []
        for change in changes:
            tell(change)
        return changes

    # --- what was deleted --------------------------------------------------------------------

    def _here(self, mbox: str) -> Iterator[Known]:
        """Messages that may be taken out, if their copies are gone."""
        blocks = self._ledger.blocks(mbox)
        all_known = [known for block in blocks for known in self._ledger.messages(block)]
        keys = Counter(known.entry.key for known in all_known)
        for known in all_known:
            is_here = known.state in ("here", "leaving") and not known.entry.seen
            if is_here and known.copies and keys[known.entry.key] == 1:
                yield known

    def _deleted(self, here: Sequence[Known]) -> list[Known]:
        shelves = Shelves()
        suspects = [known for known in here if self._are_deleted(known.copies, shelves)]
        if not suspects:
            return []
        shelves = Shelves()
        return [
            known
            for known in suspects
            if self._are_deleted(known.copies, shelves) and not self._is_elsewhere(known, shelves)
        ]

    def _are_deleted(self, copies: Sequence[CopyAt], shelves: Shelves) -> bool:
        return all(self._is_deleted(copy, shelves) for copy in copies)

    def _is_deleted(self, copy: CopyAt, shelves: Shelves) -> bool:
        if not system.is_directory(system.join(copy.root, "cur")):
            return False  # a disk that is not mounted says nothing
        if copy.root in self._others:
            return False
        path = shelves.find(copy)
        return path is None or self._is_in_trash(path, copy.root)

    def _is_in_trash(self, path: str, root: str) -> bool:
        folder, trash = system.dirname(system.dirname(path)), trash_of(root, self._choices)
        return folder == trash or folder.startswith(trash + ".")

    def _is_elsewhere(self, known: Known, shelves: Shelves) -> bool:
        """Whether the same message is in a folder under another name."""
        e = known.entry
        wanted = Download("", e.key, "removed", e.message_id, e.content, e.own_bytes, e.quoted, ())
        roots = dict.fromkeys([*self._roots, *(copy.root for copy in known.copies)])
        return any(
            not self._is_in_trash(path, root)
            for root in roots
            for path in shelves.all_alike(root, wanted)
        )

    # --- out of the mbox ---------------------------------------------------------------------

    def _take_out(self, mbox: str, keys: set[bytes]) -> list[Change]:
        try:
            held = lock_mbox(mbox, self._hostname, _LOCK_WAIT_S, create=False)
        except FileNotFoundError:
            return []
        try:
            with mapped(held.fd) as file:
                blocks = self._ledger.blocks(mbox)
                load = self._ledger.messages
                found = mboxindex.look(held.fd, file, blocks, load, trust_tail=True)
                out = dict(_spans(found, keys, load))
                pieces = list(_pieces(file, sorted(out)))
            if out:
                _replace(mbox, held, pieces)
        finally:
            held.release()
        return [_change(mbox, known) for known in out.values()]


def _spans(
    found: Found, keys: set[bytes], load: Callable[[Block], list[Known]]
) -> Iterator[tuple[Span, Known]]:
    """Where the messages KEYS stand, as far as nobody has downloaded them by now."""
    at = 0
    for part in found.parts:
        if isinstance(part, Block):
            seen = [Seen(known, known.entry) for known in load(part)]
        else:
            seen = part
        for known, entry in seen:
            if known is not None and entry.key in keys and not entry.seen:
                yield (at, at + entry.length), known
            at += entry.length


def _pieces(file: Octets, out: Sequence[Span]) -> Iterator[Span | bytes]:
    """What is left of FILE without the messages OUT: spans of it, and octets to put between."""
    base = _base_of(file[: out[0][1]]) if out and out[0][0] == 0 else b""
    at = 0
    for begin, end in [*out, (len(file), len(file))]:
        if begin > at and base:
            below = at + file[at:begin].find(b"\n") + 1
            yield at, below
            yield base
            yield below, begin
            base = b""
        elif begin > at:
            yield at, begin
        at = end


def _base_of(message: bytes) -> bytes:
    """The line of MESSAGE, the first of an mbox, by which servers number all of them."""
    found = _BASE.search(message, 0, head_length(message))
    return found[0] if found else b""


def _change(mbox: str, known: Known) -> Change:
    return Change("taken out", "deleted", known.entry.message_id, mbox, mbox, "")


def _replace(mbox: str, held: HeldMbox, pieces: Sequence[Span | bytes]) -> None:
    """Put a file of PIECES of MBOX, which is held, in its place."""
    if held.dotlock is None:
        raise Deferral(
            f"what was deleted in IMAP stays there: uid {system.geteuid()} may not replace files "
            "in its directory; root's mdeliver pop-sync may, by the group lmtp.mail_group"
        )
    _as_may_be(mbox, _write, held.fd, _fresh(mbox), pieces)
    if _is_waited_for(held.fd):
        _as_may_be(mbox, durable.remove, _fresh(mbox))
        raise WaitedFor
    _as_may_be(mbox, durable.rename, _fresh(mbox), mbox)
    durable.sync_directory(system.dirname(mbox))


def _is_waited_for(fd: int) -> bool:
    """Whether a process waits for a lock on the file FD, or on one with its number elsewhere."""
    number = b":%d" % system.fstat(fd).st_ino
    locks = durable.read_file("/proc/locks", _LOCKS_BYTES).splitlines()
    return any(word.endswith(number) for line in locks if b" -> " in line for word in line.split())


def _fresh(mbox: str) -> str:
    directory, _, name = mbox.rpartition("/")
    # No login name begins with a dot: this is nobody's mailbox.
    return f"{directory}/.{name}.pop-sync"


def _as_may_be(
    mbox: str,
    step: Callable[Taken, object],
    *arguments: Taken.args,
    **named: Taken.kwargs,
) -> None:
    """Do STEP with the group that is lent for MBOX, if one is."""
    if mailgroup.is_lent_for(mbox):
        mailgroup.borrowing(step, *arguments, **named)
    else:
        step(*arguments, **named)


def _write(fd: int, fresh: str, pieces: Sequence[Span | bytes]) -> None:
    """Make the file FRESH of PIECES of FD, with the group and mode of that."""
    durable.remove(fresh)
    writing = durable.create(fresh)
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                durable.write_all(writing, piece)
                continue
            start, end = piece
            durable.write_chunks(
                writing, durable.read_chunks(fd, end - start, limits.COPY_BYTES, start)
            )
        durable.take_after(writing, fd)
        durable.sync(writing)
    except BaseException:
        durable.remove(fresh)
        raise
    finally:
        durable.close_read(writing)
