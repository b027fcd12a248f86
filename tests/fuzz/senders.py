"""What proves who sent a message: signatures, seals, and fields that our own servers wrote.

Whoever attacks writes the message and cannot sign as somebody else: a `pass` for another one's
domain is for what that one wrote, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from mdeliver.authentication.arc import check_arc
from mdeliver.authentication.computed import Computed, compute
from mdeliver.authentication.lookups import ZoneFile
from mdeliver.authentication.results import Result, believed, forged, parse_results
from mdeliver.authentication.signed import Signed
from mdeliver.authentication.wording import METHODS, as_text, field_text
from mdeliver.envelope import Envelope
from mdeliver.letter import letter_of
from mdeliver.message import Message
from mdeliver.settings import Checking, Site
from tests import signing
from tests.fuzz.fixedkey import fixed_key
from tests.fuzz.records import RESULTS
from tests.fuzz.target import Target, is_printable

SITE = Site(
    ("example.org",),
    "mail.example.org",
    checking=Checking(compute="asked", sealers=("lists.example",)),
)
_ENVELOPE = Envelope(
    "ann", "/home/ann", 1000, "eve@evil.example", "ann@example.org", client_address="198.51.100.9"
)
_ORIGINAL = (
    b"From: Ann <ann@bank.example>\r\nTo: bob@example.org\r\nSubject: your account\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@bank.example>\r\n\r\n"
    b"Pay  ten.\r\n\r\n-- \r\nAnn\r\n\r\n"
)
_AUTHOR = "ann@bank.example"
_SAW = "dmarc=pass header.from=bank.example"


# --- signatures ------------------------------------------------------------------------------


@cache
def _signed() -> bytes:
    return signing.signed(_ORIGINAL, fixed_key(), "bank.example")


@cache
def _sealed() -> bytes:
    return signing.sealed(_signed(), fixed_key(), "lists.example", _SAW)


@cache
def _zone() -> ZoneFile:
    key = signing.key_record(fixed_key())
    return ZoneFile(
        signing.zone_line("sel._domainkey.bank.example", key)
        + signing.zone_line("sel._domainkey.lists.example", key)
        + '_dmarc.bank.example TXT "v=DMARC1; p=reject; aspf=s"\nbank.example TXT "v=spf1 -all"\n'
        + 'evil.example TXT "v=spf1 +all"\n_dmarc.evil.example TXT "v=DMARC1; p=none"\n'
    )


def _canonical(message: bytes, names: tuple[str, ...]) -> tuple[list[bytes], bytes]:
    """The fields called NAMES and the body of MESSAGE as a relaxed signature covers them."""
    head, body = signing._parts(message)
    return signing._chosen(head, names, True), signing._body(body, "relaxed")


def computed(message: bytes) -> Computed:
    """What is found out about MESSAGE, as a delivery does."""
    letter = letter_of(message)
    came = Message(letter.head, letter.size, cut=letter.head_cut, octets=letter.chunks)
    return compute(came, letter.chunks(), _ENVELOPE, SITE, _zone())


def signatures(octets: bytes) -> None:
    """A signature that is right is of what was signed, whatever was done to the message."""
    found = computed(octets)
    _well_said(found.results)
    lines = re.sub(rb"\r+\n", b"\n", octets)
    as_stored, as_sent = computed(lines), computed(lines.replace(b"\n", b"\r\n"))
    assert as_stored == as_sent, "line ends matter"
    _genuine(found, octets)


def _well_said(results: tuple[Result, ...]) -> None:
    """Every method has results, which are written on one line and read back as the same."""
    assert {result.method for result in results} == set(METHODS)
    assert {result.result for result in results} <= RESULTS
    written = field_text("mail.example.org", results)
    assert written.isascii(), written
    assert written.isprintable(), written
    authserv_id, read = parse_results(written)
    assert authserv_id == "mail.example.org"
    assert [(r.method, r.result) for r in read] == [(r.method, r.result) for r in results]
    assert parse_results(f"log; {as_text(results)}")[1] == read


def _genuine(found: Computed, octets: bytes) -> None:
    """What passes for the bank, or was seen to pass by the list, is what they had."""
    letter = letter_of(octets)
    author = [address.text for address in Message(letter.head, letter.size).addresses("from")]
    octets = b"".join(letter.chunks())
    passed = [r for r in found.found("dkim") if r.result == "pass"]
    if any(r.value("header.d") == "bank.example" for r in passed):
        assert _canonical(octets, signing.SIGNED) == _canonical(_ORIGINAL, signing.SIGNED)
        assert author == [_AUTHOR], author
    (dmarc,) = found.found("dmarc")
    if dmarc.value("header.from") == "bank.example":
        assert dmarc.result != "pass" or author == [_AUTHOR], author
        if dmarc.result == "policy":
            sealed = ("from", "to", "subject", "dkim-signature")
            assert _canonical(octets, sealed) == _canonical(_sealed(), sealed)
            assert author == [_AUTHOR], author


def _messages() -> Iterator[bytes]:
    yield _ORIGINAL
    yield _signed()
    yield _sealed()
    yield _sealed().replace(b"\r\n", b"\n")
    yield b"From eve Mon Nov 23 10:00:00 2026\n" + _sealed()
    yield signing.signed(_ORIGINAL, fixed_key(), "bank.example", canonical="simple/simple")
    yield signing.signed(_ORIGINAL, fixed_key(), "bank.example", length=4)
    yield signing.signed(_signed(), fixed_key(), "lists.example", tags="x=9999999999; i=@a; ")


# --- Authentication-Results ------------------------------------------------------------------

_OURS = (
    b"Authentication-Results: mail.example.org; dkim=fail header.d=bank.example;"
    b" spf=fail smtp.mailfrom=eve@evil.example; dmarc=fail header.from=bank.example\n"
)
_BORDER = (
    b"Received: from evil.example (evil.example [198.51.100.9])\n"
    b"\tby mail.example.org (Postfix) with ESMTP id 4FaK3r0Qz;\n\tMon, 23 Nov 2026 10:00:00 +0000\n"
)
_IN_ROW = _OURS.replace(b"mail.example.org;", b"mail.example.org/4FaK3r0Qz;")


def results(octets: bytes) -> None:
    """Of a field that a stranger wrote nothing is believed, whatever else is in the message.

    Ours stand above the border, or below it with the queue id, which a stranger cannot know; nor
    can one go on with our field, for Postfix puts an empty line before a first line that is folded.
    """
    if b"4FaK3r0Qz".lower() in octets.lower() or octets.startswith((b" ", b"\t")):
        return
    start = b"Return-Path: <eve@evil.example>\n"
    for ours in (_OURS + _BORDER, _BORDER + _IN_ROW, _BORDER):
        head = letter_of(start + ours + octets).head
        message = Message(head, len(head))
        found = believed(message, SITE)
        assert len(found.fields) == (1 if ours != _BORDER else 0), found
        for method in METHODS:
            expected = ("none",) if ours == _BORDER or method == "arc" else ("fail",)
            assert found.of(method) == expected, (method, found)
        for number in forged(message, SITE):
            assert number not in found.numbers
    _client(octets)


def _client(octets: bytes) -> None:
    """A field by itself: parsed, written and parsed again it says the same."""
    text = octets.decode("utf-8", "replace").replace("\n", " ").replace("\r", " ")
    authserv_id, found = parse_results(text)
    if not authserv_id or not found:
        return
    written = field_text("host.example", found)
    assert is_printable(written), written
    again = parse_results(written)[1]
    assert again == parse_results(field_text("host.example", again))[1]


def sealers(octets: bytes) -> None:
    """ARC: only what a listed sealer saw counts, in a chain that is whole."""
    try:
        signed = Signed([octets])
    except ValueError:
        return
    chain = check_arc(signed, _zone(), ("lists.example",), 1024)
    assert chain.result.result in ("none", "pass", "fail", "temperror"), chain
    if chain.dmarc_by:
        assert chain.result.result == "pass"
        fields = ("from", "to", "subject", "dkim-signature")
        assert _canonical(octets, fields) == _canonical(_sealed(), fields)


# --- what they begin with --------------------------------------------------------------------

_TAGS = (
    b"DKIM-Signature: ", b"ARC-Seal: ", b"ARC-Message-Signature: ", b"From: ", b"From : ",
    b"ARC-Authentication-Results: i=1; ", b"i=1; ", b"i=2; ", b"cv=pass; ", b"l=0; ", b"d=", b"s=",
    b"bank.example", b"lists.example", b"evil.example", b"h=from:from:to", b"b=;", b"bh=", b"t=1; ",
    b"x=1; ", b"c=simple/relaxed; ", b"a=rsa-sha1; ", b"a=ed25519-sha256; ", b"\r\n ", b"\r\n\t",
    b"\r\n\r\n", b"\n\n", b"\r", b"\0", b"\xa0", b"\x0b", b" <eve@evil.example>", b"Subject: x\r\n",
    b"From eve ", b">From x\r\n", b": x\r\n", b"dmarc=pass",
)  # fmt: skip
_RESULT_WORDS = (
    b"Authentication-Results: ", b"mail.example.org", b"; dkim=pass", b"; dmarc=pass (p=x)",
    b" header.d=bank.example", b" header.from=bank.example", b"; spf=pass", b" smtp.mailfrom=",
    b'"', b"(", b")", b"\\", b"\n ", b"\n", b"\r", b"/4F", b"Received: from localhost (localhost ",
    b"[127.0.0.1]) by mail.example.org", b" with ESMTPA id ", b" 1", b"\0", b"\n\n", b"=",
)  # fmt: skip


TARGETS = {
    "signatures": Target(signatures, _messages, _TAGS),
    "sealers": Target(sealers, lambda: [_sealed(), _signed()], _TAGS),
    "results": Target(
        results,
        lambda: [_OURS, _OURS.replace(b"fail", b"pass") + _BORDER, b"X: y\n" + _OURS + b"\nbody"],
        _RESULT_WORDS,
    ),
}
