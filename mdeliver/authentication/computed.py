"""SPF, DKIM, DMARC and ARC of a message, found out here and now.

    message, envelope, client ──┬─► SPF  ─┐
                                ├─► DKIM ─┼─► DMARC ──► Results
    names (DNS or zone file) ───┴─► ARC  ─┘

Guarantee   every method has a result; nothing raises but the deadline of the delivery
Time        the settings' limit for the DNS, and what the body's size asks for
Imported    by a delivery whose rules ask, and only where the site's settings say `compute`
See also    RFC 8601 2.7, mdeliver-rules(5) WHO SENT IT
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdeliver import limits
from mdeliver.authentication.client import client_of, is_forwarder
from mdeliver.authentication.results import Result, of_one_author
from mdeliver.authentication.spf import check_spf, identity, original_sender
from mdeliver.authentication.wording import METHODS
from mdeliver.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mdeliver.authentication.client import Client
    from mdeliver.authentication.lookups import Names
    from mdeliver.envelope import Envelope
    from mdeliver.message import Message
    from mdeliver.settings import Checking, Site


class Computed(Record):
    """What was found out.

    results  at least one for each method
    client   who brought the message
    """

    results: tuple[Result, ...]
    client: Client

    def found(self, method: str) -> tuple[Result, ...]:
        """The results of METHOD."""
        return tuple([result for result in self.results if result.method == method])


def compute(
    message: Message, pieces: Iterable[bytes], envelope: Envelope, site: Site, names: Names
) -> Computed:
    """Check MESSAGE, whose octets are PIECES."""
    checking = site.checking
    client = client_of(message, envelope, site)
    if client.unchecked:
        results = [Result(method, "none", (), client.unchecked) for method in METHODS]
        return Computed(tuple(results), client)
    spf = _spf(client, envelope.sender, names, site)
    dkim, arc, sealer = _signatures(pieces, names, checking)
    dkim = of_one_author(dkim, message)
    dmarc = _dmarc(message, spf, dkim, names)
    forwarder = _forwarder(client, envelope.sender, spf, checking)
    if dmarc.result == "fail" and len(message.raw("from")) == 1 and (forwarder or sealer):
        why = f"fail, but {forwarder} forwarded it" if forwarder else f"fail, but {sealer} saw pass"
        dmarc = dmarc.replace(result="policy", reason=why)
    return Computed((spf, *dkim, dmarc, arc), client)


def _spf(client: Client, sender: str, names: Names, site: Site) -> Result:
    def check() -> Result:
        return check_spf(client, sender, names, site.checking.forwarders, site.hostname)

    result = _safely("spf", check)
    original = original_sender(sender)
    if original and result.result == "pass":
        result = result.replace(reason=f"{result.reason}; SRS, for {original}")
    return result if result.properties else result.replace(properties=identity(client, sender))


def _signatures(
    pieces: Iterable[bytes], names: Names, checking: Checking
) -> tuple[tuple[Result, ...], Result, str]:
    """DKIM, ARC, and the listed sealer that saw DMARC pass."""
    from mdeliver.authentication.arc import check_arc
    from mdeliver.authentication.dkim import check_dkim
    from mdeliver.authentication.signed import Signed

    try:
        signed = Signed(pieces)
    except (ValueError, MemoryError) as error:
        reason = str(error) or "there is not enough memory for it"
        return (Result("dkim", "neutral", (), reason),), Result("arc", "none", (), reason), ""
    sealer = ""
    dkim: tuple[Result, ...] = ()

    def check_signatures() -> Result:
        nonlocal dkim
        dkim = check_dkim(signed, names, checking.dkim_bits)
        return dkim[0]

    def check_chain() -> Result:
        nonlocal sealer
        chain = check_arc(signed, names, checking.sealers, checking.dkim_bits)
        sealer = chain.dmarc_by
        return chain.result

    first = _safely("dkim", check_signatures)
    return dkim or (first,), _safely("arc", check_chain), sealer


def _dmarc(message: Message, spf: Result, dkim: tuple[Result, ...], names: Names) -> Result:
    from mdeliver.authentication.dmarc import check_dmarc
    from mdeliver.authentication.lookups import ascii_domain

    if message.cut or len(message.fields) >= limits.HEADER_LINES:
        # One more From may stand where nobody looks.
        return Result("dmarc", "permerror", (), "the header is too long to know all of it")
    authors = [ascii_domain(address.domain) for address in message.addresses("from")]
    domains, fields = tuple(dict.fromkeys(authors)), len(message.raw("from"))
    return _safely("dmarc", lambda: check_dmarc(domains, fields, spf, dkim, names))


def _forwarder(client: Client, sender: str, spf: Result, checking: Checking) -> str:
    """Which forwarder on the list brought the message, in words; "" if none did."""
    if is_forwarder(client, checking.forwarders):
        return client.name or client.address
    # By SRS the forwarder's own domain is the sender, and SPF says that it is no other.
    domain = sender.rpartition("@")[2].lower()
    if original_sender(sender) and spf.result == "pass" and domain in checking.forwarders:
        return domain
    return ""


def _safely(method: str, check: Callable[[], Result]) -> Result:
    """The result of CHECK; what it raises is a mistake of ours, and nobody's mail waits for it."""
    try:
        return check()
    except Exception as error:
        return Result(method, "temperror", (), f"{type(error).__name__} in the check")
