"""Subscribe a folder that a delivery has made, so that IMAP clients show it; and take that back.

Dovecot keeps `subscriptions` in the Maildir's root: one folder a line, in modified UTF-7; since
2.3 behind a first line "V\\t2" and an empty one, the steps of a name parted by tabs.

Guarantee   a line is added at most once, by one short append. No lock is taken: should Dovecot
            rewrite the file in this very moment, the worst is a folder that a client must
            subscribe by hand, while a lock of ours could hold up every client.
Fails with  nothing: an unsubscribed folder is no reason to keep a message waiting.
See also    Dovecot, lib-storage/list/subscription-file.c
"""

from __future__ import annotations

from mdeliver import durable, system
from mdeliver.outcome import Deferral

_FILE_OCTETS = 1 << 20
_VERSION_2 = b"V\t2\n\n"


def subscribe(root: str, folder: str) -> None:
    """Add FOLDER, a Maildir++ name without its leading dot, to the subscriptions in ROOT."""
    try:
        fd = durable.open_own_file(system.join(root, "subscriptions"), create=True)
    except (OSError, Deferral):
        return
    try:
        _append(fd, system.to_octets(folder))
    except OSError:
        pass
    finally:
        durable.close_read(fd)


def unsubscribe(root: str, folder: str) -> None:
    """Take back what `subscribe` has added last; what others wrote after it keeps it."""
    try:
        fd = durable.open_own_file(system.join(root, "subscriptions"), create=False)
    except (OSError, Deferral):
        return
    try:
        text = durable.read_at(fd, _FILE_OCTETS, 0)
        name = system.to_octets(folder)
        line = (name.replace(b".", b"\t") if text.startswith(_VERSION_2) else name) + b"\n"
        if text.endswith(b"\n" + line) or text == line:
            durable.truncate(fd, len(text) - len(line))
    except OSError:
        pass
    finally:
        durable.close_read(fd)


def _append(fd: int, folder: bytes) -> None:
    text = durable.read_at(fd, _FILE_OCTETS, 0)
    start = b""
    if not text:
        start = _VERSION_2
    elif not text.endswith(b"\n"):
        start = b"\n"
    if start == _VERSION_2 or text.startswith(_VERSION_2):
        folder = folder.replace(b".", b"\t")
    if folder + b"\n" not in text.splitlines(keepends=True) and len(text) < _FILE_OCTETS:
        durable.write_all(fd, start + folder + b"\n")
