"""Can the tables that Postfix's settings name be read, and are they what their text says.

Why         a table that cannot be opened makes smtpd(8) and cleanup(8) answer 451 to everybody: all
            mail waits. One that was edited but not compiled does what it did before.
See also    DATABASE_README; postmap(1)
"""

from __future__ import annotations

import os
import re

from mdeliver.audit.finding import Finding
from mdeliver.postfix.configuration import split_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

_COMPILED = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb", "dbm": ".pag"}
_KINDS = (*_COMPILED, "texthash", "regexp", "pcre", "cidr")
_ASKED = ("socketmap", "ldap", "mysql", "pgsql", "sqlite")
_NAME = re.compile(rf"(?:proxy:)?(?:{'|'.join((*_KINDS, *_ASKED))}):[^\s,{{}}]+")
_SLACK_S = 1
"""postmap copies the time of the text in whole seconds on some file systems."""


def tables_are_in_order(host: Host) -> Iterator[Finding]:
    """Whether each table can be asked, and is as new as its text."""
    used = _used(host)
    complaints = 0
    for table, where in used.items():
        kind, _, path = table.removeprefix("proxy:").partition(":")
        end = _COMPILED.get(kind, "")
        if trouble := host.trouble_with(table):
            complaints += 1
            yield Finding(
                "failure",
                f"{where} names {table}, which cannot be read: {trouble}",
                "whatever asks it answers 451 to everybody: mail waits",
                "make the table, or name it no longer",
                (f"{_maker(where)} {kind}:{path}",) if end and os.path.exists(path) else (),
            )
        elif end and _is_stale(path, path + end):
            complaints += 1
            yield Finding(
                "warning",
                f"{path} has changed since {path}{end} was made",
                "Postfix reads what was made, and does what the text said then",
                "make it again",
                (f"{_maker(where)} {kind}:{path}",),
            )
    if not complaints:
        yield Finding("fine", f"{len(used)} tables can be read, and are up to date")


def _maker(where: str) -> str:
    return "postalias" if where in ("alias_maps", "alias_database") else "postmap"


def _used(host: Host) -> dict[str, str]:
    """Each table that a setting names, and one setting that does."""
    found: dict[str, str] = {}
    settings = [(name, host.box.value(name)) for name in host.box.names_written]
    for service in host.services:
        settings += [(f"{service.name}/{n}", value) for n, value in service.settings.items()]
    for name, value in settings:
        for part in split_list(value):
            for table in _NAME.findall(part):
                found.setdefault(table, name)
    return found


def _is_stale(text: str, compiled: str) -> bool:
    try:
        return os.stat(text).st_mtime > os.stat(compiled).st_mtime + _SLACK_S
    except OSError:
        return False  # made from elsewhere, or by somebody else


def settings_are_known(host: Host) -> Iterator[Finding]:
    """Whether Postfix knows every name that main.cf and master.cf set."""
    said = host.postfix.warnings()
    for warning in said:
        yield Finding(
            "warning",
            f"Postfix says: {warning}",
            "a setting that Postfix does not know has no effect",
            "correct its name, or remove it",
        )
    if not said:
        yield Finding("fine", "Postfix knows every setting in main.cf and master.cf")
