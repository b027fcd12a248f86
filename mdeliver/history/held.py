"""Whether a place has a message already: rules may be applied twice, and copy only once.

In a Maildir   a file of the same size with the same octets; sizes stand in most names (`,S=`).
In an mbox     the same text, quoted as mboxrd, after a From_ line. One that a POP3 server has
               written into is not known again.
Memory         the names of each folder that is asked about; one message.
"""

from __future__ import annotations

from mmap import ACCESS_READ, mmap

from mdeliver import durable, system
from mdeliver.deliver import mboxrd
from mdeliver.letter import Letter
from mdeliver.plan import File


class Held:
    """What places had when each was first asked about."""

    def __init__(self) -> None:
        self._by_size: dict[str, dict[int, list[str]]] = {}

    def __call__(self, file: File, letter: Letter) -> bool:
        """Whether the place FILE has LETTER. Raises OSError."""
        if file.store == "mbox":
            return _in_mbox(file.path, letter)
        if file.path not in self._by_size:
            self._by_size[file.path] = _sizes(file.path)
        octets = b"".join(letter.chunks())
        return any(
            durable.read_file(path, letter.size + 1) == octets
            for path in self._by_size[file.path].get(letter.size, ())
        )


def _sizes(folder: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for part in ("new", "cur"):
        for name in durable.names_in(system.join(folder, part)):
            path = system.join(folder, part, name)
            _, _, rest = name.partition(",S=")
            digits = rest.partition(":")[0].partition(",")[0]
            try:
                size = int(digits) if digits.isdecimal() else system.stat(path).st_size
            except FileNotFoundError:
                continue  # a client has just marked it
            found.setdefault(size, []).append(path)
    return found


def _in_mbox(path: str, letter: Letter) -> bool:
    try:
        fd = system.open(path, system.O_RDONLY | system.O_CLOEXEC | system.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        size = durable.size_of(fd)
        text = b"".join(mboxrd.framed_text(letter.chunks()))
        if size < len(text):
            return False
        with mmap(fd, size, access=ACCESS_READ) as file:
            at = file.find(b"\n" + text)
            while at >= 0:
                line = file.rfind(b"\n", 0, at) + 1
                if file[line : line + 5] == b"From ":
                    return True
                at = file.find(b"\n" + text, at + 1)
        return False
    finally:
        durable.close_read(fd)
