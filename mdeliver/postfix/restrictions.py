"""Lists of restrictions of smtpd(8): what they check, and where a further check has an effect.

Order       the first item that permits or refuses decides: what stands after `permit`, `reject` or
            `defer` is worth nothing, and what stands after permit_auth_destination or
            permit_mx_backup is worth nothing for mail that is ours to take. `effective` is what
            stands before.
Placing     further checks go to the end of what is effective, so that every whitelist and every
            check of the administrator comes before; and own clients are exempt from them.
Relay       an exemption is only ever added behind reject_unauth_destination, or where
            smtpd_relay_restrictions keeps the relay closed.
See also    postconf(5), smtpd_recipient_restrictions; SMTPD_ACCESS_README
"""

from __future__ import annotations

from mdeliver.postfix.configuration import split_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OWN_CLIENTS = ("permit_mynetworks", "permit_sasl_authenticated")
"""What exempts own clients and those that have authenticated."""

RELAY_CLOSED = ("reject_unauth_destination", "defer_unauth_destination")
"""What refuses to relay for strangers; Postfix demands one of them."""

TRIAL = "warn_if_reject"
"""What makes the check after it say in the log what it would refuse, and refuse nothing."""

_ENDS = ("permit", "reject", "defer", "permit_auth_destination", "permit_mx_backup")

# How names of restrictions begin, but for those that an administrator has made.
_BUILT_IN = ("permit", "reject", "defer", "check_", "sleep", TRIAL)

# Restrictions with an argument of their own; so has everything that begins with "check_".
_WITH_ARGUMENT = (
    "reject_rbl_client",
    "reject_rhsbl_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_recipient",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_sender",
    "permit_dnswl_client",
    "permit_rhswl_client",
    "sleep",
)


def parsed(value: str) -> list[str]:
    """The items of a list in main.cf, each with its argument: "check_helo_access hash:/x".

    Names of Postfix's own are in small letters, since it does not care; one space parts words.
    """
    items: list[str] = []
    words: list[str] = []
    for word in split_list(value):
        names = all(before == TRIAL for before in words)
        words.append(word.lower() if names and word.lower().startswith(_BUILT_IN) else word)
        if words[-1] == TRIAL or (names and _takes_argument(words[-1])):
            continue
        items.append(" ".join(words))
        words = []
    if words:
        items.append(" ".join(words))
    return items


def _takes_argument(name: str) -> bool:
    return name.startswith("check_") or name in _WITH_ARGUMENT


def written(items: Sequence[str]) -> str:
    """ITEMS as main.cf has them."""
    return ", ".join(items)


def effective(items: Sequence[str]) -> list[str]:
    """Those of ITEMS that are asked for mail from strangers to us."""
    found = []
    for item in items:
        if item in _ENDS:
            break
        found.append(item)
    return found


def on_trial(check: str) -> str:
    """CHECK, as it only warns."""
    return f"{TRIAL} {check}"


def placed(items: Sequence[str], checks: Sequence[str], exempt: Sequence[str]) -> list[str]:
    """ITEMS with CHECKS, and before these those of EXEMPT that are lacking.

    Whatever is effective in ITEMS already is not added; without anything to add they come back as
    they are. Raises ValueError where an exemption would exempt from what is not ours.
    """
    head = effective(items)
    tail = list(items[len(head) :])
    lacking = [check for check in checks if check not in head]
    if not lacking:
        return list(items)
    exemptions = [word for word in exempt if word not in head]
    if exemptions and tail and tail[0] != "permit":
        raise ValueError(f"{written(exemptions)} has to stand before {tail[0]}, and was not set")
    return [*head, *exemptions, *lacking, *tail]


def enforced(items: Sequence[str], checks: Sequence[str]) -> list[str]:
    """ITEMS, in which those of CHECKS that are on trial refuse."""
    trials = {on_trial(check): check for check in checks}
    return [trials.get(item, item) for item in items]
