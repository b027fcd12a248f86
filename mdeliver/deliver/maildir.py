"""Put a copy into a Maildir.

Guarantee   the message appears whole, by one rename from tmp into new (or into cur, if it carries
            flags), and it is on disk before anybody is told so.
Names       SECONDS.M…P…K….HOST,S=OCTETS in new and cur; in tmp a name that the message's key gives,
            so that a retry finds, and removes, what a killed attempt left there.
Fails with  OSError, Deferral (over quota: 4.2.2).
See also    https://cr.yp.to/proto/maildir.html, Maildir++ (folders, maildirsize), transaction.py
"""

from __future__ import annotations

import time

from mdeliver import durable, system
from mdeliver.deliver import quota
from mdeliver.deliver.contents import content_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.deliver.deliverers import Copy, Phase
    from mdeliver.letter import Letter
    from mdeliver.plan import File

_FLAG_LETTERS = (("draft", "D"), ("flagged", "F"), ("answered", "R"), ("seen", "S"))
"""Flags and their letters in the order of the letters, as the rules of Maildir want them."""

_NOT_OPEN = -1

_HOST_OCTETS = 100
"""So much of the host's name goes into a file's: that may have 255 octets, flags included."""

_PARTS = ("cur", "new", "tmp")
"""In the order of making: a delivery begins in tmp, so where tmp is, all the rest is too."""


class MaildirCopy:
    """One copy on its way into one Maildir."""

    phase: Phase = "undoable"
    remark = ""

    def __init__(self, file: File, letter: Letter, key: bytes, hostname: str) -> None:
        self.file = file
        self.done = False
        self._letter = letter
        self._temporary = temporary_path(file.path, key)
        self._name = _unique_name(key, hostname, letter.size)
        self._final = self._path_of(self._name)
        self._is_counted = False
        self._written = False
        self._fd = _NOT_OPEN

    def _path_of(self, name: str) -> str:
        letters = "".join(letter for flag, letter in _FLAG_LETTERS if flag in self.file.flags)
        if letters:
            return system.join(self.file.path, "cur", f"{name}:2,{letters}")
        return system.join(self.file.path, "new", name)

    @property
    def path(self) -> str:
        """Where the copy is to be, or is."""
        return self._final

    def words(self) -> tuple[str, ...]:
        """This place for the journal; `words[-1]` is the unique name."""
        f = self.file
        flags, content = ",".join(f.flags), content_word(f.content)
        return ("maildir", f.path, f.root, flags, content, self._name)

    def prepare(self, recorded: tuple[str, ...] | None, believed: bool) -> None:
        """Write the copy into tmp, unless an earlier attempt has delivered it.

        It stays open until `settle`.

        recorded  this place's words in the journal's line of the earlier attempt
        believed  whether that line says it was committed, in this boot
        """
        if recorded is not None:
            self._name = recorded[-1]
            there = self._path_of(self._name) if believed else self._find(self._name)
            if there is not None:
                self._final = there
                self.done = True
                durable.remove(self._temporary)
                return
            self._final = self._path_of(self._name)
        self._is_counted = quota.refuse_if_full(self.file.root, self._letter.size)
        # Said before there is any: the deadline's alarm may come as it is made.
        self._written = True
        if not self._took_spool():
            self._fd = self._create_temporary()
            durable.write_flowing(self._fd, self._letter.chunks())

    def _took_spool(self) -> bool:
        """Whether the file that a large message was put into as it came could be given a name here.

        The first Maildir that asks gets it; there it is as good as a copy, without a copy's cost.
        """
        letter = self._letter
        if not letter.is_file or not durable.name_nameless(letter.spool, self._temporary):
            return False
        self._fd = system.dup(letter.spool)
        if not letter.flows:
            durable.start_writing(self._fd)
        return True

    def settle(self) -> None:
        """Return once what was prepared is on disk."""
        if self._fd == _NOT_OPEN:
            return
        try:
            durable.sync(self._fd)
        finally:
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, _NOT_OPEN
        system.close(fd)

    def _create_temporary(self) -> int:
        while True:
            try:
                return durable.create(self._temporary)
            except FileNotFoundError:
                make_maildir(self.file)
            except FileExistsError:
                # An attempt at this message died here: no other runs while we hold its lock.
                durable.remove(self._temporary)

    def _find(self, name: str) -> str | None:
        """Where the copy NAME is now: an IMAP client may have moved or flagged it meanwhile."""
        folders = [self.file.path, self.file.root] + [
            system.join(self.file.root, entry)
            for entry in durable.names_in(self.file.root)
            if entry.startswith(".") and entry not in (".", "..")
        ]
        for folder in dict.fromkeys(folders):
            for part in ("new", "cur"):
                directory = system.join(folder, part)
                for entry in durable.names_in(directory):
                    if entry.partition(":")[0] == name:
                        return system.join(directory, entry)
        return None

    def commit(self) -> None:
        """Let it be seen."""
        try:
            durable.rename(self._temporary, self._final)
        except FileNotFoundError:
            # Somebody else's Maildir, half made or half removed.
            make_maildir(self.file)
            durable.rename(self._temporary, self._final)
        self._written = False

    def sync(self) -> None:
        """Return once its name is on disk."""
        try:
            durable.sync_directory(system.dirname(self._final))
        except FileNotFoundError:
            # Committed by an earlier attempt, and the folder has gone since: the user's deed.
            if not self.done:
                raise

    def undo(self) -> bool:
        """Take it back; false if a client has moved it already: then it stays."""
        removed = durable.remove(self._final)
        if removed:
            # An earlier sync may have put the name on disk: R must not outlive it there.
            durable.sync_directory(system.dirname(self._final))
        return removed or durable.exists(self._temporary)

    def finish(self) -> None:
        """What follows a delivery that lasts: the quota file counts it. Failure changes nothing."""
        if self._is_counted:
            quota.count(self.file.root, self._letter.size)

    def release(self) -> None:
        """Remove what was prepared and not committed."""
        try:
            if self._fd != _NOT_OPEN:
                self._close()
        finally:
            if self._written:
                durable.remove(self._temporary)


def refuse_if_all_is_too_much(copies: Iterable[Copy]) -> None:
    """Raise Deferral where COPIES, as far as they go to Maildirs, do not all fit.

    Each would find room by itself: none counts before it is delivered.
    """
    coming: dict[str, list[int]] = {}
    for copy in copies:
        if isinstance(copy, MaildirCopy):
            coming.setdefault(copy.file.root, []).append(copy._letter.size)
    for root, sizes in coming.items():
        quota.refuse_if_full(root, sum(sizes), len(sizes))


def sync_names(copies: Iterable[Copy]) -> None:
    """Return once the names of COPIES, as far as they are in Maildirs, are on disk."""
    directories = [system.dirname(c.path) for c in copies if isinstance(c, MaildirCopy)]
    for directory in dict.fromkeys(directories):
        durable.sync_directory(directory)


def temporary_path(maildir: str, key: bytes) -> str:
    """Where the copy of the message KEY is prepared, so that a retry finds it."""
    return system.join(maildir, "tmp", f"mdeliver.{key.decode()}")


def make_maildir(file: File) -> None:
    """Make the Maildir of FILE, and what a Maildir++ folder needs besides."""
    if file.path != file.root:
        _make_parts(file.root)
        durable.make_directory(file.path)
        if system.dirname(file.path) == file.root:
            _make_maildirfolder(file)
    _make_parts(file.path)


def _make_maildirfolder(file: File) -> None:
    """Maildir++: an empty file `maildirfolder` tells that this is a folder, not an inbox."""
    from mdeliver.deliver.subscriptions import subscribe

    try:
        system.close(durable.create(system.join(file.path, "maildirfolder")))
    except FileExistsError:
        pass
    subscribe(file.root, file.path.rpartition("/.")[2])


def _make_parts(path: str) -> None:
    for part in _PARTS:
        durable.make_directory(system.join(path, part))


def _unique_name(key: bytes, hostname: str, size: int) -> str:
    now_ns = time.time_ns()
    host = hostname.replace("/", "\\057").replace(":", "\\072").replace(",", "\\054")
    host = system.from_octets(system.to_octets(host)[:_HOST_OCTETS])
    seconds, rest_ns = divmod(now_ns, 1_000_000_000)
    pid = system.getpid()
    return f"{seconds}.M{rest_ns // 1000}P{pid}K{key[:12].decode()}.{host},S={size}"
