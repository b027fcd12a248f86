"""The mboxrd format: what one message looks like inside an mbox.

    From SENDER Thu Jan  1 00:00:00 1970        the From_ line
    the message; lines of `>*From ` have one more `>` in front
    a newline if the message did not end in one
    an empty line

Nothing else is changed: what is read back, one `>` taken off, is what came in. Pure; in pieces.

See also    RFC 4155, mbox(5); qmail's mbox(5) names the variants
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FROM = b"From "

_IN_A_FROM_LINE = dict.fromkeys([*range(0x21), 0x7F], "_")
"""What a sender may not bring into one: white space and control characters."""


def make_from_line(sender: str, now_s: float) -> bytes:
    """A From_ line for a message that came without one.

    sender  envelope sender; "" is the null sender and becomes MAILER-DAEMON
    now_s   arrival, seconds since 1970; written in local time, as mbox(5) has it
    """
    plain = sender.translate(_IN_A_FROM_LINE) or "MAILER-DAEMON"
    words = f"From {plain} {time.asctime(time.localtime(now_s))}\n"
    return words.encode("utf-8", "surrogateescape")


def tidy_from_line(line: bytes) -> bytes:
    """LINE with a plain newline at its end, whatever line end it came with."""
    return line.rstrip(b"\r\n") + b"\n"


def framed_text(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What follows the From_ line in an mbox entry: the quoted message and the empty line."""
    last = b"\n"
    for piece in quoted(chunks):
        yield piece
        last = piece[-1:]
    yield b"\n" if last == b"\n" else b"\n\n"


def quoted(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The message with one more `>` before every line that begins with `>*From `.

    `quoting` is true while all that has been seen of the current line is `>`s: they can go out at
    once, since the additional one may stand anywhere among them. So at most four octets, the
    beginning of a possible "From ", are ever held back.
    """
    held = b""
    quoting = True
    for chunk in chunks:
        text = held + chunk
        keep = next((n for n in (4, 3, 2, 1) if text.endswith(_FROM[:n])), 0)
        text, held = (text[:-keep], text[-keep:]) if keep else (text, b"")
        if not text:
            continue
        yield _quote(text, quoting)
        newline = text.rfind(b"\n")
        if newline >= 0 or quoting:
            quoting = not text[newline + 1 :].strip(b">")
    if held:
        yield held


def _quote(text: bytes, quoting: bool) -> bytes:
    if _FROM not in text:
        return text
    if b">From " in text:
        import re

        text = re.sub(rb"(?<=\n)(?=>+From )", b">", text)
    at_start = quoting and text.lstrip(b">").startswith(_FROM)
    text = text.replace(b"\nFrom ", b"\n>From ")
    return b">" + text if at_start else text
