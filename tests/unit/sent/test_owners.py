"""Whose address is it: claims of several sources."""

from __future__ import annotations

import pytest

from mdeliver.sent.mailaddress import parse
from mdeliver.sent.owners import Claim, Mailbox, Ownership, SourceError, settle

DOMAINS = frozenset({"example.org", "example.net"})
ANN = Mailbox("ann", parse("ann@example.org"), "")
BOB = Mailbox("bob", parse("bob@example.org"), "")


def claim(address: str, *targets: str, where: str = "table", final: bool = False) -> Claim:
    return Claim(parse(address), targets, where, final)


def owners(*claims: Claim) -> dict[str, str]:
    return {o.address.text: o.mailbox.owner for o in decided(*claims).owned}


def decided(*claims: Claim) -> Ownership:
    own = (claim("ann@example.org", "ann"), claim("bob@example.org", "bob"))
    return settle([ANN, BOB], [*own, *claims], DOMAINS)


def test_an_alias_is_its_mailboxs_own_however_long_the_way() -> None:
    found = owners(
        claim("info@example.org", "office@example.net"), claim("office@example.net", "ann")
    )
    assert found["info@example.org"] == found["office@example.net"] == "ann"


def test_a_list_is_nobodys_and_the_notes_say_so() -> None:
    result = decided(claim("all@example.org", "ann", "bob"), claim("out@example.org", "x@else.com"))
    assert [o.address.text for o in result.owned] == ["ann@example.org", "bob@example.org"]
    assert "all@example.org leads to several mailboxes" in result.notes[0]
    assert "out@example.org leads to x@else.com, no mailbox here (table)" in result.notes[1]


def test_two_owners_are_an_error_that_names_both() -> None:
    claims = (
        claim("info@example.org", "ann", where="virtual"),
        claim("INFO@example.org", "bob", where="logins"),
    )
    with pytest.raises(SourceError) as error:
        decided(*claims)
    assert "two owners: ann (virtual), bob (logins)" in str(error.value)
    # Saying it in a list settles it.
    found = owners(*claims, claim("info@example.org", "bob", where="list:1", final=True))
    assert found["info@example.org"] == "bob"


def test_all_errors_come_at_once() -> None:
    with pytest.raises(SourceError) as error:
        decided(
            claim("x@foreign.com", "ann", where="list:3"),
            claim("a@example.org", "b@example.org"),
            claim("b@example.org", "c@example.org"),
            claim("c@example.org", "b@example.org"),
        )
    foreign, *circles = error.value.lines
    assert foreign.startswith("list:3: x@foreign.com: foreign.com is not one of our domains")
    assert all("leads back to itself" in line for line in circles)
    assert circles


def test_an_address_that_leads_to_itself_is_no_error() -> None:
    assert "z@example.org" not in owners(claim("z@example.org", "z@example.org"))
