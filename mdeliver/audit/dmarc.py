"""DMARC records, as RFC 9989 reads them.

Found       at _dmarc.DOMAIN, else by the walk up the tree, by the code that judges others' mail
Tags        p, sp, np, t, psd, adkim, aspf, fo, rua, ruf; gone are pct, rf and ri, and the size
            limits of report addresses; what is unknown is passed over
Reports     to another organisation come only if that says it wants them (RFC 9990)
See also    RFC 9989, 4.7 and 4.10; authentication/dmarc.py
"""

from __future__ import annotations

import re

from mdeliver.audit.finding import Finding, unanswered
from mdeliver.audit.lookups import AsLookups
from mdeliver.authentication.dmarc import VERSION, discover, organisation
from mdeliver.authentication.lookups import Unanswered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host
    from mdeliver.audit.names import Names
    from mdeliver.authentication.dmarc import Published

_POLICIES = ("none", "quarantine", "reject")
_VALUES = {
    "p": _POLICIES,
    "sp": _POLICIES,
    "np": _POLICIES,
    "adkim": ("r", "s"),
    "aspf": ("r", "s"),
    "t": ("y", "n"),
    "psd": ("y", "n", "u"),
}
_GONE = ("pct", "rf", "ri")
_KNOWN = (*_VALUES, *_GONE, "v", "fo", "rua", "ruf")
_URI = re.compile(r"mailto:[^@,!\s]+@([^@,!\s?]+)(?:\?[^,!]*)?(![0-9]+[kmgt]?)?", re.IGNORECASE)
_SHOWN = 5


def discovered(names: Names, domain: str) -> Published | None:
    """The record that holds for DOMAIN; None where there is none, or nobody knows."""
    try:
        return discover(domain, _Walk(names))
    except Unanswered:
        return None


class _Walk(AsLookups):
    """For walks up the tree: what does not answer up there, such as a registry, has no record."""

    def texts(self, name: str) -> tuple[bytes, ...]:
        try:
            return super().texts(name)
        except Unanswered:
            return ()


def protects_names_below(names: Names, domain: str) -> bool:
    """Whether forged mail in the name of a host below DOMAIN is to be refused or sorted out."""
    found = discovered(names, domain)
    if found is None:
        return False
    policy = found.tags.get("sp", found.tags.get("p", "none"))
    return policy == "reject" or (policy == "quarantine" and found.tags.get("t") != "y")


def enforces(names: Names, domain: str) -> bool:
    """Whether mail of DOMAIN that fails is to be refused or sorted out."""
    found = discovered(names, domain)
    return found is not None and found.tags.get("p") in _POLICIES[1:]


def domains_have_dmarc(host: Host) -> Iterator[Finding]:
    """Whether each domain has a policy that receivers can read, and gets reports."""
    for domain in host.identity.domains:
        complaints = list(_of_domain(host, domain))
        yield from complaints
        if not any(f.level in ("failure", "warning") for f in complaints):
            found = discovered(host.names, domain)
            policy = found.tags.get("p", "none") if found else "none"
            yield Finding("fine", f"DMARC of {domain} can be read: p={policy}")


def _of_domain(host: Host, domain: str) -> Iterator[Finding]:
    name = f"_dmarc.{domain}"
    answer = host.names.ask(name, "TXT")
    paste = (f'{name}. TXT "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"',)
    if not answer.known:
        yield unanswered(f"the DMARC record of {domain}", answer)
        return
    found = [value for value in answer.values if VERSION.match(value)]
    if len(found) > 1:
        yield Finding(
            "failure",
            f"{domain} has {len(found)} DMARC records",
            "receivers then look at none of them (RFC 9989, 4.10)",
            "leave one",
            paste,
        )
    elif found:
        yield from _of_record(host, domain, found[0])
    elif answer.values:
        yield Finding(
            "failure",
            f'what {name} has is no DMARC record: "{answer.values[0][:80]}"',
            "receivers pass over what does not begin with v=DMARC1",
            "begin it so",
            paste,
        )
    elif discovered(host.names, domain) is None:
        yield Finding(
            "warning",
            f"{domain} has no DMARC record",
            "anybody can write its name into From, and large providers want a record",
            "begin with one that only asks for reports",
            paste,
        )


def _of_record(host: Host, domain: str, record: str) -> Iterator[Finding]:
    tags: dict[str, str] = {}
    odd = []
    for part in record.split(";")[1:]:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        if not equals or name.lower() in tags:
            odd.append(part.strip())
        tags.setdefault(name.lower(), value)
    yield from _syntax(domain, tags, odd)
    yield from _policy(domain, tags)
    yield from _reports(host, domain, tags)


def _syntax(domain: str, tags: dict[str, str], odd: list[str]) -> Iterator[Finding]:
    for name, known in _VALUES.items():
        if name in tags and tags[name].lower() not in known:
            yield Finding(
                "failure" if name == "p" else "warning",
                f"DMARC of {domain}: {name}={tags[name]} does not exist",
                "receivers do as if it said none" if known == _POLICIES else "it has no effect",
                f"say one of {', '.join(known)}",
            )
    unknown = odd + [name for name in tags if name not in _KNOWN and name not in odd]
    if unknown:
        yield Finding(
            "warning",
            f"DMARC of {domain}: receivers do not understand {', '.join(unknown[:_SHOWN])}",
            "what is not understood is passed over",
            "correct or remove it",
        )
    gone = [name for name in _GONE if name in tags]
    if gone:
        yield Finding(
            "advice",
            f"DMARC of {domain}: RFC 9989 has no {' and no '.join(gone)} any more",
            "some receivers heed it and others do not"
            + ("; pct is replaced by t=y, all or nothing" if "pct" in gone else ""),
            "remove it",
        )
    if tags.get("psd", "").lower() == "y":
        yield Finding(
            "warning",
            f"DMARC of {domain}: psd=y says that others register names below it",
            "each name below then counts as somebody else's, and aligns with nothing here",
            "remove psd, unless this is a registry",
        )


def _policy(domain: str, tags: dict[str, str]) -> Iterator[Finding]:
    policy, below = tags.get("p", "none").lower(), tags.get("sp", tags.get("p", "none")).lower()
    if policy == "none":
        yield Finding(
            "advice" if "rua" in tags else "warning",
            f"DMARC of {domain} asks for nothing: p=none"
            + ("" if "rua" in tags else ", and nobody gets reports"),
            "forged mail in its name is delivered",
            "once mdeliver report shows that your own mail passes, ask for more"
            if "rua" in tags
            else "have reports sent, and see whether your own mail passes",
            (
                f'_dmarc.{domain}. TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"'
                if "rua" in tags
                else f'_dmarc.{domain}. TXT "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"',
            ),
        )
    elif below in _POLICIES and _POLICIES.index(below) < _POLICIES.index(policy):
        yield Finding(
            "advice",
            f"DMARC of {domain}: names below it are less protected (sp={below}, p={policy})",
            "who forges mail uses a name below the domain",
            "remove sp, or set np=reject for names that do not exist",
        )
    if tags.get("t", "").lower() == "y" and policy != "none":
        yield Finding(
            "advice",
            f"DMARC of {domain} is in test mode (t=y): receivers do one step less than p={policy}",
            "",
            "remove t=y once your own mail passes",
        )


def _reports(host: Host, domain: str, tags: dict[str, str]) -> Iterator[Finding]:
    for name in ("rua", "ruf"):
        for uri in filter(None, (part.strip() for part in tags.get(name, "").split(","))):
            match = _URI.fullmatch(uri)
            if not match:
                yield Finding(
                    "warning",
                    f"DMARC of {domain}: {name} has {uri[:80]}, which is no mailto: address",
                    "no report goes there",
                    "write mailto:ADDRESS",
                )
                continue
            if match[2]:
                yield Finding(
                    "advice",
                    f"DMARC of {domain}: {name} has the size limit {match[2]} (gone in RFC 9989)",
                    "some receivers take it for a part of the address",
                    "remove it",
                )
            yield from _destination(host, domain, name, match[1].lower().rstrip("."))


def _destination(host: Host, domain: str, name: str, target: str) -> Iterator[Finding]:
    """Whether reports about DOMAIN can go to the domain TARGET."""
    if host.names.exists(target) is False:
        yield Finding(
            "warning",
            f"DMARC of {domain}: reports go to {target}, which does not exist",
            "they come back to who sends them",
            "name a domain that takes mail",
        )
        return
    try:
        lookups = _Walk(host.names)
        if organisation(target, lookups) == organisation(domain, lookups):
            return
    except Unanswered:
        return
    permit = f"{domain}._report._dmarc.{target}"
    answer = host.names.ask(permit, "TXT")
    if answer.known and not any(VERSION.match(value) for value in answer.values):
        yield Finding(
            "warning",
            f"DMARC of {domain}: {name} is at {target}, which does not say that it wants reports",
            "receivers send none to another organisation that has not agreed (RFC 9990)",
            f"have {target} publish it",
            (f'{permit}. TXT "v=DMARC1"',),
        )
