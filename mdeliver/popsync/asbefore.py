"""Who need not be looked at when pop-sync starts: all is as it was at the last look.

Remembers  for each user whose last look left nothing to do: every file that it read, and how it
           was. Starting a process for each of 10 000 users to find that out again takes minutes.
Believes   a file that is our own, of the same settings and the same mdeliver. What it names comes
           from users' processes: we ask for a file's status, and read nothing.
Lost       or damaged, everybody is looked at: nothing depends on it but the time that takes
Fails with OSError where it cannot be written
See also   site.py; watch.py, look_of
"""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from typing import Any, TypedDict

from mdeliver import __version__, durable
from mdeliver.outcome import Deferral
from mdeliver.popsync.watch import look_of

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
        self._people: dict[str, Look] = {}
        self.settle(settings)
        if path:
            self._people = self._read()

    def settle(self, settings: object) -> None:
        """Go by SETTINGS from now on; with others nobody is as before."""
        words = f"{__version__} {settings!r}".encode("utf-8", "surrogateescape")
        self._settings = blake2b(words, digest_size=16).hexdigest()
        self._people.clear()

    def _read(self) -> dict[str, Look]:
        try:
            fd = durable.open_own_file(self._path, create=False)
        except (OSError, Deferral):
            return {}
        try:
            said = json.loads(durable.read_at(fd, min(durable.size_of(fd), _BYTES), 0))
            if said["settings"] != self._settings:
                return {}
            return {str(name): _checked(look) for name, look in said["people"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}
        finally:
            durable.close_read(fd)

    def look(self, user: str) -> Look | None:
        """The last look at USER's mail, if another would find nothing to do."""
        look = self._people.get(user)
        same = look is not None and all(look_of(path) == was for path, was in look["files"].items())
        return look if same else None

    def note(self, user: str, look: object) -> None:
        """The LOOK at USER's mail has left nothing to do; None: not so."""
        self._changed |= self._people.pop(user, None) is not None
        if not self._path or look is None:
            return
        try:
            self._people[user] = _checked(look)
        except ValueError:
            return
        self._changed = True

    def keep(self) -> None:
        """Write it down, if there is anything new. Raises OSError, Deferral."""
        if self._path and self._changed:
            self._changed = False
            durable.make_directory(os.path.dirname(self._path), 0o755)
            said = {"settings": self._settings, "people": self._people}
            durable.replace(self._path, json.dumps(said).encode())


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
