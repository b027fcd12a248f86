"""What speaks for a refused message, what against, and what proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from mdeliver.postfix.events import Brought, Queued, Refusal, Sent
from mdeliver.postfix.history import History, network_of, organization
from mdeliver.postfix.judgement import RETRY_S, Judgement, duration, judge

NOON_S = 1_793_620_800.0


def refusal(time_s: float = 0.0, **changes: Any) -> Refusal:
    plain = Refusal(
        *(NOON_S + time_s, "refused", "reject_unknown_helo_hostname", "RCPT", "", "192.0.2.1", ""),
        *("450 4.7.1 no", "eve@example.net", "ann@example.org", "mx.example.com"),
    )
    return plain._replace(**changes)


def taken(sender: str, client: str, name: str = "", *, user: str = "") -> list[Any]:
    return [
        Brought(NOON_S - 60, "A1", name, client, user),
        Queued(NOON_S - 60, "A1", sender),
        Sent(NOON_S - 60, "A1", "bob@example.org", outside=False),
    ]


def judged(*events: Any) -> Judgement:
    """What is thought of the last refusal."""
    history = History()
    history.add_all(events)
    last = [event for event in events if isinstance(event, Refusal)][-1]
    return judge(history.attempt_of(last), history)


def test_nothing_is_known() -> None:
    assert judged(refusal()) == ("rightly", -2, judged(refusal()).found)
    assert judged(refusal()).reasons == ["the client has no name in DNS"]


def test_who_was_written_to_is_wanted() -> None:
    wrote = [
        Queued(NOON_S - 60, "A1", "Ann@example.org"),
        Sent(NOON_S - 60, "A1", "Eve@Example.net", outside=True),
    ]
    assert judged(*wrote, refusal(client_name="mx.example.net")).level == "likely"


def test_a_sender_counts_in_full_from_its_own_network_alone() -> None:
    same = judged(*taken("eve@example.net", "192.0.2.200"), refusal())
    other = judged(*taken("eve@example.net", "198.51.100.7"), refusal())
    assert (same.level, other.level) == ("perhaps", "rightly")
    assert "from elsewhere" in other.reasons[1]


def test_our_own_domain_from_outside_is_forged() -> None:
    mail = taken("ann@example.org", "192.0.2.1", user="ann")
    assert judged(*mail, refusal(sender="ann@example.org")).level == "rightly"


@pytest.mark.parametrize(
    ("tries_s", "reply", "comes_back"),
    [
        ((0, RETRY_S), "450 no", True),
        ((0, RETRY_S - 1), "450 no", False),
        ((0, 1, 2 * RETRY_S - 1), "450 no", False),
        ((0, 1, 2 * RETRY_S), "450 no", True),
        ((0, RETRY_S), "550 no", False),
    ],
)
def test_servers_come_back_later(tries_s: tuple[float, ...], reply: str, comes_back: bool) -> None:
    said = judged(*[refusal(at_s, reply=reply) for at_s in tries_s])
    assert any("as mail servers do" in reason for reason in said.reasons) == comes_back


def test_a_doubtful_line_is_never_likely() -> None:
    mail = taken("eve@example.net", "192.0.2.1")
    assert judged(*mail, refusal(doubtful=True)).level == "rightly"


def test_through_is_later_and_to_the_same_recipient() -> None:
    came: list[Any] = [
        Brought(NOON_S + 600, "A1", "", "192.0.2.1", ""),
        Queued(NOON_S + 600, "A1", "eve@example.net"),
        Sent(NOON_S + 600, "A1", "ann@example.org", outside=False),
    ]
    history = History()
    history.add_all([refusal(), *came])
    (attempt,) = history.attempts.values()
    assert judge(attempt, history).level == "through"
    assert judged(*came, refusal(1000)).level != "through"


def test_a_fault_here_is_nobody_elses() -> None:
    assert judged(refusal(check="own look-up")).level == "own"


def test_many_tries_of_one_client_none_taken() -> None:
    said = judged(*[refusal(n, sender=f"{n}@x.example") for n in range(11)])
    assert "10 other tries of this client refused, none taken" in said.reasons


@pytest.mark.parametrize(
    ("name", "address", "network"),
    [
        ("mail-ed1.google.com", "209.85.208.41", "google.com"),
        ("mx.example.co.uk", "192.0.2.1", "example.co.uk"),
        ("", "192.0.2.1", "192.0.2"),
        ("", "2001:db8:1:2::3", "2001:db8:1::"),
        ("", "unknown", "unknown"),
        ("", "a:b]c", "a:b]c"),
    ],
)
def test_networks(name: str, address: str, network: str) -> None:
    assert network_of(name, address) == network


def test_organizations() -> None:
    assert organization("MX.Example.NET.") == "example.net"
    assert organization("localhost") == "localhost"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (59.6, "60 s"), (180, "3 min"), (7200, "2 h"), (3 * 86_400, "3 days")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
