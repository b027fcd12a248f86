"""DKIM: is what leaves signed, and can others verify it.

Keys        those that milters sign with (signers.py): the record is there, is of the private key,
            strong enough, and not in test mode; nobody else can read the private key
Milters     where users send, and for what is sent on this host itself (non_smtpd_milters)
See also    dkim/record.py, which reads records; RFC 6376, RFC 8301, RFC 8463
"""

from __future__ import annotations

import os

from mdeliver.audit import dmarc
from mdeliver.audit.finding import Finding, unanswered
from mdeliver.audit.signers import GIVEN, SigningKey, signing_keys
from mdeliver.dkim import keys, record
from mdeliver.dkim.keys import DkimError
from mdeliver.sent.setup import demands_auth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

_FAILS = "every signature by this key fails, and with a DMARC policy the mail with it"
_MAKE = ("mdeliver dkim --make", "mdeliver dkim --apply")


def mail_is_signed(host: Host) -> Iterator[Finding]:
    """Whether each domain's mail is signed with a key that others can verify."""
    known = signing_keys(host)
    if any(key.by != GIVEN for key in known):
        yield from _milters(host)
    for domain in host.identity.domains:
        own = [key for key in known if key.domain in (domain, "*") or _is_above(key.domain, domain)]
        if not own:
            yield _unsigned(host, domain)
    for key in known:
        complaints = [*_private(key), *_published(host, key)]
        yield from complaints
        if not complaints:
            yield Finding("fine", f"{key.name} ({key.by}) is published as it should be")


def _is_above(domain: str, name: str) -> bool:
    return name.endswith(f".{domain}")


def _unsigned(host: Host, domain: str) -> Finding:
    strict = dmarc.enforces(host.names, domain)
    return Finding(
        "warning" if strict else "advice",
        f"no DKIM key is known that signs mail of {domain}",
        "forwarded mail fails SPF, and then, without a signature, "
        + ("DMARC: it is refused" if strict else "nothing shows that it is genuine"),
        "have it signed; a key that is not in a file of OpenDKIM, dkimpy-milter or rspamd can be "
        "named with --dkim",
        _MAKE,
    )


def _milters(host: Host) -> Iterator[Finding]:
    """Whether milters see what leaves."""
    users = [s for s in host.public_services if demands_auth(s)] or host.public_services
    blind = [s.name for s in users if not host.value_for(s, "smtpd_milters")]
    if blind:
        yield Finding(
            "failure",
            f"{', '.join(blind)} asks no milter (smtpd_milters is empty)",
            "what users send there leaves without a signature",
            "have the signing milter asked",
            _MAKE[1:],
        )
    if not host.value("non_smtpd_milters"):
        yield Finding(
            "warning",
            "non_smtpd_milters is empty",
            "what is sent on this host itself, such as replies and cron's mail, is not signed",
            "have the signing milter asked there, too",
            ("postconf -e 'non_smtpd_milters = $smtpd_milters'", "postfix reload"),
        )


def _private(key: SigningKey) -> Iterator[Finding]:
    if not key.path:
        return
    try:
        mode = os.stat(key.path).st_mode
    except PermissionError:
        return
    except OSError:
        yield Finding(
            "failure",
            f"the key of {key.name} ({key.by}) is {key.path}, and there is no such file",
            "nothing is signed",
            "make the key, or name another",
            _MAKE,
        )
        return
    if mode & 0o007:
        yield Finding(
            "failure",
            f"everybody on this host can read or change the private key {key.path}",
            "whoever has it signs in your name; OpenDKIM refuses to use it",
            "let the milter alone read it, and make a new key",
            (f"chmod o= '{key.path}'", "mdeliver dkim --rotate"),
        )


def _published(host: Host, key: SigningKey) -> Iterator[Finding]:
    """Whether DNS has the record of the key."""
    answer = host.names.ask(key.name, "TXT")
    if not answer.known:
        yield unanswered(f"the record of {key.name}", answer)
        return
    try:
        wanted = keys.public_octets(key.path) if key.path else None
    except (DkimError, OSError) as error:
        wanted = None
        if os.path.exists(key.path):
            why = getattr(error, "strerror", None) or str(error)
            yield Finding("advice", f"the key {key.path} cannot be read: {why}", "", "run as root")
    paste: tuple[str, ...] = ()
    if wanted:
        paste = tuple(record.in_zone(key.name, record.value_of(*wanted)).splitlines())
    what = ""
    level = "failure"
    if not answer.values:
        what = f"{key.name} ({key.by}) is not published"
    elif len(answer.values) > 1:
        what = f"{key.name} has {len(answer.values)} TXT records, and one may be"
    else:
        try:
            found = record.read(answer.values[0])
            if not found.public:
                what = f"the key {key.name} is revoked: p= is empty"
            elif wanted and wanted != (found.algorithm, found.public):
                what = f"{key.name} is the record of another key than {key.path}"
            elif weak := record.weakness(found):
                what, level = f"the key {key.name} {weak}", "warning"
        except record.RecordError as error:
            what = f"the record {key.name} {error}"
    if what and level == "failure":
        yield Finding("failure", what, _FAILS, "publish the record", paste)
    elif what:
        yield Finding(
            "warning",
            what,
            "verifiers may not take its signatures",
            "make a better one",
            ("mdeliver dkim --make",),
        )
