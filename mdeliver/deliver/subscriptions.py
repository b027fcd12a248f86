"""Subscribe a folder that a delivery has made, so that IMAP clients show it.

Dovecot keeps `subscriptions` in the Maildir's root: one folder a line, in modified UTF-7; since
2.3 behind a first line "V\\t2" and an empty one, the steps of a name parted by tabs.

Guarantee   a line is added at most once; the file is replaced in one step, under the lock file
            that Dovecot uses too (`subscriptions.lock`).
Fails with  nothing: an unsubscribed folder is no reason to keep a message waiting.
See also    Dovecot, lib-storage/list/subscription-file.c
"""

from __future__ import annotations

import os

from mdeliver import durable
from mdeliver.outcome import Deferral

_FILE_OCTETS = 1 << 20
_VERSION_2 = b"V\t2\n\n"


def subscribe(root: str, folder: str) -> None:
    """Add FOLDER, a Maildir++ name without its leading dot, to the subscriptions in ROOT."""
    path = os.path.join(root, "subscriptions")
    try:
        text = durable.read_file(path, _FILE_OCTETS)
        line = _line(folder, text)
        if line in text.splitlines(keepends=True) or len(text) >= _FILE_OCTETS:
            return
        _replace(path, text, line)
    except (OSError, Deferral):
        return


def _line(folder: str, text: bytes) -> bytes:
    name = os.fsencode(folder)
    if text.startswith(_VERSION_2):
        name = name.replace(b".", b"\t")
    return name + b"\n"


def _replace(path: str, text: bytes, line: bytes) -> None:
    """Dovecot makes the new file under the name of the lock: the one is the other."""
    lock = path + ".lock"
    fd = durable.create(lock)
    try:
        durable.write_all(fd, (text or _VERSION_2) + _line_for(text, line))
        durable.sync(fd)
        durable.rename(lock, path)
    except BaseException:
        durable.remove(lock)
        raise
    finally:
        os.close(fd)


def _line_for(text: bytes, line: bytes) -> bytes:
    if text:
        return line if text.endswith(b"\n") else b"\n" + line
    return line.replace(b".", b"\t")
