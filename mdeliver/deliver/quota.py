"""Maildir++ quota: the file `maildirsize` in the Maildir's root says what the user may keep.

First line   the limit: "1000000S,1000C", octets and messages, either may be missing
Other lines  "OCTETS MESSAGES", one each time something came or went; their sum is what is there
Guarantee    a message that would not fit is deferred (4.2.2), never bounced, and never without
             having counted afresh: a sum that somebody forgot to correct keeps no mail out.
See also     Maildir++ by S. Varshavchik, "Maildirquota"
"""

from __future__ import annotations

from mdeliver import durable, system
from mdeliver.outcome import Deferral

_FILE_OCTETS = 64 << 10
"""The definition wants 5120 octets at most; beyond this it is nobody's maildirsize."""

_DIGITS = 20
"""A limit of more digits is none that could be reached."""


def refuse_if_full(root: str, octets: int, messages: int = 1) -> bool:
    """Raise Deferral if MESSAGES of OCTETS in all do not fit into the Maildir at ROOT.

    Returns whether anything is counted there at all.
    """
    text = durable.read_file(system.join(root, "maildirsize"), _FILE_OCTETS)
    if not text:
        return False
    limits, _, sums = text.partition(b"\n")
    octets_limit, messages_limit = _limits(limits)
    if octets_limit or messages_limit:
        wanted = (octets, messages), octets_limit, messages_limit
        if not _fits(_sum(sums), *wanted) and not _fits(_counted(root), *wanted):
            written = limits.decode("ascii", "replace")
            raise Deferral(f"{root} is over quota ({written} in maildirsize)", "4.2.2")
    return True


def count(root: str, octets: int, messages: int = 1) -> None:
    """Note that a message of OCTETS came, if there is a quota; a failure is not the message's.

    One that went has negative numbers.
    """
    path = system.join(root, "maildirsize")
    try:
        fd = durable.open_own_file(path, create=False)
    except (OSError, Deferral):
        return
    try:
        durable.write_all(fd, b"%d %d\n" % (octets, messages))
    except OSError:
        pass
    finally:
        system.close(fd)


def _fits(
    held: tuple[int, int], coming: tuple[int, int], octets_limit: int, messages_limit: int
) -> bool:
    return (not octets_limit or held[0] + coming[0] <= octets_limit) and (
        not messages_limit or held[1] + coming[1] <= messages_limit
    )


def _limits(line: bytes) -> tuple[int, int]:
    octets_limit = messages_limit = 0
    for word in line.strip().split(b","):
        if word[:-1].isdigit() and len(word) < _DIGITS:
            if word.endswith(b"S"):
                octets_limit = int(word[:-1])
            elif word.endswith(b"C"):
                messages_limit = int(word[:-1])
    return octets_limit, messages_limit


def _sum(lines: bytes) -> tuple[int, int]:
    octets = messages = 0
    for line in lines.splitlines():
        words = line.split()
        try:
            if len(words) == 2:
                octets += int(words[0])
                messages += int(words[1])
        except ValueError:
            continue
    return octets, messages


def _counted(root: str) -> tuple[int, int]:
    """Octets and messages in all folders, the Trash not counted, as Maildir++ wants it."""
    octets = messages = 0
    folders = [root] + [
        system.join(root, entry)
        for entry in durable.names_in(root)
        if entry.startswith(".") and entry != ".Trash" and not entry.startswith(".Trash.")
    ]
    for folder in folders:
        for part in ("new", "cur"):
            directory = system.join(folder, part)
            for name in durable.names_in(directory):
                octets += _octets(directory, name)
                messages += 1
    return octets, messages


def _octets(directory: str, name: str) -> int:
    _, has_size, rest = name.partition(",S=")
    digits = rest.partition(":")[0].partition(",")[0]
    if has_size and digits.isdecimal():
        return int(digits)
    try:
        return system.stat(system.join(directory, name)).st_size
    except FileNotFoundError:
        return 0
