"""The names and addresses of this host, and the table that refuses strangers who greet with them.

Sending     smtp_bind_address and smtp_bind_address6 of each smtp(8) service, where they are set;
            else, for IPv4 and IPv6 apart, those of interfaces and proxies. Loopback and private
            networks are nobody's address on the Internet.

Names       those that this host greets with, and localhost. Domains alone are not among them, such
            as $mydomain in mydestination: Postfix looks parent domains up as well, and another
            host below the domain would be refused.
Addresses   those of its interfaces, as Postfix sees them, and proxy_interfaces; in brackets as
            HELO wants them (RFC 5321, 4.1.3), and bare, as some say them
See also    access(5), check_helo_access; tables.py, which writes tables
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from contextlib import suppress

from mdeliver.postfix.changes import SetupError
from mdeliver.postfix.configuration import Postfix, split_list
from mdeliver.sent.files import write_new
from mdeliver.sent.settings import COMPILED
from mdeliver.sent.tables import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.postfix.step import Box

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HEAD = "# Made by mdeliver postfix; what is changed here is lost at its next run.\n"

FILE = "mdeliver_helo_access"
"""The table, beside main.cf."""

_NOBODYS = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
        *("169.254.0.0/16", "0.0.0.0/8", "::1/128", "::/128", "fc00::/7", "fe80::/10"),
    )
)


def table(box: Box, further: Iterable[str]) -> Table:
    """The table as it should be, of the type that this Postfix makes by default.

    further  more names of this host
    Raises SetupError, PostfixError, OSError.
    """
    kind = box.value("default_database_type")
    if kind not in COMPILED:
        raise SetupError(
            f"default_database_type is {kind}: postmap is known to make {', '.join(COMPILED)} here"
        )
    rows = [f"{name} REJECT this is my name, not yours" for name in names(box, further)]
    for address in addresses(box):
        tag = "IPv6:" if address.version == 6 else ""
        for key in (f"[{tag}{address}]", str(address)):
            # A table's keys are folded to small letters, and so is what is looked up.
            rows.append(f"{key.lower()} REJECT this is my address, not yours")
    text = HEAD + "".join(f"{row}\n" for row in rows)
    return Table(kind, f"{box.directory}/{FILE}", text.encode())


def names(box: Box, further: Iterable[str]) -> list[str]:
    """What this host may call itself, sorted."""
    found = {box.value("myhostname"), box.value("smtp_helo_name"), os.uname().nodename}
    found |= {"localhost", "localhost.localdomain", f"localhost.{box.value('mydomain')}", *further}
    return sorted({name.lower().rstrip(".") for name in found if name.strip()} - {""})


def addresses(box: Box) -> list[Address]:
    """The addresses of this host's interfaces and proxies, in order."""
    found = [*_interfaces(box), *split_list(box.value("proxy_interfaces"))]
    known = set()
    for address in found:
        with suppress(ValueError):  # proxies may be named, and their names are no addresses
            known.add(ipaddress.ip_address(address.strip("[]")))
    return sorted(known, key=lambda a: (a.version, int(a)))


def sending_addresses(box: Box) -> list[Address]:
    """The addresses from which others see mail come, in order; [] where all known are private.

    Raises PostfixError, OSError.
    """
    bound = set()
    for service in box.services:
        if service.program == "smtp":
            for name in ("smtp_bind_address", "smtp_bind_address6"):
                with suppress(ValueError):
                    bound.add(ipaddress.ip_address(box.value_for(service, name).strip("[] ")))
    found = {address for address in bound if not address.is_unspecified}
    versions = {address.version for address in found}
    found |= {address for address in addresses(box) if address.version not in versions}
    return sorted(filter(_is_public, found), key=lambda a: (a.version, int(a)))


def _is_public(address: Address) -> bool:
    # A host's own documentation addresses would be odd, and ipaddress takes them for private.
    return not any(address in network for network in _NOBODYS if network.version == address.version)


def _interfaces(box: Box) -> list[str]:
    """Postfix's own view: mynetworks of style "host", of settings that are nobody's."""
    with tempfile.TemporaryDirectory() as directory:
        lines = [f"{name} = {box.value(name)}\n" for name in ("inet_interfaces", "inet_protocols")]
        lines += ["mynetworks_style = host\n", "myhostname = localhost.localdomain\n"]
        write_new(f"{directory}/main.cf", "".join(lines).encode(), 0o600)
        write_new(f"{directory}/master.cf", b"", 0o600)
        said = Postfix(directory).run("postconf", "-hx", "mynetworks")
    return [network.rpartition("/")[0].strip("[]") for network in split_list(said)]
