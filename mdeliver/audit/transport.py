"""MTA-STS, TLS reports and DANE, where they are published: right, and true of this host.

MTA-STS     RFC 8461: a record _mta-sts.DOMAIN, and a policy that https://mta-sts.DOMAIN has. It is
            fetched as senders do: with a valid certificate, no redirect, a limit on size and time.
            What the policy does not name, they do not deliver to.
TLSRPT      RFC 8460: where they report that TLS failed
DANE        RFC 7672: TLSA records of MX hosts. One that does not match the certificate keeps mail
            from every sender that looks.
Published   nothing of this is missed where it is not there
"""

from __future__ import annotations

import fnmatch
import hashlib
import http.client
import re
import socket
import ssl
from contextlib import suppress
from threading import Timer

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mdeliver.audit.certificate import leaf_of
from mdeliver.audit.finding import Finding
from mdeliver.audit.passwords import certificates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.x509 import Certificate

    from mdeliver.audit.host import Host

POLICY_BYTES = 64 << 10
"""RFC 8461, 3.2: larger policies need not be read."""

_FETCH_S = 10
_STS = re.compile(r"v=STSv1[ \t]*;[ \t]*id=([A-Za-z0-9]{1,32})[ \t]*;?.*")
_RPT = re.compile(r"v=TLSRPTv1[ \t]*;[ \t]*rua=((?:mailto:|https://)[^;\s]+)[ \t]*;?.*")
_LONG_S = 86400

_AGE = re.compile("[0-9]{1,10}")
"""RFC 8461, 3.2: sts-policy-max-age-field-value."""

_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}


class FetchError(Exception):
    """Why a policy cannot be fetched."""


def fetch_policy(domain: str) -> str:
    """The MTA-STS policy of DOMAIN, as senders fetch it. Raises FetchError."""
    host = f"mta-sts.{domain}"
    connection = http.client.HTTPSConnection(
        host, timeout=_FETCH_S, context=ssl.create_default_context()
    )
    # A server that sends an octet now and then would keep each recv() content for ever.
    end = Timer(_FETCH_S, _cut, [connection])
    end.start()
    try:
        connection.request("GET", "/.well-known/mta-sts.txt")
        reply = connection.getresponse()
        if reply.status != http.client.OK:
            raise FetchError(f"https://{host} answers {reply.status}")
        return reply.read(POLICY_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(f"https://{host}: {error}") from None
    finally:
        end.cancel()
        connection.close()


def _cut(connection: http.client.HTTPSConnection) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)


def mta_sts_is_true(host: Host) -> Iterator[Finding]:
    """Whether what MTA-STS and TLSRPT say can be read, and is so."""
    nothing = True
    for domain in host.identity.domains:
        found = list(_mta_sts(host, domain))
        is_sound = bool(found) and all(finding.level == "fine" for finding in found)
        reports = list(_tls_reports(host, domain, is_sound))
        yield from (*found, *reports)
        nothing &= not (found or reports)
    if nothing:
        yield Finding("fine", "no MTA-STS and no TLSRPT is published, and none is needed")


def _mta_sts(host: Host, domain: str) -> Iterator[Finding]:
    name = f"_mta-sts.{domain}"
    answer = host.names.ask(name, "TXT")
    records = [value for value in answer.values if value.startswith("v=STSv1")]
    if not records:
        return
    if len(records) > 1 or not _STS.fullmatch(records[0]):
        yield Finding(
            "failure",
            f"{name} has " + (f"{len(records)} records" if len(records) > 1 else records[0][:80]),
            "senders take that for no MTA-STS (RFC 8461, 3.1)",
            "publish one, and a new id with each change of the policy",
            (f'{name}. TXT "v=STSv1; id=20260101T000000"',),
        )
        return
    if host.fetch_policy is None:
        yield Finding("fine", f"{domain} has an MTA-STS record; its policy was not fetched")
        return
    try:
        policy = host.fetch_policy(domain)
    except FetchError as error:
        yield Finding(
            "warning",
            f"the MTA-STS policy of {domain} cannot be fetched: {error}",
            "senders that know the policy keep to what it was; new ones do as if there were none",
            f"serve it at https://mta-sts.{domain}/.well-known/mta-sts.txt",
        )
        return
    yield from _policy(host, domain, policy)


def _policy(host: Host, domain: str, policy: str) -> Iterator[Finding]:
    lines = [line.partition(":") for line in policy.splitlines() if line.strip()]
    pairs = [(name.strip(), value.strip()) for name, _, value in lines]
    said = dict(pairs)
    patterns = [value.lower() for name, value in pairs if name == "mx"]
    mode = said.get("mode", "")
    age = said.get("max_age", "")
    if (
        said.get("version") != "STSv1"
        or mode not in ("enforce", "testing", "none")
        or not (_AGE.fullmatch(age) and (patterns or mode == "none"))
    ):
        yield Finding(
            "failure",
            f"the MTA-STS policy of {domain} is none: version, mode, mx or max_age is missing",
            "senders pass over it (RFC 8461, 3.2)",
            "write all four",
            ("version: STSv1", "mode: testing", f"mx: {host.identity.names[0]}", "max_age: 604800"),
        )
        return
    missing = [
        name
        for _n, name in host.names.exchangers(domain)[0]
        if not any(_is_named(pattern, name) for pattern in patterns)
    ]
    if missing and mode != "none":
        yield Finding(
            "failure" if mode == "enforce" else "warning",
            f"the MTA-STS policy of {domain} does not name {', '.join(missing)}",
            "senders do not deliver to an MX that the policy does not name",
            "name it, and then change the id of the record",
            tuple(f"mx: {name}" for name in missing),
        )
    elif int(age) < _LONG_S:
        yield Finding(
            "advice",
            f"the MTA-STS policy of {domain} holds for {age} s alone",
            "who is on the way has only to wait that long (RFC 8461, 10.2: weeks)",
            "let it hold for weeks",
            ("max_age: 604800",),
        )
    else:
        yield Finding("fine", f"the MTA-STS policy of {domain} ({mode}) names its MX hosts")


def _is_named(pattern: str, name: str) -> bool:
    """RFC 8461, 4.1: `*.` stands for one label."""
    if pattern.startswith("*."):
        return fnmatch.fnmatchcase(name, pattern) and name.count(".") == pattern.count(".")
    return pattern == name


def _tls_reports(host: Host, domain: str, has_sts: bool) -> Iterator[Finding]:
    name = f"_smtp._tls.{domain}"
    answer = host.names.ask(name, "TXT")
    records = [value for value in answer.values if value.startswith("v=TLSRPTv1")]
    paste = (f'{name}. TXT "v=TLSRPTv1; rua=mailto:postmaster@{domain}"',)
    if len(records) > 1 or (records and not _RPT.fullmatch(records[0])):
        yield Finding(
            "warning",
            f"{name} has " + (f"{len(records)} records" if len(records) > 1 else records[0][:80]),
            "nobody reports that TLS failed (RFC 8460, 3)",
            "publish one, with rua=mailto: or rua=https:",
            paste,
        )
    elif records:
        yield Finding("fine", f"reports about TLS of {domain} go to {_address(records[0])}")
    elif has_sts and answer.known:
        yield Finding(
            "advice",
            f"{domain} has MTA-STS, but no TLSRPT",
            "that others cannot deliver is not told",
            "have it reported",
            paste,
        )


def _address(record: str) -> str:
    match = _RPT.fullmatch(record)
    return match[1] if match else ""


# --- DANE ------------------------------------------------------------------------------------


def dane_is_true(host: Host) -> Iterator[Finding]:
    """Whether TLSA records of MX hosts can be used, and match the certificates here."""
    nothing = True
    hosts = [n for d in host.identity.domains for _n, n in host.names.exchangers(d)[0]]
    for name in dict.fromkeys(filter(None, hosts)):
        answer = host.names.ask(f"_25._tcp.{name}", "TLSA")
        if not answer.values:
            continue
        nothing = False
        complaints = list(_of_records(host, name, answer.values))
        yield from complaints
        if not complaints and host.fetch_policy is not None and not answer.secure:
            yield Finding(
                "advice",
                f"whether DNSSEC proves the TLSA records of {name} is not known",
                "without DNSSEC they have no effect; this resolver may only not look",
                "ask one that validates, with --resolver",
            )
        elif not complaints:
            yield Finding("fine", f"the TLSA records of {name} can be used")
    if nothing:
        yield Finding("fine", "no TLSA record is published, and none is needed")


def _of_records(host: Host, name: str, values: tuple[str, ...]) -> Iterator[Finding]:
    usable = []
    for value in values:
        usage, selector, matching, octets = _parted(value)
        if usage not in (2, 3) or selector not in (0, 1) or matching not in (0, 1, 2):
            yield Finding(
                "warning",
                f"_25._tcp.{name} TLSA {value[:40]} is of no use for mail",
                "senders heed DANE-TA (2) and DANE-EE (3) alone (RFC 7672, 3.1)",
                "publish 3 1 1 of the key",
            )
        else:
            usable.append((usage, selector, matching, octets))
    here = set(host.names.addresses(name)[0]) & set(host.identity.addresses)
    own = [entry for entry in usable if entry[0] == 3]
    if not here or not own or len(own) != len(usable):
        return
    leaves = _leaves(host)
    if leaves and not any(_matches(leaf, *entry[1:]) for leaf in leaves for entry in own):
        paste = tuple(
            f"_25._tcp.{name}. TLSA 3 1 1 {hashlib.sha256(_key(leaf)).hexdigest()}"
            for leaf in leaves
        )
        yield Finding(
            "failure",
            f"no TLSA record of {name} matches a certificate here",
            "senders that heed DANE do not deliver: mail waits there, and comes back",
            "publish the new record before the certificate changes; here it is too late for that",
            paste,
        )


def _parted(value: str) -> tuple[int, int, int, bytes]:
    try:
        usage, selector, matching, *digits = value.split()
        return int(usage), int(selector), int(matching), bytes.fromhex("".join(digits))
    except ValueError:
        return -1, -1, -1, b""


def _leaves(host: Host) -> list[Certificate]:
    found = []
    for path in certificates(host):
        try:
            leaf = leaf_of(path)
        except OSError:
            continue  # the check of certificates says so
        if leaf is not None:
            found.append(leaf)
    return found


def _key(leaf: Certificate) -> bytes:
    return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _matches(leaf: Certificate, selector: int, matching: int, octets: bytes) -> bool:
    shown = _key(leaf) if selector == 1 else leaf.public_bytes(Encoding.DER)
    digest = _DIGESTS.get(matching)
    return (digest(shown).digest() if digest else shown) == octets
