"""Does this host relay for strangers: judged by what the restrictions do, in their order.

Stranger    a client outside of mynetworks that has not authenticated, with a recipient elsewhere
Refused     if one of the lists that are asked refuses it for certain. What only may refuse (a
            blocklist, a policy server) closes nothing; what permits ends its own list alone, which
            is why `permit` in smtpd_recipient_restrictions opens nothing while
            smtpd_relay_restrictions refuses, and relay_domains that match everything open nothing
            where a list ends in `reject`.
Required    smtpd(8) itself wants to see something that refuses in one of two lists, and does not
            run without; but it looks for words, and not at what they come to.
Tables      are asked with postmap for strangers' names; rows that permit senders or HELO names
            open the relay to whoever claims them.
See also    SMTPD_ACCESS_README; postconf(5), smtpd_relay_restrictions; postfix/restrictions.py
"""

from __future__ import annotations

import ipaddress

from mdeliver.audit.finding import Finding
from mdeliver.postfix import restrictions
from mdeliver.postfix.configuration import PostfixError, split_list
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdeliver.audit.host import Host
    from mdeliver.postfix.configuration import Service

LISTS = tuple(f"smtpd_{x}_restrictions" for x in ("client", "helo", "sender", "relay", "recipient"))
"""What is asked of a recipient, in this order; each may refuse."""

# Domains and clients that are nobody's here, whatever the site.
_ELSEWHERE = ("mail-relay-probe.example", "gmail.com", "outlook.com")
_STRANGERS = ("203.0.113.77", "198.18.7.7")

_OWN_DOMAINS = {
    "mydestination": "local_recipient_maps",
    "virtual_alias_domains": "virtual_alias_maps",
    "virtual_mailbox_domains": "virtual_mailbox_maps",
    "relay_domains": "relay_recipient_maps",
}
"""Lists of domains that mail is taken for, and the tables of their recipients."""
_CLOSING = restrictions.RELAY_CLOSED
_REFUSING = ("reject", "defer", "defer_if_permit")
_DEPTH = 5
_WIDE = {4: 8, 6: 19}
"""Networks with fewer bits than these are no network of one's own."""


class Verdict(Record):
    """What a list does with a stranger's mail for elsewhere.

    refuses  whether it refuses for certain
    by       the item that decides; "" where none does
    forged   what opens it to whoever claims a name, before anything refuses
    """

    refuses: bool
    by: str = ""
    forged: tuple[str, ...] = ()


def relay_is_closed(host: Host) -> Iterator[Finding]:
    """Whether each service refuses to relay for strangers."""
    for service in host.public_services:
        yield from _judge(host, service)
    yield from _networks(host)


def _judge(host: Host, service: Service) -> Iterator[Finding]:
    verdicts = {name: _verdict(host, service, name) for name in LISTS}
    closed = [f"{name}: {v.by}" for name, v in verdicts.items() if v.refuses and not v.forged]
    if not any(_has_required(host, service, name) for name in LISTS[-2:]):
        yield Finding(
            "failure",
            f"{service.name} takes no mail: nothing in its lists refuses to relay, and so Postfix "
            "does not run",
            "smtpd(8) ends when somebody connects: mail for you waits elsewhere, and comes back",
            "refuse to relay for those who are neither own clients nor authenticated",
            _remedy(host, service),
        )
    elif closed:
        yield Finding("fine", f"{service.name} refuses to relay for strangers ({closed[0]})")
    elif _knows_no_stranger(host, service):
        yield Finding("fine", f"{service.name} takes every domain for its own, but not everybody")
    else:
        yield _open(host, service, verdicts)


def _open(host: Host, service: Service, verdicts: dict[str, Verdict]) -> Finding:
    ajar = [(name, v) for name, v in verdicts.items() if v.refuses]
    if ajar:
        name, verdict = ajar[0]
        return Finding(
            "failure",
            f"{service.name} relays for whoever claims a name: {name} permits by "
            f"{', '.join(verdict.forged)}",
            "anybody can say such a sender or HELO name, and send anything to anyone through here",
            f"let another list refuse, or put {verdict.forged[0]} behind {verdict.by}",
            _remedy(host, service),
        )
    openers = [f"{name}: {v.by}" for name, v in verdicts.items() if v.by][-1:]
    return Finding(
        "failure",
        f"{service.name} is an open relay: nothing refuses a stranger's mail for elsewhere"
        + (f" ({openers[0]} permits it)" if openers else ""),
        "spam goes out through here within hours, and this host is on every blocklist after that",
        "refuse to relay for those who are neither own clients nor authenticated",
        _remedy(host, service),
    )


def _has_required(host: Host, service: Service, name: str) -> bool:
    """Whether smtpd(8) takes the list NAME for one that refuses: it looks for words alone."""

    def has(items: Sequence[str], depth: int) -> bool:
        for item in items:
            if item == "permit":
                return False
            if item in (*restrictions.RELAY_CLOSED, *_REFUSING[:3]):
                return True
            inner = host.value_for(service, item) if item in classes and depth < _DEPTH else ""
            if inner and has(restrictions.parsed(inner), depth + 1):
                return True
        return False

    classes = restrictions.parsed(host.value_for(service, "smtpd_restriction_classes"))
    return has(restrictions.parsed(host.value_for(service, name)), 0)


def _remedy(host: Host, service: Service) -> tuple[str, ...]:
    value = f"{', '.join(restrictions.OWN_CLIENTS)}, {restrictions.RELAY_CLOSED[0]}"
    if "smtpd_relay_restrictions" in service.settings:
        word = value.replace(" ", "")
        return (
            f"postconf -P '{service.name}/smtpd_relay_restrictions={word}'",
            "postfix reload",
        )
    everything = [name for name in _OWN_DOMAINS if _takes_everything(host, name)]
    domains = tuple(f"# {name} matches every domain: name yours alone" for name in everything)
    return (*domains, f"postconf -e 'smtpd_relay_restrictions = {value}'", "postfix reload")


def _verdict(host: Host, service: Service, name: str) -> Verdict:
    return _walk(host, service, restrictions.parsed(host.value_for(service, name)), 0)


def _walk(host: Host, service: Service, items: Sequence[str], depth: int) -> Verdict:
    """What ITEMS do, from the first to the one that decides."""
    classes = restrictions.parsed(host.value_for(service, "smtpd_restriction_classes"))
    forged: list[str] = []
    for item in items:
        word, _, argument = item.partition(" ")
        if word in classes and depth < _DEPTH:
            inner = restrictions.parsed(host.value_for(service, word))
            verdict = _walk(host, service, inner, depth + 1)
            forged += verdict.forged
            if verdict.by:
                return verdict.replace(forged=tuple(forged))
        elif word in _REFUSING:
            return Verdict(True, item, tuple(forged))
        elif word in _CLOSING:
            if not any(_takes_everything(host, name) for name in _OWN_DOMAINS):
                return Verdict(True, item, tuple(forged))
        elif word == "permit" or _permits_everybody(host, word, argument):
            return Verdict(False, item)
        elif _rows_that_permit(host, word, argument):
            forged.append(item)
    return Verdict(False, "", tuple(forged))


def _permits_everybody(host: Host, word: str, argument: str) -> bool:
    """Whether an item lets any stranger, or any recipient elsewhere, pass."""
    if word == "permit_auth_destination":
        return any(_takes_everything(host, name) for name in _OWN_DOMAINS)
    keys = {
        "check_client_access": _STRANGERS,
        "check_recipient_access": _ELSEWHERE,
        "check_sender_access": _ELSEWHERE,
        "check_helo_access": _ELSEWHERE,
    }.get(word)
    return keys is not None and all(_is_permitted(host, argument, key) for key in keys)


def _is_permitted(host: Host, table: str, key: str) -> bool:
    said = host.answer_of(table, key).lower()
    return said.startswith(("ok", "permit")) or (said.isdigit() and said != "")


def _rows_that_permit(host: Host, word: str, table: str) -> bool:
    """Whether a table of what clients merely claim permits anything."""
    if word not in ("check_sender_access", "check_helo_access", "check_sender_domain_access"):
        return False
    try:
        rows = host.postfix.rows(table)
    except PostfixError:  # a kind that cannot be listed
        return False
    return any(value.lower().startswith(("ok", "permit")) or value.isdigit() for _k, value in rows)


def _takes_everything(host: Host, name: str) -> bool:
    """Whether the list of domains NAME has any domain at all.

    Whose a domain is trivial-rewrite(8) says, whatever an smtpd service has of its own.
    """
    rewriting = f"{host.value('rewrite_service_name')}/unix"
    owner = next((s for s in host.services if s.name == rewriting), None)
    domains = split_list(host.value_for(owner, name) if owner else host.value(name))
    return all(_has(host, domains, probe) for probe in _ELSEWHERE)


def _knows_no_stranger(host: Host, service: Service) -> bool:
    """Whether SERVICE refuses recipients elsewhere as unknown ones of our own domains."""
    if host.value_for(service, "smtpd_reject_unlisted_recipient") != "yes":
        return False
    for name, maps in _OWN_DOMAINS.items():
        tables = split_list(host.value_for(service, maps))
        if tables and _takes_everything(host, name):
            keys = [key for x in _ELSEWHERE for key in (f"somebody@{x}", f"@{x}")]
            return not any(host.answer_of(table, key) for table in tables for key in keys)
    return False


def _has(host: Host, domains: Sequence[str], probe: str) -> bool:
    for word in domains:
        held = word.removeprefix("!")
        kind, colon, _ = held.partition(":")
        if held.startswith("/"):
            continue  # a file of names: names are no patterns
        found = bool(host.answer_of(held, probe)) if colon and kind else held == probe
        if found:
            return not word.startswith("!")
    return False


# --- own networks ----------------------------------------------------------------------------


def _own_networks(host: Host) -> list[str]:
    """What is trusted by any service that others reach."""
    values = [host.value("mynetworks")]
    values += [host.value_for(service, "mynetworks") for service in host.public_services]
    words = [word for value in values for word in split_list(value) if not word.startswith("!")]
    return list(dict.fromkeys(words))


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(word.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


def _is_private(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return network.is_loopback or (network.is_private and network.prefixlen > 0)


def _networks(host: Host) -> Iterator[Finding]:
    """Whether mynetworks, who may relay without a password, are one's own."""
    for word in _own_networks(host):
        network = _network(word)
        if network is None or _is_private(network):
            continue
        if network.prefixlen < _WIDE[network.version]:
            yield Finding(
                "failure",
                f"mynetworks has {word}, which is no network of yours",
                "whoever is in it relays through this host without a password",
                "name your own clients alone",
                ("postconf -e 'mynetworks = 127.0.0.0/8 [::1]/128'", "postfix reload"),
            )
        elif network.num_addresses > 1 and not host.box.is_written("mynetworks"):
            yield Finding(
                "warning",
                f"mynetworks has {word}: mynetworks_style is {host.value('mynetworks_style')}",
                "all hosts in the network, which in a data centre are strangers', relay through "
                "this host without a password",
                "trust this host alone",
                ("postconf -e 'mynetworks_style = host'", "postfix reload"),
            )
