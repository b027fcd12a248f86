"""Who need not be looked at when pop-sync starts: all is as it was at the last look.

Remembers  for each user whose last look left nothing to do: every file that it read, and how it
           was. Starting a process for each of 10 000 users to find that out again takes minutes.
Believes   a file that is our own, of the same settings and the same mdeliver. What it names comes
           from users' processes: we ask for a file's status, and read nothing.
Lost       or damaged, everybody is looked at: nothing depends on it but the time that takes.
           `trouble` says that it was damaged; it is written anew when there is anything new
Fails with OSError where it cannot be written
See also   site.py; watch.py, look_of
"""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from typing import Any, TypedDict

from mdeliver import __version__, damage, durable
from mdeliver.outcome import Deferral
from mdeliver.popsync.watch import look_of
from mdeliver.system import from_octets, to_octets

FILES = 200
"""Who reads more files is looked at."""

_BYTES = 1 << 30


class Look(TypedDict):
    """A look at one user's mail.

    files  that it read, by their paths, and how each was; [] for one that was not there
    watch  those of them that tell when there is something to do
    """

    files: dict[str, list[int]]
    watch: list[str]


class AsBefore:
    """What was remembered at PATH by who had the same SETTINGS; PATH "" remembers nothing."""

    def __init__(self, path: str, settings: object) -> None:
        self._path = path
        self._changed = False
        self.trouble = ""
        self._people: dict[str, bytes] = {}
        """Looks as they are written: as objects those of 10 000 users would take 40 MB."""
        self.settle(settings)
        if path:
            self._people = self._read()

    def settle(self, settings: object) -> None:
        """Go by SETTINGS from now on; with others nobody is as before."""
        words = f"{__version__} {settings!r}".encode("utf-8", "surrogateescape")
        self._settings = blake2b(words, digest_size=16).hexdigest()
        self._people.clear()

    def _read(self) -> dict[str, bytes]:
        try:
            fd = durable.open_own_file(self._path, create=False)
        except (OSError, Deferral):
            return {}
        try:
            octets = durable.read_at(fd, min(durable.size_of(fd), _BYTES), 0)
        except OSError:
            return {}
        finally:
            durable.close_read(fd)
        first, *lines = octets.split(b"\n")
        whole = octets.endswith(b"\n") and b"\0" not in octets
        if not whole or len(first) != len(self._settings) or first.strip(b"0123456789abcdef"):
            found = damage.kept(self._path, "it was no list of looks", octets, len(octets))
            self.trouble = found.text
            self._changed = True
            return {}
        if first != self._settings.encode():
            return {}
        parted = [line.partition(b"\t") for line in lines if line]
        return {from_octets(name): look for name, _tab, look in parted}

    def look(self, user: str) -> Look | None:
        """The last look at USER's mail, if another would find nothing to do."""
        if user not in self._people:
            return None
        try:
            look = _checked(json.loads(self._people[user]))
        except (ValueError, RecursionError):
            return None
        same = all(look_of(path) == was for path, was in look["files"].items())
        return look if same else None

    def note(self, user: str, look: object) -> None:
        """The LOOK at USER's mail has left nothing to do; None: not so."""
        self._changed |= self._people.pop(user, None) is not None
        if not self._path or look is None:
            return
        try:
            self._people[user] = json.dumps(_checked(look)).encode()
        except ValueError:
            return
        self._changed = True

    def keep(self) -> None:
        """Write it down, if there is anything new. Raises OSError, Deferral."""
        if self._path and self._changed:
            self._changed = False
            durable.make_directory(os.path.dirname(self._path), 0o755)
            lines = [to_octets(user) + b"\t" + look for user, look in self._people.items()]
            durable.replace(self._path, b"\n".join([self._settings.encode(), *lines, b""]))


def _checked(look: Any) -> Look:
    """LOOK. Raises ValueError where it is none: a user's process may have said it."""
    if not isinstance(look, dict) or set(look) != {"files", "watch"}:
        raise ValueError("no look")
    files, watch = look["files"], look["watch"]
    if not isinstance(files, dict) or not isinstance(watch, list) or len(files) > FILES:
        raise ValueError("no files")
    if not all(isinstance(path, str) and path in files for path in watch):
        raise ValueError("it watches what it has not read")
    for path, was in files.items():
        if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
            raise ValueError("a path that is none")
        if not isinstance(was, list) or [type(part) for part in was] not in ([], [int] * 4):
            raise ValueError("no status of a file")
    return Look(files=files, watch=watch)
