"""procmail's ^FROM_MAILER: what a mail system sends by itself, lists left out.

See also   procmailrc(5); `automatic` is ^FROM_DAEMON
"""

from __future__ import annotations

from mdeliver.procmail.wording import Test, any_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.wording import Expr

MAILER = (
    r"(?:post(?:ma(?:st(?:er)?|n)|office)|(?:send)?mail(?:er)?|daemon|mmdf|n?uucp|ops|"
    r"r(?:esponse|oot)|(?:bbs\.)?smtp(?:error)?|s(?:erv(?:ices?|er)|ystem)|"
    r"a(?:dmin(?:istrator)?|mmgr))"
)


_BEFORE = r"(?:[^>]*[^(.%@a-z0-9])?"
_AFTER = r"(?:[^).!:a-z0-9][-_a-z0-9]*)?"

VALUE, PATH = "mail_system", "mail_system_address"

DEFINITIONS = {
    VALUE: rf"/^{_BEFORE}{MAILER}(?:{_AFTER}[%@>\t ][^<)]*(?:\(.*\).*)?)?$/",
    PATH: rf"/^(?:$|{_BEFORE}{MAILER}{_AFTER}(?:[%@]|$))/",
}
"""What the names stand for, of headers and of the envelope's sender."""

_FIELDS = 'header "From", "Sender", "Resent-From", "Resent-Sender", "X-Envelope-From"'


def from_mailer() -> Expr:
    """^FROM_MAILER as tests of the headers that it names, and of the envelope."""
    return any_of([Test(_FIELDS, "matches", (VALUE,)), Test("sender", "matches", (PATH,))])
