"""Who this host is to others: addresses that mail leaves from, names that it greets with, domains.

Addresses   smtp_bind_address of each smtp(8) service; else inet_interfaces, if it names one address
            (smtp(8) sends from that); else all of the host's. Loopback and private networks are
            nobody's address on the Internet; proxy_interfaces are.
Names       smtp_helo_name of each smtp(8) service
Domains     what users send as: the site's domains, else myorigin and what Postfix takes mail for
See also    postconf(5); postfix/ownnames.py
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from mdeliver.postfix import ownnames
from mdeliver.postfix.configuration import split_list
from mdeliver.record import Record
from mdeliver.sent.sources import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host
    from mdeliver.audit.names import Address

_NOBODYS = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
        *("169.254.0.0/16", "0.0.0.0/8", "::1/128", "::/128", "fc00::/7", "fe80::/10"),
    )
)
_DOMAINS = 50
"""More domains are not looked at one by one."""


class Identity(Record):
    """What others see of this host.

    addresses  those that mail leaves from; () where only private ones are known
    names      those it greets with
    domains    those users send as
    relay      the host that mail leaves through, which others see instead; ""
    """

    addresses: tuple[Address, ...]
    names: tuple[str, ...]
    domains: tuple[str, ...]
    relay: str


def identify(host: Host) -> Identity:
    """Find out. Raises PostfixError, OSError."""
    given = [ipaddress.ip_address(address) for address in host.given.addresses]
    return Identity(
        tuple(given or _addresses(host)),
        tuple(dict.fromkeys(_helo_names(host))),
        tuple(list(dict.fromkeys(_domains(host)))[:_DOMAINS]),
        host.value("relayhost"),
    )


def is_public(address: Address) -> bool:
    """Whether others can see mail come from ADDRESS."""
    return not any(address in network for network in _NOBODYS if network.version == address.version)


def _addresses(host: Host) -> list[Address]:
    bound = []
    for service in host.services:
        if service.program == "smtp":
            for name in ("smtp_bind_address", "smtp_bind_address6"):
                bound.append(host.value_for(service, name))
    found = [_parsed(address) for address in dict.fromkeys(bound) if address]
    interfaces = ownnames.addresses(host.box)
    versions = {address.version for address in found if address}
    found += [address for address in interfaces if address.version not in versions]
    return sorted({a for a in found if a and is_public(a)}, key=lambda a: (a.version, int(a)))


def _parsed(text: str) -> Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(text.strip("[]"))
    return None


def _helo_names(host: Host) -> Iterator[str]:
    clients = [s for s in host.services if s.program == "smtp" and s.name.endswith("/unix")]
    for service in clients:
        yield host.value_for(service, "smtp_helo_name").lower().rstrip(".")
    if not clients:
        yield host.value("smtp_helo_name").lower().rstrip(".")


def _domains(host: Host) -> Iterator[str]:
    """The domains of senders, the main one first."""
    if host.given.domains:
        yield from (domain.lower().rstrip(".") for domain in host.given.domains)
        return
    origin = host.value("myorigin").lower()
    if "." in origin and not origin.startswith("/"):
        yield origin
    if host.site.domains:
        yield from host.site.domains
        return
    own = {name.lower() for name in (host.value("myhostname"), *_helo_names(host))}
    found = site_of(host.postfix)
    for domain in (*found.destinations, *found.virtual):
        if "." in domain and not domain.startswith("localhost") and domain not in own:
            yield domain
    yield from (d.lower() for d in split_list(host.site.srs_domain))
