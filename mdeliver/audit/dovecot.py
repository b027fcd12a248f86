"""Does Dovecot serve what mdeliver delivers, and keep passwords to itself.

Places      IMAP and POP3 each have a store of their own, as mdeliver fills both
Folders     what mail programs call Sent by its special use is where sent copies go (RFC 6154)
Passwords   not in the clear; a socket where Postfix asks for them
See also    postfix/dovecot.py, which prints settings that do all of it
"""

from __future__ import annotations

import os

from mdeliver.audit import doveconf
from mdeliver.audit.finding import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.doveconf import Section
    from mdeliver.audit.host import Host

_SETTINGS = ("mdeliver postfix --dovecot",)
_USES = ("\\Sent", "\\Drafts", "\\Junk", "\\Trash")


def _protocols(settings: Section) -> list[str]:
    return settings.value("protocols").split()


def places_are_two(host: Host) -> Iterator[Finding]:
    """Whether IMAP reads Maildirs and POP3 mboxes, and each one's own."""
    imap = host.dovecot("imap")
    if imap is None:
        yield Finding("fine", "there is no Dovecot on this host")
        return
    place = doveconf.location(imap)
    if "imap" in _protocols(imap) and not place.startswith("maildir:"):
        yield Finding(
            "warning",
            f"IMAP reads {place or 'what it finds'}, and mdeliver delivers to ~/Maildir",
            "what is delivered there is not seen by mail programs",
            "have IMAP read the Maildir",
            ("mail_location = maildir:~/Maildir", *_SETTINGS),
        )
        return
    pop3 = host.dovecot("pop3")
    other = doveconf.location(pop3) if pop3 and "pop3" in _protocols(imap) else ""
    if other == place:
        yield Finding(
            "warning",
            f"POP3 and IMAP both read {place}",
            "what a POP3 client downloads and deletes is gone from IMAP as well",
            "have POP3 read the mbox, to which mdeliver delivers, too",
            ("protocol pop3 {", "  mail_location = mbox:~/.pop3:INBOX=/var/mail/%u", "}"),
        )
    else:
        also = f", POP3 {other}" if other else ""
        yield Finding("fine", f"IMAP reads {place}{also}")


def folders_have_uses(host: Host) -> Iterator[Finding]:
    """Whether mail programs find Sent where copies of sent mail go."""
    imap = host.dovecot("imap")
    if imap is None or "imap" not in _protocols(imap):
        return
    found = list(doveconf.folders(imap))
    sent = [name for name, use in found if "\\Sent" in use.split()]
    ours = host.site.sent_folder
    if ours not in sent:
        have = f"{', '.join(sent)} is Sent for mail programs" if sent else "no folder is \\Sent"
        yield Finding(
            "warning",
            f"{have}, and copies of sent mail go to {ours}",
            "mail programs put what they send in one folder, mdeliver in another",
            f"give {ours} its special use, or set sent.folder in {host.settings_path}",
            ("namespace inbox {", f"  mailbox {ours} {{", "    special_use = \\Sent", "  }", "}"),
        )
    lacking = [use for use in _USES[1:] if not any(use in uses.split() for _n, uses in found)]
    if lacking:
        yield Finding(
            "advice",
            f"no folder is {', '.join(lacking)}",
            "each mail program makes one of its own, by a name in its own language",
            "give them their special uses",
            _SETTINGS,
        )
    if ours in sent and not lacking:
        yield Finding("fine", "Sent, Drafts, Junk and Trash have their special uses")


def logins_are_safe(host: Host) -> Iterator[Finding]:
    """Whether passwords are encrypted on their way, and Postfix may ask for them."""
    settings = host.dovecot("imap")
    if settings is None:
        return
    complaints = [*_in_the_clear(settings), *_socket(host, settings)]
    yield from complaints
    if not complaints:
        yield Finding("fine", "passwords for Dovecot are encrypted on their way")


def _in_the_clear(settings: Section) -> Iterator[Finding]:
    listens = settings.value("listen").replace(",", " ").split()
    if all(address.startswith("127.") or address in ("::1", "localhost") for address in listens):
        return
    tls = settings.value("ssl")
    allowed = (
        settings.value("disable_plaintext_auth") == "no"
        or settings.value("auth_allow_cleartext") == "yes"
    )
    if allowed and tls != "required":
        yield Finding(
            "failure",
            "Dovecot takes passwords in the clear",
            "whoever is on the way reads them, and then the mail",
            "demand TLS",
            ("disable_plaintext_auth = yes", "ssl = required"),
        )
    elif tls == "no":
        yield Finding(
            "failure",
            "Dovecot has no TLS, and without TLS it takes no passwords",
            "users cannot log in from elsewhere",
            "give it a certificate",
            ("ssl = required", "ssl_cert = </path/fullchain.pem", "ssl_key = </path/privkey.pem"),
        )


def _socket(host: Host, settings: Section) -> Iterator[Finding]:
    """Whether the socket that Postfix asks is one that Dovecot makes for it."""
    if host.value("smtpd_sasl_type") != "dovecot":
        return
    path = host.value("smtpd_sasl_path").removeprefix("unix:")
    if path.startswith("inet:") or not any(
        host.value_for(service, "smtpd_sasl_auth_enable") == "yes" for service in host.services
    ):
        return
    base = settings.value("base_dir")
    wanted = os.path.join(host.value("queue_directory"), path)
    owner = host.value("mail_owner")
    for service in settings.all("service"):
        for listener in service.all("unix_listener") if service.name == "auth" else ():
            if os.path.join(base, listener.name) != wanted:
                continue
            mode = listener.value("mode")
            if listener.value("user") != owner and not mode.endswith(("6", "7")):
                yield Finding(
                    "failure",
                    f"Dovecot's socket {wanted} has mode {mode}, and is not {owner}'s",
                    "Postfix may not ask it: nobody can log in to send",
                    "give it to Postfix",
                    ("mode = 0660", f"user = {owner}", f"group = {owner}"),
                )
            return
    yield Finding(
        "failure",
        f"Postfix asks {wanted} for passwords, and Dovecot makes no such socket",
        "nobody can log in to send",
        "have Dovecot make it",
        _SETTINGS,
    )
