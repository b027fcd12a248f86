"""SPF records: of the domains that users send as, and of names that send nothing.

Record      one for each domain, that verifiers can read within their limits, and by which every
            address that mail leaves from passes
HELO        bounces have no sender: what counts is the name with which this host greets (RFC 7208,
            2.4), which needs a record of its own
Others      a name without a record can be claimed by anybody: hosts below a domain say that they
            send nothing, unless DMARC says so for all of them (RFC 7208, 10.1.2)
See also    spfquery.py; identity.py, which says whose
"""

from __future__ import annotations

import ipaddress
import re

from mdeliver.audit import dmarc, spfquery
from mdeliver.audit.finding import Finding, unanswered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdeliver.audit.host import Host
    from mdeliver.audit.names import Address, Answer, Names

_ALL = re.compile(r"([-+?~]?)all", re.IGNORECASE)
_NEAR = 9
"""So many terms leave no room: an included record grows without asking."""

_NO_MATCH = ipaddress.IPv4Address("203.0.113.254")
_SHOWN = 8


def records(names: Names, domain: str) -> tuple[list[str], Answer]:
    """The SPF records of DOMAIN."""
    answer = names.ask(domain, "TXT")
    found = [v for v in answer.values if v.lower() == "v=spf1" or v.lower().startswith("v=spf1 ")]
    return found, answer


def advised(addresses: Sequence[Address]) -> str:
    """A record by which ADDRESSES pass, and nothing else."""
    words = [f"ip{address.version}:{address}" for address in addresses]
    return " ".join(["v=spf1", *(words or ["mx"]), "-all"])


def domains_have_spf(host: Host) -> Iterator[Finding]:
    """Whether each domain's record can be read, and covers what sends."""
    for domain in host.identity.domains:
        complaints = list(_of_domain(host, domain))
        yield from complaints
        if not any(f.level in ("failure", "warning") for f in complaints):
            yield Finding("fine", f"{domain} has an SPF record that covers this host")


def _of_domain(host: Host, domain: str) -> Iterator[Finding]:
    found, answer = records(host.names, domain)
    paste = (f'{domain}. TXT "{advised(host.identity.addresses)}"',)
    if not answer.known:
        yield unanswered(f"the SPF record of {domain}", answer)
    elif not found:
        yield Finding(
            "failure",
            f"{domain} has no SPF record",
            "anybody can send in its name, and large providers refuse or sort out its mail",
            "publish one",
            paste,
        )
    elif len(found) > 1:
        yield Finding(
            "failure",
            f"{domain} has {len(found)} SPF records",
            "verifiers take that for an error, and the domain for one without (RFC 7208, 4.5)",
            "make one of them",
            paste,
        )
    else:
        errors = list(_costs(host, domain, found[0]))
        yield from errors
        yield from _end(domain, found[0])
        if not any(finding.level == "failure" for finding in errors):
            yield from _covers(host, domain, found[0])


def _costs(host: Host, domain: str, record: str) -> Iterator[Finding]:
    """Whether verifiers can read the record to its end."""
    survey = spfquery.survey(next(iter(host.identity.addresses), _NO_MATCH), domain, host.names)
    if survey.error:
        yield Finding(
            "failure",
            f"the SPF record of {domain} has an error: {survey.error}",
            "verifiers take the whole record for an error (permerror), wherever it is",
            "mend it",
            (f'{domain}. TXT "{record}"  # as it is',),
        )
        return
    if survey.trouble:
        yield Finding(
            "warning",
            f"the SPF record of {domain} names what DNS does not answer: {survey.trouble}",
            "verifiers have mail wait, or take the domain for one without a record",
            "name what can be looked up",
        )
    if survey.terms > spfquery.MOST_TERMS:
        yield Finding(
            "failure",
            f"the SPF record of {domain} has {survey.terms} terms that ask DNS; ten are allowed",
            "verifiers stop there, and take the record for an error (RFC 7208, 4.6.4)",
            "put addresses (ip4:, ip6:) in the place of a:, mx and include:",
        )
    elif survey.terms >= _NEAR:
        yield Finding(
            "advice",
            f"the SPF record of {domain} has {survey.terms} terms that ask DNS; ten are allowed",
            "an included record can grow by itself, and then all mail fails",
            "put addresses in the place of what is yours",
        )
    if survey.void:
        many = len(survey.void) > spfquery.MOST_VOID
        yield Finding(
            "failure" if many else "warning",
            f"the SPF record of {domain} asks for what is not there: "
            + ", ".join(survey.void[:_SHOWN]),
            "after two such questions verifiers take the record for an error (RFC 7208, 4.6.4)",
            "remove the terms, or publish what they ask for",
        )


def _end(domain: str, record: str) -> Iterator[Finding]:
    """What the record says of everybody else."""
    words = record.lower().split()[1:]
    ends = [match[1] or "+" for word in words if (match := _ALL.fullmatch(word))]
    if any(word.lstrip("+-?~").partition(":")[0].partition("/")[0] == "ptr" for word in words):
        yield Finding(
            "advice",
            f"the SPF record of {domain} has ptr",
            "it is slow, and many verifiers do not look at it (RFC 7208, 5.5)",
            "name addresses",
        )
    if ends[:1] == ["+"]:
        yield Finding(
            "failure",
            f"the SPF record of {domain} lets everybody send: it has +all",
            "it protects nobody, and tells filters that the domain is a spammer's",
            "end it with -all",
        )
    elif ends[:1] == ["?"] or not (ends or any(w.startswith("redirect=") for w in words)):
        yield Finding(
            "advice",
            f"the SPF record of {domain} says nothing of others: it ends "
            + ("with ?all" if ends else "without all"),
            "forged mail is neutral, as if there were no record",
            "end it with ~all, and with -all once all that sends is named",
        )


def _covers(host: Host, domain: str, record: str) -> Iterator[Finding]:
    """Whether each address that sends passes."""
    if host.identity.relay and not host.given.addresses:
        yield Finding(
            "advice",
            f"mail leaves through {host.identity.relay}: whether SPF covers its addresses is not "
            "known",
            "mail that leaves from addresses which are not named fails",
            "name the addresses with --address",
        )
        return
    for address in host.identity.addresses:
        verdict = spfquery.judge(address, f"postmaster@{domain}", domain, host.names)
        if verdict.result == "temperror":
            yield Finding(
                "advice", f"whether {address} may send for {domain} is not known: {verdict.reason}"
            )
        elif verdict.result != "pass":
            new = re.sub(r"^v=spf1\b", f"v=spf1 ip{address.version}:{address}", record, flags=re.I)
            yield Finding(
                "failure",
                f"{address} may not send for {domain}: SPF says {verdict.result}",
                "what users send from here fails SPF",
                "name the address",
                (f'{domain}. TXT "{new}"',),
            )


# --- other names -----------------------------------------------------------------------------


def names_have_spf(host: Host) -> Iterator[Finding]:
    """Whether the HELO name passes, and names that send nothing say so."""
    complaints = [*_helo_names(host), *_silent_names(host)]
    yield from complaints
    if not complaints:
        yield Finding("fine", "the HELO name and names that send nothing are covered by SPF")


def _helo_names(host: Host) -> Iterator[Finding]:
    for name in host.identity.names:
        if "." not in name or name in host.identity.domains:
            continue
        found, answer = records(host.names, name)
        paste = (f'{name}. TXT "{advised(host.identity.addresses)}"',)
        if not answer.known:
            yield unanswered(f"the SPF record of {name}", answer)
            continue
        if answer.state == "no name":
            continue  # the check of the greeting says so
        if len(found) != 1:
            yield Finding(
                "warning",
                f"{name}, with which this host greets, has "
                + (f"{len(found)} SPF records" if found else "no SPF record"),
                "bounces have no sender: SPF looks at the HELO name, which anybody can claim",
                "publish one",
                paste,
            )
            continue
        for address in host.identity.addresses:
            verdict = spfquery.judge(address, "", name, host.names)
            if verdict.result not in ("pass", "temperror") and not host.identity.relay:
                yield Finding(
                    "failure",
                    f"{address} may not greet as {name}: SPF says {verdict.result}",
                    "bounces and notices from here fail SPF",
                    "name the address",
                    paste,
                )


def _silent_names(host: Host) -> Iterator[Finding]:
    """Names below the domains that exist, send nothing, and do not say so."""
    for domain in host.identity.domains:
        protected = dmarc.protects_names_below(host.names, domain)
        bare = [name for name in _hosts_below(host, domain) if _says_nothing(host.names, name)]
        if bare and not protected:
            yield Finding(
                "warning",
                f"anybody can send as {', '.join(bare[:_SHOWN])}"
                + (f" and {len(bare) - _SHOWN} more" if len(bare) > _SHOWN else ""),
                "they send nothing, and no SPF record and no DMARC policy says so",
                "say that they send nothing, or set a DMARC policy for names below the domain",
                tuple(f'{name}. TXT "v=spf1 -all"' for name in bare[:_SHOWN]),
            )


def _says_nothing(names: Names, name: str) -> bool:
    found, answer = records(names, name)
    return answer.known and not found


def _hosts_below(host: Host, domain: str) -> list[str]:
    """Names below DOMAIN that are hosts', as far as they are known, but for those we greet with."""
    known = [name for _n, name in host.names.exchangers(domain)[0]]
    known += [f"www.{domain}", *host.names.below(domain)]
    own = {*host.identity.names, *host.identity.domains}
    hosts = []
    for name in dict.fromkeys(known):
        is_below = name.endswith(f".{domain}") and "_" not in name
        if is_below and name not in own and _is_a_host(host.names, name):
            hosts.append(name)
    return hosts


def _is_a_host(names: Names, name: str) -> bool:
    return not names.ask(name, "CNAME").values and any(
        names.ask(name, kind).values for kind in ("A", "AAAA", "MX")
    )
