"""Files of our own that are written whole: keys, tables, digests of tags.

Guarantee   a reader sees the file before or the file after, never a part; it outlives a power cut.
Fails with  OSError; then the file is as it was, and nothing lies beside it. What a killed run has
            left there, keys or tags, `remove_left_over` takes away.
See also    durable.py, whose functions these are made of
"""

from __future__ import annotations

import os
import re
import secrets

from mdeliver import durable


def replace_file(path: str, octets: bytes, mode: int) -> None:
    """Make PATH hold OCTETS, with the permissions MODE, whatever the umask."""
    temporary = temporary_name(path)
    write_new(temporary, octets, mode)
    put_in_place([(temporary, path)])


def rewrite(path: str, octets: bytes) -> None:
    """Make PATH hold OCTETS; mode and owner of a file that is there, and links to it, stay.

    A new file can be read by all.
    """
    real = os.path.realpath(path)
    try:
        status = os.stat(real)
    except FileNotFoundError:
        replace_file(real, octets, 0o644)
        return
    temporary = temporary_name(real)
    write_new(temporary, octets, status.st_mode & 0o7777, (status.st_uid, status.st_gid))
    put_in_place([(temporary, real)])


def temporary_name(path: str) -> str:
    """A name beside PATH that nobody has and nobody guesses."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/.{name}.{secrets.token_hex(6)}"


def remove_left_over(path: str) -> None:
    """Remove what a killed run has left beside PATH; nobody else may be writing it now."""
    directory, _, name = path.rpartition("/")
    temporary = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{12}}(\.[a-z]+)?")
    for entry in durable.names_in(directory or "/"):
        if temporary.fullmatch(entry):
            durable.remove(f"{directory}/{entry}")


def write_new(path: str, octets: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make the file PATH, which must not exist, and have it on disk.

    owner  user and group, if not those of this process
    """
    fd = durable.create(path, 0o600)
    try:
        try:
            durable.write_all(fd, octets)
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            durable.sync(fd)
        finally:
            os.close(fd)
    except BaseException:
        durable.remove(path)
        raise


def put_in_place(pairs: list[tuple[str, str]]) -> None:
    """Give each file its name, in this order; on failure remove those that have none yet."""
    try:
        for temporary, path in pairs:
            durable.rename(temporary, path)
            durable.sync_directory(os.path.dirname(path))
    except BaseException:
        for temporary, _path in pairs:
            durable.remove(temporary)
        raise
