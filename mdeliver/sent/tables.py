"""Postfix tables: from rows to a file, in one step, and only if something changed.

Guarantee   Postfix reads the table before or the table after. A compiled table is made beside the
            old one and takes its place first, its text last: whatever happens in between, the next
            run sees that the text is not the one it wants, and makes both again.
Quoting     key and value in external form, parted by a space. postmap takes nothing out: white
            space within quotes belongs to the key. A key that begins with `#` cannot be written.
Patterns    `regexp` and `pcre` have a line for each domain, since a pattern cannot make a tag.
Secrecy     tables of tags are their owner's alone (0600): cleanup(8) opens them before it drops
            its privileges. Behind proxymap(8) they could not be read, and need not be.
Fails with  TableError, PostfixError, OSError; then everything is as it was
See also    postmap(1), DATABASE_README, regexp_table(5)
"""

from __future__ import annotations

import os
import re

from mdeliver import durable
from mdeliver.postfix.configuration import Postfix
from mdeliver.record import Record
from mdeliver.sent.files import put_in_place, replace_file, temporary_name, write_new
from mdeliver.sent.settings import COMPILED, PATTERNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = b"# Made by mdeliver bcc-maps; what is changed here is lost at its next run.\n"

TABLE_BYTES = 1 << 30


class TableError(Exception):
    """One line for the administrator."""


class Table(Record):
    """A table as it should be.

    kind  texthash, hash, lmdb, ...
    path  absolute, as Postfix's settings name it, without what postmap adds
    text  what the file holds
    """

    kind: str
    path: str
    text: bytes

    @property
    def name(self) -> str:
        """As Postfix's settings have it."""
        return f"{self.kind}:{self.path}"

    @property
    def compiled(self) -> str:
        """The file that postmap makes; "" where Postfix reads the text."""
        return self.path + COMPILED[self.kind] if self.kind in COMPILED else ""


def text_of(rows: Iterable[tuple[str, str]]) -> bytes:
    """The text of a table with ROWS of keys and values, in external form."""
    return HEAD + "".join([f"{key} {value}\n" for key, value in rows]).encode()


def text_of_patterns(domains: Iterable[str], excluded: Iterable[str], delimiters: str) -> bytes:
    """The text of a regexp or pcre table: senders at DOMAINS get their copy themselves.

    excluded    addresses that get none
    delimiters  recipient_delimiter: an extension of the sender is left out of the copy's address
    """
    # POSIX has no escapes within brackets; pcre has. `]` and `-` have their own places there.
    inside = "".join(sorted(delimiters, key=lambda c: (c == "-", c)))
    extension = f"([{inside}][^@]*)?" if delimiters else "()"
    name = f'([^@{inside}"][^@{inside}"]*)' if delimiters else '([^@"]+)'
    lines = []
    for address in excluded:
        local, _, domain = address.rpartition("@")
        lines.append(f"if !/^{_literal(local)}{extension}@{_literal(domain)}$/\n")
    for domain in domains:
        lines.append(f"/^{name}{extension}@{_literal(domain)}$/ $1@{domain}\n")
    lines += ["endif\n"] * sum(line.startswith("if ") for line in lines)
    return HEAD + "".join(lines).encode()


def _literal(text: str) -> str:
    """TEXT as a pattern that is nothing but it, in POSIX's extended syntax and in Perl's."""
    return re.sub(r"([.^$*+?()\[\]{}|\\/])", r"\\\1", text)


def read_rows(path: str) -> dict[str, str]:
    """The rows that a run before this has written to PATH; {} where there is no such file.

    Raises TableError where somebody else made the file.
    """
    text = durable.read_file(path, TABLE_BYTES)
    if text and not text.startswith(HEAD):
        raise TableError(
            f"{path} was not made by mdeliver bcc-maps: move it away, or choose another "
            "with --output"
        )
    rows = {}
    for line in text[len(HEAD) :].decode("utf-8", "replace").split("\n"):
        key, _, value = line.rpartition(" ")
        if key:
            rows[key] = value
    return rows


def is_fresh(table: Table) -> bool:
    """Whether Postfix already has TABLE."""
    if durable.read_file(table.path, TABLE_BYTES) != table.text:
        return False
    if not table.compiled:
        return os.path.exists(table.path)
    try:
        return os.stat(table.compiled).st_mtime >= os.stat(table.path).st_mtime
    except FileNotFoundError:
        return False


def write(table: Table, postfix: Postfix, *, secret: bool) -> bool:
    """Make TABLE what Postfix has; returns whether that took anything.

    secret  whether only its owner may read it
    """
    if is_fresh(table):
        return False
    mode = 0o600 if secret else 0o644
    if not table.compiled:
        replace_file(table.path, table.text, mode)
        return True
    temporary = temporary_name(table.path)
    made = temporary + COMPILED[table.kind]
    write_new(temporary, table.text, mode)
    try:
        postfix.run("postmap", f"{table.kind}:{temporary}")
        fd = os.open(made, os.O_RDONLY)
        try:
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        durable.remove(temporary)
        durable.remove(made)
        raise
    put_in_place([(made, table.compiled), (temporary, table.path)])
    return True


def is_pattern(kind: str) -> bool:
    """Whether tables of this type have patterns for keys."""
    return kind in PATTERNS
