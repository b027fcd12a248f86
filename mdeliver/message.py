"""One message as rules see it: its header fields and its size.

Guarantee   nothing is parsed before it is asked for, nothing raises, whatever the bytes; the time
            is linear in the head. No I/O.
Tolerates   LF and CRLF, NUL and 8-bit bytes, no head at all, a head cut at the limit, From_ and
            `>From ` lines and other lines that are no fields (they are skipped with their folds).
Texts       unfolded (RFC 5322 2.2.3: the line end before white space goes, the white space
            stays), without white space at either end; raw UTF-8, else Latin-1; RFC 2047 words
            decoded by headertext.py, which is imported when `=?` occurs.
Limits      HEAD_BYTES, HEADER_LINES, ADDRESSES, ADDRESS_TEXT, ENCODED_WORDS; `limit` says
            which was reached.
See also    addresses.py; mime.py for the body
"""

from __future__ import annotations

from mdeliver import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mdeliver.addresses import Address

# RFC 5322 3.6.8: ftext = %d33-57 / %d59-126. White space before the colon is obsolete syntax
# (4.5) and still a field.
_FTEXT = bytes(range(33, 127)).replace(b":", b"")

_FOLDS = ((b"\r\n ", b" "), (b"\r\n\t", b"\t"), (b"\n ", b" "), (b"\n\t", b"\t"))


class Message:
    """The head of a message, split up when somebody asks.

    head  raw bytes of the head without a From_ line, up to the empty line that ends it or cut
    size  octets of the whole message without a From_ line
    cut   whether the head is longer than what is here
    octets  gives the whole message in pieces, its head included; called only where a rule looks
            into the body
    """

    __slots__ = (
        "_addresses", "_by_name", "_fields", "_texts", "cut", "head", "limit", "octets", "size",
    )  # fmt: skip

    def __init__(
        self,
        head: bytes,
        size: int,
        *,
        cut: bool = False,
        octets: Callable[[], Iterable[bytes]] | None = None,
    ) -> None:
        self.head = head
        self.size = size
        self.octets = octets
        self.cut = cut
        self.limit = f"the head goes on after {len(head)} bytes" if cut else ""
        """The limit that was reached so far, in words; "" if none was."""
        self._fields: list[tuple[str, bytes]] | None = None
        self._by_name: dict[str, list[bytes]] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._addresses: dict[str, tuple[Address, ...]] = {}

    def with_head(self, head: bytes) -> Message:
        """This message with HEAD in place of its own."""
        octets, read = self.octets, len(self.head)
        size = self.size - read + len(head)
        with_body = None if octets is None else lambda: _with_head(head, octets(), read)
        return Message(head, size, cut=self.cut, octets=with_body)

    @property
    def fields(self) -> list[tuple[str, bytes]]:
        """Every field in order: its name as written, its raw value, unfolded."""
        if self._fields is None:
            self._fields = self._split()
            for name, value in self._fields:
                self._by_name.setdefault(name.lower(), []).append(value)
        return self._fields

    def _split(self) -> list[tuple[str, bytes]]:
        head = self.head
        # Unfolding first, in C, makes a field of 300 000 folds as cheap as any other.
        for fold, space in _FOLDS:
            if fold in head:
                head = head.replace(fold, space)
        fields: list[tuple[str, bytes]] = []
        lines = head.split(b"\n", limits.HEADER_LINES)
        if len(lines) > limits.HEADER_LINES:
            lines.pop()
            self.limit = f"more than {limits.HEADER_LINES} lines in the head"
        for line in lines:
            if not line or line == b"\r":
                # The end of the head, or the piece after the last line end of a head without one.
                break
            label, colon, value = line.partition(b":")
            label = label.rstrip(b" \t")
            if colon and label and not label.translate(None, _FTEXT):
                fields.append((label.decode("ascii"), value))
        return fields

    def raw(self, name: str) -> list[bytes]:
        """Raw values of all fields called NAME (lower case), in order."""
        if self._fields is None:
            self.fields  # noqa: B018 - fills _by_name
        return self._by_name.get(name, [])

    def texts(self, name: str) -> tuple[str, ...]:
        """Decoded values of all fields called NAME (lower case), in order."""
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = tuple(self._decoded(self.raw(name)))
        return found

    def whole_fields(self) -> tuple[str, ...]:
        """Every field as `Name: value`, decoded."""
        found = self._texts.get(":")
        if found is None:
            names = [name for name, _value in self.fields]
            values = self._decoded([value for _name, value in self.fields])
            found = tuple([f"{n}: {v}" for n, v in zip(names, values, strict=True)])
            self._texts[":"] = found  # no field can have this name
        return found

    def _decoded(self, values: list[bytes]) -> list[str]:
        """VALUES as people read them."""
        texts: list[str] = []
        words_left = limits.ENCODED_WORDS
        for value in values:
            text = plain_text(value)
            if "=?" in text:
                from mdeliver.headertext import decode_words

                words = text.count("=?")
                if words > words_left:
                    self.limit = f"more than {limits.ENCODED_WORDS} encoded words"
                text = decode_words(text, words_left)
                words_left = max(0, words_left - words)
            texts.append(text)
        return texts

    def addresses(self, *names: str) -> tuple[Address, ...]:
        """Addresses in all fields with one of NAMES (lower case), in their order."""
        key = "\n".join(names)  # no field can have such a name
        found = self._addresses.get(key)
        if found is None:
            found = self._addresses[key] = self._read_addresses(names)
        return found

    def _read_addresses(self, names: tuple[str, ...]) -> tuple[Address, ...]:
        values = [value for name in names for value in self.raw(name)]
        if not values:
            return ()
        from mdeliver.addresses import parse_addresses

        found: list[Address] = []
        room = limits.ADDRESS_TEXT
        for value in values:
            found += parse_addresses(plain_text(value[:room]), limits.ADDRESSES - len(found))
            room -= len(value)
            if room < 0 or len(found) >= limits.ADDRESSES:
                self.limit = f"too many addresses in {', '.join(names)}"
                break
        return tuple(found)


def _with_head(head: bytes, pieces: Iterable[bytes], drop: int) -> Iterator[bytes]:
    """HEAD, then PIECES without their first DROP octets."""
    yield head
    for piece in pieces:
        if drop < len(piece):
            yield piece[drop:]
        drop = max(0, drop - len(piece))


def plain_text(value: bytes) -> str:
    """A raw, unfolded header value stripped, RFC 2047 words still encoded.

    What is not UTF-8 is Latin-1, which has a character for every byte.
    """
    value = value.strip(b" \t\r")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
