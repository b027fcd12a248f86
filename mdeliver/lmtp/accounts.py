"""Whose mailbox a recipient's address means: users of the system, or virtual ones.

system   the local part is a login name with a uid of at least `first_uid`, and not the front's
         own; the domain is the MTA's business. Without root only the server's own user is known.
virtual  an address stands in one of `virtual_users`, and all mail belongs to `virtual_user`. A file
         is a Dovecot passwd-file (user:password:uid:gid:gecos:home), or what postmap(1) reads:
         "ADDRESS  HOME", and lines that begin with white space go on. HOME may be left out or be
         relative to `virtual_homes`: DOMAIN/LOCAL is what it is without.
Order    as Postfix has it: the address with its extension, without it, then @domain for all the
         rest of a domain.
Fails with   Deferral where a table, or the passwd database, cannot be read: nobody is refused for
             good then. Nor is who is missing from a table that was changed a moment ago, and nobody
             else gets that mail: it may be in the midst of being written, or of a line.
See also     virtual(5), postmap(1) of Postfix
"""

from __future__ import annotations

import time
from functools import lru_cache

from mdeliver import durable, system
from mdeliver.lmtp.logins import login_of
from mdeliver.outcome import Deferral
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.lmtp.settings import Lmtp

_TABLE_BYTES = 256 << 20
_KEPT_S = 10
"""How long a passwd entry is believed without asking again."""
_SETTLED_S = 5
"""So long after its change a table may still be written."""


class Account(Record):
    """Where mail for one address goes.

    name       login name, or virtual address: one worker serves it
    home       "" where the worker knows better (users of the system)
    extension  what followed the delimiter
    """

    name: str
    home: str
    extension: str


def split_extension(local: str, delimiters: str) -> tuple[str, str]:
    """User and extension of a local part; the first delimiter parts them, as in Postfix."""
    at = min([found for d in delimiters if (found := local.find(d, 1)) > 0], default=len(local))
    return local[:at], local[at + 1 :]


class SystemAccounts:
    """The passwd database."""

    def __init__(self, settings: Lmtp, delimiters: str) -> None:
        self._first_uid = settings.first_uid
        self._front_user = settings.front_user
        self._delimiters = delimiters
        self._alone = system.geteuid() if system.geteuid() != 0 else None
        self._known: dict[str, float] = {}

    def only(self, uid: int) -> None:
        """Know nobody but the user UID."""
        self._alone = uid

    def find(self, address: str, now_s: float) -> Account | None:
        """The account of ADDRESS; None if there is none. Raises Deferral."""
        local = address.rpartition("@")[0] or address
        user, extension = split_extension(local, self._delimiters)
        for name, rest in ((local, ""), (user, extension)):
            for spelt in dict.fromkeys((name, name.lower())):
                if self._known.get(spelt, 0) > now_s:
                    return Account(spelt, "", rest)
                if self._is_user(spelt):
                    self._known[spelt] = now_s + _KEPT_S
                    return Account(spelt, "", rest)
        return None

    def _is_user(self, name: str) -> bool:
        entry = login_of(name)
        if entry is None:
            return False
        if self._alone is not None:
            return entry.pw_uid == self._alone
        return entry.pw_uid >= self._first_uid and entry.pw_name != self._front_user


class VirtualAccounts:
    """Tables of addresses, read anew when they change."""

    def __init__(self, settings: Lmtp, delimiters: str) -> None:
        self._homes = settings.virtual_homes
        self._delimiters = delimiters
        self._paths = settings.virtual_users
        self._signatures: list[object] = []
        self._changed_s: list[float] = []
        self._tables: list[dict[str, str]] = []
        self._looked_s = float("-inf")

    def find(self, address: str, now_s: float) -> Account | None:
        """The account of ADDRESS; None if there is none. Raises Deferral."""
        if now_s - self._looked_s > 1:
            self._read_again()
            self._looked_s = now_s
        address = address.lower()
        value = self._value_of(address)
        if value is not None:
            return Account(address, _home(self._homes, value, address), "")
        local, at, domain = address.rpartition("@")
        if not at:
            local, domain = address, ""
        user, extension = split_extension(local, self._delimiters)
        name = f"{user}{at}{domain}"
        value = self._value_of(name)
        if value is None:
            self._must_be_settled()
            value = self._value_of(f"@{domain}") if domain else None
        return None if value is None else Account(name, _home(self._homes, value, name), extension)

    def _value_of(self, key: str) -> str | None:
        """What stands behind KEY in the first table that has it."""
        for table in self._tables:
            if key in table:
                return table[key]
        return None

    def _must_be_settled(self) -> None:
        """Whoever has not been found by now may yet be written."""
        for path, changed_s in zip(self._paths, self._changed_s, strict=True):
            if _may_be_written(changed_s):
                raise Deferral(f"{path} has just been changed; try again", "4.3.5")

    def everyone(self) -> Iterator[Account]:
        """All accounts that the tables name; of a whole domain, those whose homes are there.

        Raises Deferral.
        """
        self._read_again()
        for table in self._tables:
            for key, value in table.items():
                if not key.startswith("@") or value:
                    yield Account(key, _home(self._homes, value, key), "")
                    continue
                for local in sorted(durable.names_in(system.join(self._homes, key[1:]))):
                    name = f"{local}{key}"
                    yield Account(name, _home(self._homes, "", name), "")

    def _read_again(self) -> None:
        try:
            found = [system.stat(path) for path in self._paths]
            self._changed_s = [status.st_mtime for status in found]
            signatures: list[object] = [(s.st_ino, s.st_size, s.st_mtime_ns) for s in found]
            if signatures != self._signatures:
                texts = [_text_of(path) for path in self._paths]
                # A change while they were read counts too.
                self._changed_s = [system.stat(path).st_mtime for path in self._paths]
                cut = [
                    not text.endswith("\n") and _may_be_written(changed_s)
                    for text, changed_s in zip(texts, self._changed_s, strict=True)
                ]
                whole = [t.rpartition("\n")[0] if c else t for t, c in zip(texts, cut, strict=True)]
                self._tables = [dict(read_entries(text)) for text in whole]
                # What is left out now is looked for again.
                self._signatures = [] if any(cut) else signatures
        except OSError as error:
            raise Deferral(f"{error.filename}: {error.strerror}", "4.3.5") from None


@lru_cache(1000)
def _home(homes: str, value: str, name: str) -> str:
    """The home below HOMES of NAME, for which a table has VALUE."""
    local, _, domain = name.rpartition("@")
    # Whoever writes the table may name any directory; a sender, who makes up the local part
    # of a catch-all address, may not.
    steps = [step.replace("/", "_").lstrip(".") or "_" for step in (domain, local or name)]
    path = system.join(homes, value) if value else system.join(homes, *steps)
    return system.normal(path)


def _text_of(path: str) -> str:
    return durable.read_file(path, _TABLE_BYTES).decode("utf-8", "surrogateescape")


def _may_be_written(changed_s: float) -> bool:
    return abs(time.time() - changed_s) < _SETTLED_S


def read_entries(text: str) -> Iterator[tuple[str, str]]:
    """Address in lower case, and home or "", of every entry of a table."""
    for line in _joined(text):
        words = line.split(None, 1)
        if ":" in words[0]:
            fields = line.split(":")
            yield fields[0].lower(), fields[5].strip() if len(fields) > 5 else ""
        else:
            yield words[0].lower(), words[1].strip() if len(words) > 1 else ""


def _joined(text: str) -> Iterator[str]:
    """Logical lines: comments and empty lines left out, continued ones put together."""
    line = ""
    for raw in text.split("\n"):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        if raw[0] in " \t" and line:
            line += raw
        else:
            if line:
                yield line
            line = raw
    if line.strip():
        yield line
