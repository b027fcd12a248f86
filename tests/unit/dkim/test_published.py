"""SPF and DMARC: what fits the host, and what is said of what is published."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from mdeliver.audit.finding import Finding
from mdeliver.audit.names import ZoneFiles
from mdeliver.dkim import policy, published, record
from mdeliver.dkim.senders import Senders

ADDRESSES = tuple(ipaddress.ip_address(text) for text in ("192.0.2.1", "2001:db8::1"))
SENDERS = Senders(("example.org",), ("example.org",), "mail.example.org", ADDRESSES, "")


def test_what_fits_the_host() -> None:
    said = {(advice.name, advice.value) for advice in policy.advised(SENDERS, "reject")}
    spf = "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"
    dmarc = "v=DMARC1; p=reject; rua=mailto:postmaster@example.org"
    assert said == {
        ("example.org", spf),
        ("mail.example.org", spf),
        ("_dmarc.example.org", dmarc),
    }


def test_a_host_without_a_domain_has_no_record() -> None:
    said = [advice.name for advice in policy.advised(SENDERS._replace(host="vm"), "none")]
    assert said == ["example.org", "_dmarc.example.org"]


def test_where_mail_leaves_by_another_host_nothing_is_forbidden() -> None:
    relayed = SENDERS._replace(relay="smtp.example.com", addresses=())
    (spf, *_) = policy.advised(relayed, "none")
    assert spf.value == "v=spf1 mx ~all"
    assert "smtp.example.com" in spf.note


@pytest.mark.parametrize(
    ("texts", "level", "words"),
    [
        ((), "failure", "no SPF record is published"),
        (("hello", "v=spf10 x"), "failure", "no SPF record is published"),
        (("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all",), "fine", "names every address"),
        (("v=spf1 ip4:192.0.2.1 -all",), "failure", "does not name 2001:db8::1"),
        (("v=spf1 ip4:192.0.2.1 a -all",), "fine", "by other names"),
        (("v=spf1 all",), "failure", "does not name"),
        (("v=spf1 ip4:300.1.1.1 -all",), "failure", "which is no network"),
        (("v=spf1 ipv4:192.0.2.1 ip4:192.0.2.1 ip6:2001:db8::1 -all",), "failure", "ipv4"),
        (("v=spf1 -all", "v=spf1 mx -all"), "failure", "2 SPF records"),
    ],
)
def test_spf(texts: tuple[str, ...], level: str, words: str) -> None:
    finding = said_of("example.org", texts)
    assert (finding.level, words in finding.what) == (level, True), finding


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        (("v=DMARC1; p=none; rua=mailto:x@example.org",), "fine"),
        (("v=DMARC1; p=reject",), "advice"),
        (("v=DMARC1; p=\x1b[31m; rua=mailto:x@example.org",), "failure"),
        ((), "failure"),
    ],
)
def test_dmarc(texts: tuple[str, ...], level: str) -> None:
    assert said_of("_dmarc.example.org", texts).level == level


def said_of(name: str, texts: tuple[str, ...]) -> Finding:
    lines = "".join(record.in_zone(name, text) + "\n" for text in texts)
    names = ZoneFiles(["zone"], [lines])
    found = published.findings(SENDERS, [], str(Path("/nowhere")), names)
    return {n: f for n, f in found if f.what != "no key signs"}[name]
