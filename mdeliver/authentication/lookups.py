"""Questions to the DNS, for the checks of one message: within a strict time, whatever answers.

Answers     () where there is no such name or no such record: that is an answer too
Fails with  Unanswered alone: no server, a server in trouble, no time left, too many questions
Time        all questions of one message share one limit; none waits longer than what is left of it
Kept        answers for their TTL (dnspython's cache), as long as the process lives: for one message
            in a delivery of its own, for many in a worker of the LMTP server; what was unanswered
            stays so for the message
Zone file   in the place of the DNS: a master file (RFC 1035 5) with its names under the root, so
            that many domains have room in one; a line `; no answer: NAME` for servers in trouble
See also    the settings authentication.resolver and authentication.seconds
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import dns.zone

from mdeliver import limits
from mdeliver.settings import split_server

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_ANSWER = "; no answer:"

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


class Unanswered(Exception):
    """What was asked cannot be known now; a later try may know."""


class Names:
    """Who is asked; `records` and `exists` say how."""

    def texts(self, name: str) -> tuple[bytes, ...]:
        """The TXT records of NAME, each in one piece (RFC 7208 3.3, RFC 6376 3.6.2.2)."""
        found = [b"".join(record.strings) for record in self.records(name, "TXT")]
        return tuple([text for text in found if len(text) <= limits.DNS_TEXT])

    def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        """The addresses of NAME; KIND: A or AAAA."""
        return tuple([record.address for record in self.records(name, kind)])

    def exchanges(self, name: str) -> tuple[tuple[int, str], ...]:
        """Preference and host of each MX record of NAME."""
        records = self.records(name, "MX")
        return tuple([(r.preference, r.exchange.to_text(True)) for r in records])

    def pointers(self, name: str) -> tuple[str, ...]:
        """The hosts that the PTR records of NAME say."""
        return tuple([record.target.to_text(True) for record in self.records(name, "PTR")])

    def exists(self, name: str) -> bool:
        """Whether there is NAME, with whatever records."""
        raise NotImplementedError

    def records(self, name: str, kind: str) -> Sequence[Any]:
        """The records of KIND that NAME has, as dnspython has them."""
        raise NotImplementedError


class Resolved(Names):
    """Answers of name servers."""

    def __init__(self, servers: tuple[str, ...], seconds: float) -> None:
        """SERVERS: addresses, perhaps with `:port`; () for those of resolv.conf.

        seconds  for all questions together
        """
        self._servers = servers
        self._seconds = seconds
        self._ends_s = 0.0
        self._questions = limits.DNS_QUESTIONS
        self._unanswered: dict[tuple[str, str], str] = {}

    def exists(self, name: str) -> bool:
        """Whether there is NAME; a name with nothing but other records is one too."""
        return self._ask(name, "A") is not None

    def records(self, name: str, kind: str) -> Sequence[Any]:
        """The records of KIND that NAME has."""
        answer = self._ask(name, kind)
        return [] if answer is None or answer.rrset is None else list(answer.rrset)

    def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """The answer; None where there is no such name."""
        question = name.lower().rstrip("."), kind
        if question in self._unanswered:
            raise Unanswered(self._unanswered[question])
        # The time runs from the first question: the message may have waited for a program.
        self._ends_s = self._ends_s or time.monotonic() + self._seconds
        left_s = self._ends_s - time.monotonic()
        self._questions -= 1
        try:
            if left_s <= 0:
                raise Unanswered(f"{name} {kind}: the {self._seconds:g} s for the DNS are over")
            if self._questions < 0:
                raise Unanswered(f"{name} {kind}: more than {limits.DNS_QUESTIONS} questions")
            return _answer(self._servers, name, kind, left_s)
        except Unanswered as unanswered:
            self._unanswered[question] = str(unanswered)
            raise


def _answer(
    servers: tuple[str, ...], name: str, kind: str, left_s: float
) -> dns.resolver.Answer | None:
    try:
        asked = dns.name.from_text(name)
    except (dns.exception.DNSException, UnicodeError, ValueError):
        return None  # no name can be so: RFC 7208 4.3
    try:
        return _resolver(servers).resolve(
            asked, kind, lifetime=left_s, raise_on_no_answer=False, search=False
        )
    except dns.resolver.NXDOMAIN:
        return None
    except dns.resolver.LifetimeTimeout:
        raise Unanswered(f"{name} {kind}: no answer in time") from None
    except dns.resolver.NoNameservers:
        raise Unanswered(f"{name} {kind}: the name servers are in trouble") from None
    except dns.resolver.NoResolverConfiguration:
        raise Unanswered(f"{name} {kind}: there is no resolv.conf") from None
    except Exception as error:
        # Whatever a server sends that dnspython did not think of.
        raise Unanswered(f"{name} {kind}: {type(error).__name__}") from None


@lru_cache(maxsize=4)
def _resolver(servers: tuple[str, ...]) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [_server(written) for written in servers]
    resolver.cache = dns.resolver.LRUCache(limits.DNS_KEPT)
    # Postfix's own 5 s would leave the second server no time.
    resolver.timeout = limits.DNS_SERVER_S
    return resolver


def _server(written: str) -> dns.nameserver.Nameserver:
    address, port = split_server(written)
    return dns.nameserver.Do53Nameserver(address, int(port))


class ZoneFile(Names):
    """Answers out of a file: `mdeliver test --zone`, and cases of rules."""

    def __init__(self, text: str) -> None:
        """Raises ValueError where TEXT is no master file."""
        try:
            zone = dns.zone.from_text(
                f"$TTL 60\n{text}", origin=".", relativize=False, check_origin=False
            )
        except (dns.exception.DNSException, ValueError) as error:
            raise ValueError(f"no zone file: {error}") from None
        self._nodes = dict(zone.nodes)
        self._known = {
            name.split(depth)[1] for name in self._nodes for depth in range(1, len(name) + 1)
        }
        self._silent = {
            line.removeprefix(_NO_ANSWER).strip().lower().rstrip(".")
            for line in text.splitlines()
            if line.startswith(_NO_ANSWER)
        }

    def exists(self, name: str) -> bool:
        """Whether NAME, or one below it, is in the file."""
        asked = self._name(name)
        return asked is not None and asked in self._known

    def records(self, name: str, kind: str) -> Sequence[Any]:
        """The records of KIND that NAME has, at the end of its aliases."""
        asked = self._name(name)
        for _alias in range(limits.DNS_ALIASES):
            node = None if asked is None else self._nodes.get(asked)
            if node is None:
                return []
            for rdataset in node:
                if rdataset.rdtype == dns.rdatatype.from_text(kind):
                    return list(rdataset)
            alias = [r for r in node if r.rdtype == dns.rdatatype.CNAME]
            if not alias:
                return []
            asked = self._name(alias[0][0].target.to_text())
        raise Unanswered(f"{name} {kind}: too many aliases")

    def _name(self, name: str) -> dns.name.Name | None:
        if name.lower().rstrip(".") in self._silent:
            raise Unanswered(f"{name}: the zone file says that nobody answers")
        try:
            return dns.name.from_text(name.lower())
        except (dns.exception.DNSException, UnicodeError, ValueError):
            return None


def ascii_domain(domain: str) -> str:
    """DOMAIN as the DNS has it (A-labels), in lower case; "" where it can be none."""
    domain = domain.lower().strip().rstrip(".")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    labels = domain.split(".")
    fits = len(domain) <= 253 and all(0 < len(label) < 64 for label in labels)
    return domain if fits and _NAME.issuperset(domain) else ""
