"""Checked rules, kept between deliveries: lexer, parser and checker need not even be imported.

Place       $XDG_CACHE_HOME/mdeliver/rules, else ~/.cache/mdeliver/rules (XDG Base Directory).
            Whoever removes it loses some milliseconds.
Believed    only while every file that was read is still the same: path, device, inode, size, both
            times, owner and mode. So what rulesfile.py looks at cannot have changed either. Which
            rules files there are, and files of cases beside them, is asked anew each time; another
            user, another interpreter and a new installation of mdeliver never find it. Where there
            are cases, other settings of the site do not either: by those they may not hold.
Not kept    rules with an error; rules in a file that was changed less than two seconds before it
            was read: a further change in the same tick of the file system's clock does not show.
Trusts      a plain file of ours with one name and mode 0600, whose checksum is right. Whoever can
            forge that can write the rules themselves.
Written     after the delivery, under one fixed name that then takes the old file's place: what a
            kill leaves there, the next delivery replaces. Not synced, as the checksum tells.
Fails with  nothing: at any trouble rules are compiled as if there were no cache.
See also    rulesfile.py, language/compile.py
"""

from __future__ import annotations

import marshal
import sys
import time
from _blake2 import blake2b

import mdeliver
from mdeliver import durable, limits, system
from mdeliver.diagnostic import Span
from mdeliver.intake import state_directory
from mdeliver.language import syntax
from mdeliver.language.syntax import Plain, Program
from mdeliver.record import Record
from mdeliver.rulesfile import cases_beside, cases_path, is_there, rules_paths, usual_paths
from mdeliver.settings import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    from mdeliver.envelope import Envelope

    _Signature: TypeAlias = tuple[int, ...]
    """What `_signature` makes of a file's status."""

_DIGEST_BYTES = 16
_SETTLED_S = 2
_NO_SITE = Site()


class RulesCache:
    """The kept program of one user.

    files    what compiling notes here: the status of each file when it was read, by its path
    program  what `keep` keeps: what was compiled; None if that is nothing to keep
    state    the state directory of that user
    """

    __slots__ = (
        "_asked",
        "_began_s",
        "_counts",
        "_fetched",
        "_path",
        "_rules",
        "files",
        "program",
        "state",
    )

    def __init__(
        self,
        envelope: Envelope,
        override: str | None,
        environ: Mapping[str, str],
        site: Site = _NO_SITE,
    ) -> None:
        """The rules of ENVELOPE's user, or those that the option --rules names: OVERRIDE.

        environ  names the directory of the cache
        site     by whose settings cases are tried
        """
        base = environ.get("XDG_CACHE_HOME", "")
        if not base.startswith("/"):
            base = f"{envelope.home}/.cache"
        self._path = f"{base}/mdeliver/rules"
        self.state = state_directory(envelope, environ)
        self._began_s = time.time()
        self.files: dict[str, system.stat_result] = {}
        self.program: Program | None = None
        self._asked: tuple[Any, ...] | None = None
        self._fetched: tuple[tuple[str, _Signature], ...] | None = None
        self._rules = usual_paths(envelope.home) if override is None else (override,)
        self._counts: dict[str, _Signature | None] = {}
        try:
            self._asked = _our_code(), _wanted(envelope, override, site)
        except (AttributeError, OSError):
            pass  # nothing is found, and nothing kept

    def fetch(self) -> Program | None:
        """The program that was kept; None where it must be compiled."""
        try:
            asked, files, packed = marshal.loads(_read(self._path))
            if asked != self._asked:
                return None
            for path, signature in files:
                if _signature(system.stat(path)) != signature:
                    return None
            program = unpack(packed)
            self._fetched = files
        except Exception:
            return None
        return program if isinstance(program, Program) else None

    def keep(self) -> None:
        """Keep `program`, if it may be kept."""
        if self.program is None or self._asked is None:
            return
        if not self._settled(self._asked):
            return
        try:
            files = tuple([(path, _signature(status)) for path, status in self.files.items()])
            kept = (self._asked, files, pack(self.program))
            _write(self._path, marshal.dumps(kept))
        except Exception:
            pass

    def holds(self) -> bool:
        """Whether what was fetched, or compiled, would be so again, for the same user and site.

        For a process that has more than one message to deliver. Of what stands in for rules with an
        error nobody can say it: a file that they include may have been missing.
        """
        if self._asked is None:
            return False
        if not self._counts:
            compiled = self.program is not None and self._settled(self._asked)
            if self._fetched is None and not compiled:
                return False
            self._counts = self._files_that_count()
        try:
            for path, seen in self._counts.items():
                if not _is_still(path, seen):
                    return False
        except OSError:
            return False
        return True

    def _files_that_count(self) -> dict[str, _Signature | None]:
        """What was seen of each file by its path; None where there was none, but might be one."""
        if self._fetched is not None:
            seen = dict(self._fetched)
        else:
            seen = {path: _signature(status) for path, status in self.files.items()}
        cases = [cases_path(path) for path in self._rules if path in seen]
        return dict.fromkeys([*self._rules, *cases]) | seen

    def _settled(self, asked: tuple[Any, ...]) -> bool:
        """Whether no file can have changed since without a trace."""
        *_, paths = asked[1]
        settled_s = self._began_s - _SETTLED_S
        # A file that vanished before it could be read would be missed if it came back.
        return self.files.keys() >= set(paths) and all(
            status.st_ctime <= settled_s for status in self.files.values()
        )


def _our_code() -> tuple[object, ...]:
    """What compiles rules: another version makes another program."""
    return mdeliver.__version__, _signature(system.stat(mdeliver.__file__)), sys.version


def _wanted(envelope: Envelope, override: str | None, site: Site) -> tuple[Any, ...]:
    """Whose program it is, of which files; it depends on what they hold besides."""
    rules = rules_paths(envelope.home, override)
    cases = cases_beside(rules)
    tried = repr((envelope.user, site)).encode("utf-8", "surrogatepass") if cases else b""
    return (
        envelope.uid,
        envelope.home,
        blake2b(tried, digest_size=_DIGEST_BYTES).digest(),
        (*rules, *cases),
    )


def _is_still(path: str, seen: _Signature | None) -> bool:
    """Whether the file PATH is what was SEEN, or there still is none; OSError where it has gone."""
    return not is_there(path) if seen is None else _signature(system.stat(path)) == seen


def _signature(status: system.stat_result) -> _Signature:
    """What changes whenever a file does, or whoever may write it."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_uid,
        status.st_mode,
    )


def _read(path: str) -> bytes:
    """What `_write` wrote to PATH; raises OSError, Deferral or ValueError where it is not that."""
    fd = durable.open_own_file(path, create=False)
    try:
        status = system.fstat(fd)
        if status.st_mode & 0o7777 != 0o600 or status.st_size > limits.CACHE_BYTES:
            raise ValueError
        octets = durable.read_at(fd, status.st_size, 0)
    finally:
        durable.close_read(fd)
    digest, content = octets[:_DIGEST_BYTES], octets[_DIGEST_BYTES:]
    if blake2b(content, digest_size=_DIGEST_BYTES).digest() != digest:
        raise ValueError
    return content


def _write(path: str, content: bytes) -> None:
    """Put CONTENT and its checksum into PATH, in one step."""
    if len(content) + _DIGEST_BYTES > limits.CACHE_BYTES:
        return
    durable.make_directory(system.dirname(path))
    # Two deliveries at once may mix: that fails the checksum.
    digest = blake2b(content, digest_size=_DIGEST_BYTES).digest()
    durable.replace(path, digest + content, lasting=False)


# --- a program as marshal can write it -------------------------------------------------------

_KINDS: dict[str, type] = {
    name: kind
    for name, kind in vars(syntax).items()
    if isinstance(kind, type) and (issubclass(kind, Record) or kind is Plain)
}
"""Every kind of node in a tree, by its name."""

_INNER = (list, tuple)


def pack(value: Any) -> Any:
    """VALUE, a part of a tree, with lists of the kind's name and the fields in place of nodes.

    Every second node is a place: it becomes a tuple that begins with None, as no other does.
    """
    if type(value) is Span:
        return (None, value.file, value.line, value.column, value.end_column)
    if isinstance(value, Record):
        fields = [pack(getattr(value, field)) for field in value._fields]
        return [type(value).__name__, *fields]
    if isinstance(value, tuple):
        return tuple([pack(inner) for inner in value])
    if type(value) is Plain:
        return [Plain.__name__, str(value)]
    return value


def unpack(packed: Any) -> Any:
    """What `pack` made PACKED of."""
    kind = type(packed)
    if kind is list:
        fields = [unpack(f) if type(f) in _INNER else f for f in packed[1:]]
        return _KINDS[packed[0]](*fields)
    if kind is tuple:
        if packed and packed[0] is None:
            return Span(*packed[1:])
        return tuple([unpack(f) if type(f) in _INNER else f for f in packed])
    return packed
