"""Do the checks of the standards hold for strangers, and for nobody else: service by service.

Asked       a check counts where it is reached: what stands after `permit`, `reject` or `defer` is
            not, and what stands after permit_auth_destination is not for mail that is ours.
            Classes of restrictions (smtpd_restriction_classes) are looked into.
Exempt      own clients and users who have authenticated: mail programs greet with what they like,
            and come from addresses without a name
See also    postfix/standards.py, which has the checks and sets them; postfix/restrictions.py
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from mdeliver.audit import relay
from mdeliver.audit.finding import Finding
from mdeliver.postfix import greeting, restrictions
from mdeliver.postfix.configuration import split_list
from mdeliver.postfix.standards import CHECKS, DATA, HELO_TABLE
from mdeliver.postfix.step import Wish
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mdeliver.audit.host import Host
    from mdeliver.postfix.configuration import Service
    from mdeliver.postfix.standards import Check

_AT_DATA = (DATA, "smtpd_end_of_data_restrictions")
_LISTS = (*relay.LISTS, *_AT_DATA)
_CERTAIN_ENDS = ("permit", "reject", "defer")
_DEPTH = 5


class Asked(Record):
    """What a service asks of strangers with mail for us.

    live  list and item, for what is reached
    dead  list, item, and what stands before it
    """

    live: Sequence[tuple[str, str]]
    dead: Sequence[tuple[str, str, str]]


def checks_hold(host: Host) -> Iterator[Finding]:
    """Whether each check of the standards is asked, by every service that takes strangers' mail."""
    services = host.services_for_strangers
    if not services:
        yield Finding("fine", "no service takes mail from strangers")
        return
    asked = {service.name: _asked(host, service) for service in services}
    complaints = [finding for check in CHECKS for finding in _of_check(host, check, asked)]
    yield from complaints
    yield from _other_dead(asked)
    yield from _helo_required(host, services)
    if not complaints:
        names = ", ".join(asked)
        yield Finding("fine", f"{names}: all {len(CHECKS)} checks of the standards are asked")


def _asked(host: Host, service: Service) -> Asked:
    live: list[tuple[str, str]] = []
    dead: list[tuple[str, str, str]] = []
    for name in _LISTS:
        items = _opened(host, service, restrictions.parsed(host.value_for(service, name)), 0)
        reached = restrictions.effective(items)
        live += [(name, item) for item in reached]
        rest = items[len(reached) :]
        dead += [(name, item, rest[0]) for item in rest[1:]]
    return Asked(live, dead)


def _opened(host: Host, service: Service, items: Iterable[str], depth: int) -> list[str]:
    """ITEMS, with those of a class in the place of its name."""
    classes = restrictions.parsed(host.value_for(service, "smtpd_restriction_classes"))
    found: list[str] = []
    for item in items:
        if item in classes and depth < _DEPTH:
            inner = restrictions.parsed(host.value_for(service, item))
            found += _opened(host, service, inner, depth + 1)
        else:
            found.append(item)
    return found


def _of_check(host: Host, check: Check, asked: dict[str, Asked]) -> Iterator[Finding]:
    """What is wrong with CHECK, and at which services."""
    trial, hidden, missing = [], [], []
    for name, lists in asked.items():
        if any(_is(host, check, where, item) for where, item in lists.live):
            continue
        if any(_is(host, check, where, _untried(item)) for where, item in lists.live):
            trial.append(name)
        elif dead := [d for d in lists.dead if _is(host, check, d[0], _untried(d[1]))]:
            hidden.append((name, dead[0]))
        else:
            missing.append(name)
    if hidden:
        names = ", ".join(name for name, _dead in hidden)
        where, item, before = hidden[0][1]
        yield Finding(
            "warning",
            f"{names}: {item} stands after {before} in {where}, and is never asked",
            check.why,
            f"put it before {before}",
            (_shown(check), "mdeliver postfix --apply " + check.part),
        )
    if missing:
        yield Finding(
            "warning",
            f"{', '.join(missing)}: nothing asks {check.name}",
            check.why,
            f"add it to {check.where}; to see whom it would refuse, say --try",
            (_shown(check), f"mdeliver postfix --apply {check.part}"),
        )
    if trial:
        yield Finding(
            "advice",
            f"{', '.join(trial)}: {check.name} only warns",
            check.why,
            "have it refuse, once mdeliver rejects shows nobody who is wanted",
            (f"mdeliver postfix --apply --enforce {check.part}",),
        )


def _untried(item: str) -> str:
    return item.removeprefix(f"{restrictions.TRIAL} ")


def _shown(check: Check) -> str:
    return f"# {check.where}: {check.name}"


def _is(host: Host, check: Check, where: str, item: str) -> bool:
    """Whether ITEM in the list WHERE is CHECK."""
    if (check.where == DATA) != (where in _AT_DATA) and check.where == DATA:
        return False  # asked earlier it means something else, or nothing
    if check.name != HELO_TABLE:
        return item == check.name
    word, _, table = item.partition(" ")
    return word == HELO_TABLE and _refuses_our_name(host, table)


def _refuses_our_name(host: Host, table: str) -> bool:
    said = host.answer_of(table, host.value("myhostname")).lower()
    return said.startswith(("reject", "5", "4", "defer", "drop"))


def _other_dead(asked: dict[str, Asked]) -> Iterator[Finding]:
    """What the administrator has in a list, and no client is ever asked."""
    ours = {check.name for check in CHECKS}
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, lists in asked.items():
        for entry in lists.dead:
            _where, item, before = entry
            word = _untried(item).partition(" ")[0]
            if word in ours or word in restrictions.RELAY_CLOSED:
                continue  # said already, or a matter of relaying
            if before in _CERTAIN_ENDS or word.startswith(("check_", "reject_")):
                found.setdefault(entry, []).append(name)
    for (where, item, before), names in found.items():
        yield Finding(
            "warning",
            f"{', '.join(names)}: {item} stands after {before} in {where}, and is never asked",
            f"{before} ends the list",
            f"put it before {before}, or remove it",
        )


def _helo_required(host: Host, services: Sequence[Service]) -> Iterator[Finding]:
    lacking = [s.name for s in services if host.value_for(s, "smtpd_helo_required") != "yes"]
    if lacking:
        yield Finding(
            "warning",
            f"{', '.join(lacking)}: smtpd_helo_required is off",
            "who does not greet passes every check of greetings",
            "demand a greeting",
            ("postconf -e 'smtpd_helo_required = yes'", "postfix reload"),
        )


# --- who is exempt ---------------------------------------------------------------------------


def own_clients_are_exempt(host: Host) -> Iterator[Finding]:
    """Whether users, by network or by password, are spared the checks for servers."""
    hit = False
    for service in host.public_services:
        exemptions = {}
        if host.value_for(service, "smtpd_sasl_auth_enable") == "yes":
            exemptions["permit_sasl_authenticated"] = "users who have authenticated"
        if service in host.services_for_strangers and _has_own_network(host, service):
            exemptions["permit_mynetworks"] = "one's own clients (mynetworks)"
        for exemption, who in exemptions.items():
            if strict := _asked_before(host, service, exemption):
                hit = True
                where, item = strict
                yield Finding(
                    "failure",
                    f"{service.name}: {item} in {where} is asked of {who}, too",
                    "mail programs greet with what they like and come from anywhere: their mail is "
                    "refused",
                    f"put {exemption} before it, or empty the list for this service",
                    (f"# {where}: {exemption}, {item}",),
                )
    if not hit:
        yield Finding("fine", "own clients and authenticated users are spared the checks")


def _asked_before(host: Host, service: Service, exemption: str) -> tuple[str, str] | None:
    """List and check that a client meets before EXEMPTION; None if it meets none."""
    checks = {check.name for check in CHECKS if check.part in ("client", "helo")}
    for name in relay.LISTS:
        items = _opened(host, service, restrictions.parsed(host.value_for(service, name)), 0)
        for item in items:
            if item in (exemption, *_CERTAIN_ENDS):
                break
            if item in checks - {HELO_TABLE}:
                return name, item
    return None


def _has_own_network(host: Host, service: Service) -> bool:
    """Whether mynetworks has clients beside this host."""
    for word in split_list(host.value_for(service, "mynetworks")):
        with suppress(ValueError):
            network = ipaddress.ip_network(word.replace("[", "").replace("]", ""), strict=False)
            mapped = (
                isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped
            )
            if not network.is_loopback and not mapped and network.num_addresses > 1:
                return True
    return False


def strangers_wait(host: Host) -> Iterator[Finding]:
    """Whether clients that speak before the greeting are found out."""
    for step in greeting.propose(host.box, Wish()).steps:
        if step.state in ("set", "trial"):
            yield Finding("fine", f"{step.what}: {step.note or 'early talkers are found out'}")
        else:
            yield Finding(
                "advice",
                f"{step.what}: not set" + (f" ({step.note})" if step.note else ""),
                step.why,
                "let strangers wait a second for the greeting",
                ("mdeliver postfix --apply greeting",),
            )
