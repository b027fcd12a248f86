"""DMARC (RFC 9989): does the domain in From answer for the message?

Alignment  pass where SPF passed, or a DKIM signature did, for a domain of the same organisation as
           the one in From (`relaxed`), or for the very same (aspf=s, adkim=s)
Organisation   by the DNS tree walk (4.10): the name one below a public suffix (psd=y), or a name
           that says psd=n, or the one with the fewest labels that has a record
Fall-back  a name on the Public Suffix List counts as psd=y even if its record does not say so:
           otherwise a registry's record without the tag would make one organisation of all below it
From       two From fields never pass, whatever they say; nor do addresses of several domains,
           unless each passes
Results    none (no record), pass, fail, temperror, permerror (no domain in From); `policy` where it
           would be fail, and a listed forwarder brought it, or a listed ARC sealer saw it pass
Fails with nothing
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import publicsuffixlist

from mdeliver import limits
from mdeliver.authentication.lookups import Unanswered, ascii_domain
from mdeliver.authentication.results import Result
from mdeliver.record import Record

if TYPE_CHECKING:
    from mdeliver.authentication.lookups import Names

_WALKED_LABELS = 7
"""A longer name is cut to so many labels after the first question (4.10)."""

# RFC 9989 4.8: dmarc-version = "v" equals %s"DMARC1", equals = *WSP "=" *WSP, and before a tag
# comes *WSP ";" *WSP. It stands first, and nothing before it.
VERSION = re.compile(r"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")

_POLICIES = ("none", "quarantine", "reject")


class Published(Record):
    """A DMARC record.

    domain  where it stands
    tags    in lower case, values too
    """

    domain: str
    tags: dict[str, str]

    def is_suffix(self) -> bool:
        """Whether registrations are made below it."""
        return self.tags.get("psd") == "y" or (
            "psd" not in self.tags and _public_suffixes().is_public(self.domain)
        )

    def policy_for(self, author: str, names: Names) -> str:
        """What it asks to be done with what fails in the name of AUTHOR."""
        tags = self.tags
        if author == self.domain:
            return tags.get("p", "none")
        if "np" in tags and not names.exists(author):
            return tags["np"]
        return tags.get("sp", tags.get("p", "none"))


def check_dmarc(
    authors: tuple[str, ...], from_fields: int, spf: Result, dkim: tuple[Result, ...], names: Names
) -> Result:
    """What DMARC says of a message whose From has addresses at the domains AUTHORS.

    from_fields  how many From fields there are
    spf          of the envelope sender, or of HELO where that is the null sender
    dkim         one for each signature
    """
    properties = tuple([("header.from", author) for author in authors[:1]])
    if from_fields > 1:
        return Result("dmarc", "fail", properties, f"there are {from_fields} From fields")
    if not authors or not all(authors):
        return Result("dmarc", "permerror", properties, "there is no domain in From")
    if len(authors) > limits.AUTHORS:
        return Result("dmarc", "fail", properties, f"{len(authors)} domains in From")
    found = [_check(author, spf, dkim, names) for author in authors]
    for worst in ("fail", "temperror", "permerror", "none", "pass"):
        for result in found:
            if result.result == worst:
                return result
    raise AssertionError(found)


def _check(author: str, spf: Result, dkim: tuple[Result, ...], names: Names) -> Result:
    """DMARC for one domain."""
    properties: tuple[tuple[str, str], ...] = (("header.from", author),)
    try:
        published = discover(author, names)
        if published is None:
            return Result("dmarc", "none", properties, f"{author} has no DMARC record")
        policy = published.policy_for(author, names)
        properties += (("policy.dmarc", policy if policy in _POLICIES else "none"),)
        by = _aligned(author, published, spf, dkim, names)
    except Unanswered as unanswered:
        return Result("dmarc", "temperror", properties, str(unanswered))
    if by:
        return Result("dmarc", "pass", properties, by)
    unsure = [r for r in (spf, *dkim) if r.result == "temperror"]
    if unsure:
        # What is not known now may be what aligns.
        return Result("dmarc", "temperror", properties, unsure[0].reason)
    return Result("dmarc", "fail", properties, f"neither SPF nor DKIM passes for {author}")


def _aligned(
    author: str, published: Published, spf: Result, dkim: tuple[Result, ...], names: Names
) -> str:
    """What passes for AUTHOR, in words; "" if nothing does."""
    strict_dkim = published.tags.get("adkim") == "s"
    strict_spf = published.tags.get("aspf") == "s"
    candidates = [(signature, signature.value("header.d"), strict_dkim) for signature in dkim]
    domain = spf.value("smtp.mailfrom") or spf.value("smtp.helo")
    candidates.append((spf, domain.rpartition("@")[2], strict_spf))
    passed = [c for c in candidates if c[0].result == "pass"]
    # The very same name needs no question.
    for result, domain, strict in sorted(passed, key=lambda c: ascii_domain(c[1]) != author):
        domain = ascii_domain(domain)
        if domain and domain == author:
            return f"{result.method} passes for {domain}"
        if domain and not strict and organisation(domain, names) == organisation(author, names):
            return f"{result.method} passes for {domain}, of the same organisation"
    return ""


def discover(author: str, names: Names) -> Published | None:
    """The record that holds for AUTHOR: its own, else its organisation's, else the suffix's."""
    walked = _walk(author, names)
    if walked and walked[0].domain == author:
        return walked[0]
    organisational = _organisation(author, walked)
    for published in walked:
        if published.domain == organisational:
            return published
    return walked[-1] if walked and walked[-1].is_suffix() else None


def organisation(domain: str, names: Names) -> str:
    """The name that stands for the organisation of DOMAIN."""
    return _organisation(domain, _walk(domain, names))


def _organisation(domain: str, walked: tuple[Published, ...]) -> str:
    for published in walked:
        if published.tags.get("psd") == "n":
            return published.domain
        if published.domain != domain and published.is_suffix():
            labels = published.domain.count(".") + 2
            return ".".join(domain.split(".")[-labels:])
    return walked[-1].domain if walked else domain


def _walk(domain: str, names: Names) -> tuple[Published, ...]:
    """The records of DOMAIN and of the names above it, its own first (4.10)."""
    found = []
    labels = domain.split(".")
    while labels:
        published = _published(".".join(labels), names)
        if published is not None:
            found.append(published)
            if "psd" in published.tags and published.tags["psd"] in ("y", "n"):
                break
        keep = len(labels) - 1 if len(labels) <= _WALKED_LABELS else _WALKED_LABELS
        labels = labels[len(labels) - keep :]
    return tuple(found)


def _published(domain: str, names: Names) -> Published | None:
    """The one DMARC record of DOMAIN; several are none (4.10)."""
    texts = [text.decode("utf-8", "replace") for text in names.texts(f"_dmarc.{domain}")]
    records = [tags for text in texts if (tags := _tags(text)) is not None]
    return Published(domain, records[0]) if len(records) == 1 else None


def _tags(text: str) -> dict[str, str] | None:
    """The tags of a DMARC record; None where TEXT is none: `v=DMARC1` comes first (4.7)."""
    if VERSION.match(text) is None:
        return None
    tags: dict[str, str] = {}
    for spec in text.split(";")[1:]:
        name, equals, value = spec.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip().lower())
    return tags


@lru_cache(maxsize=1)
def _public_suffixes() -> publicsuffixlist.PublicSuffixList:
    # Not the companies' part of it: their customers are one organisation or say psd=n.
    return publicsuffixlist.PublicSuffixList(accept_unknown=False, only_icann=True)
