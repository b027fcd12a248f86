"""One line of the journal: how an attempt at a message is written down, and read again.

    STATE PLACES TAB CHECKSUM TAB KEY TAB BOOT TAB TURN TAB FROM TAB PLACE [TAB PLACE ...]

TURN is a time, nanoseconds since 1970: lines that were begun together, under one lock of each
mbox, have the same.

See also    journal.py, which says what the letters of STATE and PLACES mean
"""

from __future__ import annotations

from _blake2 import blake2b

from mdeliver import system
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHECKSUM_OCTETS = 8

_UNSAFE = bytes(range(0x21)) + b"%\x7f"
"""Octets that do not stand for themselves in a word."""

_PERCENT = ord("%")

_NEVER = set(_UNSAFE).difference(b"\t %")
"""Octets that stand nowhere in a line."""

_FIELDS = 4
"""Before the places, from the key on."""

_LETTERS = b".DFRScu"
_DIGITS = b"0123456789abcdef"


class Recorded(Record):
    """One line, read.

    offset     of its STATE letter in the file
    state      its STATE letter
    marks      its PLACE letters
    key        which message for whom
    boot       boot id of the kernel that ran the attempt, "" if unknown
    turn       what lines have in common that were begun together
    from_came  the From_ line as it came with the message, b"" if none came
    from_line  the From_ line that copies in mboxes carry
    places     each place as its deliverer wrote it (`words` split them)
    """

    offset: int
    state: str
    marks: str
    key: bytes
    boot: str
    turn: str
    from_came: bytes
    from_line: bytes
    places: tuple[tuple[str, ...], ...]


def message_key(*parts: bytes) -> bytes:
    """The key of one message for one recipient: a hash over PARTS, as hexadecimal digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest().encode()


def make_line(
    key: bytes,
    boot: str,
    turn_ns: int,
    froms: tuple[bytes, bytes],
    places: Sequence[tuple[str, ...]],
    marks: str,
) -> bytes:
    """An open line, from the newline that ends whatever a killed writer left of its own line.

    froms  the From_ line as it came, and that of copies in mboxes
    """
    fields = [
        key,
        boot.encode(),
        b"%d" % turn_ns,
        b" ".join([word(line) for line in froms]),
        *[b" ".join([word(system.to_octets(w)) for w in place]) for place in places],
    ]
    payload = b"\t".join(fields)
    return b"\n." + marks.encode() + b"\t" + _checksum(payload) + b"\t" + payload + b"\n"


def word(octets: bytes) -> bytes:
    """OCTETS without white space or control characters, so that they can stand in a line."""
    if not octets:
        return b"%"
    if len(octets.translate(None, _UNSAFE)) == len(octets):
        return octets
    octets = octets.replace(b"%", b"%25")
    for octet in set(octets).intersection(_UNSAFE) - {_PERCENT}:
        octets = octets.replace(bytes((octet,)), b"%%%02x" % octet)
    return octets


def _unword(octets: bytes) -> bytes:
    if octets == b"%":
        return b""
    first, *rest = octets.split(b"%")
    return first + b"".join(bytes((int(piece[:2], 16),)) + piece[2:] for piece in rest)


def glance(line: bytes) -> tuple[bytes, bytes, list[bytes]] | None:
    """Key and turn of a whole LINE, and the mboxes it names as `word` has them; else None."""
    _letters, _, rest = line.partition(b"\t")
    checksum, _, payload = rest.partition(b"\t")
    if _checksum(payload) != checksum:
        return None
    try:
        key, _boot, turn, _froms, *places = payload.split(b"\t")
    except ValueError:
        return None  # somebody has counted the checksum of what is no line
    return key, turn, [place.split(b" ", 2)[1] for place in places if place.startswith(b"mbox ")]


def _checksum(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_CHECKSUM_OCTETS).hexdigest().encode()


def read_line(lines: bytes, start: int) -> Recorded | None:
    """The line that begins at START, or None if it is not a whole one."""
    end = lines.find(b"\n", start)
    if end < 0:
        return None
    letters, _, rest = lines[start:end].partition(b"\t")
    checksum, _, payload = rest.partition(b"\t")
    if _checksum(payload) != checksum:
        return None
    try:
        return _recorded(start, letters, payload)
    except ValueError:
        return None  # as above


def _recorded(start: int, letters: bytes, payload: bytes) -> Recorded | None:
    """What the line at START says that has PAYLOAD; raises ValueError where that is none."""
    key, boot, turn, froms, *places = payload.split(b"\t")
    if len(letters) != 1 + len(places):
        return None  # letters are written over, so they are not in the checksum
    came, line = froms.split(b" ")
    return Recorded(
        start,
        letters[:1].decode("latin-1"),
        letters[1:].decode("latin-1"),
        key,
        boot.decode("latin-1"),
        turn.decode("latin-1"),
        _unword(came),
        _unword(line),
        tuple(tuple(system.from_octets(_unword(w)) for w in place.split(b" ")) for place in places),
    )


def whole_lines(octets: bytes) -> tuple[bytes, int]:
    """The lines in OCTETS that are whole; and how many octets were neither a line nor left by a
    writer who was killed in the midst of one."""
    lines, foreign = [], 0
    end = -1
    while end < len(octets):
        start, end = end + 1, octets.find(b"\n", end + 1)
        end = end if end >= 0 else len(octets)
        if start == end:
            continue
        if end < len(octets) and _is_whole(octets[start:end]):
            lines.append(b"\n" + octets[start : end + 1])
        elif not is_torn(octets, start, end):
            foreign += end - start
    return b"".join(lines), foreign


def _is_whole(line: bytes) -> bool:
    """Whether `read_line` reads LINE, but for fields that only a forged checksum can have."""
    letters, _, rest = line.partition(b"\t")
    checksum, _, payload = rest.partition(b"\t")
    places = payload.count(b"\t") - _FIELDS + 1
    return len(letters) == 1 + places and _checksum(payload) == checksum


def is_torn(lines: bytes, start: int, end: int) -> bool:
    """Whether what is in LINES from START to END, and no whole line, is the beginning of one.

    A writer who was killed has not ended it; the next line begins with the newline that does.
    """
    line, behind = lines[start:end], lines[end + 1 : end + 2]
    if end < len(lines) and behind in (b"", b"\n"):
        return False
    letters, tab, rest = line.partition(b"\t")
    checksum, more, payload = rest.partition(b"\t")
    if letters.strip(_LETTERS) or (tab and len(letters) < 2):
        return False
    if checksum.strip(_DIGITS) or len(checksum) > 2 * _CHECKSUM_OCTETS:
        return False
    return not more or not set(payload).intersection(_NEVER)


def last_lines(lines: bytes, most: int) -> bytes:
    """The last of LINES that are whole within MOST octets, one at the least."""
    if len(lines) <= most:
        return lines
    newest = max(0, lines.rfind(b"\n", 0, -1))
    start = lines.find(b"\n", len(lines) - most)
    return lines[min(start, newest) if start >= 0 else newest :]


def open_lines(lines: bytes, end: int) -> Iterator[bytes]:
    """The open lines before END that are the last of their message."""
    found = lines.find(b"\n.", 0, end)
    while found >= 0:
        recorded = read_line(lines, found + 1)
        line_end = lines.find(b"\n", found + 1)
        if recorded and lines.find(b"\t" + recorded.key + b"\t", line_end) < 0:
            yield lines[found + 1 : line_end]
        found = lines.find(b"\n.", found + 1, end)
