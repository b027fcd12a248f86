"""Bodies made to hurt: whole messages, by what is odd about them."""

from __future__ import annotations

from base64 import b64encode

from tests.ondemand import OnDemand


def multipart(boundary: bytes, *parts: bytes) -> bytes:
    inside = b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts)
    return (
        b"Content-Type: multipart/mixed; boundary=" + boundary + b"\n\n"
        + inside + b"--" + boundary + b"--\n"
    )  # fmt: skip


def _nested(depth: int) -> bytes:
    heads = [
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth)
    ]
    return b"".join(heads) + b"\ntext\n"


MEGABYTE = 1 << 20

HOSTILE = OnDemand(
    {
        "10 000 parts": lambda: multipart(
            b"x", *[b"Content-Type: text/plain; name=a.txt\n\nhi"] * 10_000
        ),
        "10 000 parts in a part each": lambda: _nested(10_000),
        "10 000 messages in a message each": lambda: (
            b"Content-Type: message/rfc822\n\n" * 10_000 + b"\nx\n"
        ),
        "10 MB of base64": lambda: (
            b"Content-Transfer-Encoding: base64\nContent-Type: text/plain\n\n"
            + b64encode(b"text " * (2 * MEGABYTE))
        ),
        "10 MB of broken base64": lambda: (
            b"Content-Transfer-Encoding: base64\n\n" + b"=A\n" * (3 * MEGABYTE)
        ),
        "10 MB of quoted-printable": lambda: (
            b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=41=\n" * (2 * MEGABYTE)
        ),
        "10 MB of dashes": lambda: (
            b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--\n" * (3 * MEGABYTE)
        ),
        "10 MB of one line": lambda: b"Content-Type: text/html\n\n" + b"x" * (10 * MEGABYTE),
        "tags": lambda: b"Content-Type: text/html\n\n" + b"<b>" * MEGABYTE,
        "tags that never close": lambda: b"Content-Type: text/html\n\n" + b"<b " * MEGABYTE,
        "comments that never close": lambda: b"Content-Type: text/html\n\n" + b"<!--x" * MEGABYTE,
        "scripts that never close": lambda: b"Content-Type: text/html\n\n" + b"<script>" * MEGABYTE,
        "entities": lambda: b"Content-Type: text/html\n\n" + b"&amp;" * MEGABYTE,
        "ampersands": lambda: b"Content-Type: text/html\n\n" + b"&" * MEGABYTE,
        "a head that never ends": lambda: multipart(b"x", b"A: b\n" * MEGABYTE),
        "parameters": lambda: b"Content-Type: text/plain" + b";a=b" * 200_000 + b"\n\nhi\n",
        "continuations": lambda: (
            b"Content-Type: text/plain;"
            + b";".join(b" name*%d*=%%41" % n for n in range(50_000))
            + b"\n\nhi\n"
        ),
        "parameters in 5 000 parts": lambda: multipart(
            b"x", *[b"Content-Type: text/plain" + b";=" * 900 + b"\n\nhi"] * 5000
        ),
    }
)
