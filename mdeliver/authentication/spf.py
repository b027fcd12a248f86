"""SPF (RFC 7208): may this client send mail for the domain of this sender?

By        pyspf, which goes through the record; its questions go through lookups.py
Identity  the envelope sender; of the null sender the HELO name (2.4)
Result    none, neutral, pass, fail, softfail, temperror, permerror; `policy` where it would be
          (soft)fail and a forwarder that the site has listed brought it: of the sender's own client
          nothing is known there
Limits    ten terms that ask the DNS, ten names of an MX or PTR, two look-ups without an answer
          (4.6.4); no explanation is fetched (6.2): nobody would read what the sender wrote there
Fails with nothing: what pyspf does not expect in a record is permerror
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import spf

from mdeliver.authentication.client import is_forwarder
from mdeliver.authentication.lookups import Unanswered, ascii_domain
from mdeliver.authentication.results import Result

if TYPE_CHECKING:
    from mdeliver.authentication.client import Client
    from mdeliver.authentication.lookups import Names

_RESULTS = ("none", "neutral", "pass", "fail", "softfail", "temperror", "permerror")
_VOID_LOOKUPS = 2

# RFC 7208 7.1: macro-expand = ( "%{" letter transformers *delimiter "}" ) / "%%" / "%_" / "%-"
#               transformers = *DIGIT [ "r" ], and a number of labels is not zero (7.3)
_MACRO = re.compile(r"%(?:[%_-]|\{[slodiphcrtv](?:0*[1-9]\d*)?r?[-.+,/_=]*\})", re.IGNORECASE)
_MODIFIER = re.compile(r"(?<= )[a-z][a-z0-9_.-]*=", re.IGNORECASE)


def checked_record(record: str) -> str:
    """RECORD as pyspf has to have it; raises spf.PermError for what pyspf does not see in it."""
    if "%" in _MACRO.sub("", record):
        raise spf.PermError("there is a % that begins no macro")
    # RFC 7208 12: names are case-insensitive, those of modifiers too.
    return _MODIFIER.sub(lambda found: found[0].lower(), record)


def check_spf(
    client: Client, sender: str, names: Names, forwarders: tuple[str, ...], receiver: str
) -> Result:
    """What SPF says of a message from SENDER ("" is the null sender) that CLIENT brought.

    receiver  the name of this host, for records that ask for it
    """
    properties = identity(client, sender)
    if not properties[0][1]:
        return Result("spf", "none", properties, "there is neither a sender nor a HELO name")
    query: Any = _Query(client.address, sender, client.helo, names, receiver)
    try:
        result, _code, words = query.check()
    except Exception as error:
        result, words = "permerror", f"the record cannot be read: {type(error).__name__}"
    domain = properties[0][1]
    reason = words
    match result:
        case "pass":
            reason = f"{client.address} may send for {domain}: {query.mechanism or 'default'}"
        case "fail" | "softfail":
            reason = f"{client.address} is not among those that send for {domain}"
            if is_forwarder(client, forwarders):
                return Result("spf", "policy", properties, f"{result}, but a forwarder brought it")
        case "neutral":
            reason = f"{domain} does not say whether {client.address} may send for it"
        case "none":
            reason = f"{domain} has no SPF record"
    return Result("spf", result if result in _RESULTS else "permerror", properties, reason)


def identity(client: Client, sender: str) -> tuple[tuple[str, str], ...]:
    """Whose record is asked, as a property of RFC 8601."""
    if sender:
        domain = sender.rpartition("@")[2]
        return (("smtp.mailfrom", ascii_domain(domain) or domain or sender),)
    return (("smtp.helo", ascii_domain(client.helo) or client.helo),)


def original_sender(sender: str) -> str:
    """Whom an SRS address stands for, "" if SENDER is none.

    SRS0=HASH=TIME=DOMAIN=LOCAL@FORWARDER, SRS1=HASH=FIRST==HASH=TIME=DOMAIN=LOCAL@FORWARDER, with
    `-` or `+` in the place of the first `=`. Whether the hash is right only the forwarder knows.
    """
    local = sender.rpartition("@")[0]
    if local[:4].upper() not in ("SRS0", "SRS1") or local[4:5] not in ("=", "-", "+"):
        return ""
    if local[:4].upper() == "SRS1":
        local = "SRS0=" + local.partition("==")[2]
    pieces = local[5:].split("=", 3)
    return f"{pieces[3]}@{pieces[2].lower()}" if len(pieces) == 4 and all(pieces) else ""


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """A check whose questions go through lookups.py."""

    def __init__(self, address: str, sender: str, helo: str, names: Names, receiver: str) -> None:
        super().__init__(i=address, s=sender, h=helo, receiver=receiver)
        self._names = names
        self._answers: dict[tuple[str, str], list[Any]] = {}

    def dns(self, name: str, qtype: str, *, ignore_void: bool = False) -> list[Any]:
        """What pyspf asks: the values of records, those of TXT as lists of octets."""
        name = str(name).lower().rstrip(".")
        if not all(0 < len(label) < 64 for label in name.split(".")):
            return []
        answers = self._answers.get((name, qtype))
        if answers is None:
            answers = self._answers[name, qtype] = self._asked(name, qtype)
        if not answers and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > _VOID_LOOKUPS:
                raise spf.PermError(f"more than {_VOID_LOOKUPS} look-ups without an answer")
        return answers

    def _asked(self, name: str, qtype: str) -> list[Any]:
        try:
            match qtype:
                case "TXT":
                    return [(text,) for text in self._names.texts(name)]
                case "MX":
                    return list(self._names.exchanges(name))
                case "PTR":
                    return list(self._names.pointers(name))
                case _:
                    return list(self._names.addresses(name, qtype))
        except Unanswered as unanswered:
            raise spf.TempError(str(unanswered)) from None

    def dns_spf(self, domain: str) -> str | None:
        """The record of DOMAIN; what pyspf does not see in it is seen to here."""
        record: str | None = super().dns_spf(domain)
        return None if record is None else checked_record(record)

    def get_explanation(self, _domain: str) -> None:
        """What the domain would say to a rejected sender."""

    def validated_ptrs(self) -> list[str]:
        """The names of the client that lead back to it; servers in trouble have none (5.5)."""
        try:
            hosts = self.dns_ptr(self.i)[: spf.MAX_PTR]
        except spf.TempError:
            return []
        found = []
        for host in hosts:
            try:
                if self.cidrmatch(self.dns_a(host, self.A), self.cidrmax):
                    found.append(host)
            except spf.TempError:
                continue
        return found
