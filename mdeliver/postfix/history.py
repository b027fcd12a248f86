"""What the log as a whole says of each refusal: how often it was tried, and what else is known.

Attempt     tries of one sender to reach one recipient, refused by one check, from one place. What
            belongs together is told by sender, recipient and the client's network, since large
            senders try again from another of their machines.
Knowledge   whose mail was taken before and after, from where, and who has written to whom.
Order       events are to come in the order of time; what a message is can be said only when all of
            its lines have been seen (client=, from=, to=, removed).
See also    events.py, judgement.py
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from sys import intern
from typing import NamedTuple

from mdeliver.postfix.events import (
    Brought,
    Event,
    Passed,
    Queued,
    Refusal,
    Removed,
    Screened,
    Sent,
)

_KEPT = 4
"""Addresses of an attempt and networks of a sender that are kept."""

_MOST_CONNECTIONS = 10_000
"""Connections to postscreen that are followed at once; those it passes on never end for us."""

_SESSION_S = 300
"""A warning and the message that it was about are not further apart: smtpd_timeout."""

_MOST_QUEUED = 200_000
"""Messages that are followed in the queue; a log that names none of them again is a forged one."""


class Attempt:
    """Tries that belong together.

    first_s      when the first one was
    last         the latest refusal
    count        how many there were
    network      where they came from; see network_of
    sender, recipient  as they are compared: in lower case, "" where there is none
    doubtful     whether the log could be read in another way
    """

    __slots__ = (
        *("_others", "count", "doubtful", "first_s", "last"),
        *("network", "recipient", "sender"),
    )

    def __init__(self, refusal: Refusal, network: str, sender: str, recipient: str) -> None:
        self.first_s = refusal.time_s
        self.last = refusal
        self.count = 1
        self.network = network
        self.sender = sender
        self.recipient = recipient
        self.doubtful = refusal.doubtful
        self._others: tuple[str, ...] = ()

    def again(self, refusal: Refusal) -> None:
        """One more try."""
        before, self.last = self.last, refusal
        self.count += 1
        self.doubtful = self.doubtful or refusal.doubtful
        seen = self._others
        if before.client != refusal.client and len(seen) < _KEPT and before.client not in seen:
            self._others += (before.client,)

    @property
    def clients(self) -> int:
        """How many addresses it came from, up to a few."""
        return len({*self._others, self.last.client})


class Taken(NamedTuple):
    """Mail that was taken in: of a sender, or from a client.

    networks  where it came from, the first few; "" for this host's own
    """

    messages: int
    last_s: float
    networks: tuple[str, ...]


class _Message(NamedTuple):
    """In the queue. warned: that it is here says nothing of whether it is wanted."""

    network: str = ""
    client: str = ""
    sender: str = ""
    warned: bool = False


class History:
    """Everything that was seen so far; `add` it in order.

    since_s, until_s  refusals outside are not counted; what is known of senders is, all the same
    """

    def __init__(self, since_s: float = float("-inf"), until_s: float = float("inf")) -> None:
        self.since_s = since_s
        self.until_s = until_s
        self.attempts: dict[tuple[str, ...], Attempt] = {}
        self.refused_of_client: dict[str, int] = {}
        self.senders: dict[str, Taken] = {}
        self.clients: dict[str, Taken] = {}
        self.wrote: dict[tuple[str, str], float] = {}
        """(one of ours, somebody outside): when last."""
        self.came_through: dict[tuple[str, str], float] = {}
        """(sender, recipient) that were refused: when mail of theirs was last delivered."""
        self.own_domains: set[str] = set()
        """Domains that mail was delivered in on this host."""
        self._pairs: set[tuple[str, ...]] = set()
        self._queue: dict[str, _Message] = {}
        self._connections: dict[str, str] = {}
        self._warned: dict[str, float] = {}
        """Client: when warn_if_reject last let it pass with a message that had no queue id yet."""

    def add(self, event: Event) -> Refusal | None:
        """Take EVENT in; the refusal that it is or completes, if it is one within the time."""
        if isinstance(event, Refusal):
            return self._refused(event)
        if isinstance(event, Screened):
            return self._screened(event)
        self._mail(event)
        return None

    def add_all(self, events: Iterable[Event]) -> None:
        """Take many in."""
        for event in events:
            self.add(event)

    def attempt_of(self, refusal: Refusal) -> Attempt:
        """The attempt that REFUSAL, which was added, is a try of."""
        return self.attempts[_key(refusal)]

    # --- refused -----------------------------------------------------------------------------

    def _refused(self, refusal: Refusal) -> Refusal | None:
        if refusal.endpoint:
            found = self._connections.pop(refusal.endpoint, "")
            if found and refusal.check == "postscreen protocol tests":
                refusal = refusal._replace(check=_POSTSCREEN_CHECKS.get(found, refusal.check))
            elif refusal.check == "postscreen" and refusal.reply.startswith("450"):
                refusal = refusal._replace(check="postscreen first visit")
        key = _key(refusal)
        if refusal.recipient:
            self._pairs.add(key[3:])
        if refusal.action == "warned":
            self._warn(refusal)
        if not self.since_s <= refusal.time_s < self.until_s:
            return None
        client = refusal.client
        self.refused_of_client[client] = self.refused_of_client.get(client, 0) + 1
        known = self.attempts.get(key)
        if known is None:
            self.attempts[key] = Attempt(refusal, *key[2:])
        else:
            known.again(refusal)
        return refusal

    def _warn(self, refusal: Refusal) -> None:
        """The message will be taken, or is being taken, for no merit of its own."""
        message = self._queue.get(refusal.queue_id)
        if message is not None:
            self._queue[refusal.queue_id] = message._replace(warned=True)
        else:
            self._warned[refusal.client] = refusal.time_s
            if len(self._warned) > _MOST_CONNECTIONS:
                del self._warned[next(iter(self._warned))]

    def _screened(self, event: Screened) -> Refusal | None:
        """postscreen drops a connection without the word reject: its findings stand alone."""
        finding = self._connections.pop(event.endpoint, "")
        if event.finding == "DISCONNECT":
            check = _POSTSCREEN_CHECKS.get(finding)
            if check is None:
                return None
            address = event.endpoint[1:].partition("]")[0]
            return self._refused(
                Refusal(event.time_s, "refused", check, "CONNECT", "", address, "", finding)
            )
        if event.finding != "PASS":
            # The first finding is the one that decided.
            self._connections[event.endpoint] = finding or event.finding
            if len(self._connections) > _MOST_CONNECTIONS:
                del self._connections[next(iter(self._connections))]
        return None

    # --- taken in ----------------------------------------------------------------------------

    def _mail(self, event: Brought | Queued | Sent | Removed | Passed) -> None:
        if isinstance(event, Passed):
            message = self._brought(event)
            sender = _folded(event.sender)
            self._taken(sender, message, event.queued_s)
            for time_s, recipient, outside in event.sent:
                self._delivered(sender, recipient, time_s, outside=outside)
            self._queue.pop(event.queue_id, None)
        elif isinstance(event, Brought):
            self._queue[event.queue_id] = self._brought(event)
            if len(self._queue) > _MOST_QUEUED:
                del self._queue[next(iter(self._queue))]
        elif isinstance(event, Queued):
            self._queued(event)
        elif isinstance(event, Sent):
            message = self._queue.get(event.queue_id, _Message())
            if message.sender:
                sender = "" if message.sender == "<>" else message.sender
                self._delivered(sender, event.recipient, event.time_s, outside=event.outside)
        else:
            self._queue.pop(event.queue_id, None)

    def _brought(self, event: Brought | Passed) -> _Message:
        own = event.sasl_username != ""
        network = "" if own else network_of(event.client_name, event.client)
        warned_s = self._warned.pop(event.client, float("-inf"))
        warned = event.time_s - warned_s < _SESSION_S
        return _Message(network, event.client, warned=warned)

    def _queued(self, event: Queued) -> None:
        known = self._queue.get(event.queue_id, _Message())
        if known.sender:
            return  # it was deferred, and is tried again
        sender = _folded(event.sender)
        self._queue[event.queue_id] = known._replace(sender=sender or "<>")
        self._taken(sender, known, event.time_s)

    def _taken(self, sender: str, message: _Message, time_s: float) -> None:
        network, client = message.network, message.client
        if message.warned:
            return
        if sender:
            self.senders[sender] = _more(self.senders.get(sender), time_s, network)
        if client:
            self.clients[client] = _more(self.clients.get(client), time_s, network)

    def _delivered(self, sender: str, recipient: str, time_s: float, *, outside: bool) -> None:
        recipient = _folded(recipient)
        ends = (sender, recipient)
        if ends in self._pairs:
            self.came_through[ends] = max(time_s, self.came_through.get(ends, 0.0))
        if outside:
            if sender:
                self.wrote[ends] = max(time_s, self.wrote.get(ends, 0.0))
        else:
            self.own_domains.add(recipient.rpartition("@")[2])


# Findings after which postscreen drops a client, or answers with nothing but refusals.
_POSTSCREEN_CHECKS = {
    "PREGREET": "postscreen_greet_action",
    "DNSBL": "postscreen_dnsbl_sites",
    "DENYLISTED": "postscreen_access_list",
    "BLACKLISTED": "postscreen_access_list",
    "BARE NEWLINE": "postscreen_bare_newline_action",
    "NON-SMTP COMMAND": "postscreen_non_smtp_command_action",
    "COMMAND PIPELINING": "postscreen_pipelining_action",
    "COMMAND TIME": "postscreen_command_time_limit",
    "COMMAND COUNT": "postscreen_command_count_limit",
    "COMMAND LENGTH": "line_length_limit",
}


def _more(taken: Taken | None, time_s: float, network: str) -> Taken:
    if taken is None:
        return Taken(1, time_s, (network,))
    networks = taken.networks
    if network not in networks and len(networks) < _KEPT:
        networks += (network,)
    return Taken(taken.messages + 1, max(taken.last_s, time_s), networks)


def _key(refusal: Refusal) -> tuple[str, ...]:
    """What tries have in common that belong together."""
    network = network_of(refusal.client_name, refusal.client)
    ends = (_folded(refusal.sender or ""), _folded(refusal.recipient or ""))
    return (refusal.action, refusal.check, network, *ends)


def _folded(address: str) -> str:
    """Local parts differ in case by the letter of RFC 5321; hardly anywhere in practice."""
    folded = address.lower()
    # Two of the same text would be two objects: there may be millions.
    return address if folded == address else folded


def network_of(name: str, address: str) -> str:
    """What a sender's machines have in common: the domain of their names, else the network.

    name  verified by DNS, "" if there is none
    """
    if name:
        return intern(organization(name))
    if ":" not in address:
        return address.rpartition(".")[0] or address
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((int(number), 48), strict=False).network_address)


def organization(domain: str) -> str:
    """The part of DOMAIN that one can register, as far as can be told without a list.

    Good enough to see what belongs together; nothing is decided by it alone.
    """
    labels = domain.lower().rstrip(".").split(".")
    # co.uk, com.au, ac.jp: a short name below the country's.
    wanted = 3 if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3 else 2
    return ".".join(labels[-wanted:])
