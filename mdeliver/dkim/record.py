"""The record in DNS by which a DKIM key is known: written, read, and held against the private key.

    SELECTOR._domainkey.DOMAIN TXT "v=DKIM1; k=rsa; h=sha256; p=BASE64"

Tags        RFC 6376, 3.6.1: `v` stands first if it is there; `p` has to be; empty, it revokes the
            key. `t=y` asks verifiers to treat signatures as none, `t=s` forbids subdomains in `i=`.
            Capitals are other values (3.2): nobody verifies by `k=RSA`.
Long        a string in a TXT record has 255 octets; a record has several, which are joined.
Hostile     what is read may be anybody's: it is text here, cut where it is shown
See also    RFC 8301, RFC 8463; dkimpy's parse_tag_value, which reads the list
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from dkim.util import InvalidTagValueList, parse_tag_value

STRING_OCTETS = 255

_WEAK_BITS = 1024
_ADVISED_BITS = 2048
_ED25519_OCTETS = 32


class Published(NamedTuple):
    """What a record says.

    algorithm  "rsa", "ed25519" or another word
    public     the key; b"" for one that is revoked
    testing    whether verifiers are to ignore signatures
    hashes     those that may be used; () for all
    services   "*" or "email" is for mail
    """

    algorithm: str
    public: bytes
    testing: bool
    hashes: tuple[str, ...]
    services: tuple[str, ...]


class RecordError(Exception):
    """What is wrong with a record: a clause."""


def value_of(algorithm: str, public: bytes) -> str:
    """The text of the record for a key."""
    return f"v=DKIM1; k={algorithm}; h=sha256; p={base64.b64encode(public).decode()}"


REVOKED = "v=DKIM1; p="
"""What a name says whose key is not to be believed any more."""


def in_zone(name: str, value: str) -> str:
    """A TXT record as zone files have it, with its text in strings of the size that DNS allows."""
    strings = [value[at : at + STRING_OCTETS] for at in range(0, len(value), STRING_OCTETS)]
    quoted = ['"{}"'.format(string.replace("\\", "\\\\").replace('"', '\\"')) for string in strings]
    if len(quoted) == 1:
        return f"{name}. IN TXT {quoted[0]}"
    lines = "\n".join(f"    {string}" for string in quoted)
    return f"{name}. IN TXT (\n{lines}\n)"


def read(text: str) -> Published:
    """The record TEXT. Raises RecordError."""
    try:
        tags = {
            key.decode(): value.decode() for key, value in parse_tag_value(text.encode()).items()
        }
    except (InvalidTagValueList, ValueError):
        raise RecordError("is no list of tags (RFC 6376, 3.2)") from None
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise RecordError("does not begin with v=DKIM1")
    if "p" not in tags:
        raise RecordError("has no p=, that is, no key")
    try:
        public = base64.b64decode("".join(tags["p"].split()), validate=True)
    except (binascii.Error, ValueError):
        raise RecordError("has a p= that is no base64") from None
    return Published(
        tags.get("k", "rsa"),
        public,
        "y" in _words(tags.get("t", "")),
        _words(tags.get("h", "")),
        _words(tags.get("s", "*")),
    )


def _words(value: str) -> tuple[str, ...]:
    return tuple([word.strip() for word in value.split(":") if word.strip()])


def bits_of(published: Published) -> int:
    """How many bits the key has. Raises RecordError where it is none of its algorithm."""
    if published.algorithm == "ed25519":
        if len(published.public) != _ED25519_OCTETS:
            raise RecordError(f"has {len(published.public)} octets where an Ed25519 key has 32")
        return 8 * _ED25519_OCTETS
    if published.algorithm != "rsa":
        raise RecordError(f"is of an algorithm that nobody verifies, {published.algorithm}")
    try:
        key = load_der_public_key(published.public)
    except (ValueError, UnsupportedAlgorithm):
        raise RecordError("has a p= that is no RSA key") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise RecordError("has a key that is not RSA's")
    return key.key_size


def weakness(published: Published) -> str:
    """What is unsafe or useless about a record of a key that is in use; "" if nothing is.

    Raises RecordError.
    """
    bits = bits_of(published)
    if published.algorithm == "rsa" and bits < _WEAK_BITS:
        return f"has {bits} bits; verifiers take no signature by it (RFC 8301, 3.2)"
    if published.algorithm == "rsa" and bits < _ADVISED_BITS:
        return f"has {bits} bits; {_ADVISED_BITS} are what signers should use (RFC 8301, 3.2)"
    if published.hashes and "sha256" not in published.hashes:
        return "does not allow sha256, and sha1 is no longer believed (RFC 8301, 3.1)"
    if not {"*", "email"} & set(published.services):
        return "is not for mail: it has neither s=email nor s=*"
    if published.testing:
        return "says t=y: verifiers treat what is signed by it as if it was not"
    return ""
