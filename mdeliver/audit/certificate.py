"""The certificates that smtpd(8) shows: readable, valid for some time, and the host's own name.

See also  RFC 8314, 4; postconf(5), smtpd_tls_chain_files
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta

from cryptography import x509

from mdeliver import durable
from mdeliver.audit.finding import Finding
from mdeliver.audit.passwords import certificates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdeliver.audit.host import Host

_BYTES = 1 << 20
_SOON = timedelta(days=14)


def certificates_are_valid(host: Host) -> Iterator[Finding]:
    """Whether certificates can be read, are valid, and keys are nobody else's."""
    paths = certificates(host)
    if not paths:
        yield Finding("fine", "no certificate is set, so none can be out of date")
    for path in dict.fromkeys([*paths, *_keys(host)]):
        complaints = [*_exposed(path), *_of_file(host, path)]
        yield from complaints
        if not complaints:
            yield Finding("fine", f"{path} is in order")


def leaf_of(path: str) -> x509.Certificate | None:
    """The first certificate in the file PATH; None if it has none. Raises OSError."""
    octets = durable.read_file(path, _BYTES)
    try:
        return next(iter(x509.load_pem_x509_certificates(octets)), None)
    except ValueError:
        return None


def _keys(host: Host) -> list[str]:
    names = ("key_file", "eckey_file", "dkey_file")
    values = [host.value(f"smtpd_tls_{name}") for name in names]
    return [value for value in values if value not in ("", "none")]


def _exposed(path: str) -> Iterator[Finding]:
    """Whether others can read the key in PATH."""
    try:
        mode = os.stat(path).st_mode
        has_key = mode & stat.S_IROTH and b"PRIVATE KEY" in durable.read_file(path, _BYTES)
    except OSError:
        return
    if has_key:
        yield Finding(
            "failure",
            f"everybody on this host can read the private key in {path}",
            "whoever has it can pass for this server",
            "let root alone read it",
            (f"chmod 600 {path}",),
        )


def _of_file(host: Host, path: str) -> Iterator[Finding]:
    if not os.path.exists(path):
        yield Finding(
            "failure",
            f"{path} does not exist",
            "there is no TLS without it: users cannot send",
            "make it, or name another file",
        )
        return
    try:
        leaf = leaf_of(path)
    except OSError as error:
        yield Finding("advice", f"{path} cannot be read: {error.strerror}", "", "run this as root")
        return
    if leaf is None:
        return
    left = leaf.not_valid_after_utc - datetime.now(UTC)
    # A certificate for a few days is renewed when two thirds of them are over.
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if left < min(_SOON, lifetime / 3):
        over = left.total_seconds() < 0
        yield Finding(
            "failure" if over else "warning",
            f"the certificate in {path} {'ended' if over else 'ends'} on "
            f"{leaf.not_valid_after_utc:%Y-%m-%d}",
            "mail programs refuse to send through a server whose certificate has ended",
            "renew it, and see why that does not happen by itself",
        )
    name = host.value("myhostname").lower()
    names = _names(leaf)
    if not any(_covers(one, name) for one in names):
        yield Finding(
            "advice",
            f"the certificate in {path} is for {', '.join(names) or 'no name'}, not for {name}",
            "mail programs warn of it, and so do servers that check (DANE, MTA-STS)",
            f"have one made for {name}",
        )


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    except (x509.ExtensionNotFound, ValueError):
        common = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(attribute.value).lower() for attribute in common]


def _covers(pattern: str, name: str) -> bool:
    """RFC 6125, 6.4.3: a wildcard stands for one label."""
    return pattern == name or (pattern.startswith("*.") and pattern[2:] == name.partition(".")[2])
