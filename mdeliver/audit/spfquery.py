"""What an SPF record says of an address, and what reading all of it costs (RFC 7208, 4.6.4).

Verdict     by the code that judges others' mail at delivery
Cost        by pyspf. Verifiers stop at ten terms that ask DNS, and after two look-ups that find
            nothing. They stop at the first match, too; what a survey counts is what they count for
            an address that matches nothing: the most that anybody counts.
Fails with  nothing: what pyspf does not expect in a record is an error of the record's
See also    authentication/spf.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import spf

from mdeliver.audit.lookups import AsLookups
from mdeliver.authentication.client import Client
from mdeliver.authentication.spf import check_spf, checked_record
from mdeliver.record import Record

if TYPE_CHECKING:
    from mdeliver.audit.names import Address, Names
    from mdeliver.authentication.results import Result

MOST_TERMS = 10
MOST_VOID = 2

_CAP = 60
"""A survey counts no further: somebody's records may lead to ever more."""


class Survey(Record):
    """What reading all of a record costs.

    error    what is wrong with it, for every verifier; "" if nothing is
    trouble  what DNS did not answer; ""
    terms    how many ask DNS
    void     names that were asked for and are not there
    """

    error: str
    trouble: str
    terms: int
    void: tuple[str, ...]


def judge(address: Address, sender: str, helo: str, names: Names) -> Result:
    """What SPF says of a message from SENDER ("" is the null sender) that ADDRESS brings."""
    client = Client(str(address), "", helo, "")
    return check_spf(client, sender, AsLookups(names), (), "localhost")


def survey(address: Address, domain: str, names: Names) -> Survey:
    """Read all of the record of DOMAIN, as for an address that nothing in it matches.

    address  decides between A and AAAA, and stands in the place of %{i}
    """
    query = _Survey(str(address), domain, names)
    error = trouble = ""
    try:
        result, _code, words = query.check()
    except AssertionError:
        result, words = "permerror", "its includes lead in a circle"
    except Exception as unforeseen:
        # pyspf takes records apart in ways that nobody foresaw for all of them.
        result, words = "permerror", f"it cannot be read: {type(unforeseen).__name__}"
    why = str(words).partition("Error: ")[2] or str(words)
    if result == "permerror":
        error = why
    elif result == "temperror":
        trouble = why
    return Survey(error, trouble, query.terms, tuple(dict.fromkeys(query.void)))


class _Survey(spf.query):  # type: ignore[misc]  # pyspf has no types
    """Matches nothing, so that all of the record is read, and only counts."""

    def __init__(self, address: str, domain: str, names: Names) -> None:
        super().__init__(i=address, s=f"postmaster@{domain}", h=domain)
        self._names = names
        self.terms = 0
        self.void: list[str] = []
        self._of_clients: set[str] = set()

    def dns(
        self, name: str, qtype: str, _cnames: object = None, ignore_void: bool = False
    ) -> list[Any]:
        """What pyspf asks: the values of records, those of TXT as lists of octets."""
        name = str(name).lower().rstrip(".")
        answer = self._names.ask(name, qtype)
        if not answer.known:
            raise spf.TempError(f"{name} {qtype}: {answer.why}")
        if not answer.values and not ignore_void and not self._is_meant(name, qtype):
            self.void.append(name)
        if qtype == "TXT":
            return [(value.encode(),) for value in answer.values]
        if qtype == "MX":
            return [(int(n), host) for n, _, host in (v.partition(" ") for v in answer.values)]
        return list(answer.values)

    def _is_meant(self, name: str, kind: str) -> bool:
        """Whether finding nothing is no mistake.

        Names that depend on the client are to be found for some, and a host may have addresses of
        the other kind alone.
        """
        other = {"A": "AAAA", "AAAA": "A"}.get(kind, "")
        has_others = other != "" and self._names.ask(name, other).state == "found"
        return has_others or name in self._of_clients or name.endswith(".arpa")

    def dns_spf(self, domain: str) -> str | None:
        """The record of DOMAIN."""
        record: str | None = super().dns_spf(domain)
        return None if record is None else checked_record(record)

    def check_lookups(self) -> None:
        """Count a term that asks DNS."""
        self.terms += 1
        if self.terms > _CAP:
            raise spf.PermError(f"more than {_CAP} terms ask DNS")

    def expand_domain(self, arg: str) -> Any:
        """What a term names."""
        found = super().expand_domain(arg)
        if "%{" in str(arg):
            self._of_clients.add(str(found).lower().rstrip("."))
        return found

    def cidrmatch(self, _addresses: object, _bits: object) -> bool:
        """No address is this one."""
        return False

    def dns_a(self, domainname: str, A: str = "A") -> list[Any]:  # pyspf's names
        """Ask, but find nothing: `exists` must not match."""
        if domainname:
            self.dns(domainname, A)
        return []

    def get_explanation(self, _domain: str) -> None:
        """What the domain would say to a rejected sender; nobody would read it."""
