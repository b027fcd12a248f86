"""Do the domains that users send as exist, and does mail to them come here.

Sender      a domain with an address or an MX: others refuse senders that cannot be answered
MX          names, with addresses, no CNAMEs (RFC 2181, 10.3; RFC 5321, 5.1), one of them this host
See also    RFC 7505 on null MX; identity.py, which says which domains
"""

from __future__ import annotations

import ipaddress

from mdeliver.audit.finding import Finding, unanswered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

_EXCHANGERS = 20


def domains_exist(host: Host) -> Iterator[Finding]:
    """Whether each domain can be answered, by way of hosts that exist."""
    if not host.identity.domains and "." in host.value("myorigin"):
        yield Finding(
            "warning",
            "no domain of senders is known: myorigin and mydestination have none",
            "what this host sends cannot be answered",
            "set myorigin, or name the domains with --domain",
            ("postconf -e 'myorigin = YOUR.DOMAIN'", "postfix reload"),
        )
    yield from _origin(host)
    for domain in host.identity.domains:
        yield from _of_domain(host, domain)


def _origin(host: Host) -> Iterator[Finding]:
    """Whether what is sent on this host itself has a sender with a whole domain."""
    origin = host.value("myorigin")
    if "." not in origin and not host.given.domains:
        yield Finding(
            "failure",
            f"users send as USER@{origin}, and {origin} is no whole name",
            "servers refuse such senders (reject_non_fqdn_sender)",
            "set the domain that is appended to names without one",
            ("postconf -e 'myorigin = YOUR.DOMAIN'", "postfix reload"),
        )


def _of_domain(host: Host, domain: str) -> Iterator[Finding]:
    exchangers, answer = host.names.exchangers(domain)
    if not answer.known:
        yield unanswered(f"the MX of {domain}", answer)
        return
    record = f"{domain}. MX 10 {host.identity.names[0]}."
    if answer.state == "no name":
        yield Finding(
            "failure",
            f"{domain} does not exist in DNS",
            "servers refuse mail from senders that cannot be answered",
            "have DNS know the domain, or send as another (myorigin)",
            (record,),
        )
        return
    if any(name == "" for _n, name in exchangers):
        yield Finding(
            "failure",
            f"{domain} has a null MX: it says that it takes no mail",
            "nobody sends mail there, and servers refuse mail from it (RFC 7505, 4.2)",
            "name this host",
            (record,),
        )
        return
    if not exchangers:
        yield from _without(host, domain, record)
        return
    complaints = [
        f for _n, name in exchangers[:_EXCHANGERS] for f in _of_exchanger(host, domain, name)
    ]
    yield from complaints
    if not complaints:
        yield from _leads_here(host, domain, [name for _n, name in exchangers], record)


def _without(host: Host, domain: str, record: str) -> Iterator[Finding]:
    """What it means that DOMAIN has no MX: mail goes to its address (RFC 5321, 5.1)."""
    found, answer = host.names.addresses(domain)
    if found:
        here = set(found) & set(host.identity.addresses)
        yield Finding(
            "fine" if here else "advice",
            f"{domain} has no MX, but an address",
            "" if here else "mail to it goes to that address, which is not this host's",
            "" if here else "say where mail is to go",
            () if here else (record,),
        )
    elif not answer.known:
        yield unanswered(f"the address of {domain}", answer)
    else:
        yield Finding(
            "failure",
            f"{domain} has neither an MX nor an address",
            "mail to it cannot be delivered, and servers refuse mail from it",
            "say where mail is to go",
            (record,),
        )


def _of_exchanger(host: Host, domain: str, name: str) -> Iterator[Finding]:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        yield Finding(
            "failure",
            f"the MX of {domain} is the address {name}",
            "an MX is a name; most servers find nobody behind this one",
            "name the host",
            (f"{domain}. MX 10 {host.identity.names[0]}.",),
        )
        return
    alias = host.names.ask(name, "CNAME")
    found, answer = host.names.addresses(name)
    if alias.values:
        yield Finding(
            "warning",
            f"{name}, an MX of {domain}, is a CNAME for {alias.values[0]}",
            "an MX may not be one (RFC 2181, 10.3); some servers do not follow it",
            "name the host itself",
            (f"{domain}. MX 10 {alias.values[0]}.",),
        )
    elif not found and not answer.known:
        yield unanswered(f"the address of {name}, an MX of {domain}", answer)
    elif not found:
        yield Finding(
            "failure",
            f"{name}, an MX of {domain}, has no address",
            "mail that tries it waits, or comes back",
            "give it one, or name another host",
            (f"{name}. A ADDRESS",),
        )


def _leads_here(host: Host, domain: str, names: list[str], record: str) -> Iterator[Finding]:
    ours = set(host.identity.addresses)
    here = [name for name in names if set(host.names.addresses(name)[0]) & ours]
    if here or not ours or set(names) & set(host.identity.names):
        yield Finding("fine", f"{domain} takes mail at {', '.join(names[:5])}")
    else:
        yield Finding(
            "advice",
            f"{domain} takes mail at {', '.join(names[:5])}, none of which is this host",
            "mail to it comes here only if one of those sends it on",
            "if mail is to come here, say so in DNS",
            (record,),
        )
