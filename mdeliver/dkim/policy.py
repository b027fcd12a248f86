"""The SPF and DMARC records that fit this host.

SPF         for each domain the addresses that send, and nothing else may: `-all`. For the name with
            which the host greets, its own: bounces have no sender, and it is looked at instead
            (RFC 7208, 2.4). Addresses are named, not hosts: none of the ten look-ups is used.
DMARC       begins with p=none, which changes nothing but has reports sent; `mdeliver report` shows
            what a stricter policy would do. adkim and aspf stay relaxed: bounces of a host are from
            a name below the domain.
See also    RFC 7208; RFC 9989, 4.7; RFC 9990 (reports)
"""

from __future__ import annotations

from typing import Literal, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.dkim.senders import Senders

Policy = Literal["none", "quarantine", "reject"]
POLICIES: tuple[Policy, ...] = ("none", "quarantine", "reject")

NO_ADDRESS = "no address that the world can reach is known here: say with which mail leaves"


class Advice(NamedTuple):
    """One record to publish.

    name   where in DNS
    value  the text of a TXT record
    kind   "SPF" or "DMARC"
    note   what there is to say; ""
    """

    name: str
    value: str
    kind: Literal["SPF", "DMARC"]
    note: str = ""


def advised(senders: Senders, policy: Policy) -> Iterator[Advice]:
    """Every SPF and DMARC record that SENDERS need."""
    for domain in senders.domains:
        yield Advice(domain, _spf(senders), "SPF", _spf_note(senders))
        value = f"v=DMARC1; p={policy}; rua=mailto:postmaster@{domain}"
        yield Advice(f"_dmarc.{domain}", value, "DMARC", _DMARC_NOTE if policy == "none" else "")
    # A name of one label is nobody's; the audit tells who greets with one.
    if senders.host not in senders.domains and "." in senders.host:
        note = "the name with which this host greets"
        yield Advice(senders.host, _spf(senders), "SPF", note)


_DMARC_NOTE = "asks for reports alone; mdeliver report shows when p=reject is safe"


def _spf(senders: Senders) -> str:
    words = ["v=spf1"]
    words += [f"ip{address.version}:{address}" for address in senders.addresses]
    if not senders.addresses or senders.relay:
        words.append("mx")
    # Where others send, too, what is missing shall not cost mail.
    return " ".join([*words, "~all" if senders.relay or not senders.addresses else "-all"])


def _spf_note(senders: Senders) -> str:
    if senders.relay:
        return f"mail leaves by {senders.relay}: put the include: that its owner names before ~all"
    return "" if senders.addresses else NO_ADDRESS
