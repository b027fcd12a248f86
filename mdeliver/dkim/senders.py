"""Who sends from this host: domains, names and addresses, as Postfix's settings say.

Domains     those whose mail ends here, since users answer from them: mydestination, virtual alias
            and virtual mailbox domains, myorigin. A domain below another is the other's: DMARC
            takes the signature of the one above for aligned (RFC 9989, 4.10.2).
Names       that mail is from: the domains, and myhostname, from which bounces and cron's mail are
Addresses   from which others see mail come (postfix/ownnames.py)
See also    postconf(5); sent/sources.py; audit/identity.py, which looks at each of the domains,
            those below another as well
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import NamedTuple

from mdeliver.dkim.keys import DkimError, name_of
from mdeliver.postfix import ownnames
from mdeliver.sent.sources import site_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdeliver.postfix.step import Box

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNREAL = ("localhost", "localdomain", "local", "invalid", "internal", "lan", "home.arpa")
"""Domains of nobody's, in which there is nothing to publish."""


class Senders(NamedTuple):
    """Who sends.

    domains    those that have records of their own, in order
    names      every domain that mail is from
    host       the name with which this host greets
    addresses  from which mail leaves
    relay      the server that mail leaves through instead; "" if it goes out directly
    """

    domains: tuple[str, ...]
    names: tuple[str, ...]
    host: str
    addresses: tuple[Address, ...]
    relay: str

    def domain_of(self, name: str) -> str | None:
        """The one of `domains` that NAME is, or is below."""
        above = [d for d in self.domains if name == d or name.endswith(f".{d}")]
        return max(above, key=len, default=None)


def senders(box: Box, domains: Sequence[str] = (), addresses: Sequence[str] = ()) -> Senders:
    """Who sends from BOX.

    domains, addresses  what the administrator says, in the place of what Postfix's settings say
    Raises DkimError, PostfixError, OSError.
    """
    host = name_of(box.value("smtp_helo_name") or box.value("myhostname"), "host name")
    found = {name_of(domain) for domain in domains} or set(_hosted(box))
    names = {*found, *(name for name in [host] if _below(name, found) and not domains)}
    own = tuple(sorted(name for name in found if not _below(name, found - {name})))
    if not own:
        raise DkimError("Postfix names no domain that mail is sent from: say which, as DOMAIN")
    if addresses:
        sending = [_address(text) for text in addresses]
    else:
        sending = ownnames.sending_addresses(box)
    relay = box.value("relayhost").strip("[]").partition("]")[0].partition(":")[0]
    return Senders(own, tuple(sorted(names)), host, tuple(sending), relay)


def _hosted(box: Box) -> Iterable[str]:
    """The domains that Postfix's settings name."""
    site = site_of(box.postfix)
    for text in (*site.domains, box.value("myorigin")):
        with suppress(DkimError):
            name = name_of(text)
            real = not any(name == end or name.endswith(f".{end}") for end in _UNREAL)
            if "." in name and real:
                yield name


def _below(name: str, domains: Iterable[str]) -> bool:
    return any(name.endswith(f".{domain}") for domain in domains)


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        raise DkimError(f"{text} is no address") from None
