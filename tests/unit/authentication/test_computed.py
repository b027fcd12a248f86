"""SPF, DKIM, DMARC and ARC of whole messages: who brought them, and what the site has listed."""

from __future__ import annotations

import pytest

from mdeliver import limits
from mdeliver.authentication import computed as computed_module
from mdeliver.authentication.client import client_of
from mdeliver.authentication.computed import Computed, compute
from mdeliver.authentication.lookups import ZoneFile
from mdeliver.authentication.results import Result
from mdeliver.authentication.spf import original_sender
from mdeliver.envelope import Envelope
from mdeliver.message import Message
from mdeliver.settings import Checking, Site
from tests.signing import key_record, rsa_key, sealed, signed, zone_line

SITE = Site(hostname="mail.example.org", checking=Checking(compute="asked"))
ENVELOPE = Envelope("bob", "/home/bob", 1000, sender="ann@bank.example")
HEAD = b"From: ann@bank.example\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nhello\r\n"
KEY = key_record(rsa_key())
ZONE = f"""\
bank.example         TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.bank.example  TXT "v=DMARC1; p=reject"
soft.example         TXT "v=spf1 ~all"
alumni.example       TXT "v=spf1 ip4:192.0.2.7 -all"
{zone_line("sel._domainkey.bank.example", KEY)}
{zone_line("sel._domainkey.lists.example", KEY)}
"""


def checked(
    message: bytes = HEAD,
    client: str = "198.51.100.9",
    site: Site = SITE,
    zone: str = ZONE,
    **envelope: str,
) -> Computed:
    came = Message(message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", len(message))
    enveloped = ENVELOPE.replace(client_address=client, **envelope)
    return compute(came, [message], enveloped, site, ZoneFile(zone))


def results(found: Computed) -> dict[str, str]:
    return {result.method: result.result for result in found.results}


def listed(**lists: tuple[str, ...]) -> Site:
    return SITE.replace(checking=SITE.checking.replace(**lists))


def test_all_four_have_a_result() -> None:
    assert results(checked()) == {"spf": "fail", "dkim": "none", "dmarc": "fail", "arc": "none"}
    passed = {"spf": "pass", "dkim": "none", "dmarc": "pass", "arc": "none"}
    assert results(checked(client="192.0.2.1")) == passed
    message = signed(HEAD, rsa_key(), "bank.example", fields=("from", "subject"))
    passed = {"spf": "fail", "dkim": "pass", "dmarc": "pass", "arc": "none"}
    assert results(checked(message)) == passed


def test_two_from_headers_never_pass() -> None:
    two = b"From: eve@evil.example\r\n" + HEAD
    (found,) = checked(two, client="192.0.2.1").found("dmarc")
    assert (found.result, found.reason) == ("fail", "there are 2 From fields")
    site = listed(forwarders=("192.0.2.1",))
    assert results(checked(two, client="192.0.2.1", site=site))["dmarc"] == "fail"
    message = signed(two, rsa_key(), "bank.example", fields=("from", "from", "from"))
    assert results(checked(message))["dmarc"] == "fail"
    # dkimpy knows no other field by this name.
    message = signed(HEAD, rsa_key(), "bank.example", fields=("from", "subject"))
    of_two = results(checked(message.replace(b"From:", b"From : eve@evil.example\r\nFrom:", 1)))
    assert (of_two["dkim"], of_two["dmarc"]) == ("policy", "fail")


def test_a_from_beyond_what_is_read_of_a_header_is_not_ruled_out() -> None:
    head = b"From: ann@bank.example\r\n" + b"X: y\r\n" * limits.HEADER_LINES
    (found,) = checked(head + b"\r\n", client="192.0.2.1").found("dmarc")
    assert (found.result, "too long" in found.reason) == ("permerror", True)
    cut = Message(HEAD, 10**6, cut=True)
    found = compute(cut, [HEAD], ENVELOPE, SITE, ZoneFile(ZONE)).found("dmarc")[0]
    assert found.result == "none"  # no client, no checks
    enveloped = ENVELOPE.replace(client_address="192.0.2.1")
    assert compute(cut, [HEAD], enveloped, SITE, ZoneFile(ZONE)).found("dmarc")[0] == Result(
        "dmarc", "permerror", (), "the header is too long to know all of it"
    )


@pytest.mark.parametrize("head", [b"Subject: no author\r\n\r\n", b"From: nobody\r\n\r\n"])
def test_without_an_author_there_is_nobody_to_ask(head: bytes) -> None:
    assert results(checked(head))["dmarc"] == "permerror"


# --- forwarders ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name", "result"),
    [
        ("198.51.100.9", "", "policy"),
        ("198.51.100.0/24", "", "policy"),
        ("2001:db8::/32", "", "fail"),
        ("mx.alumni.example", "mx.alumni.example", "policy"),
        ("alumni.example", "mx.alumni.example", "policy"),
        ("alumni.example", "mx.badalumni.example", "fail"),
        ("alumni.example", "", "fail"),
        ("alumni.example", "unknown", "fail"),
    ],
)
def test_spf_does_not_fail_what_a_listed_forwarder_brings(
    written: str, name: str, result: str
) -> None:
    found = results(checked(site=listed(forwarders=(written,)), client_hostname=name))
    assert (found["spf"], found["dmarc"]) == (result, result)


def test_softfail_is_treated_like_fail_and_pass_stays() -> None:
    site = listed(forwarders=("0.0.0.0/0",))
    assert results(checked(site=site, sender="x@soft.example"))["spf"] == "policy"
    assert results(checked(site=site, client="192.0.2.1"))["spf"] == "pass"


def test_a_forwarder_is_known_by_srs_where_spf_passes_for_it() -> None:
    sender = "SRS0=hash=tt=bank.example=ann@alumni.example"
    site = listed(forwarders=("alumni.example",))
    found = checked(site=site, client="192.0.2.7", sender=sender)
    assert results(found) == {"spf": "pass", "dkim": "none", "dmarc": "policy", "arc": "none"}
    assert "SRS, for ann@bank.example" in found.found("spf")[0].reason
    # Somebody else cannot say so, and nobody who is not listed.
    assert results(checked(site=site, sender=sender))["dmarc"] == "fail"
    assert results(checked(client="192.0.2.7", sender=sender))["dmarc"] == "fail"
    plain = checked(site=site, client="192.0.2.7", sender="ann@alumni.example")
    assert results(plain)["dmarc"] == "fail"


@pytest.mark.parametrize(
    ("sender", "original"),
    [
        ("SRS0=hash=tt=bank.example=ann@alumni.example", "ann@bank.example"),
        ("srs0+hash=tt=bank.example=ann=x@alumni.example", "ann=x@bank.example"),
        ("SRS1=h=first.example==hash=tt=bank.example=ann@alumni.example", "ann@bank.example"),
        ("SRS0=hash=tt=bank.example@alumni.example", ""),
        ("SRS0ann@alumni.example", ""),
        ("SRS1=h=first.example=hash@alumni.example", ""),
        ("ann@alumni.example", ""),
        ("", ""),
    ],
)
def test_srs(sender: str, original: str) -> None:
    assert original_sender(sender) == original


def test_a_listed_sealer_that_saw_it_pass() -> None:
    message = sealed(HEAD, rsa_key(), "lists.example", "dmarc=pass header.from=bank.example")
    assert results(checked(message))["dmarc"] == "fail"
    found = checked(message, site=listed(sealers=("lists.example",)))
    assert results(found) == {"spf": "fail", "dkim": "none", "dmarc": "policy", "arc": "pass"}
    broken = message.replace(b"hello", b"hullo")
    assert results(checked(broken, site=listed(sealers=("lists.example",))))["dmarc"] == "fail"


# --- who is asked about ----------------------------------------------------------------------

RECEIVED = (
    "Received: from mx.bank.example (mx.bank.example [{address}])\r\n"
    "\tby {by} (Postfix) with {protocol} id 4ABC\r\n"
    "\tfor <bob@example.org>; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)\r\n"
)


def received(
    address: str = "192.0.2.1", by: str = "mail.example.org", how: str = "ESMTPS"
) -> bytes:
    return RECEIVED.format(address=address, by=by, protocol=how).encode() + HEAD


@pytest.mark.parametrize(
    ("message", "client", "spf"),
    [
        (received(), "", "pass"),
        (received("198.51.100.9"), "", "fail"),
        (received("IPv6:2001:db8::1"), "", "fail"),
        (received(), "127.0.0.1", "pass"),  # a content filter brought it back
        (received(), "198.51.100.9", "fail"),  # Postfix's own word comes first
        (received(by="elsewhere.example"), "", "none"),
        (received("127.0.0.1"), "", "none"),
        (received("nonsense"), "", "none"),
        (received(how="ESMTPSA"), "", "none"),
        (received(how="UTF8SMTPSA"), "198.51.100.9", "none"),
        (received(by="elsewhere.example", how="ESMTPSA"), "198.51.100.9", "fail"),
        (HEAD, "::1", "none"),
        (HEAD, "nonsense", "none"),
        (HEAD, "::ffff:192.0.2.1", "pass"),
        (HEAD, "10.1.2.3", "none"),
    ],
)
def test_the_client(message: bytes, client: str, spf: str) -> None:
    found = checked(message, client=client, site=listed(own_networks=("10.0.0.0/8",)))
    assert results(found)["spf"] == spf, found
    if found.client.unchecked:
        assert set(results(found).values()) == {"none"}


def test_what_was_submitted_with_a_password_is_not_checked() -> None:
    found = checked(sasl_username="ann")
    assert found.client.unchecked == "ann submitted it with a password"


def test_helo_stands_for_the_null_sender() -> None:
    found = checked(sender="", client_helo="bank.example", client="192.0.2.1")
    (spf,) = found.found("spf")
    assert (spf.result, spf.properties) == ("pass", (("smtp.helo", "bank.example"),))
    assert results(found)["dmarc"] == "pass"
    assert results(checked(sender=""))["spf"] == "none"


def test_the_client_of_a_received_has_its_helo() -> None:
    message = Message(received(), 1)
    client = client_of(message, ENVELOPE, SITE)
    assert (client.address, client.name, client.helo) == (
        "192.0.2.1",
        "mx.bank.example",
        "mx.bank.example",
    )


@pytest.mark.parametrize("helo", ["x with ESMTPA id 1", "by", "x by mail.example.org with ESMTPA"])
def test_words_of_a_helo_are_not_the_servers(helo: str) -> None:
    octets = received().replace(b"from mx.bank.example", b"from " + helo.encode())
    client = client_of(Message(octets, 1), ENVELOPE, SITE)
    assert (client.address, client.unchecked) == ("192.0.2.1", "")


# --- trouble ---------------------------------------------------------------------------------


def test_servers_that_do_not_answer() -> None:
    found = checked(zone="; no answer: bank.example\n; no answer: _dmarc.bank.example")
    assert results(found) == {
        "spf": "temperror",
        "dkim": "none",
        "dmarc": "temperror",
        "arc": "none",
    }


def test_a_mistake_of_ours_is_temperror(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(computed_module, "check_spf", fails)
    (spf,) = checked().found("spf")
    assert (spf.result, spf.reason) == ("temperror", "ZeroDivisionError in the check")


def test_a_header_that_dkim_cannot_read() -> None:
    found = checked(b"not a field\r\n" + HEAD)
    assert (results(found)["dkim"], results(found)["arc"]) == ("neutral", "none")
