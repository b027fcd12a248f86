"""What becomes of the copy in the Maildir when its message was downloaded.

          in the inbox, untouched        answered, flagged, draft, passed or   gone
                                         deleted meanwhile, or in any folder
keep      -                              -                                     -
read      marked                         marked                                -
archive   moved, and marked (mark_read)  marked (mark_read)                    -
delete    moved to Trash, marked         marked                                -

Guarantee  a message is never removed: it gets another name, by one rename. Flags are added, never
           taken away, and a name that is taken is not written over. Doing it again changes nothing.
Clients    may move and mark it at the same time; then it is looked for again.
Believed   `R` in a Status line that is in the Maildir copy too was written by the sender.
Fails with OSError, Deferral
See also   links.py, sync.py; https://cr.yp.to/proto/maildir.html
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from mdeliver import durable, system
from mdeliver.deliver.maildir import make_maildir
from mdeliver.deliver.mboxfind import head_length
from mdeliver.folders import maildirpp_name, safe_step
from mdeliver.history.keywords import keywords_of, translated
from mdeliver.history.records import Move
from mdeliver.history.steps import Changed, folder_of, letters_of, move, unique_of
from mdeliver.plan import File
from mdeliver.popsync.entry import CopyAt, says_seen
from mdeliver.popsync.ledger import Download, How
from mdeliver.popsync.links import Shelves, read_message
from mdeliver.popsync.settings import PopSync

_TOUCHED = frozenset("DFPRT")
"""Draft, flagged, passed on, replied to, trashed: the user has done something with it."""

_TRIES = 5

Deed = Literal["marked read", "archived", "deleted", "taken out", "put there"]


class Change(NamedTuple):
    """One change of a copy.

    how      whether a POP3 server says that the message was seen, or it was removed; or whether it
             was deleted in IMAP (bothways.py); or POP3 is to get all mail (fill.py)
    target   where it is now, SOURCE where it was; "" where it was taken out of the mbox SOURCE
    """

    deed: Deed
    how: How | Literal["deleted", "all mail"]
    message_id: str
    mbox: str
    source: str
    target: str


class NotBelieved(Exception):
    """The sender wrote the line that says it was downloaded."""


class Carrier:
    """Carries downloads over to the Maildirs ROOTS, by the user's CHOICES; DO: or only says how."""

    def __init__(self, choices: PopSync, roots: Sequence[str], *, do: bool) -> None:
        self._choices = choices
        self._roots = roots
        self._do = do
        self._shelves = Shelves()
        self._touched: set[str] = set()

    def carry(self, download: Download) -> list[Change]:
        """Do what is to be done about DOWNLOAD. Raises NotBelieved, and nothing is done then."""
        if self._choices.downloaded == "keep":
            return []
        changes = []
        found = [c for copy in download.copies if (c := self._settled(download, copy)) is not None]
        if not found:
            found = [self._settled(download, None) or []]
        for change in found:
            changes += change
        return changes

    def settle(self) -> None:
        """Return once all of it is on disk."""
        for directory in sorted(self._touched):
            try:
                durable.sync_directory(directory)
            except FileNotFoundError:
                pass  # a client has removed the folder since
        self._touched.clear()

    def _settled(self, download: Download, copy: CopyAt | None) -> list[Change] | None:
        """What was done with COPY, or with what is alike; None where it is gone."""
        for _try in range(_TRIES):
            if copy is not None:
                path = self._shelves.find(copy)
            else:
                path = self._shelves.alike(self._roots, download)
            if path is None:
                return None
            if download.how == "seen" and self._was_seen_when_it_came(path):
                raise NotBelieved
            root = copy.root if copy is not None else self._root_of(path)
            try:
                return self._change(download, path, root, copy.letters if copy is not None else "")
            except (Changed, FileNotFoundError):
                # A client was faster: it has other flags now, or is in another folder.
                self._shelves = Shelves()
        return None

    def _root_of(self, path: str) -> str:
        folder = folder_of(path)
        return folder if folder in self._roots else system.dirname(folder)

    def _was_seen_when_it_came(self, path: str) -> bool:
        octets = read_message(path)
        return octets is not None and says_seen(octets[: head_length(octets)])

    def _change(self, download: Download, path: str, root: str, delivered: str) -> list[Change]:
        choice = self._choices.downloaded
        letters, folder = set(letters_of(path)), folder_of(path)
        is_touched = bool((letters - set(delivered)) & _TOUCHED) or folder != root
        moves = choice in ("archive", "delete") and not is_touched
        if choice != "archive" or self._choices.mark_read:
            letters.add("S")
        target_folder = self._target(path, root) if moves else folder
        deed: Deed = "marked read"
        if moves:
            deed = "archived" if choice == "archive" else "deleted"
        target = _named(path, target_folder, "".join(sorted(letters)))
        if target == path:
            return []
        if self._do:
            self._move(path, target, root)
        return [Change(deed, download.how, download.message_id, download.mbox, path, target)]

    def _target(self, path: str, root: str) -> str:
        if self._choices.downloaded == "delete":
            name = self._choices.trash
        else:
            arrived = time.localtime(system.lstat(path).st_mtime)
            name = self._choices.archive.replace("{year}", f"{arrived.tm_year:04d}")
        steps = [safe_step(step, dots=False) for step in name.split("/")]
        return system.join(root, maildirpp_name(steps))

    def _move(self, path: str, target: str, root: str) -> None:
        folder = folder_of(target)
        if not all(system.is_directory(system.join(folder, part)) for part in ("cur", "tmp")):
            make_maildir(File("maildir", folder, root, None, None, (), None))
        move(Move(0, path, target, root, root))
        self._touched |= {system.dirname(path), system.dirname(target)}
        self._shelves.moved(path, target)


def _named(path: str, folder: str, letters: str) -> str:
    """The name in FOLDER of the message PATH, with the flags LETTERS."""
    name = path.rpartition("/")[2]
    unique, colon, words = name.partition(":")
    if colon and not words.startswith("2,"):
        # Some other program's words; nobody knows where flags would go.
        return system.join(folder, "cur", name)
    if folder != folder_of(path) and any(letter.islower() for letter in letters):
        letters = translated(letters, keywords_of(folder_of(path)), keywords_of(folder))
    if sorted(letters) == sorted(letters_of(path)) and folder == folder_of(path):
        return path
    if not letters and not colon:
        return system.join(folder, system.dirname(path).rpartition("/")[2], unique_of(path))
    return system.join(folder, "cur", f"{unique}:2,{letters}")
