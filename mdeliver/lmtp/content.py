"""The message as it comes over the wire, turned into what mailboxes hold: lines that end with LF.

DotReader    after DATA. The message ends at CR LF . CR LF and nowhere else: LF.LF, LF.CRLF,
             CRLF.LF, CR.CR and every other form that some server takes for an end are content. So
             nobody can smuggle a second message behind one that another server let through.
ChunkReader  after BDAT: as many octets as were announced, whatever they are.
Gauge        limits of size, of the header and of one line.
Guarantee    how the octets are split into pieces changes nothing. A CR without LF, and an LF
             without CR, stay as they are.
See also     RFC 5321 4.1.1.4, 4.5.2; RFC 3030; CVE-2023-51764 (SMTP smuggling)
"""

from __future__ import annotations

_END = b"\r\n.\r\n"
_BEGINNINGS = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")


class DotReader:
    """The content after DATA."""

    def __init__(self) -> None:
        self._at_start = True

    def take(self, buffer: bytearray) -> tuple[bytes, bool]:
        """Remove from BUFFER what can be told; returns that content and whether the message ended.

        What stays in BUFFER is at most the beginning of an end, or what follows the end.
        """
        if not buffer:
            return b"", False
        if self._at_start:
            # As if the line before it had just ended: the message may be nothing but the end.
            if len(buffer) < 3 and b".\r\n".startswith(buffer):
                return b"", False
            if buffer.startswith(b".\r\n"):
                del buffer[:3]
                return b"", True
        end = buffer.find(_END)
        if end >= 0:
            block = bytes(buffer[: end + 2])
            del buffer[: end + len(_END)]
        else:
            held = next(filter(buffer.endswith, _BEGINNINGS), b"")
            block = bytes(buffer).removesuffix(held)
            buffer[:] = held
        if self._at_start and block:
            self._at_start = False
            if block.startswith(b"."):
                block = block[1:]
        return block.replace(b"\r\n.", b"\r\n").replace(b"\r\n", b"\n"), end >= 0


class ChunkReader:
    """The content of one or more BDAT chunks."""

    def __init__(self) -> None:
        self._left = 0
        self._last = False
        self._held = b""

    def begin(self, count: int, last: bool) -> None:
        """A chunk of COUNT octets follows."""
        self._left, self._last = count, last

    def take(self, buffer: bytearray) -> tuple[bytes, bool]:
        """Remove what there is of the chunk from BUFFER; its content, and whether it is over."""
        count = min(len(buffer), self._left)
        block = self._held + bytes(memoryview(buffer)[:count])
        del buffer[:count]
        self._left -= count
        over = self._left == 0
        self._held = b""
        if block.endswith(b"\r") and not (over and self._last):
            block, self._held = block[:-1], b"\r"
        return block.replace(b"\r\n", b"\n"), over


class Gauge:
    """Measures one message as it comes."""

    def __init__(self, size_limit: int, head_limit: int, line_limit: int) -> None:
        """Limits in octets; 0 for none."""
        self._size_limit, self._head_limit, self._line_limit = size_limit, head_limit, line_limit
        self._size = 0
        self._line = 0
        self._in_head = True
        self._last = b"\n"

    def measure(self, octets: bytes) -> str:
        """Count OCTETS; the reply that refuses the message if that is too much, else ""."""
        self._size += len(octets)
        if self._size_limit and self._size > self._size_limit:
            return f"552 5.3.4 message is larger than {self._size_limit} octets"
        if self._in_head:
            # The header ends with the first empty line, or with the message.
            head = self._last + octets
            at = head.find(b"\n\n")
            self._last = octets[-1:] or self._last
            beyond = 0 if at < 0 else len(head) - at - 1
            if self._head_limit and self._size - beyond > self._head_limit:
                return f"552 5.3.4 header is larger than {self._head_limit} octets"
            self._in_head = at < 0
        return self._measure_lines(octets)

    def _measure_lines(self, octets: bytes) -> str:
        before, last = self._line, octets.rfind(b"\n")
        self._line = len(octets) - last - 1 if last >= 0 else before + len(octets)
        if not 0 < self._line_limit < before + len(octets):
            return ""  # even if it were all one line
        first, *others = map(len, octets.split(b"\n"))
        if max([before + first, *others]) > self._line_limit:
            return f"554 5.6.0 message has a line longer than {self._line_limit} octets"
        return ""
