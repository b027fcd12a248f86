"""Which check of Postfix it was that refused: by the words of its reply.

Postfix logs replies, not names of restrictions. What its own code says is known word by word
(smtpd_check(3), smtpd(8), cleanup(8), postscreen(8), of 2.11 to 3.10); an access table, a policy
service or an administrator may say anything, so what is not known is theirs.

See also    postconf(5), access(5), tests/cases/rejects
"""

from __future__ import annotations

import re

# What stands before " rejected: " and the word for it in names of restrictions.
_SUBJECTS = {
    "Client host": "client",
    "Helo command": "helo",
    "Sender address": "sender",
    "Recipient address": "recipient",
    "Data command": "data",
    "End-of-data": "end_of_data",
    "Etrn command": "etrn",
}
_REJECTED = " rejected: "

# What the reply says after " rejected: ", and which check says so of what.
_NO_NAME = "cannot find your hostname"
_NO_REVERSE_NAME = "cannot find your reverse hostname"
_REASONS = {
    ("client", _NO_NAME): "reject_unknown_client_hostname",
    ("client", _NO_REVERSE_NAME): "reject_unknown_reverse_client_hostname",
    ("helo", "Invalid name"): "reject_invalid_helo_hostname",
    ("helo", "invalid ip address"): "reject_invalid_helo_hostname",
    ("helo", "need fully-qualified hostname"): "reject_non_fqdn_helo_hostname",
    ("helo", "Host not found"): "reject_unknown_helo_hostname",
    ("helo", "Domain not found"): "reject_unknown_helo_hostname",
    ("sender", "need fully-qualified address"): "reject_non_fqdn_sender",
    ("sender", "Domain not found"): "reject_unknown_sender_domain",
    ("sender", "Malformed DNS server reply"): "reject_unknown_sender_domain",
    ("sender", "not logged in"): "reject_sender_login_mismatch",
    ("recipient", "need fully-qualified address"): "reject_non_fqdn_recipient",
    ("recipient", "Domain not found"): "reject_unknown_recipient_domain",
    ("recipient", "Malformed DNS server reply"): "reject_unknown_recipient_domain",
}
_ANY_SUBJECT = (
    (re.compile(r"Improper use of SMTP command pipelining"), "reject_unauth_pipelining"),
    (re.compile(r"Multi-recipient bounce"), "reject_multi_recipient_bounce"),
    (re.compile(r"Server configuration (?:error|problem)"), "own configuration"),
    (re.compile(r"Temporary lookup (?:failure|error)"), "own look-up"),
    (re.compile(r"User unknown|Address lookup failed|Mailbox unavailable"), "unlisted"),
    (re.compile(r"un(?:deliverable|verified) address"), "unverified"),
    (re.compile(r"not owned by user "), "reject_sender_login_mismatch"),
    (re.compile(r"[Gg]r[ea]ylist"), "greylisting"),
    (re.compile(r"\bSPF\b|Sender Policy Framework|openspf"), "SPF policy"),
)

# Replies without " rejected: ", from smtpd, postscreen and cleanup.
_REPLIES = (
    (re.compile(r"Relay access denied"), "reject_unauth_destination"),
    (re.compile(r"; (?:Unv|V)erified Client host \[.*\] blocked"), "reject_rhsbl_reverse_client"),
    (re.compile(r"; client \[[^]]*\] blocked using"), "postscreen_dnsbl_sites"),
    (re.compile(r"; Client host \[[0-9a-fA-F.:]+\] blocked using"), "reject_rbl_client"),
    (re.compile(r"; Client host \[.*\] blocked using"), "reject_rhsbl_client"),
    (re.compile(r"; Helo command \[.*\] blocked using"), "reject_rhsbl_helo"),
    (re.compile(r"; Sender address \[.*\] blocked using"), "reject_rhsbl_sender"),
    (re.compile(r"; Recipient address \[.*\] blocked using"), "reject_rhsbl_recipient"),
    (re.compile(r"Protocol error"), "postscreen protocol tests"),
    (re.compile(r"Service currently unavailable"), "postscreen"),
    (re.compile(r"(?:screening|server) ports (?:are )?busy"), "postscreen limits"),
    (re.compile(r"Message size exceeds|[Mm]essage too (?:big|large)"), "message_size_limit"),
    (re.compile(r"Insufficient system storage"), "queue_minfree"),
    (re.compile(r"[Ii]mproper use of SMTP command pipelining"), "reject_unauth_pipelining"),
    (re.compile(r"bare <LF> received|bare newline"), "smtpd_forbid_bare_newline"),
    (re.compile(r"send HELO/EHLO first"), "smtpd_helo_required"),
    (re.compile(r"Must issue a STARTTLS"), "smtpd_tls_security_level"),
    (re.compile(r"[Tt]oo (?:many|much) |limit exceeded"), "client limits"),
    (re.compile(r"Server configuration (?:error|problem)"), "own configuration"),
    (re.compile(r"Temporary lookup (?:failure|error)"), "own look-up"),
    (re.compile(r"queue file write error|[Ss]ervice unavailable - try again later"), "own trouble"),
)

_CONTENT = re.compile(r"(header|body|mime-header|nested-header) ")


def check_of(service: str, action: str, reply: str) -> str:
    """The restriction or setting that made a daemon of kind SERVICE say REPLY.

    action  as it is logged: reject, reject_warning, milter-reject, …
    """
    if action.startswith("milter-"):
        return "milter"
    if action.startswith("proxy-"):
        return "smtpd_proxy_filter"
    if service == "cleanup" and (content := _CONTENT.match(reply)):
        return f"{content[1].replace('-', '_')}_checks"
    at = reply.find(_REJECTED)
    if at >= 0:
        for words, subject in _SUBJECTS.items():
            if reply.endswith(words, 0, at):
                return _of_subject(subject, reply[at + len(_REJECTED) :])
    for pattern, check in _REPLIES:
        if pattern.search(reply):
            return check
    if triggers := re.search(r": (\w+) \w+ triggers [A-Z]+ action", reply):
        return f"check_{triggers[1].lower()}_access"
    return "other"


def _of_subject(subject: str, reason: str) -> str:
    known = _REASONS.get((subject, reason.partition(",")[0]))
    if known:
        return known
    for pattern, check in _ANY_SUBJECT:
        if pattern.search(reason):
            return f"reject_{check}_{subject}" if check in ("unlisted", "unverified") else check
    return f"check_{subject}_access"
