"""Results by domain: what is aligned, what a policy would hit, and what strangers cannot do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.authentication import tallytext
from mdeliver.authentication.tally import Source, Tallies, Tally

HOSTILE = "\x1b]0;title\x07\n\u202e"


def said(authentication: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """One delivery to a user of example.org."""
    plain = {
        "time": 1_795_000_000 + number,
        "outcome": "delivered",
        "recipient": "ann@example.org",
        "queue_id": f"Q{number}",
        "message_id": "<1@x>",
        "client": "192.0.2.9",
        "authentication": authentication,
    }
    return plain | more


def tallied(*deliveries: dict[str, Any]) -> Tallies:
    tallies = Tallies()
    for one in deliveries:
        tallies.take(one)
    return tallies


def only(*deliveries: dict[str, Any]) -> Tally:
    (tally,) = tallied(*deliveries).by_domain.values()
    return tally


FROM = "dmarc={} header.from=example.net"
SPF = "spf=pass smtp.mailfrom=bounces.example.net"
DKIM = "dkim=pass header.d=mail.example.net header.s=s"


@pytest.mark.parametrize(
    ("results", "by"),
    [
        (f"{SPF}; {DKIM}; {FROM.format('pass')}", "SPF and DKIM"),
        (f"{SPF}; dkim=fail header.d=example.net; {FROM.format('pass')}", "SPF"),
        (f"spf=fail smtp.mailfrom=x.example; {DKIM}; {FROM.format('none')}", "DKIM"),
        (f"spf=pass smtp.mailfrom=other.example; {FROM.format('none')}", "neither"),
        (f"dkim=pass header.d=other.example; {FROM.format('fail')}", "neither"),
        # The site of the record asks for strict alignment: DMARC knows, and we do not.
        (f"{SPF}; {DKIM}; {FROM.format('fail')}", "neither"),
        (FROM.format("pass"), "unknown"),
    ],
)
def test_by_what_a_message_is_aligned(results: str, by: str) -> None:
    assert only(said(results)).aligned == {by: 1}


def test_public_suffixes_are_nobodys_organisation() -> None:
    results = "spf=pass smtp.mailfrom=evil.co.uk; dmarc=none header.from=bank.co.uk"
    assert only(said(results)).aligned == {"neither": 1}


def test_what_a_policy_would_have_hit() -> None:
    bad = f"spf=softfail smtp.mailfrom=example.net; dkim=none; {FROM.format('fail')}"
    bad += " policy.dmarc=none"
    tally = only(
        said(f"{SPF}; {FROM.format('pass')}", 1, client="192.0.2.1"),
        said(bad, 2),
        said(bad, 3),
        said(f"spf=temperror smtp.mailfrom=example.net; {FROM.format('temperror')}", 4),
    )
    assert (tally.messages, tally.would_fail) == (4, 2)
    assert tally.failing == {Source("192.0.2.9", "softfail", "none"): 2}
    assert tally.passing == {"192.0.2.1": 1}
    assert tally.policies == {"none": 2}
    assert [*tally.days.values()] == [[1, 2]]


def test_a_message_counts_once_and_a_deferred_delivery_never() -> None:
    good = f"{SPF}; {FROM.format('pass')}"
    tallies = tallied(
        said(good, 1, outcome="deferred"),
        said(good, 1),
        said(good, 1, recipient="bob@example.org"),
        said(good, 2),
        said("", 3),
        said("spf=pass smtp.mailfrom=example.net", 4),
    )
    assert tallies.by_domain["example.net"].messages == 2
    assert tallies.unchecked == 2


def test_ones_own_domains_come_first() -> None:
    fails = "spf=fail smtp.mailfrom=x; dmarc=fail header.from={}"
    tallies = tallied(
        *(said(fails.format("other.example"), n) for n in range(3)),
        said(fails.format("sub.example.org"), 9),
    )
    names = [tally.domain for tally in tallies.ordered()]
    assert names == ["sub.example.org", "other.example"]
    assert [t.domain for t in tallies.ordered(["example.org"])] == ["sub.example.org"]
    text = "\n".join(tallytext.report(tallies, tallies.ordered(), lambda _c, w: w, 10))
    assert "4 messages of 2 domains, 4 aligned with neither SPF nor DKIM, 1 of them in your" in text
    assert "p=reject refused 3:" in text
    assert "none from an address that sends what passes" in text


def test_an_address_that_also_sends_what_passes_is_told() -> None:
    own = "{}; dmarc={} header.from=example.org"
    tallies = tallied(
        said(own.format("dkim=pass header.d=example.org", "pass"), 1),
        said(own.format("dkim=fail header.d=example.org", "fail"), 2),
    )
    text = "\n".join(tallytext.report(tallies, tallies.ordered(), lambda _c, w: w, 10))
    assert "may be yours: 192.0.2.9" in text


@given(st.text(max_size=80), st.text(max_size=20), st.text(max_size=20))
def test_nothing_in_a_log_harms_the_report(results: str, client: str, recipient: str) -> None:
    more = {"client": client + HOSTILE, "recipient": recipient}
    tallies = tallied(
        said(results, 1, **more),
        said(f'spf={results}; dmarc=fail header.from="a.{HOSTILE}"; {results}', 2, **more),
        said("dmarc=fail header.from=example.net", 3, time=1e300, **more),
    )
    shown = tallies.ordered()
    for line in tallytext.report(tallies, shown, lambda _c, w: w, 3):
        assert line.isprintable(), ascii(line)
    for tally in shown:
        json.dumps(tallytext.as_object(tallies, tally))
