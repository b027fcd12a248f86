"""`spf fail` and the like where nobody has found out: what rules see, and what is added."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mdeliver.authentication.lookups import Names, ZoneFile
from mdeliver.authentication.results import parse_results
from mdeliver.deliver.contents import content_of, content_word
from mdeliver.deliver.outside import Surroundings
from mdeliver.edits import edited_head
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.message import Message
from mdeliver.plan import Decision, File
from mdeliver.settings import Checking, Site

SITE = Site(hostname="mail.example.org", checking=Checking(compute="asked", wait_s=3600))
ENVELOPE = Envelope(
    "bob", "/home/bob", 1000, sender="ann@bank.example", client_address="198.51.100.9"
)
ZONE = """\
bank.example         TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.bank.example  TXT "v=DMARC1; p=reject"
"""
RECEIVED = (
    "Received: from h (h [198.51.100.9])\n\tby mail.example.org (Postfix) with ESMTP id 4AB;\n"
    "\tMon, 23 Nov 2026 10:00:00 +0000 (UTC)\n"
)
ARRIVED_S = 1795428000.0
FORGED = "Authentication-Results: mail.example.org; spf=pass\n\tsmtp.mailfrom=bank.example\n"
OTHERS = "Authentication-Results: elsewhere.example; spf=pass\n"
FROM = "From: ann@bank.example\n\n"
JUNK = 'if spf fail:\n    file to maildir "/junk"\n'


def decide(
    rules: str,
    head: str = RECEIVED + FROM,
    site: Site = SITE,
    zone: str | None = ZONE,
    now_s: float = ARRIVED_S,
    envelope: Envelope = ENVELOPE,
) -> Decision:
    program = compile_rules([Source("rules", rules)], str).program
    assert program is not None
    names: Callable[[], Names] | None = None if zone is None else lambda: ZoneFile(zone)
    outside = Surroundings(envelope, None, names=names)
    message = Message(head.encode(), len(head))
    return evaluate(program, message, envelope, site, now_s, explain=True, outside=outside)


def stored(decision: Decision, head: str = RECEIVED + FROM) -> str:
    """The head of what is filed, after the journal has had it."""
    (place,) = [action for action in decision.plan.actions if isinstance(action, File)][:1]
    content = content_of(content_word(place.content))
    assert content_word(content) == content_word(place.content)
    return edited_head(head.encode(), content.edits, cut=False).decode()


def site(**changed: object) -> Site:
    return SITE.replace(checking=SITE.checking.replace(**changed))


def path(decision: Decision) -> str:
    return next(action.path for action in decision.plan.actions if isinstance(action, File))


def test_a_rule_sees_what_is_found_out() -> None:
    assert path(decide(JUNK)) == "/junk"
    assert (
        path(decide(JUNK.replace("spf fail", "dmarc fail and dkim none and arc none"))) == "/junk"
    )
    decision = decide(JUNK, envelope=ENVELOPE.replace(client_address="192.0.2.1"))
    assert path(decision) != "/junk"
    assert "192.0.2.1 may send for bank.example" in decision.trace[0].because


@pytest.mark.parametrize(
    ("changed", "zone"), [(site(compute="never"), ZONE), (SITE, None)], ids=["never", "no dns"]
)
def test_nobody_asks_unless_the_site_says_so(changed: Site, zone: str | None) -> None:
    decision = decide(JUNK, site=changed, zone=zone)
    assert (path(decision) == "/junk", decision.plan.authentication) == (False, "")
    assert "no Authentication-Results that can be believed" in decision.trace[0].because


def test_what_no_rule_asks_for_is_not_found_out() -> None:
    decision = decide('file to maildir "/junk"\n')
    assert (decision.plan.authentication, len(decision.plan.actions)) == ("", 1)
    decision = decide('file to maildir "/junk"\n', site=site(compute="always"))
    assert decision.plan.authentication.startswith("spf=fail smtp.mailfrom=bank.example; dkim=none")


def test_the_results_stand_above_the_border_and_are_believed_from_then_on() -> None:
    head = stored(decide(JUNK, "Return-Path: <ann@bank.example>\n" + RECEIVED + FROM))
    head = stored(decide(JUNK))
    assert (
        head
        == (
            "Authentication-Results: mail.example.org;\n"
            "\tspf=fail (198.51.100.9 is not among those that send for bank.example)"
            " smtp.mailfrom=bank.example;\n"
            "\tdkim=none (there is no signature);\n"
            "\tdmarc=fail (neither SPF nor DKIM passes for bank.example)"
            " header.from=bank.example policy.dmarc=reject;\n"
            "\tarc=none (there is no chain)\n"
        )
        + RECEIVED
        + FROM
    )
    again = decide(JUNK, head, zone=None)
    assert path(again) == "/junk"
    assert again.plan.authentication == (
        "spf=fail smtp.mailfrom=bank.example; dkim=none;"
        " dmarc=fail header.from=bank.example policy.dmarc=reject; arc=none"
    )


def test_below_what_local_wrote() -> None:
    top = "Return-Path: <ann@bank.example>\nDelivered-To: bob@example.org\n"
    head = stored(decide(JUNK, top + RECEIVED + FROM), top + RECEIVED + FROM)
    assert head.startswith(top + "Authentication-Results: ")


def test_what_was_forged_in_our_name_goes_and_others_stay() -> None:
    came = RECEIVED + OTHERS + FORGED + "X: y\n" + OTHERS + FORGED + FROM
    decision = decide(JUNK, came)
    assert path(decision) == "/junk"
    head = stored(decision, came)
    assert head.count("mail.example.org;\n\tspf=fail") == 1
    assert "spf=pass\n\tsmtp" not in head
    assert head.endswith(RECEIVED + OTHERS + "X: y\n" + OTHERS + FROM)


def test_what_our_own_filter_found_is_not_found_out_again() -> None:
    believed = "Authentication-Results: mail.example.org; spf=softfail smtp.mailfrom=x\n"
    decision = decide("if spf softfail:\n    discard\n", believed + RECEIVED + FROM, zone=None)
    assert decision.plan.verdict.fate == "discard"
    # What the filter does not say is.
    decision = decide("if spf softfail and dmarc fail:\n    keep\n", believed + RECEIVED + FROM)
    head = stored(decision, believed + RECEIVED + FROM)
    assert head.count("spf=") == 1
    assert "dmarc=fail" in head
    assert head.index("spf=softfail") < head.index("dmarc=fail")


def test_later_lines_see_the_field_and_earlier_copies_have_none() -> None:
    rules = (
        'also file to maildir "/before"\nif spf pass:\n    discard\n'
        'if header "Authentication-Results" contains "spf=fail":\n    file to maildir "/after"\n'
    )
    before, after = [a for a in decide(rules).plan.actions if isinstance(a, File)]
    assert (before.path, before.content.edits) == ("/before", ())
    assert after.path == "/after"
    assert [edit.deed for edit in after.content.edits] == ["prepend"]


def test_the_field_can_be_left_out() -> None:
    decision = decide(JUNK, RECEIVED + FORGED + FROM, site=site(header=False))
    assert (path(decision), len(decision.plan.actions)) == ("/junk", 1)


def test_what_is_not_checked_stays_as_it_is() -> None:
    decision = decide(JUNK, envelope=ENVELOPE.replace(sasl_username="ann"))
    assert [type(action) for action in decision.plan.actions] == [File, File]
    assert "ann submitted it with a password" in decision.trace[0].because
    assert decision.plan.authentication == ""


SILENT = "; no answer: bank.example\n"


@pytest.mark.parametrize(
    ("rules", "later_s", "fate"),
    [
        (JUNK, 60, "defer"),
        (JUNK, 3599, "defer"),
        (JUNK, 3601, "deliver"),
        ("if not spf pass:\n    discard\n", 60, "defer"),
        ("if spf temperror:\n    discard\n", 60, "discard"),
        ("if spf fail, temperror:\n    discard\n", 60, "discard"),
        ('if spf fail and from is "x@y":\n    discard\n', 60, "deliver"),
        ("if arc fail:\n    discard\n", 60, "deliver"),
    ],
)
def test_a_rule_that_hangs_on_silent_servers_waits_for_a_while(
    rules: str, later_s: float, fate: str
) -> None:
    decision = decide(rules, zone=SILENT, now_s=ARRIVED_S + later_s)
    assert decision.plan.verdict.fate == fate
    assert fate != "defer" or "(spf is temperror: " in decision.plan.verdict.text


def test_a_message_without_a_time_of_arrival_does_not_wait() -> None:
    assert decide(JUNK, FROM, zone=SILENT).plan.verdict.fate == "deliver"
    never = RECEIVED.replace("23 Nov 2026", "99 Nev 99999999999999")
    assert decide(JUNK, never + FROM, zone=SILENT).plan.verdict.fate == "deliver"
    assert decide(JUNK, zone=SILENT, site=site(wait_s=0)).plan.verdict.fate == "deliver"


def test_no_sender_gets_words_into_the_field() -> None:
    envelope = ENVELOPE.replace(sender='ann@x"; dkim=pass (\n\u00fc.example')
    head = stored(decide("if spf none:\n    keep\n", envelope=envelope))
    (field,) = Message(head.encode(), 1).texts("authentication-results")
    _ours, found = parse_results(field)
    assert [(result.method, result.result) for result in found] == [
        ("spf", "none"),
        ("dkim", "none"),
        ("dmarc", "fail"),
        ("arc", "none"),
    ]
    assert found[0].properties == (("smtp.mailfrom", 'x";dkim=pass (??.example'),)
    again = decide("if dkim pass:\n    discard\n", head, zone=None)
    assert again.plan.verdict.fate == "deliver"
