"""Postfix's log wherever it lies: in files, rotated and compressed, in the journal, growing.

Reads       plain files, gzip, xz, bzip2 and (by the program zstd) Zstandard, told by how they
            begin; pipes; the journal by journalctl.
Guarantee   however long a line is, no more than a block of it is in memory.
Fails with  OSError, with words in it; Broken where a compressed file ends early or is none, after
            everything before that place.
See also    logrotate(8), journalctl(1), postlogd(8)
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

from mdeliver.postfix.events import WANTED
from mdeliver.postfix.maillog import LINE_BYTES, Clock, entries

STANDARD_INPUT = "-"

USUAL_PLACES = ("/var/log/mail.log", "/var/log/maillog", "/var/log/mail", "/var/log/mail/mail.log")
"""Where distributions let syslog write the log of mail."""

BLOCK_BYTES = 4 << 20
_ORDER_BYTES = 256 << 10
"""How far into a file a date is looked for, to tell which file comes first."""

_JOURNAL = (
    *("journalctl", "--quiet", "--no-pager", "--output=json"),
    *("--output-fields=SYSLOG_IDENTIFIER,MESSAGE", "SYSLOG_FACILITY=2"),
)


class Broken(Exception):
    """A compressed file cannot be read to its end."""


class Block(NamedTuple):
    """Whole lines.

    octets    of the lines
    latest_s  none of them is much younger than this
    done      bytes of the file that have been read so far, as it lies on the disk
    """

    octets: bytes
    latest_s: float
    done: int


# --- which files -----------------------------------------------------------------------------


def usual_logs() -> list[str]:
    """The log of this host's Postfix and its rotated parts; [] where there is none."""
    for place in (_maillog_file(), *USUAL_PLACES):
        if place and (found := with_rotated(place)):
            return found
    return []


def _maillog_file() -> str:
    program = shutil.which("postconf") or shutil.which("postconf", path="/usr/sbin")
    if program is None:
        return ""
    asked = subprocess.run(
        [program, "-h", "maillog_file"], capture_output=True, check=False, timeout=60
    )
    return os.fsdecode(asked.stdout.strip())


def with_rotated(path: str) -> list[str]:
    """PATH and what logrotate has made of its elders: PATH.1, PATH.2.gz, PATH-20261122.xz …"""
    directory, name = os.path.split(path)
    pattern = re.compile(
        re.escape(name) + r"(?:[.-][0-9][0-9T_-]*)?(?:\.(?:gz|xz|lzma|bz2|zst))?", re.ASCII
    )
    try:
        names = os.listdir(directory or ".")
    except OSError:
        return []
    found = [os.path.join(directory, other) for other in names if pattern.fullmatch(other)]
    return [other for other in sorted(found) if os.path.isfile(other)]


def in_order(paths: Sequence[str]) -> list[str]:
    """PATHS in the order of what is in them, each file once. Raises OSError."""
    once = {os.path.realpath(path): path for path in reversed(paths)}
    return sorted(once.values(), key=lambda path: (_first_s(path), path))


def _first_s(path: str) -> float:
    """When the first line in PATH was written; when the file was changed, if none says so."""
    if path == STANDARD_INPUT:
        return float("-inf")
    changed_s = os.stat(path).st_mtime
    if not os.path.isfile(path):
        return changed_s
    clock = Clock(changed_s)
    try:
        with _opened(path) as (stream, _raw), _damage_as_broken(path):
            octets = stream.read(_ORDER_BYTES)
    except Broken:
        return changed_s
    for entry in entries(octets, WANTED):
        found_s = clock.seconds(entry.stamp)
        if found_s is not None:
            return found_s
    return changed_s


# --- reading ---------------------------------------------------------------------------------


def blocks(path: str) -> Iterator[Block]:
    """All of the file, decompressed, in blocks of whole lines. Raises OSError, Broken."""
    with _opened(path) as (stream, raw):
        latest_s = time.time()
        if raw is not None:
            latest_s = os.fstat(raw.fileno()).st_mtime
        with _damage_as_broken(path):
            for octets in _whole_lines(stream):
                yield Block(octets, latest_s, raw.tell() if raw and raw.seekable() else 0)


@contextmanager
def _damage_as_broken(path: str) -> Iterator[None]:
    """Every decompressor says in its own way that it cannot go on."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise Broken(f"{path}: {error}") from None
    except OSError as error:
        # gzip's and bz2's way; what the system says has a number.
        if error.errno is not None:
            raise
        raise Broken(f"{path}: {error}") from None


def journal_blocks() -> Iterator[Block]:
    """All that the journal has of mail. Raises OSError where there is no journal."""
    with journal(follow=False) as stream:
        for octets in _whole_lines(stream):
            yield Block(octets, time.time(), 0)


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while octets := stream.read(BLOCK_BYTES):
        whole, newline, tail = octets.rpartition(b"\n")
        if newline:
            yield rest + whole
            rest = tail
        else:
            # A line this long is nobody's log; its beginning will do.
            rest = (rest + tail)[:LINE_BYTES]
    if rest:
        yield rest


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], IO[bytes] | None]]:
    """What PATH holds, decompressed, and the file itself, which tells how far it was read."""
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer, None
        return
    with open(path, "rb", buffering=0) as raw:
        # A pipe cannot be looked at twice.
        first = raw.read(6) if raw.seekable() else b""
        if raw.seekable():
            raw.seek(0)
        if first.startswith(b"\x1f\x8b"):
            yield gzip.GzipFile(fileobj=raw), raw  # type: ignore[misc]
        elif first.startswith(b"BZh"):
            yield bz2.BZ2File(raw), raw
        elif first.startswith((b"\xfd7zXZ\0", b"]\0\0")):
            yield lzma.LZMAFile(raw), raw  # noqa: SIM115
        elif first.startswith(b"\x28\xb5\x2f\xfd"):
            with _zstd(raw, path) as stream:
                yield stream, raw
        else:
            yield io.BufferedReader(raw, BLOCK_BYTES), raw


@contextmanager
def _zstd(raw: IO[bytes], path: str) -> Iterator[IO[bytes]]:
    program = shutil.which("zstd")
    if program is None:
        raise Broken(f"{path}: the program zstd, which reads it, is not installed")
    with subprocess.Popen([program, "-dcq"], stdin=raw, stdout=-1, stderr=-3) as process:
        assert process.stdout is not None
        ended = False
        try:
            yield process.stdout
            ended = process.stdout.read(1) == b""
        finally:
            process.stdout.close()
        if process.wait() and ended:
            raise Broken(f"{path}: zstd cannot read it to its end")


@contextmanager
def journal(*, follow: bool) -> Iterator[IO[bytes]]:
    """What journalctl prints of mail. Raises OSError where it is not there or says no.

    follow  whether it goes on with what is logged from now on
    """
    program = shutil.which(_JOURNAL[0])
    if program is None:
        raise FileNotFoundError(2, "there is no journalctl on this host", _JOURNAL[0])
    command = [program, *_JOURNAL[1:], *(["--follow", "--lines=all"] if follow else [])]
    with subprocess.Popen(command, stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.stdout
            said = process.stderr.read().decode("utf-8", "backslashreplace").strip()
            if process.wait() > 0:
                raise OSError(5, said or "it failed", _JOURNAL[0])
        finally:
            process.terminate()


# --- a log that grows ------------------------------------------------------------------------


def follow_file(path: str) -> Iterator[list[bytes]]:
    """Lines of PATH, from its beginning and then as they are written, for ever.

    Gives [] when there is nothing new: the caller waits as long as it likes. A log that is rotated
    is read to its end, and then its successor; one that is cut short is read from its beginning.
    Raises OSError where PATH cannot be opened at first; a successor that is missing is waited for.
    """
    raw = open(path, "rb", buffering=0)  # noqa: SIM115
    rest = b""
    try:
        while True:
            # Asked first: what is written until then is read before the file is left.
            replaced = _replaced(path, raw)
            if octets := raw.read(BLOCK_BYTES):
                *lines, rest = (rest + octets).split(b"\n")
                rest = rest[:LINE_BYTES]
                yield lines
            elif replaced:
                try:
                    successor = open(path, "rb", buffering=0)  # noqa: SIM115
                except FileNotFoundError:
                    continue
                raw.close()
                raw, rest = successor, b""
            elif raw.tell() > os.fstat(raw.fileno()).st_size:
                raw.seek(0)
                rest = b""
            else:
                yield []
    finally:
        raw.close()


def _replaced(path: str, raw: IO[bytes]) -> bool:
    """Whether another file is at PATH, and written to: its elder gets no lines any more."""
    try:
        now = os.stat(path)
    except OSError:
        return False
    known = os.fstat(raw.fileno())
    return now.st_size > 0 and (now.st_dev, now.st_ino) != (known.st_dev, known.st_ino)
