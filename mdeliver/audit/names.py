"""What DNS says: from name servers, with time limits, or from zone files.

Answer      always; no question raises. A name server that does not answer, or answers nonsense, is
            "trouble", and so is every question once the time is up.
Zone files  say all about the domains whose SOA they have; without any, about everything. Of other
            names they know nothing, which is "trouble", too. Names are absolute, as if the origin
            were the root, until $ORIGIN says otherwise; wildcards and CNAMEs are followed.
Hostile     what others have in DNS is text here: who prints it makes it printable (one_line)
See also    dnspython's documentation; RFC 1035, 5; RFC 4592
"""

from __future__ import annotations

import time
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.exception
import dns.flags
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.tokenizer
import dns.transaction
import dns.zonefile
from dns.rdtypes.mxbase import MXBase
from dns.rdtypes.nsbase import NSBase
from dns.rdtypes.txtbase import TXTBase

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Literal, TypeAlias

    from dns.rdata import Rdata

    Address: TypeAlias = IPv4Address | IPv6Address
    State: TypeAlias = Literal["found", "nothing", "no name", "trouble"]

QUESTION_S = 5.0
"""How long one question may take: five seconds is what resolvers themselves wait."""

VALUES = 200
"""More records of one name are not looked at."""

_CNAMES = 8
_TTL_S = 3600


class NamesError(Exception):
    """One line for the administrator: what cannot be read, or asked."""


class Answer(Record):
    """What DNS says of a name.

    state   "found"; "nothing": the name has no such records; "no name": it does not exist;
            "trouble": nobody knows
    values  addresses, names without their last dot and in small letters ("10 mx.example.org" for
            MX), texts of TXT with their parts joined
    why     what the trouble is
    secure  whether the resolver says that DNSSEC proves it
    """

    state: State
    values: tuple[str, ...] = ()
    why: str = ""
    secure: bool = False

    @property
    def known(self) -> bool:
        """Whether DNS answered, be it with nothing."""
        return self.state != "trouble"


class Names:
    """Asks each question once; `_ask` of a subclass knows whom."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], Answer] = {}

    def ask(self, name: str, kind: str) -> Answer:
        """The records of KIND ("A", "MX", …) that NAME has."""
        key = (name.rstrip(".").lower(), kind)
        if key not in self._answers:
            try:
                asked = dns.name.from_text(key[0] + ".")
            except (dns.exception.DNSException, UnicodeError, ValueError):
                return Answer("no name", why="it is no name at all")
            self._answers[key] = self._ask(asked, dns.rdatatype.from_text(kind))
        return self._answers[key]

    def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Answer:
        raise NotImplementedError

    def addresses(self, name: str) -> tuple[list[Address], Answer]:
        """The addresses of NAME, and the answer that says why there are none."""
        answers = [self.ask(name, "A"), self.ask(name, "AAAA")]
        found = [ip_address(value) for answer in answers for value in answer.values]
        trouble = next((answer for answer in answers if not answer.known), answers[0])
        return found, trouble

    def pointers(self, address: Address) -> Answer:
        """The names that lead back from ADDRESS."""
        return self.ask(address.reverse_pointer, "PTR")

    def exchangers(self, domain: str) -> tuple[list[tuple[int, str]], Answer]:
        """The MX of DOMAIN, the first choice first; the name "" is a null MX (RFC 7505)."""
        answer = self.ask(domain, "MX")
        parted = [value.partition(" ") for value in answer.values]
        return sorted((int(number), host) for number, _, host in parted), answer

    def exists(self, name: str) -> bool | None:
        """Whether the name exists, with whatever records; None where nobody knows."""
        answers = [self.ask(name, kind) for kind in ("A", "AAAA", "MX")]
        if any(answer.state in ("found", "nothing") for answer in answers):
            return True
        return None if any(not answer.known for answer in answers) else False

    def below(self, _domain: str) -> list[str]:
        """The names below a domain, as far as they can be listed."""
        return []


class Live(Names):
    """Asks name servers."""

    def __init__(self, server: str | None, limit_s: float) -> None:
        """Ask SERVER (`ADDRESS`, `ADDRESS:PORT`), None for resolv.conf's, until LIMIT_S are over.

        Raises NamesError.
        """
        super().__init__()
        self._ends = time.monotonic() + limit_s
        self._server = server
        if server is not None:
            self._where = _parted(server)

    @cached_property
    def _resolver(self) -> dns.resolver.Resolver:
        made = dns.resolver.Resolver(configure=self._server is None)
        if self._server is not None:
            made.nameservers = [self._where[0]]
            made.port = self._where[1]
        # Asks the resolver to say whether it has validated (RFC 6840, 5.7).
        made.flags = dns.flags.RD | dns.flags.AD
        return made

    def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Answer:
        left_s = self._ends - time.monotonic()
        if left_s <= 0:
            return Answer("trouble", why="the time for questions is up")
        try:
            reply = self._resolver.resolve(
                name, kind, lifetime=min(left_s, QUESTION_S), raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            return Answer("no name")
        except dns.resolver.NoNameservers:
            return Answer("trouble", why="its name servers fail or refuse")
        except dns.exception.Timeout:
            return Answer("trouble", why="no name server answers in time")
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return Answer("trouble", why=str(error) or type(error).__name__)
        secure = bool(reply.response.flags & dns.flags.AD)
        return _answer(list(reply.rrset or ()), secure)


class ZoneFiles(Names):
    """Knows what is in zone files."""

    def __init__(self, paths: Sequence[str], texts: Iterable[str]) -> None:
        """Read TEXTS, whose PATHS are for messages. Raises NamesError: file, line and why."""
        super().__init__()
        records = _Records()
        for path, text in zip(paths, texts, strict=True):
            _read(path, text, records)
        self._records = records.found
        self._names = {name for name, _kind in self._records}
        self._parents = {name.split(n)[1] for name in self._names for n in range(1, len(name) + 1)}
        self._apexes = [name for name, kind in self._records if kind == dns.rdatatype.SOA]

    def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Answer:
        for _hop in range(_CNAMES):
            if self._apexes and not any(name.is_subdomain(apex) for apex in self._apexes):
                return Answer("trouble", why="the zone files say nothing of it")
            owner = self._owner(name)
            if owner is None:
                return Answer("nothing" if name in self._parents else "no name")
            if found := self._records.get((owner, kind)):
                return _answer(found, secure=False)
            alias = self._records.get((owner, dns.rdatatype.CNAME))
            if not alias:
                return Answer("nothing")
            (first, *_rest) = alias
            assert isinstance(first, NSBase)
            name = first.target
        return Answer("trouble", why=f"more than {_CNAMES} CNAMEs")

    def _owner(self, name: dns.name.Name) -> dns.name.Name | None:
        """NAME if it has records, else the wildcard that speaks for it (RFC 4592, 3.3.1)."""
        if name in self._names or name in self._parents:
            return name if name in self._names else None
        above = name
        while above not in self._parents and len(above) > 1:
            above = above.parent()
        wildcard = dns.name.Name((b"*", *above.labels))
        return wildcard if wildcard in self._names else None

    def below(self, domain: str) -> list[str]:
        apex = dns.name.from_text(domain)
        below = [name for name in self._names if name.is_subdomain(apex) and name != apex]
        return sorted(_plain(name) for name in below if not name.is_wild())


class _Records(dns.transaction.Transaction):
    """What a reader of zone files finds: all zones of a host, whose apexes are anywhere."""

    def __init__(self) -> None:
        super().__init__(dns.zonefile.RRSetsReaderManager(), True, False)
        self.found: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], list[Rdata]] = {}

    def add(self, *record: Any) -> None:
        """What the reader calls: name, seconds to live and the record."""
        name, _ttl_s, rdata = record
        self.found.setdefault((name, rdata.rdtype), []).append(rdata)

    def _set_origin(self, origin: dns.name.Name) -> None:
        """Called for each $ORIGIN; names come with theirs already."""


def _read(path: str, text: str, records: _Records) -> None:
    tokens = dns.tokenizer.Tokenizer(text, path)
    # Exports have no $TTL now and then; how long records live does not matter here.
    reader = dns.zonefile.Reader(tokens, _IN, records, default_ttl=_TTL_S)
    try:
        reader.read()
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        said = str(error)
        raise NamesError(said if said.startswith(path) else f"{path}: {said}") from None


_IN = dns.rdataclass.IN


def _parted(server: str) -> tuple[str, int]:
    """Address and port of `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`. Raises NamesError."""
    host, _, port = server.rpartition(":") if _has_port(server) else (server, "", "53")
    try:
        number = int(port)
        address = str(ip_address(host.strip("[]")))
    except ValueError:
        number, address = 0, ""
    if not 0 < number < 65536:
        raise NamesError(f"{server} is no name server: ADDRESS or ADDRESS:PORT is expected")
    return address, number


def _has_port(server: str) -> bool:
    return server.count(":") == 1 or "]:" in server


def _answer(records: Sequence[Rdata], secure: bool) -> Answer:
    values = tuple([_text(record) for record in records[:VALUES]])
    return Answer("found" if values else "nothing", values, secure=secure)


def _text(record: Rdata) -> str:
    match record:
        case TXTBase():
            return b"".join(record.strings).decode("utf-8", "replace")
        case NSBase():
            return _plain(record.target)
        case MXBase():
            return f"{record.preference} {_plain(record.exchange)}"
        case _:
            return record.to_text()


def _plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")
