"""What `pop-sync` reads: mboxes that change under it, and its own ledger after a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from mdeliver.popsync.blocks import Block
from mdeliver.popsync.entry import CopyAt, Known
from mdeliver.popsync.ledger import NAME, Delivered, Download, Ledger, LedgerError, Written
from mdeliver.popsync.mboxindex import Found, NotWhole, look, mapped
from mdeliver.popsync.noting import note
from tests.fuzz.target import Target, directory, write

AGAIN = b"\n=== again\n"


def _look(path: str, content: bytes, ledger: Ledger) -> Found | None:
    """What is found in an mbox with CONTENT, noted as sync.py does; None where it is no mbox."""
    fd = os.open(write(path, content), os.O_RDONLY)
    try:
        with mapped(fd) as file:
            found = look(fd, file, ledger.blocks(path), ledger.messages, trust_tail=True)
            made = note(path, file, found, (), ledger.messages)
    except NotWhole:
        return None
    finally:
        os.close(fd)
    with ledger.transaction():
        ledger.save(path, "", made.blocks)
    return found


def look_again(octets: bytes) -> None:
    """Every octet of an mbox belongs to one message of the look, whatever was there before.

    (Which message it is taken for may be wrong, if somebody has rewritten bodies in place: what
    is known is not read again.)
    """
    with directory() as state:
        path = f"{state}/mbox"
        ledger = Ledger(state, keep=True)
        try:
            for content in octets.split(AGAIN)[:4]:
                if _look(path, content, ledger) is None:
                    continue
                known = [k.entry for block in ledger.blocks(path) for k in ledger.messages(block)]
                assert sum(entry.length for entry in known) == len(content)
                assert sum(block.length for block in ledger.blocks(path)) == len(content)
                heads = sum(entry.head_bytes for entry in known)
                assert heads <= len(content)
        finally:
            ledger.close()


@cache
def _sound() -> bytes:
    """A ledger with something in every table."""
    with directory() as state:
        ledger = Ledger(state, keep=True)
        _look(f"{state}/mbox", _BOX, ledger)
        copies = (CopyAt("/m", "/m/.A", "1.M2.mx", "S"),)
        with ledger.transaction():
            ledger.add_deliveries([Delivered("/box", b"f", "<1@a>", 0, 9, copies)])
            ledger.add_downloads([Download("/box", b"k", "seen", "<1@a>", b"c", 3, 0, copies)])
            ledger.note_taken("log", 5)
        ledger.close()
        with open(f"{state}/{NAME}", "rb") as file:
            return file.read().replace(
                state.encode(), b"/dev/shm/mdeliver-fuzz-0123456"[: len(state)]
            )


def ledger(octets: bytes) -> None:
    """A ledger with octets changed is used, or said to be damaged."""
    sound = bytearray(_sound())
    for at in range(0, len(octets) - 3, 4):
        place = int.from_bytes(octets[at : at + 3], "big") % len(sound)
        sound[place] = octets[at + 3]
    with directory() as state:
        write(f"{state}/{NAME}", bytes(sound))
        with suppress(LedgerError):
            kept = Ledger(state, keep=True)
            try:
                _use(kept)
            finally:
                kept.close()


def _use(kept: Ledger) -> None:
    paths = ["/box", *[row[0] for row in kept._rows("SELECT path FROM mbox")]]
    for path in paths:
        kept.status(path)
        kept.counts(path)
        blocks: list[Block | Written] = []
        for block in kept.blocks(path):
            messages: list[Known] = kept.messages(block)
            blocks.append(Written(block, messages))
        kept.deliveries(path)
        with kept.transaction():
            kept.save(path, "", blocks)
    kept.taken()
    kept.downloads()


_BOX = b"".join(
    b"From a%d Mon Nov 23 10:00:00 2026\nMessage-ID: <%d@x>\n\nbody\n\n" % (n, n) for n in range(4)
)


def _boxes() -> Iterator[bytes]:
    later = _BOX.replace(b"\n\nbody", b"\nStatus: RO\nX-UID: 3\n\nbody", 2)
    yield _BOX + AGAIN + later + AGAIN + later[70:]
    yield _BOX[60:] + AGAIN + _BOX + _BOX + AGAIN + _BOX.replace(b"\n", b"\r\n")


TARGETS = {
    "popsync-look": Target(
        look_again,
        _boxes,
        (AGAIN, b"\nFrom a1 Mon Nov 23 10:00:00 2026\n", b"Status: RO\n", b"\n\n", b"\r\n", b"\0"),
    ),
    "popsync-ledger": Target(
        ledger,
        lambda: [b"", b"\0\0\x40\1", b"\0\x20\0\xff\0\x20\1\0"],
        (b"\0\0\0\0", b"\0\x10\0", b"\0\x20\0", b"\0\x30\0"),
    ),
}
