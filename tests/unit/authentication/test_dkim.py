"""DKIM signatures made with real keys, and broken in each way."""

from __future__ import annotations

import re
import time
from itertools import count

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives import serialization

from mdeliver import limits
from mdeliver.authentication.dkim import check_dkim
from mdeliver.authentication.lookups import ZoneFile
from mdeliver.authentication.results import Result
from mdeliver.authentication.signed import Signed
from tests.signing import ed25519_key, key_record, rsa_key, signed, zone_line

MESSAGE = (
    b"From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: a  folded\n\tsubject\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\nMessage-ID: <1@example.org>\n\n"
    b"hello  world \n\nthe end\n\n\n"
)
NAME = "sel._domainkey.example.org"
RSA = zone_line(NAME, key_record(rsa_key()))
ED25519 = zone_line(NAME, key_record(ed25519_key()))


def check(message: bytes, zone: str = RSA) -> tuple[Result, ...]:
    return check_dkim(Signed([message]), ZoneFile(zone), 1024)


def only(message: bytes, zone: str = RSA) -> tuple[str, str]:
    (found,) = check(message, zone)
    return found.result, found.reason


FORMS = [f"{head}/{body}" for head in ("simple", "relaxed") for body in ("simple", "relaxed")]


@pytest.mark.parametrize("canonical", FORMS)
def test_a_right_signature_passes(canonical: str) -> None:
    (found,) = check(signed(MESSAGE, rsa_key(), "example.org", canonical=canonical))
    assert found.result == "pass", found.reason
    assert dict(found.properties) == {
        "header.d": "example.org",
        "header.s": "sel",
        "header.a": "rsa-sha256",
    }
    message = signed(MESSAGE, ed25519_key(), "example.org", canonical=canonical)
    assert only(message, ED25519) == ("pass", "signed by example.org")


def test_what_dkimpy_signs_passes_too() -> None:
    pem = rsa_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    field = dkimpy.sign(MESSAGE, b"sel", b"example.org", pem)
    assert only(field + MESSAGE)[0] == "pass"


def test_line_ends_make_no_difference() -> None:
    message = signed(MESSAGE, rsa_key(), "example.org")
    assert only(message)[0] == only(message.replace(b"\r\n", b"\n"))[0] == "pass"


def test_what_relaxed_allows_to_change() -> None:
    message = signed(MESSAGE, rsa_key(), "example.org")
    changed = message.replace(b"SUBJECT: ", b"Subject:   ").replace(b"world ", b"world\t ")
    assert only(changed + b"\r\n\r\n")[0] == "pass"


RIGHT = signed(MESSAGE, rsa_key(), "example.org")


@pytest.mark.parametrize(
    ("message", "result", "reason"),
    [
        (MESSAGE, "none", "no signature"),
        (RIGHT.replace(b"hello", b"hullo"), "fail", "the body is not what was signed"),
        (RIGHT + b"more\r\n", "fail", "the body is not what was signed"),
        (RIGHT.replace(b"a  folded", b"another"), "fail", "the signature is wrong"),
        (RIGHT.replace(b"From: Ann", b"From: Eve"), "fail", "the signature is wrong"),
        # One more From, above or below: dkimpy has it signed in any case.
        (b"From: eve@example.com\r\n" + RIGHT, "fail", "the signature is wrong"),
        (re.sub(rb"b=[\w+/]{4}", b"b=AAAA", RIGHT), "fail", "the signature is wrong"),
        (RIGHT.replace(b" v=1;", b" v=2;"), "neutral", "cannot be read"),
        (RIGHT.replace(b" v=1;", b""), "neutral", "cannot be read"),
        (RIGHT.replace(b"a=rsa-sha256", b"a=rsa-md5"), "neutral", "cannot be read"),
        (RIGHT.replace(b"; d=example.org", b""), "neutral", "cannot be read"),
        (RIGHT.replace(b"; s=sel;", b"; s=sel; s=sel;"), "neutral", "cannot be read"),
        (RIGHT.replace(b"bh=", b"bh=?"), "neutral", "cannot be read"),
        (RIGHT.replace(b"c=relaxed/", b"c=loose/"), "neutral", "cannot be read"),
        (RIGHT.replace(b"a=rsa-sha256;", b"a=ed25519-sha256;"), "permerror", "another kind"),
        (RIGHT.replace(b"s=sel;", b"s=les;"), "permerror", "there is no key"),
        (RIGHT.replace(b"s=sel;", b"s=" + b"x" * 70 + b";"), "permerror", "there is no key"),
        (RIGHT.replace(b"s=sel;", b"s=s\xff;"), "permerror", "no name"),
        (RIGHT.replace(b"d=example.org;", b"d=example.com;"), "permerror", "there is no key"),
        (b"not a field\r\n" + RIGHT, "neutral", "no fields"),
    ],
    ids=count(),  # a name with a key in it is another one in each process
)
def test_broken_in_one_way(message: bytes, result: str, reason: str) -> None:
    try:
        found = only(message)
    except ValueError as error:
        found = "neutral", str(error)  # as computed.py has it
    assert (found[0], reason in found[1]) == (result, True), found


@pytest.mark.parametrize(
    ("how", "result", "reason"),
    [
        ({"tags": "i=ann@sub.example.org; "}, "pass", "signed"),
        ({"tags": "i=ann@example.com; "}, "neutral", "cannot be read"),
        ({"tags": "t=1; x=2; "}, "policy", "expired"),
        ({"tags": "t=99999999999; "}, "neutral", "cannot be read"),
        ({"tags": "x=" + "9" * 5000 + "; "}, "neutral", "cannot be read"),
        ({"tags": "q=dns/http; "}, "neutral", "cannot be read"),
        ({"fields": ("subject", "to")}, "permerror", "From is not signed"),
        ({"algorithm": "rsa-sha1"}, "policy", "SHA-1"),
        ({"length": 5}, "policy", "5 octets of the body"),
        ({"length": len(b"hello world\r\n\r\nthe end\r\n")}, "pass", "signed"),
        ({"tags": "z=" + "x" * limits.SIGNATURE_BYTES + "; "}, "neutral", "longer than 8 KB"),
        ({"fields": ("from", *map(str, range(300)))}, "neutral", "more than 120 fields"),
        ({"tags": "z=" + " " * 64 + "; "}, "neutral", "white space"),
    ],
)
def test_signed_in_another_way(how: dict[str, str], result: str, reason: str) -> None:
    found = only(signed(MESSAGE, rsa_key(), "example.org", **how))  # type: ignore[arg-type]
    assert (found[0], reason in found[1]) == (result, True), found


def test_what_is_added_below_a_signed_length_is_seen() -> None:
    message = signed(MESSAGE, rsa_key(), "example.org", length=24)
    assert only(message + b"and more\r\n") == (
        "policy",
        "no more than 24 octets of the body are signed (l=)",
    )


PUBLIC = key_record(rsa_key())


@pytest.mark.parametrize(
    ("record", "result", "reason"),
    [
        (PUBLIC.removeprefix("v=DKIM1; k=rsa; "), "pass", "signed"),
        (key_record(rsa_key(), "h=sha1:sha256; s=*; "), "pass", "signed"),
        (key_record(rsa_key(), "h=sha1; "), "permerror", "not for sha256"),
        (key_record(rsa_key(), "s=tlsrpt; "), "permerror", "not for mail"),
        (key_record(rsa_key(), "t=y; "), "pass", "signed"),
        ("v=DKIM1; p=", "permerror", "revoked"),
        ("v=DKIM1; k=rsa", "permerror", "revoked"),
        ("v=DKIM1; k=rsa; p=AAAA", "permerror", "cannot be read"),
        ("v=DKIM1; k=rsa; p=A", "permerror", "cannot be read"),
        ("v=DKIM1; k=dsa; p=AAAA", "permerror", "another kind"),
        ("v=DKIM2; " + PUBLIC.removeprefix("v=DKIM1; "), "permerror", "cannot be read"),
        ("rubbish", "permerror", "cannot be read"),
        (key_record(ed25519_key()), "permerror", "another kind"),
        (key_record(rsa_key(2048)), "fail", "the signature is wrong"),
    ],
    ids=count(),
)
def test_keys(record: str, result: str, reason: str) -> None:
    found = only(RIGHT, zone_line(NAME, record))
    assert (found[0], reason in found[1]) == (result, True), found


def test_a_key_that_is_only_tried_fails_nobody() -> None:
    zone = zone_line(NAME, key_record(rsa_key(), "t=y; "))
    assert only(RIGHT.replace(b"hello", b"hullo"), zone)[0] == "neutral"


def test_a_key_that_is_not_for_subdomains() -> None:
    zone = zone_line(NAME, key_record(rsa_key(), "t=s; "))
    message = signed(MESSAGE, rsa_key(), "example.org", tags="i=@sub.example.org; ")
    assert only(message, zone) == ("permerror", "the key is not for subdomains")
    assert only(RIGHT, zone)[0] == "pass"


def test_small_keys_and_huge_ones() -> None:
    # cryptography makes none below 1024; what is asked of keys is the site's to say.
    found = check_dkim(Signed([RIGHT]), ZoneFile(RSA), 2048)
    assert (found[0].result, found[0].reason) == ("policy", "the key has 1024 bits only")
    huge = zone_line(NAME, key_record(rsa_key()).replace("p=", "p=" + _der_of(9000)))
    assert only(RIGHT, huge)[0] == "permerror"
    assert "too large" in only(RIGHT, zone_line(NAME, "p=" + _der_of(9000)))[1]
    assert "too large" in only(RIGHT, zone_line(NAME, "p=" + _der_of(1024, 512)))[1]


def _der_of(modulus_bits: int, exponent_bits: int = 17) -> str:
    """An RSAPublicKey (RFC 8017 A.1.1) of any size; nobody has its private half."""
    import base64

    def integer(value: int) -> bytes:
        octets = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return b"\x02\x82" + len(octets).to_bytes(2, "big") + octets

    body = integer((1 << modulus_bits) - 1) + integer((1 << exponent_bits) - 1)
    return base64.b64encode(b"\x30\x82" + len(body).to_bytes(2, "big") + body).decode()


def test_two_keys_of_one_name_and_a_silent_server() -> None:
    assert only(RIGHT, RSA + zone_line(NAME, "v=DKIM1; p=AAAA")) == (
        "permerror",
        "there are several keys",
    )
    assert only(RIGHT, f"; no answer: {NAME}")[0] == "temperror"


def test_every_signature_has_its_result_up_to_a_cap() -> None:
    message = RIGHT
    for _ in range(limits.SIGNATURES + 2):
        message = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=x\r\n" + message
    found = check(message)
    assert len(found) == limits.SIGNATURES
    assert found[-1].reason.endswith("3 more signatures are not looked at")
    assert [r.result for r in check(b"DKIM-Signature: rubbish\r\n" + RIGHT)] == ["neutral", "pass"]


def test_a_message_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIGNED_BYTES", 3 << 20)
    with pytest.raises(ValueError, match="larger than 3 MB"):
        Signed([RIGHT, b"x" * (3 << 20)])


def test_signatures_have_so_much_time_together(monkeypatch: pytest.MonkeyPatch) -> None:
    message = signed(RIGHT, rsa_key(), "example.org")
    message_of_two = Signed([message])
    names = Slow(monkeypatch)
    first, second = check_dkim(message_of_two, names, 1024)
    assert (first.result, second.result) == ("pass", "temperror")
    assert second.reason == "signatures took longer than 20 s"


class Slow(ZoneFile):
    """Each answer takes 21 s, by the clock that is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(RSA)
        self._now_s = time.monotonic()
        monkeypatch.setattr("mdeliver.authentication.signed.time.monotonic", lambda: self._now_s)

    def texts(self, name: str) -> tuple[bytes, ...]:
        self._now_s += 21
        return super().texts(name)


def test_white_space_takes_linear_time() -> None:
    # dkimpy alone takes minutes for this.
    message = signed(MESSAGE + b" " * 200_000 + b"x\n", rsa_key(), "example.org")
    assert only(message)[0] == "pass"
