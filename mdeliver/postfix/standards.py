"""The checks by which smtpd(8) refuses clients that do not keep the standards.

Where       all in smtpd_recipient_restrictions, so that the log has the sender and the recipient,
            but for those that make sense at DATA alone
Exempt      own clients and those that have authenticated: mail programs greet with what they like
Found       a check that the administrator has in any list of main.cf is not made twice
Services    that have a list of their own in master.cf are told: nothing in main.cf reaches them
See also    restrictions.py on where they are put; SMTPD_ACCESS_README; RFC 5321
"""

from __future__ import annotations

from mdeliver.postfix import restrictions
from mdeliver.postfix.changes import Change
from mdeliver.postfix.greeting import services_for_strangers
from mdeliver.postfix.step import Proposal, Step, simple
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdeliver.postfix.step import Box, State, Wish

RECIPIENT, DATA = "smtpd_recipient_restrictions", "smtpd_data_restrictions"

_LISTS = tuple(f"smtpd_{x}_restrictions" for x in ("client", "helo", "sender", "relay"))
"""Where else the administrator may have a check."""


class Check(Record):
    """One restriction that refuses.

    part   which part of the settings it belongs to
    name   as Postfix calls it
    why    what it refuses, and why nobody who is wanted should mind
    where  the list that it goes into
    """

    part: str
    name: str
    why: str
    where: str = RECIPIENT


HELO_TABLE = "check_helo_access"

CHECKS = (
    Check(
        "client",
        "reject_unknown_client_hostname",
        "a mail server's address has a name in DNS that leads back to it (RFC 1912, 2.1); "
        "computers that were taken over have none",
    ),
    Check(
        "helo",
        "reject_invalid_helo_hostname",
        "what a client greets with is a name or an address in brackets (RFC 5321, 4.1.1.1)",
    ),
    Check(
        "helo",
        "reject_non_fqdn_helo_hostname",
        "the name has a domain (RFC 5321, 2.3.5)",
    ),
    Check(
        "helo",
        HELO_TABLE,
        "nobody but this host greets with its names or addresses; strangers do so to look trusted",
    ),
    Check(
        "helo",
        "reject_unknown_helo_hostname",
        "the name is in DNS, with an address or an MX (RFC 5321, 2.3.5)",
    ),
    Check(
        "sender",
        "reject_non_fqdn_sender",
        "the sender is a whole address: another could not be answered, nor told of a failure",
    ),
    Check(
        "sender",
        "reject_unknown_sender_domain",
        "the sender's domain is in DNS: mail to one that is not cannot be answered",
    ),
    Check("recipient", "reject_non_fqdn_recipient", "the recipient is a whole address"),
    Check(
        "recipient",
        "reject_unknown_recipient_domain",
        "the recipient's domain is in DNS; without it mail would wait in the queue, and bounce",
    ),
    Check(
        "data",
        "reject_unauth_pipelining",
        "a client waits for replies where it has to (RFC 2920); programs that only send spam "
        "do not",
        DATA,
    ),
    Check(
        "data",
        "reject_multi_recipient_bounce",
        "a bounce has one recipient, for a message has one sender",
        DATA,
    ),
)

_HELO_WHY = (
    "a client greets before it brings mail (RFC 5321, 4.1.4); else there is nothing to check"
)


def propose(box: Box, wish: Wish, parts: Sequence[str], table: str) -> Proposal:
    """What is lacking of the checks that belong to PARTS.

    table  TYPE:FILE of the names that only this host greets with
    Raises PostfixError.
    """
    steps: list[Step] = []
    changes: list[Change] = []
    if "helo" in parts:
        asked = simple(box, "helo", "smtpd_helo_required", "yes", _HELO_WHY)
        if wish.trying and asked.changes:
            asked = Proposal([asked.steps[0].replace(state="later")], [])
        steps += asked.steps
        changes += asked.changes
    for where in (RECIPIENT, DATA):
        checks = [check for check in CHECKS if check.part in parts and check.where == where]
        proposal = _list(box, wish, where, checks, table)
        steps += proposal.steps
        changes += proposal.changes
        steps += _of_services(box, where, checks, table)
    return Proposal(steps, changes)


def _of_services(box: Box, where: str, checks: Sequence[Check], table: str) -> list[Step]:
    """What services for strangers lack that have a list WHERE of their own, in master.cf.

    Nothing in main.cf reaches them, and what an administrator has put there stays.
    """
    steps = []
    for service in services_for_strangers(box):
        if where not in service.settings:
            continue
        here = {*restrictions.effective(restrictions.parsed(service.settings[where]))}
        for other in _LISTS:
            value = box.value_for(service, other)
            here.update(restrictions.effective(restrictions.parsed(value)))
        for check in checks:
            item = _item(check, table)
            if not {item, restrictions.on_trial(item)} & here:
                what = f"{service.name}: {item}"
                note = f"master.cf gives it {where} of its own, without this check"
                steps.append(Step(check.part, what, check.why, "kept", note))
    return steps


def _list(box: Box, wish: Wish, where: str, checks: Sequence[Check], table: str) -> Proposal:
    """What is lacking of CHECKS, and the list WHERE with it."""
    whole = {check: _item(check, table) for check in checks}
    items = restrictions.parsed(box.raw(where))
    here = restrictions.effective(restrictions.parsed(box.value(where)))
    elsewhere = _elsewhere(box)
    states: dict[Check, State] = {}
    trials, lacking = [], []
    for check, item in whole.items():
        trial = restrictions.on_trial(item)
        if item in here or item in elsewhere:
            states[check] = "set"
        elif trial in items and wish.enforce:
            states[check] = "lacking"
            trials.append(item)
        elif trial in here or trial in elsewhere:
            states[check] = "trial"
        else:
            states[check] = "lacking"
            lacking.append(trial if wish.trying else item)
    note = _hidden_end(box, where) if lacking else ""
    exempt: tuple[str, ...] = restrictions.OWN_CLIENTS
    if where == RECIPIENT and _relay_is_closed_here(box):
        exempt = (*exempt, restrictions.RELAY_CLOSED[0])
    result = restrictions.enforced(items, trials)
    try:
        if not note:
            result = restrictions.placed(result, lacking, _not_hidden(exempt, here))
    except ValueError as error:
        note = str(error)
    if note:
        for check, item in whole.items():
            if {item, restrictions.on_trial(item)} & set(lacking):
                states[check] = "kept"
    noted = {check: note if states[check] == "kept" else "" for check in checks}
    steps = [Step(c.part, whole[c], c.why, states[c], noted[c]) for c in checks]
    changes = [Change("-e", where, restrictions.written(result))] if result != items else []
    return Proposal(steps, changes)


def _item(check: Check, table: str) -> str:
    return f"{check.name} {table}" if check.name == HELO_TABLE else check.name


def _elsewhere(box: Box) -> set[str]:
    """What is asked of strangers in the lists of main.cf that get nothing from here."""
    found: set[str] = set()
    for name in _LISTS:
        found.update(restrictions.effective(restrictions.parsed(box.value(name))))
    return found


def _relay_is_closed_here(box: Box) -> bool:
    """Whether it is this list alone that has to refuse to relay: old sites have it so."""
    relay = restrictions.parsed(box.value("smtpd_relay_restrictions"))
    return not set(relay) & {*restrictions.RELAY_CLOSED, "reject", "defer"}


def _not_hidden(exempt: Sequence[str], here: Sequence[str]) -> list[str]:
    """Those of EXEMPT that are not HERE already, perhaps by a `$name`."""
    if set(here) & set(restrictions.RELAY_CLOSED):
        exempt = [word for word in exempt if word not in restrictions.RELAY_CLOSED]
    return [word for word in exempt if word not in here]


def _hidden_end(box: Box, where: str) -> str:
    """Why nothing can be put into the list WHERE: its end is in a `$name`; "" if it is not."""
    raw, value = (restrictions.parsed(text) for text in (box.raw(where), box.value(where)))
    if len(restrictions.effective(raw)) == len(raw) and restrictions.effective(value) != value:
        return f"{where} ends within a setting that it names: put the check there"
    return ""
