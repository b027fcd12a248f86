"""What is signed, sealed, or stands in the DNS."""

from __future__ import annotations

from mdeliver import limits
from mdeliver.authentication.client import Client
from mdeliver.authentication.results import believed
from mdeliver.authentication.spf import check_spf
from mdeliver.letter import letter_of
from mdeliver.message import Message
from tests.bombs.bomb import MEGABYTE, Bomb
from tests.fuzz import senders
from tests.fuzz.fixedkey import fixed_key
from tests.fuzz.records import Published
from tests.signing import sealed, signed

_HEAD = (
    b"From: ann@bank.example\r\nTo: bob@example.org\r\nSubject: x\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@bank.example>\r\n"
)


def _found(message: bytes) -> dict[str, str]:
    """The first result of each method for MESSAGE."""
    found = senders.computed(message).results
    return {result.method: result.result for result in reversed(found)}


def _body(piece: bytes, megabytes: int) -> None:
    """A large body that is signed and sealed: its signatures are right."""
    message = _HEAD + b"\r\n" + piece * (megabytes * MEGABYTE // len(piece)) + b"\r\n"
    message = signed(message, fixed_key(), "bank.example")
    message = sealed(message, fixed_key(), "lists.example", "dmarc=pass")
    # How long that takes is looked at from outside, in CPU time.
    limits.SIGNATURES_S = 1000
    results = _found(message)
    assert (results["dkim"], results["arc"]) == ("pass", "pass"), results


def _too_large() -> None:
    """A message beyond what is looked at is neutral."""
    message = signed(_HEAD + b"\r\nhi\r\n", fixed_key(), "bank.example") + b"x" * (33 * MEGABYTE)
    assert _found(message)["dkim"] == "neutral"


def _field(value: bytes) -> None:
    """A signature that is full of something is not looked at."""
    start = b"DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=sel; "
    assert _found(start + value + b"\r\n" + _HEAD + b"\r\n")["dkim"] == "neutral"


def _many(name: bytes, value: bytes, number: int) -> None:
    """A field NUMBER times, above a body of some size: nothing passes."""
    fields = b"".join(b"%b: %b\r\n" % (name, value.replace(b"N", b"%d" % n)) for n in range(number))
    results = _found(fields + _HEAD + b"\r\n" + b"x " * (MEGABYTE // 2))
    assert "pass" not in (results["dkim"], results["arc"]), results


_SIGNATURE = (
    b"v=1; a=rsa-sha256; c=relaxed/relaxed; d=bank.example; s=sel; h=from:to:subject;"
    b" bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA"
)


def _results(number: int) -> None:
    """Fields that a stranger wrote in our name: none is believed."""
    head = letter_of(
        b"Received: from x (x [192.0.2.1]) by mail.example.org id 4F\n"
        + b"Authentication-Results: mail.example.org; dkim=pass header.d=a.example\n" * number
        + b"\n"
    ).head
    message = Message(head, len(head))
    assert believed(message, senders.SITE).of("dkim") == ("none",)


def _spf(record: str, names: int) -> None:
    """Records that lead to ever more records: an error, after few questions."""
    lines = [
        b"%d.example TXT v=spf1 %b" % (n, record.replace("N", str(n + 1)).encode())
        for n in range(names)
    ]
    published = Published(lines)
    client = Client("192.0.2.1", "", "helo.example", "")
    found = check_spf(client, "a@0.example", published, (), "h")
    assert found.result == "permerror", found
    assert published.asked < 200


BOMBS: dict[str, Bomb] = {
    "signed: a body of 2 MB of words": Bomb(lambda: _body(b"word word\r\n", 2), 15, 250),
    "signed: a body of 1 MB of empty lines": Bomb(lambda: _body(b"\r\n", 1), 15, 400),
    "signed: a body of 4 MB of spaces": Bomb(lambda: _body(b" \t", 4), 6, 200),
    "signed: a body of 4 MB of NUL": Bomb(lambda: _body(b"\0", 4), 6, 200),
    "signed: a body of 4 MB of lone CR": Bomb(lambda: _body(b"\r", 4), 6, 200),
    "signed: a message of 33 MB": Bomb(_too_large, 3, 250),
    "signed: a signature of 500 KB of spaces": Bomb(lambda: _field(b" " * (MEGABYTE // 2)), 2, 150),
    "signed: a signature of 100 000 folds": Bomb(lambda: _field(b"\r\n " * 100_000), 2, 150),
    "signed: a signature of 100 000 names": Bomb(
        lambda: _field(b"h=from" + b":a" * 100_000), 2, 150
    ),
    "signed: 1 000 signatures": Bomb(lambda: _many(b"DKIM-Signature", _SIGNATURE, 1000), 8, 250),
    "sealed: 3 000 seals": Bomb(lambda: _many(b"ARC-Seal", b"i=N; " + _SIGNATURE, 3000), 4, 150),
    "signed: 100 000 fields": Bomb(lambda: _many(b"X-A", b"b", 100_000), 4, 200),
    "results: 20 000 fields": Bomb(lambda: _results(20_000), 2, 150),
    "SPF: includes that include": Bomb(
        lambda: _spf("include:N.example " * 12 + "-all", 60), 2, 150
    ),
    "SPF: terms without an answer": Bomb(lambda: _spf("a:x.N.example " * 500 + "-all", 2), 2, 150),
}
