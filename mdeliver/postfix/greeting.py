"""The greeting delay: who speaks before the greeting is no mail server (RFC 5321, 4.3.1).

Two ways    `sleep` has smtpd(8) wait a second, and look whether the client did. It is simple, and
            right where some connections come in a second: each that waits takes one of
            default_process_limit processes.
            postscreen(8) waits for all of them in one process, and only for addresses that it does
            not know; it is better where hundreds of connections come at a time. But it must see
            clients themselves, not a proxy before them. It is set up on demand, or where it is.
            smtpd looks when it takes the connection, and again with each command: who speaks
            within the second, but after the first look, is refused at DATA only, by the check
            there (standards.py). That is another reason for postscreen.
Where       on services for strangers alone, in master.cf. With smtpd_delay_reject = no in main.cf
            clients of submission would be refused before they can authenticate.
See also    postscreen(8), POSTSCREEN_README; postconf(5), smtpd_delay_reject
"""

from __future__ import annotations

from mdeliver.postfix import restrictions
from mdeliver.postfix.changes import Change
from mdeliver.postfix.step import Proposal, Step, simple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdeliver.postfix.configuration import Service
    from mdeliver.postfix.step import Box, State, Wish

OURS = "mdeliver_client_restrictions"
"""The setting in main.cf that services for strangers name: master.cf takes no white space."""

_CHECK = "reject_unauth_pipelining"
_SLEEP = "sleep 1"
# Words in names of restrictions that need what is not known yet when a list is asked early.
_COMES_LATER = {
    "client": ("sasl", "recipient", "auth_destination", "sender", "helo"),
    "helo": ("sasl", "recipient", "auth_destination", "sender"),
    "sender": ("recipient", "auth_destination"),
}
_LOOPBACK = ("127.", "localhost:", "[::1]:")

_WHY = (
    "who speaks before the greeting does not speak SMTP; a second's wait shows it, and costs a "
    "mail server nothing"
)
_WHY_SCREEN = (
    "postscreen lets strangers wait for the greeting, all in one process, and refuses who does not"
)


def services_for_strangers(box: Box) -> list[Service]:
    """smtpd services that take mail from everybody: no AUTH, and not on loopback alone."""
    return [
        service
        for service in box.services
        if service.program == "smtpd"
        and service.name.endswith("/inet")
        and service.settings.get("smtpd_sasl_auth_enable") != "yes"
        and not service.name.startswith(_LOOPBACK)
    ]


def propose(box: Box, wish: Wish) -> Proposal:
    """What is lacking of the greeting delay. Raises PostfixError."""
    if any(service.program == "postscreen" for service in box.services):
        return _screen(box, wish)
    services = services_for_strangers(box)
    if not services:
        note = "no service in master.cf takes mail from everybody"
        return Proposal([Step("greeting", "greeting delay", _WHY, "set", note)], [])
    if wish.greeting == "postscreen":
        return _new_screen(box, wish, services)
    return _sleep(box, wish, services)


# --- sleep -----------------------------------------------------------------------------------


def _sleep(box: Box, wish: Wish, services: Sequence[Service]) -> Proposal:
    """A second's wait in smtpd."""
    steps: list[Step] = []
    changes: list[Change] = []
    was = restrictions.parsed(box.value(OURS))
    check, state = _check(was, wish)
    base = restrictions.parsed(box.raw("smtpd_client_restrictions"))
    wanted = restrictions.placed(base, [_SLEEP, check], ["permit_mynetworks"])
    for service in services:
        what = f"{service.name}: {_SLEEP}, {_CHECK}, smtpd_delay_reject = no"
        if why_not := _hindrance(box, service, was):
            steps.append(Step("greeting", what, _WHY, "kept", why_not))
            continue
        own = [
            Change("-P", f"{service.name}/{name}", value)
            for name, value in (
                ("smtpd_client_restrictions", f"${OURS}"),
                ("smtpd_delay_reject", "no"),
            )
            if not _has(box, service, name, value)
        ]
        steps.append(Step("greeting", what, _WHY, "lacking" if own else state))
        changes += own
    if any(step.state != "kept" for step in steps) and (
        restrictions.parsed(box.raw(OURS)) != wanted
    ):
        changes.insert(0, Change("-e", OURS, restrictions.written(wanted)))
    return Proposal(steps, changes)


def _check(was: Sequence[str], wish: Wish) -> tuple[str, State]:
    """The check as it is to be, and what state that is in."""
    trial = restrictions.on_trial(_CHECK)
    if _CHECK in was:
        return _CHECK, "set"
    if trial in was:
        return (_CHECK, "lacking") if wish.enforce else (trial, "trial")
    return (trial if wish.trying else _CHECK), "lacking"


def _has(box: Box, service: Service, name: str, value: str) -> bool:
    if value == f"${OURS}":
        ours = restrictions.parsed(box.value(OURS))
        return bool(ours) and restrictions.parsed(service.settings.get(name, "")) == ours
    return box.value_for(service, name) == value


def _hindrance(box: Box, service: Service, ours: Sequence[str]) -> str:
    """Why checks of SERVICE cannot be asked before the recipient is known; "" if they can."""
    if box.value("smtpd_sasl_auth_enable") == "yes":
        return "smtpd_sasl_auth_enable = yes in main.cf: users authenticate here too"
    own = service.settings.get("smtpd_client_restrictions")
    if own and restrictions.parsed(own) != list(ours):
        return "the service has smtpd_client_restrictions of its own"
    classes = restrictions.parsed(box.value("smtpd_restriction_classes"))
    for when, needs in _COMES_LATER.items():
        name = f"smtpd_{when}_restrictions"
        value = box.value(name) if when == "client" else box.value_for(service, name)
        for item in restrictions.parsed(value):
            word = item.split()[-1 if item.startswith(restrictions.TRIAL) else 0]
            if word in classes or any(need in word for need in needs):
                return f"{name} has {item}, which needs what comes later in the session"
    return ""


# --- postscreen ------------------------------------------------------------------------------


def _screen(box: Box, wish: Wish) -> Proposal:
    """The greeting test of a postscreen that is there, which by default only logs."""
    asked = simple(box, "greeting", "postscreen_greet_action", "enforce", _WHY_SCREEN)
    if wish.trying and asked.changes:
        return Proposal([asked.steps[0].replace(state="later")], [])
    return asked


def _new_screen(box: Box, wish: Wish, services: Sequence[Service]) -> Proposal:
    """postscreen before the one service for strangers."""
    what = f"{services[0].name}: postscreen"
    if len(services) > 1:
        note = "several services take mail from everybody: " + ", ".join(s.name for s in services)
        return Proposal([Step("greeting", what, _WHY_SCREEN, "kept", note)], [])
    (service,) = services
    if any(s.name == "smtpd/pass" for s in box.services):
        note = "master.cf has smtpd/pass, but no postscreen"
        return Proposal([Step("greeting", what, _WHY_SCREEN, "kept", note)], [])
    if box.value(OURS):
        note = "the service sleeps already; take that back with --revert first"
        return Proposal([Step("greeting", what, _WHY_SCREEN, "kept", note)], [])
    asked = _screen(box, wish)
    port = service.name.removesuffix("/inet")
    new = {
        service.name: f"{port} inet n - {service.chroot} - 1 postscreen",
        "smtpd/pass": f"smtpd pass - - {service.chroot} - - {service.command}",
        "dnsblog/unix": f"dnsblog unix - - {service.chroot} - 0 dnsblog",
        "tlsproxy/unix": f"tlsproxy unix - - {service.chroot} - 0 tlsproxy",
    }
    present = {s.name for s in box.services} - {service.name}
    changes = [Change("-M", name, line) for name, line in new.items() if name not in present]
    step = Step("greeting", what, _WHY_SCREEN, "lacking")
    return Proposal([step, *asked.steps], [*changes, *asked.changes])
