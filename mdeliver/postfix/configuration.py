"""Postfix's settings and tables, through its own commands: postconf, postmap, postfix.

Why         only Postfix knows what its files mean: defaults, continuation lines, `$names`, table
            types, the quoting of keys. Nothing here reads main.cf or master.cf.
Commands    found on the PATH, else in /usr/sbin; run without a shell, with a time limit.
Fails with  PostfixError, one line: what was run and what it said.
See also    postconf(1), postmap(1), DATABASE_README
"""

from __future__ import annotations

import os
import shutil
import subprocess

from mdeliver.outcome import one_line
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMAND_LIMIT_S = 60
"""No command of Postfix takes longer, but for a table of millions of rows."""

LISTED_FROM_SOURCE = ("cdb", "texthash")
"""Types of which postmap lists no rows, or none that were compiled: their text is read."""

# What lists its rows with `postmap -s`, and types that wrap another one.
_LISTABLE = ("hash", "btree", "lmdb", "dbm", "sdbm", "inline", *LISTED_FROM_SOURCE)


class PostfixError(Exception):
    """One line for the administrator."""


class Postfix:
    """One instance of Postfix.

    directory  its configuration directory; None for the one that the commands know
    """

    def __init__(self, directory: str | None = None) -> None:
        # What is written into its settings is read by daemons, which are elsewhere.
        self.directory = os.path.abspath(directory) if directory else None

    def run(
        self, program: str, *arguments: str, octets: bytes = b"", fine: Sequence[int] = (0,)
    ) -> str:
        """Run PROGRAM of Postfix and return what it printed.

        octets  its standard input
        fine    exit statuses that are no failure
        """
        done = self._done(program, arguments, octets)
        if done.returncode not in fine:
            raise PostfixError(_refusal(program, arguments, done))
        return done.stdout.decode("utf-8", "surrogateescape")

    def _done(
        self, program: str, arguments: Sequence[str], octets: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        where = ["-c", self.directory] if self.directory else []
        command = [_found(program), *where, *arguments]
        try:
            return subprocess.run(
                command, input=octets, capture_output=True, timeout=COMMAND_LIMIT_S, check=False
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise PostfixError(f"cannot run {program}: {why}") from None
        except subprocess.TimeoutExpired:
            raise PostfixError(f"{program} took longer than {COMMAND_LIMIT_S} s") from None

    def warnings(self) -> list[str]:
        """What Postfix finds odd about main.cf and master.cf, such as settings it does not know."""
        said = b"".join(self._done("postconf", [option]).stderr for option in ("-n", "-M"))
        lines = [x.partition("warning: ")[2] for x in said.decode(errors="replace").splitlines()]
        return list(dict.fromkeys(line for line in lines if line))

    # --- main.cf -----------------------------------------------------------------------------

    def value(self, name: str) -> str:
        """The value of a setting in main.cf, or its default, with `$names` filled in."""
        return self.run("postconf", "-hx", name).strip()

    def values_of(self, *names: str) -> dict[str, str]:
        """Several values at once: each call of postconf reads all of main.cf."""
        found = dict.fromkeys(names, "")
        for line in self.run("postconf", "-x", *names).splitlines():
            name, _, value = line.partition("=")
            found[name.strip()] = value.strip()
        return found

    def values(self, name: str) -> list[str]:
        """A value that is a list: parted at commas and white space, `{ ... }` kept together."""
        return split_list(self.value(name))

    def written(self, name: str) -> str | None:
        """What main.cf itself says of a setting; None where it says nothing."""
        line = self.run("postconf", "-n", name).strip()
        return line.partition("=")[2].strip() if line else None

    # --- master.cf ---------------------------------------------------------------------------

    def services(self) -> list[Service]:
        """Every service in master.cf, in its order, with the settings of its own."""
        settings: dict[str, dict[str, str]] = {}
        for line in self.run("postconf", "-Px").splitlines():
            name, equals, value = line.partition(" =")
            service, _, setting = name.strip().rpartition("/")
            if equals:
                settings.setdefault(service, {})[setting] = value.strip()
        fields: dict[str, dict[str, str]] = {}
        for line in self.run("postconf", "-F").splitlines():
            name, _, value = line.partition(" = ")
            service, _, field = name.strip().rpartition("/")
            fields.setdefault(service, {})[field] = value.strip()
        return [
            Service(name, its["command"], its["chroot"], settings.get(name, {}))
            for name, its in fields.items()
        ]

    # --- tables ------------------------------------------------------------------------------

    def rows(self, table: str) -> list[tuple[str, str]]:
        """Every row of TABLE (`TYPE:NAME`), its key and its value.

        Raises PostfixError for types that cannot be listed, such as ldap or regexp.
        """
        kind, colon, name = table.removeprefix("proxy:").partition(":")
        if not colon:
            raise PostfixError(f"{one_line(table)} is no table: TYPE:NAME is expected")
        if kind not in _LISTABLE:
            raise PostfixError(
                f"the users in {one_line(table)} cannot be listed: Postfix lists no {kind} tables; "
                "name these users in a plain list"
            )
        if kind in LISTED_FROM_SOURCE:
            kind = "texthash"
        listed = self.run("postmap", "-s", f"{kind}:{name}")
        return [(key, value) for key, _, value in (x.partition("\t") for x in listed.splitlines())]

    def look_up(self, table: str, key: str) -> str:
        """What TABLE says of KEY; "" for nothing. Raises PostfixError where it cannot be asked."""
        arguments = ("-q", key, table.removeprefix("proxy:"))
        done = self._done("postmap", arguments)
        # postmap ends with 1 for a missing row, too, but then it is silent.
        if done.returncode not in (0, 1) or (done.returncode and b"fatal: " in done.stderr):
            raise PostfixError(_refusal("postmap", arguments, done))
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def table_types(self) -> frozenset[str]:
        """The table types that this Postfix has."""
        return frozenset(self.run("postconf", "-m").split())


class Service(Record):
    """A line of master.cf.

    name      as postconf writes it: "submission/inet"
    command   the daemon and its arguments
    chroot    "y", "n" or "-"
    settings  what its `-o` options set
    """

    name: str
    command: str
    chroot: str
    settings: dict[str, str]

    @property
    def program(self) -> str:
        """The daemon, such as smtpd."""
        return self.command.partition(" ")[0]


def split_list(value: str) -> list[str]:
    """Parts of a list in main.cf: commas and white space part, `{ ... }` holds together."""
    parts, part, depth = [], "", 0
    for c in value:
        if depth == 0 and (c.isspace() or c == ","):
            if part:
                parts.append(part)
            part = ""
            continue
        depth += (c == "{") - (c == "}" and depth > 0)
        part += c
    return [*parts, part] if part else parts


def joined(values: Iterable[str]) -> str:
    """A list as one word, for `-o name=value` in master.cf."""
    return ",".join(values)


def _refusal(
    program: str, arguments: Sequence[str], done: subprocess.CompletedProcess[bytes]
) -> str:
    said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    words = " ".join([program, *arguments])
    return one_line(f"{words}: {said or f'exit status {done.returncode}'}")


def _found(program: str) -> str:
    return shutil.which(program) or f"/usr/sbin/{program}"
