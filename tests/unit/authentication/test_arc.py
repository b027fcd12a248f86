"""ARC chains made with real keys, and broken in each way."""

from __future__ import annotations

import re
from itertools import count

import pytest

from mdeliver import limits
from mdeliver.authentication.arc import Chain, check_arc
from mdeliver.authentication.lookups import ZoneFile
from mdeliver.authentication.signed import Signed
from tests.signing import key_record, rsa_key, sealed, signed, zone_line

MESSAGE = b"From: ann@example.org\r\nTo: list@lists.example\r\nSubject: hi\r\n\r\nhello\r\n"
DOMAINS = ("lists.example", "relay.example", "example.org")
ZONE = "".join(zone_line(f"sel._domainkey.{domain}", key_record(rsa_key())) for domain in DOMAINS)
SEEN = "dmarc=pass header.from=example.org; spf=pass"


def check(message: bytes, *sealers: str, zone: str = ZONE, min_bits: int = 1024) -> Chain:
    return check_arc(Signed([message]), ZoneFile(zone), sealers, min_bits)


def result(message: bytes, zone: str = ZONE) -> str:
    return check(message, zone=zone).result.result


ONCE = sealed(signed(MESSAGE, rsa_key(), "example.org"), rsa_key(), "lists.example", SEEN)
TWICE = sealed(ONCE, rsa_key(), "relay.example", "arc=pass; dmarc=fail")


def test_no_chain() -> None:
    assert check(MESSAGE).result.reason == "there is no chain"


def test_a_whole_chain_passes() -> None:
    once, twice = check(ONCE).result, check(TWICE).result
    assert (once.result, once.reason) == ("pass", "sealed by lists.example"), once
    assert (twice.result, twice.reason) == ("pass", "sealed by relay.example"), twice
    assert dict(twice.properties) == {"header.d": "relay.example", "header.i": "2"}


def test_a_list_may_change_what_it_seals() -> None:
    changed = ONCE.replace(b"Subject: hi", b"Subject: [list] hi") + b"-- \r\nthe list\r\n"
    assert result(changed) == "fail"
    assert result(sealed(changed, rsa_key(), "relay.example", "arc=pass")) == "pass"


def test_a_field_may_be_folded_before_its_number() -> None:
    assert result(ONCE.replace(b"Signature: i=1; ", b"Signature:\r\n\ti=1;\r\n ")) == "pass"


@pytest.mark.parametrize(
    "message",
    [
        ONCE.replace(b"hello", b"hullo"),
        ONCE.replace(b"Subject: hi", b"Subject: ho"),
        ONCE.replace(b"dmarc=pass", b"dmarc=fail"),
        ONCE.replace(b"cv=none", b"cv=pass"),
        ONCE.replace(b"d=lists.example", b"d=relay.example", 1),
        sealed(MESSAGE, rsa_key(), "lists.example", SEEN, cv="pass"),
        sealed(ONCE, rsa_key(), "relay.example", SEEN, cv="none"),
        sealed(ONCE, rsa_key(), "relay.example", SEEN, cv="fail"),
        sealed(MESSAGE, rsa_key(), "lists.example", SEEN, tags="l=3; "),
        sealed(MESSAGE, rsa_key(), "unknown.example", SEEN),
        re.sub(rb"ARC-Seal:.*\r\n", b"", ONCE),
        re.sub(rb"ARC-Message-Signature:.*\r\n", b"", ONCE),
        re.sub(rb"ARC-Authentication-Results:.*\r\n", b"", ONCE),
        ONCE.replace(b"ARC-Seal: i=1", b"ARC-Seal: i=2"),
        ONCE.replace(b"i=1; ", b"i=999999999; "),
        ONCE.replace(b"i=1; ", b"i=" + b"9" * 5000 + b"; "),
        ONCE.replace(b"i=1; ", b""),
    ],
    ids=count(),  # a name with a key in it is another one in each process
)
def test_broken_in_one_way(message: bytes) -> None:
    assert check(message, "lists.example").dmarc_by == ""
    assert result(message) == "fail", check(message)


def test_too_many_and_too_long() -> None:
    seals = b"ARC-Seal: i=1; cv=none\r\n" * (limits.SEALS * 3 + 1)
    assert "more than" in check(seals + MESSAGE).result.reason
    assert "white space" in check(b"ARC-Seal: i=1;" + b" " * 99 + b"\r\n" + ONCE).result.reason


def test_keys() -> None:
    assert check(ONCE, min_bits=2048).result.result == "fail"
    assert result(ONCE, "; no answer: sel._domainkey.lists.example") == "temperror"


def test_what_a_listed_sealer_saw() -> None:
    assert check(ONCE).dmarc_by == ""
    assert check(ONCE, "relay.example").dmarc_by == ""
    assert check(ONCE, "lists.example").dmarc_by == "lists.example"
    assert check(ONCE, "example").dmarc_by == "lists.example"
    # The newest is believed first; what lies behind one that is not listed nobody knows.
    assert check(TWICE, "lists.example").dmarc_by == ""
    assert check(TWICE, "relay.example").dmarc_by == ""
    assert check(TWICE, "relay.example", "lists.example").dmarc_by == "lists.example"
