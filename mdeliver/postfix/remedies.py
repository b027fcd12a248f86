"""What to do about a refusal: in words, and as a line to paste where a line can mend it.

Pastes      addresses of clients, which nobody can forge; never a sender or HELO, which anybody can.
            The lines go into check_client_access, which stands before the check in its list, or
            into postscreen's access list. What the stranger said is never part of a line.
Nothing     is offered that would open the relay.
See also    access(5), cidr_table(5), postconf(5)
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from mdeliver.postfix.history import Attempt

CLIENT_TABLE = "/etc/postfix/client_access.cidr"
SCREEN_TABLE = "/etc/postfix/postscreen_access.cidr"


class Remedy(NamedTuple):
    """What to do.

    advice   one or two sentences
    file     the table that the line goes into; "" if no line helps
    line     to paste there
    setting  what has to stand in main.cf for the table to be asked
    """

    advice: str
    file: str = ""
    line: str = ""
    setting: str = ""


_LIST_MISTAKE = "ask the list named in the reply to remove the address, if it is wrong"

# What the other side has to mend, or what to look at here; by check.
_ADVICE = {
    "reject_unknown_client_hostname": "the address has no name in DNS that leads back to it; its"
    " owner has to set PTR and A records that agree",
    "reject_unknown_reverse_client_hostname": "the address has no PTR record; its owner has to set"
    " one",
    "reject_invalid_helo_hostname": "the server says a HELO that is no name; its owner has to"
    " correct it (in Postfix: myhostname)",
    "reject_non_fqdn_helo_hostname": "the server says a HELO without a domain; its owner has to"
    " correct it (in Postfix: myhostname)",
    "reject_unknown_helo_hostname": "the HELO has neither an A nor an MX record; its owner has to"
    " set one, or to say a name that has",
    "check_helo_access": "a line of a check_helo_access table here refuses this HELO; see whether"
    " it says more than was meant",
    "reject_unknown_sender_domain": "the sender's domain has neither an MX nor an A record, or its"
    " name servers did not answer: nobody could reply to it",
    "reject_non_fqdn_sender": "the sender is no whole address; the sending program has to be set"
    " right",
    "check_sender_access": "a line of a check_sender_access table here refuses this sender",
    "check_client_access": "a line of a check_client_access table here refuses this client; see"
    " whether it says more than was meant",
    "reject_rbl_client": _LIST_MISTAKE,
    "reject_rhsbl_client": _LIST_MISTAKE,
    "reject_rhsbl_sender": _LIST_MISTAKE,
    "reject_rhsbl_helo": _LIST_MISTAKE,
    "greylisting": "servers that try again come through by themselves",
    "SPF policy": "the sender's domain says in its SPF record that this client may not send for"
    " it: a forwarder, or a forgery",
    "reject_unverified_sender": "the sender's own server does not take mail for the sender",
    "reject_multi_recipient_bounce": "a bounce has one recipient; whoever sends it to many is no"
    " mail server",
    "reject_unauth_pipelining": "the client does not wait for replies",
}

# What a line for the client would not mend, or should not.
_WITHOUT_LINE = {
    "reject_unauth_destination": "is the recipient's domain one of yours, it belongs into"
    " mydestination, virtual_mailbox_domains or relay_domains; is it a user of yours who sends, the"
    " user has to authenticate. Nothing else may be permitted here",
    "reject_unlisted_recipient": "should the address exist, make the user or an alias for it",
    "reject_unverified_recipient": "the server that the address belongs to does not take mail for"
    " it",
    "reject_unknown_recipient_domain": "the recipient's domain is not in DNS; if it is yours,"
    " look at its records",
    "reject_non_fqdn_recipient": "the recipient is no whole address",
    "reject_unlisted_sender": "the sender claims an address of this host that does not exist",
    "reject_sender_login_mismatch": "if the user may use this sender, name both in"
    " smtpd_sender_login_maps",
    "milter": "a milter decided; its own settings have its list of exceptions",
    "smtpd_proxy_filter": "the filter behind smtpd decided; see its settings",
    "header_checks": "a pattern of header_checks matched the line in the reply; see whether it"
    " means more than was meant",
    "body_checks": "a pattern of body_checks matched the line in the reply; see whether it means"
    " more than was meant",
    "mime_header_checks": "a pattern of mime_header_checks matched the line in the reply",
    "message_size_limit": "larger than message_size_limit allows; the sender has been told",
    "queue_minfree": "the disk of the queue is full, or nearly so: df $(postconf -h"
    " queue_directory)",
    "own configuration": "the lines with warning: or fatal: just before it in the log say what is"
    " wrong with the settings",
    "own look-up": "a table could not be asked; the lines with warning: just before it say which",
    "own trouble": "the lines with warning: or fatal: just before it say why",
    "client limits": "should the client be trusted, name it in smtpd_client_event_limit_exceptions",
    "smtpd_helo_required": "the client does not greet; no mail server does that",
    "smtpd_tls_security_level": "the client has to use STARTTLS here",
    "smtpd_forbid_bare_newline": "the client ends lines with LF alone; should it be trusted, name"
    " it in smtpd_forbid_bare_newline_exclusions",
    "postscreen first visit": "clients that try again come through by themselves",
    "postscreen limits": "too many clients at once; see postscreen_pre_queue_limit",
}


def remedy_for(attempt: Attempt) -> Remedy:
    """What to do if the attempt was one that is wanted."""
    check = attempt.last.check
    if attempt.last.action in ("discarded", "held"):
        verb = "dropped it unseen" if attempt.last.action == "discarded" else "keeps it in hold"
        advice = f"a line of a table here, or a milter, {verb}: see whether it says more than meant"
        return Remedy(advice)
    if check in _WITHOUT_LINE:
        return Remedy(_WITHOUT_LINE[check])
    address = _address(attempt.last.client)
    if check.startswith("postscreen"):
        advice = "postscreen lets clients in its access list pass without tests"
        if address is None:
            return Remedy(advice)
        return Remedy(
            advice,
            SCREEN_TABLE,
            f"{address} permit",
            f"postscreen_access_list = permit_mynetworks, cidr:{SCREEN_TABLE}",
        )
    advice = _ADVICE.get(check, "the reply says why")
    if address is None:
        return Remedy(advice)
    before = check if check.startswith("reject_") else "what refuses it"
    table = f"check_client_access cidr:{CLIENT_TABLE}"
    return Remedy(advice, CLIENT_TABLE, f"{address} OK", f"{table}, before {before}")


def _address(client: str) -> str | None:
    """CLIENT as a network of one address, or None where it is no address that one could trust."""
    try:
        number = ipaddress.ip_address(client)
    except ValueError:
        return None
    # An address of this host is everybody who comes through a proxy or tunnel on it.
    if number.is_loopback or number.is_unspecified or "%" in client:
        return None
    return f"{number}/{number.max_prefixlen}"
