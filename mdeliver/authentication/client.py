"""Who brought a message to this site, as far as its own MTA says so.

Source      CLIENT_ADDRESS and CLIENT_HELO (local(8)), or XFORWARD over LMTP; where they name a
            content filter on this host, or nobody, the Received by which the message came to this
            host, if this host wrote it (results.py says which that is)
Not checked what was submitted on this host or with a password (RFC 3848: `with ESMTPA`), and what
            comes from one of the site's own networks: its sender is known, and SPF of an address in
            somebody's kitchen would fail
See also    postconf(5) smtpd_sasl_authenticated_header; the settings authentication.own_networks,
            authentication.forwarders
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from mdeliver.authentication.results import border_received, is_this_host, server_words
from mdeliver.record import Record

if TYPE_CHECKING:
    from mdeliver.envelope import Envelope
    from mdeliver.message import Message
    from mdeliver.settings import Site


class Client(Record):
    """The SMTP client.

    address    IPv4 or IPv6, "" where it is not known
    name       its verified name, "" if it has none
    helo       what it said in HELO or EHLO
    unchecked  why its messages are not checked, in words; "" where they are
    """

    address: str
    name: str
    helo: str
    unchecked: str


def client_of(message: Message, envelope: Envelope, site: Site) -> Client:
    """Who brought MESSAGE."""
    address = address_of(envelope.client_address)
    name, helo = envelope.client_hostname, envelope.client_helo
    words = server_words(border_received(message))
    ours = "by" in words[:-1] and is_this_host(words[words.index("by") + 1], site)
    if ours and (not address or _is_loopback(address)):
        address, name, helo = _received_from(border_received(message))
    if name == "unknown":
        name = ""
    return Client(address, name, helo, _why_not(address, envelope, site, words if ours else []))


def _why_not(address: str, envelope: Envelope, site: Site, received: list[str]) -> str:
    if envelope.sasl_username:
        return f"{envelope.sasl_username} submitted it with a password"
    # RFC 3848 and 6531: ESMTPA, ESMTPSA, UTF8SMTPA, UTF8SMTPSA, LMTPA ...
    protocol = received[received.index("with") + 1].upper() if "with" in received[:-1] else ""
    if protocol.endswith("A") and "MTP" in protocol:
        return "it was submitted with a password"
    if not address:
        return "its client is not known"
    if _is_loopback(address):
        return "it was submitted on this host"
    if in_networks(address, site.checking.own_networks):
        return f"{address} is in one of the site's own networks"
    return ""


def _received_from(received: str) -> tuple[str, str, str]:
    """Address, name and HELO in a Received of Postfix: `from HELO (NAME [ADDRESS])`."""
    if not received.startswith("from "):
        return "", "", ""
    helo = received[5:].partition(" ")[0]
    name, _, rest = received.partition("(")[2].partition(" ")
    address = rest.partition("[")[2].partition("]")[0]
    return address_of(address), name, helo


def address_of(written: str) -> str:
    """WRITTEN as an address in its usual form, "" if it is none."""
    try:
        found = ipaddress.ip_address(written.lower().removeprefix("ipv6:"))
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def in_networks(address: str, networks: tuple[str, ...]) -> bool:
    """Whether ADDRESS is in one of NETWORKS: ADDRESS or ADDRESS/BITS; what is neither is none."""
    known = ipaddress.ip_address(address)
    for written in networks:
        try:
            if known in ipaddress.ip_network(written, strict=False):
                return True
        except ValueError:
            continue  # a host's name, in a list that has both
    return False


def is_forwarder(client: Client, forwarders: tuple[str, ...]) -> bool:
    """Whether CLIENT is one of FORWARDERS: addresses, networks, names of hosts or their domains."""
    if client.address and in_networks(client.address, forwarders):
        return True
    name = client.name.lower().rstrip(".")
    return bool(name) and any(name == known or name.endswith(f".{known}") for known in forwarders)
