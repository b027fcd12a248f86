"""Lists of restrictions: their items, what of them has an effect, and where checks are put."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdeliver.postfix.restrictions import (
    OWN_CLIENTS,
    effective,
    enforced,
    on_trial,
    parsed,
    placed,
    written,
)

CHECK = "reject_unknown_sender_domain"


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("", []),
        ("permit_mynetworks reject", ["permit_mynetworks", "reject"]),
        (" Permit_MyNetworks ,,\treject", ["permit_mynetworks", "reject"]),
        ("sleep 1, reject_unauth_pipelining", ["sleep 1", "reject_unauth_pipelining"]),
        ("sleep,1,permit", ["sleep 1", "permit"]),
        ("check_helo_access hash:/Own, $More", ["check_helo_access hash:/Own", "$More"]),
        ("warn_if_reject reject_rbl_client A.test", ["warn_if_reject reject_rbl_client A.test"]),
        (
            "check_client_access inline:{ {a = REJECT b c}, {d = OK} } permit",
            ["check_client_access inline:{ {a = REJECT b c}, {d = OK} }", "permit"],
        ),
        ("check_policy_service { inet:h:1, timeout=1s }, MyClass", None),
        ("warn_if_reject", ["warn_if_reject"]),
        ("a } b", ["a", "}", "b"]),
    ],
)
def test_items(value: str, items: list[str] | None) -> None:
    expected = items or ["check_policy_service { inet:h:1, timeout=1s }", "MyClass"]
    assert parsed(value) == (expected if items is None or items else [])


@given(st.text(alphabet="ab{}, \t$=", max_size=30))
def test_items_are_what_is_written(value: str) -> None:
    items = parsed(value)
    assert "".join(written(items).split()).replace(",", "") == "".join(
        value.replace(",", " ").split()
    )


def test_what_stands_after_an_end_has_no_effect() -> None:
    items = ["check_sender_access hash:/x", "permit_auth_destination", CHECK]
    assert effective(items) == items[:1]
    assert placed(items, [CHECK], []) == [items[0], CHECK, *items[1:]]
    assert effective(["warn_if_reject reject", CHECK]) == ["warn_if_reject reject", CHECK]


def test_own_clients_are_exempt_from_what_is_added_alone() -> None:
    theirs = ["reject_rbl_client x.test", "permit"]
    assert placed(theirs, [CHECK], OWN_CLIENTS) == [theirs[0], *OWN_CLIENTS, CHECK, "permit"]
    assert placed([OWN_CLIENTS[0]], [CHECK], OWN_CLIENTS) == [*OWN_CLIENTS, CHECK]
    assert placed([CHECK], [CHECK], OWN_CLIENTS) == [CHECK]


@pytest.mark.parametrize("end", ["reject", "defer", "permit_mx_backup"])
def test_nobody_is_let_through_whom_the_list_would_refuse(end: str) -> None:
    """An exemption before `reject` would let own clients do what the administrator forbids."""
    with pytest.raises(ValueError, match=f"before {end}"):
        placed(["check_client_access hash:/x", end], [CHECK], OWN_CLIENTS)


@given(
    st.lists(
        st.sampled_from([*OWN_CLIENTS, CHECK, "permit", "reject", "reject_x", "$y"]), max_size=6
    ),
    st.lists(st.sampled_from([CHECK, "reject_z"]), unique=True),
)
def test_placing_keeps_what_is_there_and_does_it_once(items: list[str], checks: list[str]) -> None:
    try:
        after = placed(items, checks, OWN_CLIENTS)
    except ValueError:
        return
    rest = iter(after)
    assert all(item in rest for item in items)
    assert set(checks) <= set(effective(after))
    assert placed(after, checks, OWN_CLIENTS) == after


def test_what_is_on_trial_refuses_when_it_is_said() -> None:
    items = [on_trial(CHECK), on_trial("reject_x")]
    assert enforced(items, [CHECK]) == [CHECK, on_trial("reject_x")]
