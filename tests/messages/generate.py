"""Varied messages, the same for the same seed: what real and hostile mail looks like in bytes.

Use         `messages(count, seed)` yields (name, bytes); `python3 generate.py DIRECTORY [COUNT]`
            writes them as files.
Guarantee   every kind occurs once in the first len(KINDS) messages; the large kinds occur once in
            every 250 messages after that, so that 1 000 of them stay near 100 MB.
Form        as a delivery agent reads them from standard input: LF or CRLF, with or without a
            From_ line in front.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator

Kind = Callable[[random.Random], bytes]

WORDS = (
    b"alpha", b"beta", b"report", b"invoice", b"meeting", b"list", b"postfix", b"dovecot", b"the",
    b"lunch", b"urgent", b"From", b"from", b"quota", b"patch", b"w\xc3\xbcrde", b"caf\xe9",
)  # fmt: skip
PEOPLE = (
    b"Ann Example <ann@example.org>",
    b'"Bob, B." <bob@example.org>',
    b"carol@example.net (Carol)",
    b"=?utf-8?B?w4ZuZQ==?= <dan@example.com>",
    b"J\xfcrgen <jurgen@example.de>",
    b"<eve@example.com>",
)


def messages(count: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """COUNT messages made from SEED.

    Yields (name, message): the name is the kind and a number and is fit for a file name.
    """
    ordinary = [kind for kind in KINDS if kind not in LARGE]
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        if number < len(KINDS):
            kind = KINDS[number]
        elif number % 250 < len(LARGE):
            kind = LARGE[number % 250]
        else:
            kind = rng.choice(ordinary)
        message = kind(rng)
        # Framing varies independently of the content: a third with a From_ line, a few cut short.
        if rng.random() < 0.33 and not message.startswith(b"From "):
            eol = b"\r\n" if b"\r\n" in message[:2000] else b"\n"
            message = from_line(rng) + eol + message
        if rng.random() < 0.1:
            message = message.rstrip(b"\r\n")
        yield f"{number:05d}-{kind.__name__}", message


# --- pieces ----------------------------------------------------------------------------------


def from_line(rng: random.Random) -> bytes:
    """A From_ line without its line end."""
    sender = rng.choice((b"bob@example.org", b"MAILER-DAEMON", b"a+b@example.com", b'"x y"@e.org'))
    return b"From %s  Mon Nov %2d 10:%02d:00 2026" % (
        sender,
        rng.randint(1, 30),
        rng.randint(0, 59),
    )


def line(rng: random.Random, words: int = 10) -> bytes:
    """One line of words, without its end."""
    return b" ".join(rng.choice(WORDS) for _ in range(rng.randint(0, words)))


def text(rng: random.Random, lines: int = 12) -> bytes:
    """Lines of words, each with its end; some empty, some beginning with From or >From."""
    made = []
    for _ in range(rng.randint(1, lines)):
        start = rng.choice(
            (b"",) * 12 + (b"From ", b">From ", b">>From ", b"> ", b".", b"From:", b"-- ")
        )
        made.append(start + line(rng) + b"\n")
    return b"".join(made)


def head(rng: random.Random, *more: bytes) -> bytes:
    """An ordinary head, MORE fields among it, without the empty line after it."""
    fields = [
        b"Return-Path: <bob@example.org>",
        b"Received: from mx.example.com (mx.example.com [192.0.2.%d])\n"
        b"\tby mail.example.org (Postfix) with ESMTPS id 4ABC%d\n"
        b"\tfor <ann@example.org>; Mon, 02 Nov 2026 10:00:00 +0000 (UTC)"
        % (rng.randint(1, 254), rng.randint(100, 999)),
        b"From: " + rng.choice(PEOPLE),
        b"To: " + b", ".join(rng.sample(PEOPLE, rng.randint(1, 3))),
        b"Subject: " + line(rng, 6),
        b"Date: Mon, %02d Nov 2026 10:00:00 +0000" % rng.randint(1, 30),
        b"Message-ID: <%d.%d@example.org>" % (rng.getrandbits(40), rng.getrandbits(20)),
    ]
    for field in more:
        fields.insert(rng.randint(0, len(fields)), field)
    return b"\n".join(fields) + b"\n"


def crlf_of(message: bytes) -> bytes:
    """MESSAGE with every LF turned into CRLF."""
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


# --- kinds -----------------------------------------------------------------------------------


def plain(rng: random.Random) -> bytes:
    """The ordinary letter."""
    return head(rng) + b"\n" + text(rng)


def raw_8bit_header(rng: random.Random) -> bytes:
    """Header bytes that are neither ASCII nor UTF-8, as old clients and spam send them."""
    junk = bytes(rng.choice(range(0x80, 0x100)) for _ in range(rng.randint(1, 60)))
    return head(rng, b"X-Junk: " + junk, b"Subject: \xe4\xf6\xfc " + junk) + b"\n" + text(rng)


def utf8_header(rng: random.Random) -> bytes:
    """Raw UTF-8 in header and address, as SMTPUTF8 (RFC 6532) allows."""
    return (
        head(rng, "Subject: Grüße 你好 🎉".encode(), "From: Пример <почта@пример.example>".encode())
        + b"\n"
        + text(rng)
    )


def encoded_words(rng: random.Random) -> bytes:
    """RFC 2047 words: adjacent, split inside a character, broken, of unknown charset."""
    snowmen = base64.b64encode("☃☃☃".encode())
    fields = (
        b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?" + snowmen + b"?=",
        b"X-Split: =?utf-8?Q?=E2=98?=\n =?utf-8?Q?=83?=",
        b"X-Broken: =?utf-8?B?!!!!?= =?no-such-charset?Q?abc?= =?utf-8?Q?open",
        b"X-Language: =?iso-8859-1*de?Q?sch=F6n?=",
        b"From: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= <nihon@example.jp>",
    )
    return head(rng, *rng.sample(fields, rng.randint(1, 5))) + b"\n" + text(rng)


def nul_bytes(rng: random.Random) -> bytes:
    """NUL in header and body: C programs stop there."""
    return head(rng, b"X-Nul: a\0b") + b"\n" + text(rng) + b"\0\0" + text(rng) + b"\0"


def binary_body(rng: random.Random) -> bytes:
    """Every byte value, in no order (BINARYMIME, or a broken client)."""
    return head(rng) + b"\n" + rng.randbytes(rng.randint(1, 20_000))


def crlf(rng: random.Random) -> bytes:
    """CRLF throughout, as some programs hand it to sendmail."""
    return crlf_of(plain(rng))


def mixed_line_ends(rng: random.Random) -> bytes:
    """LF and CRLF in one message, head and body."""
    ends = (b"\n", b"\r\n")
    return b"".join(part + rng.choice(ends) for part in plain(rng).split(b"\n")[:-1])


def lone_cr(rng: random.Random) -> bytes:
    """CR without LF: inside a header, at a line's end, several before one LF."""
    return head(rng, b"X-Cr: one\rtwo", b"X-Crs: three\r\r") + b"\n" + b"a\rb\r\r\nc\r" + text(rng)


def no_final_newline(rng: random.Random) -> bytes:
    """The last line of the body has no end; an mbox must not glue the next From_ line to it."""
    return head(rng) + b"\n" + text(rng) + rng.choice((b"end", b"From end", b".", b">From ", b"\r"))


def many_final_newlines(rng: random.Random) -> bytes:
    """Empty lines at the end must survive."""
    return plain(rng) + b"\n" * rng.randint(1, 9)


def empty(rng: random.Random) -> bytes:
    """No byte at all."""
    return b""


def only_newline(rng: random.Random) -> bytes:
    """An empty head and an empty body."""
    return rng.choice((b"\n", b"\r\n", b"\n\n", b"\r"))


def only_head(rng: random.Random) -> bytes:
    """A head that nothing ends: no empty line, sometimes not even a last newline."""
    return head(rng)[: None if rng.random() < 0.5 else -1]


def only_body(rng: random.Random) -> bytes:
    """The empty line comes first: no header field."""
    return b"\n" + text(rng)


def no_header(rng: random.Random) -> bytes:
    """Text from the first byte: no line looks like a field."""
    return b"hello there\nthis is no header field\n" + text(rng)


def garbage_in_head(rng: random.Random) -> bytes:
    """Lines in the head that are no fields: mbox leftovers, spaces before colons, no names."""
    lines = (
        b">From bob@example.org Mon Nov  2 10:00:00 2026",
        b"From bob@example.org Mon Nov  2 10:00:00 2026",
        b"no colon here",
        b"Subject : space before the colon",
        b": no name",
        b"X-Empty:",
        b"X-Only-Space:   ",
        b"X Space In Name: x",
    )
    return head(rng, *rng.sample(lines, rng.randint(1, len(lines)))) + b"\n" + text(rng)


def starts_folded(rng: random.Random) -> bytes:
    """The first line of the message is a continuation of nothing."""
    return b" folded: from nowhere\n" + plain(rng)


def from_lines(rng: random.Random) -> bytes:
    """`From ` wherever an mbox could break: first, after an empty line, last, CRLF."""
    body = b"".join(
        b">" * rng.randint(0, 3)
        + rng.choice((b"From ", b"From", b"From\t", b"FROM "))
        + line(rng, 3)
        + rng.choice((b"\n", b"\n\n", b"\r\n"))
        for _ in range(rng.randint(1, 12))
    )  # fmt: skip
    return head(rng) + b"\n" + body + rng.choice((b"", b"From ", b"\nFrom me", b">From \n"))


def from_line_twice(rng: random.Random) -> bytes:
    """Two From_ lines in front: a message that some program has already stored once."""
    return from_line(rng) + b"\n" + from_line(rng) + b"\n" + plain(rng)


def content_length(rng: random.Random) -> bytes:
    """Content-Length right, short, long, negative or not a number: nobody may believe it."""
    body = text(rng) + b"\nFrom inside the length\n" + text(rng)
    said = rng.choice((len(body), len(body) - 9, len(body) + 1000, 0, -1, 10**30, "many"))
    return head(rng, f"Content-Length: {said}".encode()) + b"\n" + body


def status_headers(rng: random.Random) -> bytes:
    """Fields that mbox readers write and believe: from outside they change nothing here."""
    return (
        head(rng, b"Status: RO", b"X-Status: DF", b"X-UID: 7", b"X-IMAP: 1 2", b"Lines: 3")
        + b"\n"
        + text(rng)
    )


def long_line(rng: random.Random) -> bytes:
    """Lines far beyond the 998 octets of RFC 5322, in head and body."""
    width = rng.choice((999, 5_000, 70_000, 300_000))
    return head(rng, b"X-Long: " + b"x" * width) + b"\n" + b"y" * width + b"\n" + text(rng)


def long_folded_header(rng: random.Random) -> bytes:
    """One field of thousands of folded lines."""
    return (
        head(rng, b"References:" + b"\n <abc@example.org>" * rng.randint(10, 4_000))
        + b"\n"
        + text(rng)
    )


def many_headers(rng: random.Random) -> bytes:
    """Thousands of fields, many of one name."""
    fields = [b"X-Trace: %d" % n for n in range(rng.randint(100, 5_000))]
    return head(rng) + b"\n".join(fields) + b"\n\n" + text(rng)


def duplicate_headers(rng: random.Random) -> bytes:
    """Two From, To and Subject fields: which one counts must not matter to safety."""
    return (
        head(rng, b"From: <other@example.com>", b"To: <x@example.com>", b"Subject: two")
        + b"\n"
        + text(rng)
    )


def mime_parts(rng: random.Random) -> bytes:
    """A small multipart with an attachment."""
    edge = b"=_%d" % rng.getrandbits(32)
    return (
        head(rng, b"MIME-Version: 1.0", b'Content-Type: multipart/mixed; boundary="%s"' % edge)
        + b"\n--%s\nContent-Type: text/plain; charset=utf-8\n\n%s" % (edge, text(rng))
        + b"--%s\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n" % edge
        + b'Content-Disposition: attachment; filename="a.pdf"\n\n'
        + base64.encodebytes(rng.randbytes(2_000))
        + b"--%s--\n" % edge
    )


def open_mime(rng: random.Random) -> bytes:
    """A multipart whose end never comes and whose boundary is a prefix of another."""
    return (
        head(rng, b'Content-Type: multipart/mixed; boundary="x"')
        + b"\n--x\n--xx\n--x\n\n"
        + text(rng)
    )


def bounce(rng: random.Random) -> bytes:
    """A delivery report from the null sender, with a From_ line as Postfix writes it."""
    return (
        b"From MAILER-DAEMON  Mon Nov  2 10:00:00 2026\nReturn-Path: <>\n"
        + head(rng, b"Auto-Submitted: auto-replied")
        + b"\n"
        + text(rng)
    )


def dots(rng: random.Random) -> bytes:
    """Lines of dots: they mean something to SMTP and LMTP only."""
    return head(rng) + b"\n.\n..\n...\n. \n" + text(rng) + rng.choice((b".", b".\n", b"\r\n.\r\n"))


def three_thousand_parts(rng: random.Random) -> bytes:
    """3 000 MIME parts."""
    part = b"--edge\nContent-Type: text/plain\n\nsmall\n"
    return (
        head(rng, b"Content-Type: multipart/mixed; boundary=edge")
        + b"\n"
        + part * 3_000
        + b"--edge--\n"
    )


def deep_nesting(rng: random.Random) -> bytes:
    """500 multiparts, one inside the other: whoever recurses falls over."""
    inside = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(500)
    )
    return head(rng) + inside + b"\nend\n"


def ten_megabytes(rng: random.Random) -> bytes:
    """10 MB of base64, with From_ lines between."""
    block = base64.encodebytes(rng.randbytes(57 * 1000)) + b"From the middle\n"
    return head(rng) + b"\n" + block * (10_000_000 // len(block) + 1)


def one_huge_line(rng: random.Random) -> bytes:
    """4 MB without a single newline."""
    return head(rng) + b"\n" + b"From " * 800_000


def hundred_thousand_headers(rng: random.Random) -> bytes:
    """100 000 fields: 2.4 MB of head, beyond what tests look at."""
    return head(rng) + b"".join(b"X-Header-%06d: value\n" % n for n in range(100_000)) + b"\nbody\n"


LARGE: tuple[Kind, ...] = (
    ten_megabytes, three_thousand_parts, one_huge_line, hundred_thousand_headers, deep_nesting,
)  # fmt: skip

KINDS: tuple[Kind, ...] = (
    plain, raw_8bit_header, utf8_header, encoded_words, nul_bytes, binary_body, crlf,
    mixed_line_ends, lone_cr, no_final_newline, many_final_newlines, empty, only_newline, only_head,
    only_body, no_header, garbage_in_head, starts_folded, from_lines, from_line_twice,
    content_length, status_headers, long_line, long_folded_header, many_headers, duplicate_headers,
    mime_parts, open_mime, bounce, dots, *LARGE,
)  # fmt: skip


if __name__ == "__main__":
    import sys
    from pathlib import Path

    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for made_name, made in messages(int(sys.argv[2]) if len(sys.argv) > 2 else 1000):
        (directory / f"{made_name}.eml").write_bytes(made)
