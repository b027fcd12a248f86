"""Which Authentication-Results are believed, and what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.authentication.results import believed, parse_results
from mdeliver.message import Message
from mdeliver.settings import Site
from tests.cputime import cpu_limit

SITE = Site((), "mail.example.org", "+")
BORDER = (
    "Received: from client.example (unknown [192.0.2.1])\n"
    "\tby mail.example.org (Postfix) with ESMTPS id 4ABCdef\n\tfor <ann@example.org>; Mon\n"
)
FILTER = BORDER.replace("unknown [192.0.2.1]", "localhost [127.0.0.1]")
PASSED = "Authentication-Results: mail.example.org; dmarc=pass header.from=bank.example\n"
FAILED = "Authentication-Results: mail.example.org; dmarc=fail\n"


def dmarc(head: str, site: Site = SITE) -> tuple[str, ...]:
    return believed(Message(head.encode() + b"\n", 1), site).of("dmarc")


@pytest.mark.parametrize(
    ("head", "result"),
    [
        (PASSED + BORDER, "pass"),
        ("Return-Path: <a@b>\n" + PASSED + BORDER + FAILED, "pass"),
        (PASSED.replace("mail.example.org", "MAIL.example.ORG") + BORDER, "pass"),
        (FILTER + PASSED + BORDER, "pass"),
        (FILTER.replace("[127.0.0.1]", "[IPv6:::1]") + PASSED + BORDER, "pass"),
        # What the client may have written.
        (BORDER + PASSED, "none"),
        (BORDER + FILTER + PASSED, "none"),
        (BORDER + PASSED + BORDER, "none"),
        (FILTER + BORDER + PASSED, "none"),
        (FILTER + PASSED, "none"),
        (PASSED, "none"),
        ("", "none"),
        # HELO [127.0.0.1]; Postfix turns the parentheses of a HELO into question marks.
        (BORDER.replace("client.example", "[127.0.0.1]") + PASSED, "none"),
        (BORDER.replace("unknown", "localhost[127.0.0.1]") + PASSED, "none"),
        # Submitted here: by whichever user.
        ("Received: by mail.example.org (Postfix, from userid 1000) id 4ABCdef\n" + PASSED, "none"),
        # Other servers.
        (PASSED.replace("mail.", "mx.") + BORDER, "none"),
        (PASSED.replace("org;", "org 2;") + BORDER, "none"),
        (PASSED.replace("org;", "org 1;") + BORDER, "pass"),
        # The milter knew the queue id.
        (BORDER + PASSED.replace("org;", "org/4ABCdef;"), "pass"),
        (BORDER + PASSED.replace("org;", "org/4ABCdeg;"), "none"),
        (BORDER + PASSED.replace("org;", "org/;"), "none"),
        (BORDER + BORDER + PASSED.replace("org;", "org/4ABCdef;"), "none"),
        # The client thought of one: Postfix takes a HELO of several words.
        (
            BORDER.replace("client.example", "x by mail.example.org with SMTP id 4ABCdeg")
            + PASSED.replace("org;", "org/4ABCdeg;"),
            "none",
        ),
    ],
)
def test_what_is_believed(head: str, result: str) -> None:
    assert dmarc(head) == (result,)


@pytest.mark.parametrize("second", ["From: b@b.example\n", "from : b@b.example\n"])
def test_two_from_fields_never_pass(second: str) -> None:
    passed = PASSED.replace("dmarc=", "dkim=pass; spf=pass; dmarc=")
    head = (passed + BORDER + "From: a@bank.example\n" + second).encode()
    found = believed(Message(head + b"\n", 1), SITE)
    assert [found.of(m) for m in ("dkim", "spf", "dmarc")] == [("policy",), ("pass",), ("fail",)]


DECLARED = SITE.replace(authserv_ids=("mail.example.org", "mx.example.org"))


@pytest.mark.parametrize(
    ("head", "result"),
    [
        (BORDER + FAILED, "fail"),
        (BORDER + FAILED + PASSED, "fail"),  # topmost
        (BORDER + "Subject: x\n" + PASSED.replace("mail.", "mx."), "pass"),
        (BORDER + "Received: x\n" + PASSED, "none"),
        (BORDER + PASSED.replace("mail.", "other."), "none"),
    ],
)
def test_where_the_site_names_its_ids(head: str, result: str) -> None:
    assert dmarc(head, DECLARED) == (result,)


def test_a_short_host_name_is_its_own_long_one() -> None:
    assert dmarc(PASSED + BORDER, Site((), "mail", "+")) == ("pass",)
    assert dmarc(PASSED + BORDER, Site((), "mai", "+")) == ("none",)


@pytest.mark.parametrize(
    ("results", "method", "expected"),
    [
        ("none", "spf", ("none",)),
        ("spf=softfail (x; dkim=pass) smtp.mailfrom=a@b", "dkim", ("none",)),
        ('spf=fail reason="x; spf=pass"', "spf", ("fail",)),
        ("dkim=fail header.d=a; dkim=pass header.d=b", "dkim", ("pass",)),
        ("dkim=fail header.d=a; dkim=neutral", "dkim", ("fail", "neutral")),
        ("dmarc=fail; dmarc=pass", "dmarc", ("fail",)),
        ("spf=pass smtp.helo=x; spf=fail smtp.mailfrom=a@b", "spf", ("fail",)),
        ("spf=hardfail", "spf", ("fail",)),
        ("SPF / 1 = Pass", "spf", ("none",)),
        ("SPF/1 = Pass", "spf", ("pass",)),
        ('"spf"=pass', "spf", ("none",)),
        ("spf pass; =; spf=", "spf", ("none",)),
        ("spf=fail (never closed; spf=pass", "spf", ("fail",)),
    ],
)
def test_results(results: str, method: str, expected: tuple[str, ...]) -> None:
    head = f"Authentication-Results: mail.example.org; {results}\n{BORDER}\n"
    assert believed(Message(head.encode(), 1), SITE).of(method) == expected


def test_fields_of_several_filters_add_up() -> None:
    head = PASSED + FAILED.replace("dmarc=fail", "dmarc=fail; spf=neutral") + BORDER + "\n"
    found = believed(Message(head.encode(), 1), SITE)
    assert (found.of("dmarc"), found.of("spf")) == (("pass",), ("neutral",))


@given(st.text('mail.example.org;=/"()\\ \tspf1é', max_size=80))
def test_any_value_is_read(value: str) -> None:
    authserv_id, results = parse_results(value)
    assert all(r.method and r.result for r in results)
    assert authserv_id or not results


# Lines that a client can send: whatever they are, they are not believed.
SENT = st.lists(
    st.sampled_from([PASSED, FAILED, BORDER, FILTER, "Subject: x\n", "Received: by x\n"])
    | st.text("from (localhost[127.1])mail.example.org;dmarc=pass:", max_size=60).map(
        lambda text: f"Received: {text}\n"
    ),
    max_size=6,
).map("".join)


@given(SENT)
def test_no_client_can_make_itself_believed(sent: str) -> None:
    assert dmarc(BORDER + sent) == ("none",)
    assert dmarc(FAILED + BORDER + sent) == ("fail",)
    assert dmarc(FILTER + FAILED + BORDER + sent) == ("fail",)


def test_a_megabyte_of_results_is_quick() -> None:
    head = BORDER + "Authentication-Results: mail.example.org" + ";" * 4000 + "\n"
    message = Message((head + PASSED * 10_000).encode() + b"\n", 1)
    with cpu_limit(3):
        assert believed(message, DECLARED).of("spf") == ("none",)
    assert "Authentication-Results" in message.limit
