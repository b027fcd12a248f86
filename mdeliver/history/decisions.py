"""The files of the decision log: one line for each delivery, the newest last.

Place       `log` in the state directory; when it is full it becomes log.1, that log.2, and so on
Line        an object of JSON, printable ASCII; it begins with the time
            `authentication` is a text, "" where nothing was asked or known; else for each method a
            result or several, parted by "; ", in the words of RFC 8601, no comments, values with
            white space or `;` in double quotes:
              spf=pass smtp.mailfrom=example.org; dkim=pass header.d=example.org header.s=sel;
              dmarc=pass header.from=example.org policy.dmarc=reject; arc=none
At once     whole lines are one write at the end of the file, so those of two deliveries never mix;
            whoever renames the files holds a lock on the one that is full. A delivery that had it
            open meanwhile writes to what is log.1 by then.
Not synced  a power cut may take the last lines: no delivery waits for its own record.
Fails with  OSError, Deferral (log is a link, or somebody else's)
See also    account.py writes, recall.py reads
"""

from __future__ import annotations

import sys

from mdeliver import durable, locks, system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

NAME = "log"


def append(state: str, lines: bytes, kilobytes: int, files: int) -> None:
    """Add LINES, each with its line end, to the log in the state directory STATE.

    kilobytes  a longer file is put aside first
    files      how many older ones are kept
    """
    path = system.join(state, NAME)
    fd = _open(path, kilobytes << 10, files)
    try:
        try:
            durable.write_at_once(fd, lines)
        except OSError:
            # A full disk may have taken a part; the next line must not be joined to it.
            durable.write_all(fd, b"\n")
            raise
    finally:
        durable.close_read(fd)


def _open(path: str, most: int, files: int) -> int:
    fd, status = durable.open_own(path, create=True)
    try:
        if status.st_size <= most or not locks.try_lock(fd, 0, 1, exclusive=True):
            return fd
        # Somebody else may have put it aside since we opened it.
        if durable.same_file(fd, path):
            for number in range(files, 0, -1):
                older = path if number == 1 else f"{path}.{number - 1}"
                if system.exists(older):
                    durable.rename(older, f"{path}.{number}")
    except BaseException:
        system.close(fd)
        raise
    durable.close_read(fd)
    return durable.open_own_file(path, create=True)


def paths(state: str) -> list[str]:
    """The files of the log that there are, the oldest first."""
    found = {}
    for name in durable.names_in(state):
        stem, dot, number = name.partition(".")
        if stem == NAME and (not dot or number.isdecimal()):
            found[int(number or 0)] = system.join(state, name)
    return [path for _number, path in sorted(found.items(), reverse=True)]


def as_json(value: Any) -> str:
    """VALUE as JSON in ASCII: texts, numbers, truth, null, lists and mappings of them.

    The module `json` costs an import; a delivery has a dozen texts to write. A process that has it
    already, such as a worker, writes the same in C.
    """
    json = sys.modules.get("json")
    if json is not None:
        written: str = json.dumps(value)
        return written
    return _as_json(value)


def _as_json(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return _list(value)
    return _object(value)


def _object(value: Mapping[str, Any]) -> str:
    return "{" + ", ".join([f"{_quoted(name)}: {_as_json(v)}" for name, v in value.items()]) + "}"


def _list(value: Sequence[Any]) -> str:
    return "[" + ", ".join([_as_json(inner) for inner in value]) + "]"


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    made: list[str] = []
    for character in text:
        code = ord(character)
        if code > 0xFFFF:
            # RFC 8259 section 7: beyond the first plane, the two halves of UTF-16.
            code -= 0x10000
            made.append(f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}")
        elif character in '"\\':
            made.append(f"\\{character}")
        elif 0x20 <= code < 0x7F:
            made.append(character)
        else:
            made.append(f"\\u{code:04x}")
    return '"' + "".join(made) + '"'
