"""Records of keys: what they say, and what is wrong with them."""

from __future__ import annotations

import base64
from contextlib import suppress

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.dkim import record
from mdeliver.dkim.record import RecordError


def rsa_public(bits: int) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = rsa.generate_private_key(65537, bits).public_key()
    return public.public_bytes(serialization.Encoding.DER, form)


STRONG = base64.b64encode(rsa_public(2048)).decode()
WEAK = base64.b64encode(rsa_public(1024)).decode()
EDWARDS = base64.b64encode(bytes(32)).decode()

BROKEN = (
    ("v=DKIM1; k=rsa", "has no p="),
    ("k=rsa; v=DKIM1; p=AAAA", "does not begin with v=DKIM1"),
    ("v=DKIM2; p=AAAA", "does not begin with v=DKIM1"),
    ("v=DKIM1; p=#", "no base64"),
    ("v=DKIM1; p=A; p=A", "no list of tags"),
    ("hello", "no list of tags"),
    ("", "has no p="),
)


@pytest.mark.parametrize(("text", "why"), BROKEN)
def test_records_that_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(RecordError, match=why):
        record.read(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"p={STRONG}", ""),
        (f"v=DKIM1; k=ed25519; p={EDWARDS}", ""),
        (f"v=DKIM1; k=rsa; s=email:x; h=sha1:sha256; p={STRONG}", ""),
        (f"v=DKIM1; p={WEAK}", "1024 bits; 2048"),
        (f"v=DKIM1; t=y; p={STRONG}", "t=y"),
        (f"v=DKIM1; h=sha1; p={STRONG}", "does not allow sha256"),
        (f"v=DKIM1; s=tlsrpt; p={STRONG}", "not for mail"),
    ],
)
def test_weak_records(text: str, why: str) -> None:
    found = record.weakness(record.read(text))
    assert why in found
    assert bool(found) == bool(why)


@pytest.mark.parametrize("text", ["v=DKIM1; p=AAAA", "k=ed25519; p=AAAA", "k=dsa; p=AAAA"])
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(RecordError):
        record.weakness(record.read(text))


@given(st.text(max_size=60))
def test_any_text_is_a_record_or_says_why_not(text: str) -> None:
    with suppress(RecordError):
        assert isinstance(record.weakness(record.read(text)), str)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=700))
def test_what_is_printed_for_a_zone_is_what_a_zone_says(text: str) -> None:
    printed = record.in_zone("s._domainkey.example.org", text)
    rdata = printed.partition(" IN TXT ")[2]
    read = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, rdata)
    assert b"".join(read.strings).decode() == text  # type: ignore[attr-defined]
    assert all(len(string) <= 255 for string in read.strings)  # type: ignore[attr-defined]
