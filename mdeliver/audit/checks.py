"""Every check that `mdeliver audit` makes, in the order in which it shows them.

A further check is a function in a module beside this one, and a line here. It takes a Host and
gives Findings; it changes nothing, and says of everything that is wrong what to paste.
"""

from __future__ import annotations

from mdeliver.audit import (
    certificate,
    dkim,
    dmarc,
    domains,
    dovecot,
    local_delivery,
    lookuptables,
    mailboxes,
    passwords,
    relay,
    reverse,
    sent_copies,
    spf,
    standards,
    transport,
    wiring,
)
from mdeliver.audit.doveconf import DovecotError
from mdeliver.audit.finding import Check, Finding
from mdeliver.dkim.keys import DkimError
from mdeliver.postfix.configuration import PostfixError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mdeliver.audit.host import Host

GROUPS = {
    "postfix": "Postfix's settings",
    "sent": "copies of sent mail",
    "dns": "what DNS says of this host and its domains",
    "dovecot": "Dovecot, and the mailboxes that it shares with mdeliver",
}
"""Every group of checks, whose name stands for all of them."""

CHECKS = (
    Check("settings", "postfix", "names of settings", lookuptables.settings_are_known),
    Check("tables", "postfix", "lookup tables", lookuptables.tables_are_in_order),
    Check("relay", "postfix", "relaying for strangers", relay.relay_is_closed),
    Check("standards", "postfix", "checks of the standards", standards.checks_hold),
    Check("exempt", "postfix", "own clients and users", standards.own_clients_are_exempt),
    Check("greeting", "postfix", "clients that speak too early", standards.strangers_wait),
    Check("passwords", "postfix", "AUTH and submission", passwords.passwords_are_safe),
    Check("tls", "postfix", "TLS", passwords.tls_is_offered),
    Check("certificate", "postfix", "certificates and keys", certificate.certificates_are_valid),
    Check("delivery", "postfix", "the way to mdeliver", wiring.mail_comes_here),
    Check("delimiter", "postfix", "recipient delimiter", local_delivery.delimiter_is_set),
    Check("message-size", "postfix", "size of messages", local_delivery.messages_are_limited),
    Check("mailbox-limit", "postfix", "size of mailboxes", local_delivery.mailbox_limit_is_large),
    Check("sent-map", "sent", "the map of sent copies", sent_copies.map_is_fresh),
    Check("sent-scope", "sent", "whose mail is copied", sent_copies.scope_is_sound),
    Check("reverse", "dns", "addresses lead to names and back", reverse.addresses_lead_back),
    Check("helo", "dns", "the name this host greets with", reverse.greeting_is_a_name),
    Check("domains", "dns", "domains of senders, and their MX", domains.domains_exist),
    Check("spf", "dns", "SPF records of domains", spf.domains_have_spf),
    Check("spf-names", "dns", "SPF of other names", spf.names_have_spf),
    Check("dkim", "dns", "DKIM keys and who signs", dkim.mail_is_signed),
    Check("dmarc", "dns", "DMARC records", dmarc.domains_have_dmarc),
    Check("mta-sts", "dns", "MTA-STS and TLSRPT", transport.mta_sts_is_true),
    Check("dane", "dns", "TLSA records", transport.dane_is_true),
    Check("places", "dovecot", "what IMAP and POP3 read", dovecot.places_are_two),
    Check("folders", "dovecot", "special uses of folders", dovecot.folders_have_uses),
    Check("logins", "dovecot", "passwords for Dovecot", dovecot.logins_are_safe),
    Check("locks", "dovecot", "locks of mboxes", mailboxes.locks_agree),
    Check("mailboxes", "dovecot", "owners and modes of mailboxes", mailboxes.mailboxes_are_private),
)


def chosen(only: Collection[str] = (), skip: Collection[str] = ()) -> list[Check]:
    """The checks that ONLY names, () for all, without those that SKIP names; groups, too."""

    def is_in(check: Check, words: Collection[str]) -> bool:
        return check.name in words or check.group in words

    return [c for c in CHECKS if (not only or is_in(c, only)) and not is_in(c, skip)]


def run_check(check: Check, host: Host) -> Iterator[Finding]:
    """The findings of CHECK; that it cannot look is a failure."""
    try:
        yield from check.run(host)
    except (PostfixError, DovecotError, DkimError, OSError) as error:
        yield Finding("failure", f"cannot be checked: {error}", "", "mend what it says")
