"""Who owns which address: claims of several sources become one answer, or an error.

Claim       what one source says: this address is delivered to, or sent from by, that owner.
Owner       a mailbox: a login name of this host, or the whole address of a virtual mailbox.
Alias       an address whose only target, followed to its end, is one mailbox: it is that one's.
            Several targets are a list and own nothing; a target elsewhere is nobody's here.
Fails with  SourceError: two owners of one address, a domain that is not ours, an alias that leads
            back to itself. All of them at once, each with where it was said.
"""

from __future__ import annotations

from mdeliver.record import Record
from mdeliver.sent.mailaddress import MailAddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class SourceError(Exception):
    """What is wrong with the sources; a line for each thing."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


class Mailbox(Record):
    """A mailbox of this host.

    owner    login name, or the whole address of a virtual mailbox
    address  where a copy for it is sent
    home     absolute home directory, "" if none is known
    """

    owner: str
    address: MailAddress
    home: str


class Claim(Record):
    """What one source says of one address.

    address  the address
    targets  what it leads to: an owner, or other addresses
    where    the source, for messages
    final    whether the administrator said it in so many words: other claims do not count then
    """

    address: MailAddress
    targets: tuple[str, ...]
    where: str
    final: bool = False


class Owned(Record):
    """An address and the mailbox that owns it."""

    address: MailAddress
    mailbox: Mailbox


class Ownership(Record):
    """All addresses with an owner, sorted, and what was left out and why."""

    owned: tuple[Owned, ...]
    notes: tuple[str, ...]


def settle(
    mailboxes: Iterable[Mailbox], claims: Iterable[Claim], domains: frozenset[str]
) -> Ownership:
    """Decide who owns what.

    mailboxes  every mailbox that a source knows; its own address need not be claimed again
    claims     of all sources, in their order
    domains    the domains whose mail ends here, in lower case; () for no check
    Raises SourceError.
    """
    by_owner: dict[str, Mailbox] = {}
    for mailbox in mailboxes:
        by_owner.setdefault(mailbox.owner, mailbox)
    by_claim: dict[str, list[Claim]] = {}
    for claim in claims:
        by_claim.setdefault(claim.address.key, []).append(claim)
    found: dict[str, Owned] = {}
    errors: list[str] = []
    notes: list[str] = []
    for key, said in by_claim.items():
        address = said[0].address
        if domains and address.domain not in domains:
            errors.append(
                f"{said[0].where}: {address.text}: {address.domain} is not one of our domains "
                "(mydestination, virtual_alias_domains, virtual_mailbox_domains)"
            )
            continue
        owners: dict[str, str] = {}
        for claim in [c for c in said if c.final] or said:
            owner = _follow(claim, by_claim, by_owner, errors, notes)
            if owner:
                owners.setdefault(owner, claim.where)
        if len(owners) > 1:
            both = ", ".join(f"{owner} ({where})" for owner, where in owners.items())
            errors.append(
                f"{address.text} has two owners: {both}; exclude it, or name its owner in a list"
            )
        elif owners:
            found[key] = Owned(address, by_owner[next(iter(owners))])
    if errors:
        raise SourceError(dict.fromkeys(errors))
    return Ownership(tuple(found[key] for key in sorted(found)), tuple(dict.fromkeys(notes)))


def _follow(
    claim: Claim,
    claims: dict[str, list[Claim]],
    mailboxes: dict[str, Mailbox],
    errors: list[str],
    notes: list[str],
) -> str:
    """The owner at the end of CLAIM's way; "" if it has none."""
    seen = {claim.address.key}
    while True:
        if len(claim.targets) != 1:
            several = "leads to several mailboxes and is nobody's own"
            notes.append(f"{claim.address.text} {several} ({claim.where})")
            return ""
        (target,) = claim.targets
        if target in mailboxes:
            return target
        further = claims.get(target.casefold())
        if further is None:
            notes.append(f"{claim.address.text} leads to {target}, no mailbox here ({claim.where})")
            return ""
        if target.casefold() in seen:
            if target.casefold() != claim.address.key:
                errors.append(f"{claim.where}: {claim.address.text} leads back to itself")
            return ""
        seen.add(target.casefold())
        claim = further[0]
