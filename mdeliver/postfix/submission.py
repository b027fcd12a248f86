"""Where one's own users send: TLS and AUTH on submission, and neither demanded nor offered on 25.

Services    submission (587, STARTTLS) and submissions (465, TLS at once; RFC 8314), as Postfix's
            own master.cf has them behind comments. Of a service that is there, only what it lacks.
Passwords   Dovecot knows them, through a socket in Postfix's queue directory (dovecot.py); where
            master.cf or main.cf offers AUTH already, that stays.
Port 25     TLS for those who want it: servers of others have no passwords here, and none may be
            asked for TLS that all should reach (RFC 3207, 4)
See also    SASL_README, TLS_README
"""

from __future__ import annotations

import os

from mdeliver.postfix.changes import Change
from mdeliver.postfix.step import Proposal, Step, simple
from mdeliver.sent.setup import demands_auth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdeliver.postfix.configuration import Service
    from mdeliver.postfix.step import Box, State, Wish

PART = "submission"

SOCKET = "private/auth"
"""Dovecot's socket, below the queue directory."""

_PORTS = {"submission": ("submission", "587"), "submissions": ("submissions", "smtps", "465")}
_LISTS = tuple(f"smtpd_{x}_restrictions" for x in ("client", "helo", "sender", "relay"))
_ONLY_USERS = "permit_sasl_authenticated,reject"
_WHY = {
    "submission": "users send here, with TLS and a password; who has none is refused",
    "submissions": "users send here, with TLS from the first octet, as RFC 8314 wants it",
}


def propose(box: Box, wish: Wish) -> Proposal:
    """What is lacking for users to send. Raises PostfixError."""
    proposals = [_certificate(box, wish)]
    if not (wish.certificate or _has_certificate(box)):
        return proposals[0]
    why = "servers that can encrypt do so, and the others still reach us"
    proposals.append(simple(box, PART, "smtpd_tls_security_level", "may", why))
    services = {name: _found(box, name) for name in _PORTS}
    if not any(s.settings.get("smtpd_sasl_auth_enable") == "yes" for s in box.services):
        why = "Dovecot knows the passwords, so that there is one place for them"
        proposals.append(simple(box, PART, "smtpd_sasl_type", "dovecot", why))
        proposals.append(simple(box, PART, "smtpd_sasl_path", SOCKET, why))
    proposals.append(_port_25(box))
    for name, service in services.items():
        proposals.append(_service(box, name, service))
    return Proposal(
        [step for proposal in proposals for step in proposal.steps],
        [change for proposal in proposals for change in proposal.changes],
    )


# --- TLS -------------------------------------------------------------------------------------


def _has_certificate(box: Box) -> bool:
    settings = ("chain_files", "cert_file", "eccert_file", "dcert_file")
    return any(box.value(f"smtpd_tls_{name}") not in ("", "none") for name in settings)


def _certificate(box: Box, wish: Wish) -> Proposal:
    what, why = "smtpd_tls_chain_files", "without a key and a certificate there is no TLS"
    if _has_certificate(box):
        note = "--certificate is for hosts that have none" if wish.certificate else ""
        return Proposal([Step(PART, what, why, "kept" if note else "set", note)], [])
    if wish.certificate:
        change = Change("-e", what, wish.certificate)
        return Proposal([Step(PART, f"{what} = {wish.certificate}", why, "lacking")], [change])
    host = box.value("myhostname")
    place = f"/etc/letsencrypt/live/{host}"
    known = [f"{place}/privkey.pem", f"{place}/fullchain.pem"]
    note = "name the files with --certificate KEY,CERTIFICATES; submission is not set up without"
    if all(os.path.exists(path) for path in known):
        note = f"say --certificate {','.join(known)}"
    return Proposal([Step(PART, what, why, "missing", note)], [])


# --- services --------------------------------------------------------------------------------


def _found(box: Box, name: str) -> Service | None:
    """The service for NAME in master.cf, on whatever address."""
    for service in box.services:
        if service.program == "smtpd" and service.name.endswith("/inet"):
            port = service.name.removesuffix("/inet").rpartition(":")[2]
            if port in _PORTS[name]:
                return service
    return None


def _options(name: str) -> dict[str, str]:
    """What the service NAME sets, as Postfix's own master.cf has it, and what main.cf adds."""
    tls = (
        {"smtpd_tls_wrappermode": "yes"}
        if name == "submissions"
        else {"smtpd_tls_security_level": "encrypt", "smtpd_tls_auth_only": "yes"}
    )
    return {
        "syslog_name": f"postfix/{name}",
        **tls,
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_reject_unlisted_recipient": "no",
        **dict.fromkeys(_LISTS[:3], ""),
        "smtpd_relay_restrictions": _ONLY_USERS,
        "smtpd_recipient_restrictions": _ONLY_USERS,
        "smtpd_data_restrictions": "",
        "milter_macro_daemon_name": "ORIGINATING",
    }


def _service(box: Box, name: str, service: Service | None) -> Proposal:
    wanted = _options(name)
    if service is None:
        options = " ".join(f"-o {option}={value}" for option, value in wanted.items())
        line = f"{name} inet n - {box.chroot('smtp/inet')} - - smtpd {options}"
        change = Change("-M", f"{name}/inet", line)
        return Proposal([Step(PART, f"{name}/inet", _WHY[name], "lacking")], [change])
    own = service.settings
    needed = ["smtpd_sasl_auth_enable"]
    if own.get("smtpd_tls_wrappermode") != "yes":
        needed += ["smtpd_tls_security_level", "smtpd_tls_auth_only"]
    lists = [*_LISTS, "smtpd_recipient_restrictions"]
    demanded = demands_auth(service.replace(settings=own | {"smtpd_sasl_auth_enable": "yes"}))
    if not demanded and not any(own.get(name) for name in lists):
        needed += lists
    missing = [option for option in needed if option in wanted and option not in own]
    changes = [Change("-P", f"{service.name}/{option}", wanted[option]) for option in missing]
    kept = _otherwise(own, demanded or "smtpd_recipient_restrictions" in missing, needed, wanted)
    state: State = "lacking" if changes else "kept" if kept else "set"
    return Proposal([Step(PART, service.name, _WHY[name], state, kept)], changes)


def _otherwise(
    own: dict[str, str], demanded: bool, needed: Sequence[str], wanted: dict[str, str]
) -> str:
    """What the administrator has set in a way that lets strangers in, or passwords out."""
    said = [
        f"{name} = {own[name]}"
        for name in needed
        if name in own and not name.endswith("_restrictions") and own[name] != wanted.get(name)
    ]
    if not demanded:
        said.append("its restrictions do not end with permit_sasl_authenticated, reject")
    return "; ".join(said)


def _port_25(box: Box) -> Proposal:
    """AUTH is for submission alone: on port 25 it invites to guess passwords."""
    what = "smtpd_sasl_auth_enable = no"
    why = "AUTH is for submission; on port 25 it only invites to guess passwords"
    if box.value("smtpd_sasl_auth_enable") == "no":
        return Proposal([Step(PART, what, why, "set")], [])
    note = "smtpd_sasl_auth_enable = yes in main.cf: users may send through port 25"
    return Proposal([Step(PART, what, why, "kept", note)], [])
