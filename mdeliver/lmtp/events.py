"""What the LMTP engine tells its host, and what the host tells it first: values.

See also    protocol.py
"""

from __future__ import annotations

from enum import Enum

from mdeliver import limits
from mdeliver.lmtp.commands import FORWARDED_NAMES, Mail, Rcpt
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Where a session is; protocol.py has the table."""

    COMMAND = "command"
    ASKED = "asked"
    CONTENT = "content"
    CHUNK = "chunk"
    SETTLING = "settling"
    TLS = "tls"
    OVER = "over"


class Offers(Record):
    """What this server offers in its answer to LHLO.

    hostname     its name
    size         octets of the largest message, 0 for no limit
    recipients   of one message
    starttls     whether TLS can be started
    xforward     whether this client may say where mail came from
    """

    hostname: str
    size: int = 0
    recipients: int = limits.LMTP_RECIPIENTS
    starttls: bool = False
    xforward: bool = False

    def lines(self, *, encrypted: bool) -> list[str]:
        """The answer to LHLO; ENCRYPTED: TLS is on."""
        found = [self.hostname, "PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"]
        found += ["DSN", "CHUNKING", f"SIZE {self.size}" if self.size else "SIZE"]
        if self.starttls and not encrypted:
            found.append("STARTTLS")
        if self.xforward:
            found.append(f"XFORWARD {' '.join(FORWARDED_NAMES)}")
        return found


# --- events ----------------------------------------------------------------------------------


class Asked(Record):
    """RCPT: answer with `allow` or `refuse`."""

    mail: Mail
    rcpt: Rcpt


class Content(Record):
    """A piece of the message, with LF line ends."""

    octets: bytes


class Ended(Record):
    """The message is whole: deliver it, and `settle` each recipient by its place in the tuple.

    forwarded  what XFORWARD said, by attribute
    """

    mail: Mail
    recipients: tuple[Rcpt, ...]
    forwarded: Mapping[str, str]


class Dropped(Record):
    """Forget what came of this message: the client gave it up, or it broke a limit."""


class TlsWanted(Record):
    """Begin TLS once the output is written, then call `tls_started`."""


class Over(Record):
    """Close the connection once the output is written."""


if TYPE_CHECKING:
    Event = Asked | Content | Ended | Dropped | TlsWanted | Over
