"""The parts of a message (RFC 2045, 2046, 2183, 2231): their text, their names, their types.

    multipart-body := [preamble CRLF] dash-boundary ... *encapsulation close-delimiter [epilogue]
    delimiter      := CRLF "--" boundary                              RFC 2046 5.1.1

Method      one pass over the lines that begin with `--`, with the boundaries that are open in a
            table; nothing recurses. What a part says of itself is read by message.py.
Guarantee   never raises, whatever the octets; no more of them than limits.MIME_BYTES is looked
            at, and the MIME_ and BODY_ limits bound parts, depth, lines and text, and so the time.
Tolerates   parts without a head or an end, a boundary that an inner part uses again (the outer
            part's), messages within messages, CRLF and LF, broken base64, unknown charsets.
Why not     mail-parser, or email.parser below it: both raise RecursionError on nested parts, took
            2 s and more for 10 MB of dashes, broken base64 or a part's head (here 35 ms), and
            mail-parser logs to standard error, which Postfix bounces with. Importing it takes
            56 ms. Both are the tests' reference for sound mail.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, a2b_qp

from mdeliver import limits
from mdeliver.message import Message, plain_text
from mdeliver.record import Record
from mdeliver.structured import words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.structured import Word

_FIELD_TEXT = 8 << 10
"""Bytes of one Content-Type or Content-Disposition that are read."""


_NO_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)


class Part(Record):
    """One part that has no parts itself; its octets are in the body between START and END.

    type      lower case, such as "text/plain"
    charset   as written, "" if it is not said
    encoding  Content-Transfer-Encoding, lower case
    names     file names, of Content-Disposition and of Content-Type
    attached  whether it says that it is an attachment
    """

    type: str
    charset: str
    encoding: str
    names: tuple[str, ...]
    attached: bool
    start: int
    end: int


class Body:
    """What follows the head of a message; empty, with a limit that says so, if it is not here."""

    __slots__ = ("_message", "_octets", "parts")

    def __init__(self, message: Message) -> None:
        self._message = message
        self._octets = _read(message)
        self.parts = _Walk(message, self._octets).parts

    def texts(self) -> list[str]:
        """The text of every text part, HTML as people see it; lines end in LF, none at the end."""
        texts = []
        room = limits.BODY_TEXT
        for part in self.parts:
            if not part.type.startswith("text/"):
                continue
            # Encoded octets are at most three for one, and line ends.
            end = min(part.end, part.start + 4 * room)
            text = _decoded(self._octets[part.start : end], part)
            if end < part.end or len(text) > room:
                self._message.limit = f"more than {limits.BODY_TEXT >> 10} KB of text in the body"
                text = text[:room]
            room -= len(text)
            if part.type == "text/html":
                from mdeliver.htmltext import text_of_html

                text = text_of_html(text)
            texts.append(text.strip())
        return texts

    def names(self) -> list[str]:
        """The file names of all parts."""
        return [name for part in self.parts for name in part.names]

    def types(self) -> list[str]:
        """The types of all parts but the text that people read."""
        read = ("text/plain", "text/html")
        return [p.type for p in self.parts if p.attached or p.names or p.type not in read]


def _read(message: Message) -> bytes:
    if message.octets is None:
        message.limit = "the body is not here"
    if message.octets is None or message.cut:
        return b""
    taken = []
    room = len(message.head) + limits.MIME_BYTES
    for piece in message.octets():
        taken.append(piece[:room])
        room -= len(piece)
        if room < 0:
            message.limit = f"more than {limits.MIME_BYTES >> 20} MB"
            break
    return b"".join(taken)[len(message.head) :]


class _Walk:
    """The parts of one body, in order."""

    __slots__ = ("_delimiters", "_depth", "_heads", "_octets", "_open", "parts")

    def __init__(self, message: Message, octets: bytes) -> None:
        self.parts: list[Part] = []
        self._octets = octets
        self._delimiters: dict[bytes, int] = {}
        """What a line that opens or closes a part says, and how deep the multipart is."""
        self._open: list[bytes] = []
        self._depth = 0
        self._heads = 0
        current = self._begin(message, message, 0)
        lines = 0
        at = 0 if octets.startswith(b"--") else _next_dashes(octets, 0)
        while self._open and at >= 0:
            lines += 1
            end = octets.find(b"\n", at)
            end = len(octets) if end < 0 else end
            line = octets[at : min(end, at + 100)].rstrip()
            level = self._delimiters.get(line)
            if level is not None:
                self._finish(current, at)
                self._close_to(level)
                if line == self._open[-1] + b"--":
                    self._close_to(level - 1)
                    current = None
                else:
                    current = self._part(message, min(end + 1, len(octets)))
            if (
                lines > limits.MIME_LINES
                or len(self.parts) >= limits.MIME_PARTS
                or self._heads > limits.MIME_HEADS
            ):
                message.limit = "more parts, or lines like their ends, than are looked at"
                current = None
                break
            at = _next_dashes(octets, end)
        self._finish(current, len(octets) + 1)

    def _part(self, message: Message, start: int) -> Part | None:
        """Read the head of the part that begins at START."""
        octets = self._octets
        ends = [
            end + len(mark)
            for mark in (b"\n\n", b"\n\r\n")
            if (end := octets.find(mark, start, start + limits.MIME_HEAD)) >= 0
        ]
        stop = min(ends, default=min(len(octets), start + limits.MIME_HEAD))
        if octets[start : start + 1] == b"\n" or octets[start : start + 2] == b"\r\n":
            stop = octets.index(b"\n", start) + 1
        head = octets[start:stop]
        if b"\n--" in head or head.startswith(b"--"):
            # The part may end before its head does.
            at = start
            for line in head.split(b"\n"):
                if line.rstrip() in self._delimiters:
                    head, stop = octets[start:at], max(start, at - 1)
                    break
                at += len(line) + 1
        self._heads += len(head)
        return self._begin(message, Message(head, 0), stop)

    def _begin(self, message: Message, head: Message, start: int) -> Part | None:
        """The part whose HEAD ends at START; None if it is made of others."""
        kind, parameters = _structured(head, "content-type")
        disposition, more = _structured(head, "content-disposition")
        names = tuple(
            dict.fromkeys([n for n in (_name(more, "filename"), _name(parameters, "name")) if n])
        )
        if kind.startswith("multipart/") or kind == "message/rfc822":
            if len(self._open) + self._depth >= limits.MIME_DEPTH:
                message.limit = f"parts nested more than {limits.MIME_DEPTH} deep"
            elif kind == "message/rfc822":
                if names:
                    self.parts.append(Part(kind, "", "", names, True, start, start))
                self._depth += 1
                return self._part(message, start)
            elif boundary := parameters.get("boundary", "").rstrip():
                delimiter = b"--" + boundary.encode("utf-8", "replace")
                if delimiter not in self._delimiters:
                    self._open.append(delimiter)
                    self._delimiters[delimiter] = len(self._open)
                    # An outer boundary may be this one with "--" behind it, and goes first.
                    self._delimiters.setdefault(delimiter + b"--", len(self._open))
                return None
        encoding = next(iter(head.texts("content-transfer-encoding")), "").lower()
        if "/" not in kind:
            kind = "text/plain"
        attached = disposition == "attachment"
        return Part(kind, parameters.get("charset", ""), encoding, names, attached, start, start)

    def _finish(self, part: Part | None, at: int) -> None:
        """PART ends before the line end that stands before AT."""
        if part is not None:
            end = max(part.start, at - 1)
            if self._octets[end - 1 : end] == b"\r":
                end = max(part.start, end - 1)
            self.parts.append(part.replace(end=end))

    def _close_to(self, level: int) -> None:
        """Leave all multiparts deeper than LEVEL."""
        while len(self._open) > level:
            delimiter = self._open.pop()
            for line in (delimiter, delimiter + b"--"):
                if self._delimiters[line] > len(self._open):
                    del self._delimiters[line]
        self._depth = 0


def _next_dashes(octets: bytes, start: int) -> int:
    """Where the next line begins with two dashes; -1: nowhere."""
    found = octets.find(b"\n--", start)
    return found + 1 if found >= 0 else -1


def _structured(head: Message, name: str) -> tuple[str, dict[str, str]]:
    """The value and parameters of a field, the first of its name; names in lower case."""
    raw = next(iter(head.raw(name)), b"")[:_FIELD_TEXT]
    pieces: list[list[Word]] = [[]]
    for word in words_of(plain_text(raw)):
        if word == (False, ";"):
            pieces.append([])
        else:
            pieces[-1].append(word)
    parameters: dict[str, str] = {}
    for piece in pieces[1:]:
        if len(piece) > 2 and piece[1] == (False, "="):
            value = piece[2][1]
            if not piece[2][0]:
                # Values without the quotes that they need are common.
                words = " ".join([word for _quoted, word in piece[2:]])
                value = words.replace(" =", "=").replace("= ", "=")
            parameters.setdefault(piece[0][1].lower(), value)
    return "".join([word for _quoted, word in pieces[0]]).lower(), parameters


def _name(parameters: dict[str, str], name: str) -> str:
    """A parameter that people read: by RFC 2231 with its continuations, else by RFC 2047."""
    plain = parameters.get(name, "")
    pieces = [(name + "*", parameters.get(name + "*"))]
    if pieces[0][1] is None:
        pieces = []
        for number in range(100):
            for key in (f"{name}*{number}*", f"{name}*{number}"):
                if key in parameters:
                    pieces.append((key, parameters[key]))
                    break
            else:
                break
    if not pieces:
        if "=?" in plain:
            from mdeliver.headertext import decode_words

            return decode_words(plain, limits.ENCODED_WORDS)
        return plain
    from mdeliver.headertext import text_of

    charset = ""
    octets = b""
    for index, (key, value) in enumerate(pieces):
        value = value or ""
        if not key.endswith("*"):
            octets += value.encode("utf-8", "replace")
            continue
        if index == 0 and value.count("'") >= 2:
            charset, _language, value = value.split("'", 2)
        octets += _percent_decoded(value)
    return _readable(octets, charset) if charset in ("", "us-ascii") else text_of(octets, charset)


def _percent_decoded(value: str) -> bytes:
    first, *rest = value.encode("utf-8", "replace").split(b"%")
    pieces = [first]
    for piece in rest:
        try:
            pieces.append(bytes([int(piece[:2], 16)]) + piece[2:])
        except ValueError:
            pieces.append(b"%" + piece)
    return b"".join(pieces)


def _decoded(octets: bytes, part: Part) -> str:
    """The text of OCTETS as PART says that it is encoded."""
    if part.encoding == "base64":
        octets = _from_base64(octets)
    elif part.encoding == "quoted-printable":
        octets = a2b_qp(octets)
    if b"\r" in octets:
        octets = octets.replace(b"\r\n", b"\n")
    charset = part.charset.strip()
    if charset.lower() in ("", "us-ascii", "utf-8", "utf8"):
        return _readable(octets, charset)
    from mdeliver.headertext import text_of

    return text_of(octets, charset).replace("\r\n", "\n")


def _from_base64(octets: bytes) -> bytes:
    for missing in (b"", b"=", b"=="):
        try:
            return a2b_base64(octets + missing)
        except Error:
            continue
    # One character too many, or none of them base64's.
    clean = octets.translate(None, _NO_BASE64)
    return a2b_base64(clean[: len(clean) // 4 * 4])


def _readable(octets: bytes, charset: str) -> str:
    """UTF-8, whatever CHARSET of it was said; else Latin-1, as in heads."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return (
            octets.decode("utf-8", "replace")
            if "utf" in charset.lower()
            else octets.decode("latin-1")
        )
