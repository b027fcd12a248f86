"""Who this host is to others: addresses that mail leaves from, names that it greets with, domains.

Addresses   from which others see mail come (postfix/ownnames.py)
Names       smtp_helo_name of each smtp(8) service
Domains     what users send as: the site's domains, else myorigin and what Postfix takes mail for
See also    postconf(5); dkim/senders.py, which wants those domains that have records of their own
"""

from __future__ import annotations

import ipaddress

from mdeliver.postfix import ownnames
from mdeliver.postfix.configuration import split_list
from mdeliver.record import Record
from mdeliver.sent.sources import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host
    from mdeliver.audit.names import Address

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
        tuple(given or ownnames.sending_addresses(host.box)),
        tuple(dict.fromkeys(_helo_names(host))),
        tuple(list(dict.fromkeys(_domains(host)))[:_DOMAINS]),
        host.value("relayhost"),
    )


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
