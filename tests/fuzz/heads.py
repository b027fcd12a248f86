"""What strangers write: the heads of messages, their parts, and what rules make of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mdeliver import mime
from mdeliver.addresses import can_be_sent_to, parse_addresses
from mdeliver.authentication.results import believed, parse_results
from mdeliver.edits import edited_letter, field_line, header_text, passed_on
from mdeliver.folders import decode_name, encode_name, maildirpp_name, safe_step
from mdeliver.headertext import decode_words, text_of
from mdeliver.htmltext import text_of_html
from mdeliver.letter import Letter, letter_of
from mdeliver.message import Message, plain_text
from mdeliver.plan import Edit
from mdeliver.sent.filing import message_name
from mdeliver.settings import Site
from mdeliver.structured import words_of
from tests.fuzz.decisions import decision
from tests.fuzz.target import Target, is_printable, messages

_SITE = Site(("example.org",), "mail.example.org")


def head(octets: bytes) -> None:
    """Every field as text, as addresses, as results: nothing raises, nothing is undecodable."""
    message = Message(octets, len(octets))
    names = {name.lower() for name, _value in message.fields}
    for name in [*names, "from", "to"]:
        for text in message.texts(name):
            text.encode()
            assert "\n" not in text or b"=?" in octets
        for address in message.addresses(name):
            address.text.encode("utf-8", "surrogatepass")
            address.display_name.encode("utf-8", "surrogatepass")
            if can_be_sent_to(address.text):
                assert is_printable(address.text)
                assert not address.text.startswith("-")
    assert len(message.whole_fields()) == len(message.fields)
    believed(message, _SITE)
    message_name(octets)


def value(octets: bytes) -> None:
    """One value by every reader of values."""
    text = plain_text(octets)
    decode_words(text, 1000).encode()
    text_of(octets, text[:20]).encode()
    words_of(text)
    parse_results(text)
    for address in parse_addresses(text, 100):
        # What was read is what is read again: no reader may be told something else.
        if can_be_sent_to(address.text):
            (again,) = parse_addresses(address.text, 100)
            assert again.text == address.text, (address.text, again.text)
    assert is_printable(header_text(text))
    for end in (b"\n", b"\r\n"):
        line = field_line("X-A", text, end)
        assert line.endswith(end)
        for folded in line[: -len(end)].split(end)[1:]:
            assert folded.startswith((b" ", b"\t"))
            assert folded.strip()
        assert b"\r" not in line.replace(b"\r\n", b"") or end == b"\r\n"
        assert len(Message(line, len(line)).fields) == 1
    text_of_html(text).encode()


def folder(octets: bytes) -> None:
    """Steps of folders: one entry of their directory, and read back by name."""
    text = octets.decode("utf-8", "surrogateescape")
    for dots in (True, False):
        step = safe_step(text, dots=dots)
        assert step, step
        assert "/" not in step, step
        assert not step.startswith((".", "~")), step
        assert is_printable(step) or not step.isascii()
        assert dots or "." not in step
        encoded = encode_name(step)
        assert encoded.isascii(), encoded
        assert encoded.isprintable(), encoded
        if is_utf16(step):
            assert decode_name(encoded) == step
    decode_name(text)
    name = maildirpp_name([safe_step(part, dots=True) for part in text.split("/")])
    assert name.startswith(".")
    assert "/" not in name
    assert len(name.encode()) <= 255


def is_utf16(text: str) -> bool:
    """Whether there is no lone surrogate in TEXT."""
    try:
        text.encode("utf-16")
    except UnicodeEncodeError:
        return False
    return True


def parts(octets: bytes) -> None:
    """MIME parts, their names, types and texts."""
    body = mime.Body(letter_message(octets))
    for text in (*body.texts(), *body.names(), *body.types()):
        text.encode()


def letter_message(octets: bytes) -> Message:
    """OCTETS as a delivery sees them."""
    letter = letter_of(octets)
    return Message(letter.head, letter.size, cut=letter.head_cut, octets=letter.chunks)


DEEDS: tuple[Literal["set", "add", "remove"], ...] = ("set", "add", "remove")


def edits(octets: bytes) -> None:
    """Header edits touch no octet of the body, and of the head only the field that is named."""
    name_and_text, _, octets = octets.partition(b"\n")
    letter = letter_of(octets)
    said = header_text(plain_text(name_and_text))
    body = octets_of(letter)[len(letter.head) :]
    for deed in DEEDS:
        made = edited_letter(letter, (Edit(deed, "X-A", said, None),))
        whole = octets_of(made)
        assert whole.endswith(body)
        assert made.size == len(whole)
        assert other_fields(letter.head) == other_fields(made.head), deed
    sent_on = passed_on(letter, "X-Mdeliver-Forwarded", "x")
    assert octets_of(sent_on).endswith(body)


def other_fields(head: bytes) -> list[tuple[str, bytes]]:
    """The fields of HEAD without X-A; the line end of the last may be made whole."""
    found = Message(head, 0).fields
    return [(name, value.rstrip(b"\r")) for name, value in found if name.lower() != "x-a"]


def octets_of(letter: Letter) -> bytes:
    """All of a letter."""
    return b"".join(letter.chunks())


def _heads() -> Iterator[bytes]:
    from tests.hostile_heads import PIECES

    for octets in messages():
        yield letter_of(octets).head
    for piece in PIECES.values():
        yield b"".join(b"%b: %b\n" % (n, piece * 3) for n in (b"From", b"Subject", b"List-Id"))


def _values() -> Iterator[bytes]:
    from tests.hostile_heads import PIECES

    for octets in messages():
        yield from (value for _name, value in Message(letter_of(octets).head, 0).fields)
    yield from (piece * 3 for piece in PIECES.values())


_WORDS = (
    b"=?utf-8?q?", b"=?utf-7?b?", b"?=", b"\r\n ", b"\n\t", b"\n\n", b"\r", b"\0", b"\xff", b"<",
    b">", b'"', b"\\", b"(", b")", b"@", b",", b";", b":", b"=", b"From: ", b"To: ", b"Subject: ",
    b"List-Id: ", b"Received: from x (y [127.0.0.1])", b"Authentication-Results: mail.example.org;",
    b" dkim=pass", b"Content-Type: multipart/mixed; boundary=x", b"--x", b"--x--", b"name*0*=",
    b"filename*=utf-8''%41", b"Content-Transfer-Encoding: base64", b"quoted-printable", b"charset=",
    b"message/rfc822", b"\xe2\x80\xae", b"\x1b[2J", b"=41=", b"../", b"&", b"&-", b"~", b"X-A: ",
)  # fmt: skip


def _bodies() -> Iterator[bytes]:
    yield from messages()
    from tests.hostile_bodies import HOSTILE

    yield from (octets[:3000] for octets in HOSTILE.values())


TARGETS = {
    "head": Target(head, _heads, _WORDS),
    "value": Target(value, _values, _WORDS),
    "folder": Target(
        folder, lambda: [b"Lists/a&b.c", b"&AOk-", b"..", "Größe 💡".encode()], _WORDS
    ),
    "parts": Target(parts, _bodies, _WORDS),
    "edits": Target(edits, lambda: [b"a =?\xc3\xa9\n" + octets for octets in messages()], _WORDS),
    "decision": Target(decision, _bodies, _WORDS),
}
