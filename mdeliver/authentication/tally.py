"""What SPF, DKIM and DMARC found out about the mail that came, counted by the domain in From.

For         whoever is to choose a policy: what would p=quarantine or p=reject have done, to whose
            mail, from where? What passes is safe; what fails is forged, or sent by somebody who
            was forgotten in the SPF record, or changed on its way.
Counts      messages once, whatever the number of their recipients; a deferred delivery not at all,
            for it comes again. Mail without any result is not counted: nobody looked.
Aligned     as DMARC has it: relaxed, by the organisation that the Public Suffix List knows. What
            DMARC itself says counts before that: it has asked DNS.
Would fail  neither SPF nor DKIM passes for the organisation in From, and DNS answered
Hostile     decision logs are their users' files, and names in them strangers': everything is
            checked, cut and counted up to a limit
See also    history/decisions.py, wording.py; RFC 9989, 4.4 and 5
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import publicsuffixlist

from mdeliver.authentication.results import Result, parse_results

_DOMAINS = 100_000
"""More domains are counted together: names are strangers' to invent."""

_SOURCES = 10_000
_NAME_CHARACTERS = 253
OTHERS = "other domains"


class Source(NamedTuple):
    """Where messages came from, and what is known of it.

    client  the address; "" if the log has none
    spf     result for the sender, such as "fail"
    dkim    "pass", another result, or "none"
    """

    client: str
    spf: str
    dkim: str


class Tally:
    """What came in the name of one domain.

    domain     in From
    messages   how many
    dmarc, spf, dkim  results and how often
    aligned    by what they were aligned: "SPF and DKIM", "SPF", "DKIM", "neither", "unknown"
    policies   what the domain asked to be done with what fails
    failing    sources of what fails
    passing    how many passed, by address
    days       for each day how many passed, and how many failed
    """

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.messages = 0
        self.dmarc: Counter[str] = Counter()
        self.spf: Counter[str] = Counter()
        self.dkim: Counter[str] = Counter()
        self.aligned: Counter[str] = Counter()
        self.policies: Counter[str] = Counter()
        self.failing: Counter[Source] = Counter()
        self.passing: Counter[str] = Counter()
        self.days: dict[str, list[int]] = {}

    @property
    def would_fail(self) -> int:
        """How many messages a policy would have hit."""
        return self.failing.total()

    def _take(self, said: Mapping[str, Any], found: tuple[Result, ...]) -> None:
        self.messages += 1
        dkim = [result for result in found if result.method == "dkim"]
        spf = next((r for r in found if r.method == "spf"), Result("spf", "none"))
        dmarc = next((r for r in found if r.method == "dmarc"), Result("dmarc", "none"))
        signed = "pass" if any(r.result == "pass" for r in dkim) else _first(dkim)
        self.dmarc[dmarc.result] += 1
        self.spf[spf.result] += 1
        self.dkim[signed] += 1
        if asked := dmarc.value("policy.dmarc"):
            self.policies[_cut(asked)] += 1
        by = _alignment(self.domain, spf, dkim, dmarc)
        self.aligned[by] += 1
        unsure = "temperror" in (dmarc.result, spf.result, *(r.result for r in dkim))
        client = _cut(str(said.get("client") or ""))
        day = self.days.setdefault(_day(said["time"]), [0, 0])
        if by != "neither":
            _count(self.passing, client)
            day[0] += 1
        elif not unsure:
            _count(self.failing, Source(client, spf.result, signed))
            day[1] += 1


def _count(counter: Counter[Any], value: Any) -> None:
    if value in counter or len(counter) < _SOURCES:
        counter[value] += 1


def _first(dkim: list[Result]) -> str:
    return dkim[0].result if dkim else "none"


def _day(time_s: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.localtime(time_s))
    except (OverflowError, ValueError, OSError):
        return "at no time"


class Tallies:
    """Every domain's, and whose domains are ours: those of recipients."""

    def __init__(self) -> None:
        self.by_domain: dict[str, Tally] = {}
        self.own: set[str] = set()
        self.unchecked = 0
        self._seen: set[tuple[str, str]] = set()

    def take(self, said: Mapping[str, Any]) -> None:
        """One delivery of the decision log."""
        if said["outcome"] == "deferred":
            return
        own = _domain(str(said["recipient"]).rpartition("@")[2])
        if own and len(self.own) < _DOMAINS:
            self.own.add(own)
        message = (str(said["queue_id"]), str(said["message_id"]))
        if any(message):
            if message in self._seen:
                return
            self._seen.add(message)
        found = results_of(said)
        author = next((d for r in found if (d := _domain(r.value("header.from")))), "")
        if not found or not author:
            self.unchecked += 1
            return
        known = self.by_domain
        if author not in known:
            author = author if len(known) < _DOMAINS else OTHERS
            known.setdefault(author, Tally(author))
        known[author]._take(said, found)

    def ordered(self, wanted: Iterable[str] = ()) -> list[Tally]:
        """Own domains first, then what fails most; WANTED: these and those below them alone."""
        chosen = [domain.lower().rstrip(".") for domain in wanted]
        found = [
            tally
            for domain, tally in self.by_domain.items()
            if not chosen or any(domain == d or domain.endswith(f".{d}") for d in chosen)
        ]
        return sorted(
            found, key=lambda t: (not self.is_own(t.domain), -t.would_fail, -t.messages, t.domain)
        )

    def is_own(self, domain: str) -> bool:
        """Whether DOMAIN is one of ours, or below one."""
        return any(domain == own or domain.endswith(f".{own}") for own in self.own)


def results_of(said: Mapping[str, Any]) -> tuple[Result, ...]:
    """What a delivery's line says was found out about the sender."""
    text = said.get("authentication")
    return parse_results(f"log; {text}")[1] if isinstance(text, str) and text else ()


def _domain(text: str) -> str:
    """TEXT as a domain to count by; "" if it is none."""
    name = text.rpartition("@")[2].strip().rstrip(".").lower()
    return name[:_NAME_CHARACTERS] if "." in name else ""


def _cut(text: str) -> str:
    return text[:_NAME_CHARACTERS]


def _alignment(author: str, spf: Result, dkim: list[Result], dmarc: Result) -> str:
    """By what a message is aligned with the domain AUTHOR in From."""
    sender = _domain(spf.value("smtp.mailfrom")) or _domain(spf.value("smtp.helo"))
    by = ["SPF"] if spf.result == "pass" and _same(sender, author) else []
    signers = [_domain(r.value("header.d")) for r in dkim if r.result == "pass"]
    if any(_same(signer, author) for signer in signers):
        by.append("DKIM")
    if dmarc.result == "fail":
        return "neither"
    return " and ".join(by) or ("unknown" if dmarc.result == "pass" else "neither")


def _same(one: str, other: str) -> bool:
    return one != "" and _organisation(one) == _organisation(other)


@lru_cache(100_000)
def _organisation(domain: str) -> str:
    return _suffixes().privatesuffix(domain) or domain


@lru_cache(1)
def _suffixes() -> publicsuffixlist.PublicSuffixList:
    return publicsuffixlist.PublicSuffixList(only_icann=True)
