"""Heads made to hurt: a megabyte each, or as many lines as can be, by what is odd about them."""

from __future__ import annotations

from functools import partial

from tests.ondemand import OnDemand

MEGABYTE = 1 << 20

# The fields that tests read, those of `addressed to me`, `automatic`, `mailing list` and `dkim`.
FIELDS = (
    b"From", b"To", b"Cc", b"Reply-To", b"Subject", b"List-Id", b"Sender", b"Return-Path",
    b"X-A", b"Resent-To", b"Bcc", b"Authentication-Results", b"Auto-Submitted", b"Precedence",
    b"Received", b"Message-ID", b"Content-Type", b"X-Envelope-To",
)  # fmt: skip


def _of_each(piece: bytes, total: int = MEGABYTE) -> bytes:
    """A field of each name, filled with PIECE."""
    times = total // len(FIELDS) // len(piece)
    return b"".join(name + b": " + piece * times + b"\n" for name in FIELDS) + b"\n"


def _one(name: bytes, piece: bytes) -> bytes:
    """One field of a megabyte, and the others short."""
    others = b"".join(n + b": x <a@b.example>\n" for n in FIELDS if n != name)
    return others + name + b": " + piece * (MEGABYTE // len(piece)) + b"\n\n"


PIECES: dict[str, bytes] = {
    "one letter": b"a",
    "spaces": b" ",
    "addresses": b"a@b.example, ",
    "angles": b"<",
    "quotes": b'"',
    "backslashes": b'"\\',
    "parentheses": b"(",
    "nested groups": b"x:",
    "commas": b",",
    "at signs": b"@",
    "semicolons": b"a=b;",
    "encoded words": b"=?utf-8?q?a=20?= ",
    "broken encoded words": b"=?",
    "encoded words of one byte each": b"=?utf-8?b?w6k=?=",
    "encoded words that never close": b"=?utf-8?q?",
    "unknown charsets": b"=?x-none?q?a?= ",
    "UTF-7": b"=?utf-7?q?+2AA-?= ",
    "folds": b"\n a",
    "raw Latin-1": b"\xe9\xff",
    "raw UTF-8": "éß".encode(),
    "digits": b"1",
    "dots and digits": b"1.",
    "NUL": b"\0",
    "carriage returns": b"\r",
}

HOSTILE = OnDemand(
    {
        **{f"{name} in each field": partial(_of_each, piece) for name, piece in PIECES.items()},
        **{f"{name} in To": partial(_one, b"To", piece) for name, piece in PIECES.items()},
        **{
            f"{name} in Subject": partial(_one, b"Subject", piece) for name, piece in PIECES.items()
        },
        "100 000 headers": lambda: b"X-A: b\n" * 100_000 + b"\n",
        "100 000 headers To": lambda: b"To: a@b\n" * 100_000 + b"\n",
        "100 000 headers Subject": lambda: b"Subject: a\n" * 90_000 + b"\n",
        "100 000 List-Ids": lambda: b"List-Id: <a>\n" * 80_000 + b"\n",
        "100 000 headers, encoded": lambda: b"X-A: =?utf-8?q?a?=\n" * 50_000 + b"\n",
        "100 000 Authentication-Results": lambda: (
            b"Authentication-Results: x; dkim=pass\n" * 28_000 + b"\n"
        ),
        "100 000 Received": lambda: b"Received: from x by y\n" * 45_000 + b"\n",
        "100 000 names": lambda: b"".join(b"X-%d: b\n" % n for n in range(100_000)) + b"\n",
        "no fields": lambda: b"a\n" * 500_000 + b"\n",
        "only folds": lambda: b" a\n" * 300_000 + b"\n",
        "addresses in 10 000 fields": lambda: b"To: a@b, c@d, e@f, g@h, i@j\n" * 35_000 + b"\n",
    }
)
