"""Do the host's addresses and names lead to each other, as other servers check it.

Addresses   each has a name in DNS that leads back to it (RFC 1912, 2.1; what Postfix's
            reject_unknown_client_hostname asks)
Greeting    a name with a domain, which has an address or an MX (RFC 5321, 2.3.5 and 4.1.1.1)
See also    identity.py, which says whose
"""

from __future__ import annotations

import re

from mdeliver.audit.finding import Finding, unanswered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host
    from mdeliver.audit.names import Address

_POINTERS = 10
"""More names of one address are not followed; nor do other servers."""

_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))+")
_GENERIC = re.compile(r"dynamic|dsl|dial|dhcp|pool|cable|customer|client|broadband")


def addresses_lead_back(host: Host) -> Iterator[Finding]:
    """Whether each address that sends has a name, and the name that address."""
    who = host.identity
    if who.relay:
        yield Finding(
            "fine", f"mail leaves through {who.relay}, whose address others see; not this host's"
        )
        if not host.given.addresses:
            return
    if not who.addresses:
        yield Finding(
            "advice",
            "no public address of this host is known",
            "behind NAT others see another address, which has to have a name in DNS",
            "name it with --address, or set it for Postfix",
            ("postconf -e 'proxy_interfaces = ADDRESS'", "postfix reload"),
        )
    for address in who.addresses:
        yield from _of_address(host, address)


def _of_address(host: Host, address: Address) -> Iterator[Finding]:
    pointers = host.names.pointers(address)
    helo = host.identity.names[0]
    wanted = f"{address.reverse_pointer}. PTR {helo if '.' in helo else 'mail.YOUR.DOMAIN'}."
    if not pointers.known:
        yield unanswered(f"the name of {address}", pointers)
        return
    if not pointers.values:
        yield Finding(
            "failure",
            f"{address} has no name in DNS",
            "other servers refuse mail from addresses without one, this one among them",
            "have whoever gave you the address set it (often in the provider's control panel)",
            (wanted,),
        )
        return
    trouble = None
    leading = []
    for name in pointers.values[:_POINTERS]:
        found, answer = host.names.addresses(name)
        if address in found:
            leading.append(name)
        elif not answer.known:
            trouble = unanswered(f"the address of {name}", answer)
    if not leading:
        yield trouble or Finding(
            "failure",
            f"{address} is named {', '.join(pointers.values[:_POINTERS])}, but that name does not "
            "lead back to it",
            "anybody can name an address as he likes; what does not lead back counts as no name",
            "let the name have the address",
            (f"{pointers.values[0]}. {'A' if address.version == 4 else 'AAAA'} {address}",),
        )
    elif _GENERIC.search(leading[0]) and helo not in leading:
        yield Finding(
            "warning",
            f"{address} is named {leading[0]}, as providers name their customers' lines",
            "many servers refuse mail from such names",
            "have it named like the server",
            (wanted,),
        )
    else:
        yield Finding("fine", f"{address} is {leading[0]}, and that leads back to it")


def greeting_is_a_name(host: Host) -> Iterator[Finding]:
    """Whether this host greets with a name that exists and leads to it."""
    for name in host.identity.names:
        yield from _of_name(host, name)


def _of_name(host: Host, name: str) -> Iterator[Finding]:
    setting = ("postconf -e 'myhostname = mail.YOUR.DOMAIN'", "postfix reload")
    if not _NAME.fullmatch(name):
        yield Finding(
            "failure",
            f'this host greets as "{name}", which is no whole name',
            "servers refuse such a greeting (reject_non_fqdn_helo_hostname)",
            "set a name with a domain, which DNS knows",
            setting,
        )
        return
    found, answer = host.names.addresses(name)
    if not answer.known and not found:
        yield unanswered(f"the address of {name}", answer)
        return
    ours = host.identity.addresses
    first = ours[0] if ours else None
    record = f"{name}. A {first}" if first else f"{name}. A ADDRESS"
    if not found and not host.names.exchangers(name)[0]:
        yield Finding(
            "failure",
            f"this host greets as {name}, which has no address in DNS",
            "servers refuse a greeting that DNS does not know (reject_unknown_helo_hostname)",
            "give the name an address, or set another name",
            (record, *setting),
        )
    elif ours and not host.identity.relay and not set(ours) & set(found):
        yield Finding(
            "warning",
            f"this host greets as {name}, whose address is another: "
            + ", ".join(str(address) for address in found[:5]),
            "some servers take that for a forged greeting",
            "let the name have the address that mail leaves from",
            (record,),
        )
    else:
        yield Finding("fine", f"this host greets as {name}, which leads to it")
