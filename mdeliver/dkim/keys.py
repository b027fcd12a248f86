"""Key pairs of DKIM on this host: made, kept, and what they are for at the moment.

Place       DIRECTORY/DOMAIN/SELECTOR.pem, PKCS #8. The directory is root's; the group that the
            signing milter runs as may read, nobody else. DIRECTORY/keys.json says of each key:
States      new      made; its record is to be published, and nothing is signed with it yet
            signing  the milter signs with it
            retired  signs no more; its record stays until what it has signed has arrived
Guarantee   a key is on disk, whole, before anything names it, and no file is ever written over.
            What is not in keys.json is nobody's key here, and is left alone.
Fails with  DkimError (one line), OSError
See also    RFC 6376, 3.1 and 3.3.3; RFC 8301 (sizes); RFC 8463 (Ed25519); rotation.py
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from typing import Literal, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mdeliver import durable
from mdeliver.sent.files import remove_left_over, replace_file, temporary_name, write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Private = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

DIRECTORY = "/etc/mdeliver/dkim"
"""Where keys are unless the administrator says otherwise."""

Algorithm = Literal["rsa", "ed25519"]
State = Literal["new", "signing", "retired"]
ALGORITHMS: tuple[Algorithm, ...] = ("rsa", "ed25519")
STATES: tuple[State, ...] = ("new", "signing", "retired")

LEAST_BITS = 2048
"""RFC 8301 has verifiers take 1024; whoever makes a key today has no reason to."""

MOST_BITS = 4096
"""Larger keys need not be verified by anybody (RFC 6376, 3.3.3), and make records of two parts."""

_PEM_BYTES = 64 << 10
_REGISTER_BYTES = 4 << 20
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class DkimError(Exception):
    """One line for the administrator."""


class Key(NamedTuple):
    """A key pair.

    domain    that it signs for
    selector  its name there
    bits      of an RSA key; 256 for Ed25519
    since_s   when it came into its state, seconds since 1970
    """

    domain: str
    selector: str
    algorithm: Algorithm
    bits: int
    state: State
    since_s: float

    @property
    def name(self) -> str:
        """Where its record is in DNS."""
        return f"{self.selector}._domainkey.{self.domain}"

    def path(self, directory: str) -> str:
        """Its file."""
        return f"{directory}/{self.domain}/{self.selector}.pem"


def name_of(text: str, kind: str = "domain") -> str:
    """TEXT as a name in DNS, in small letters, IDNs as A-labels. Raises DkimError."""
    name = text.strip().rstrip(".").lower()
    try:
        name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise DkimError(f"{text} is no {kind}")
    return name


# --- the register ----------------------------------------------------------------------------


def registered(directory: str) -> list[Key]:
    """The keys of DIRECTORY, in the order in which they were made. Raises DkimError, OSError."""
    path = f"{directory}/keys.json"
    octets = durable.read_file(path, _REGISTER_BYTES)
    try:
        found = [_key(entry) for entry in json.loads(octets or b"[]")]
    except (ValueError, TypeError, LookupError, StopIteration, DkimError) as error:
        raise DkimError(f"{path} is damaged: {error}") from None
    return found


def _key(entry: dict[str, object]) -> Key:
    # The names become paths.
    names = name_of(str(entry["domain"])), name_of(str(entry["selector"]), "selector")
    algorithm = next(known for known in ALGORITHMS if known == entry["algorithm"])
    state = next(known for known in STATES if known == entry["state"])
    return Key(*names, algorithm, int(str(entry["bits"])), state, float(str(entry["since_s"])))


def register(directory: str, keys: Iterable[Key]) -> None:
    """Remember KEYS in the place of what DIRECTORY knew. Raises OSError."""
    lines = ",\n".join(json.dumps(key._asdict()) for key in keys)
    replace_file(f"{directory}/keys.json", f"[\n{lines}\n]\n".encode(), 0o640)


# --- making ----------------------------------------------------------------------------------


def make(
    directory: str, domain: str, selector: str, algorithm: Algorithm, bits: int, group: int | None
) -> Key:
    """Make a key pair and register it as new.

    bits   of an RSA key
    group  id of the group that may read it; None for its owner alone
    Raises DkimError where there is one of that name, OSError.
    """
    if algorithm == "rsa" and not LEAST_BITS <= bits <= MOST_BITS:
        raise DkimError(f"an RSA key has {LEAST_BITS} to {MOST_BITS} bits, not {bits}")
    domain, selector = name_of(domain), name_of(selector, "selector")
    if algorithm == "ed25519":
        bits = 256
    key = Key(domain, selector, algorithm, bits, "new", time.time())
    _directories(directory, domain, group)
    known = registered(directory)
    path = key.path(directory)
    if any(other.name == key.name for other in known) or durable.exists(path):
        raise DkimError(f"there is a key already: {path}")
    _write(path, _made(algorithm, bits), group)
    register(directory, [*known, key])
    return key


def _directories(directory: str, domain: str, group: int | None) -> None:
    durable.make_directory(os.path.dirname(directory), 0o755)
    for path in (directory, f"{directory}/{domain}"):
        durable.make_directory(path, 0o700)
        let_read(path, group)


def let_read(path: str, group: int | None) -> None:
    """Let GROUP read the file or enter the directory PATH, and nobody else but its owner."""
    mode = 0o700 if os.path.isdir(path) else 0o600
    if group is not None:
        os.chown(path, -1, group)
        mode |= 0o050 if os.path.isdir(path) else 0o040
    os.chmod(path, mode)


def _made(algorithm: Algorithm, bits: int) -> bytes:
    private: Private
    if algorithm == "rsa":
        private = rsa.generate_private_key(65537, bits)
    else:
        private = ed25519.Ed25519PrivateKey.generate()
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: str, octets: bytes, group: int | None) -> None:
    """Make PATH, whole or not at all, and never in the place of another."""
    remove_left_over(path)
    temporary = temporary_name(path)
    write_new(temporary, octets, 0o600)
    try:
        let_read(temporary, group)
        durable.link(temporary, path)
    except FileExistsError:
        raise DkimError(f"there is a key already: {path}") from None
    finally:
        durable.remove(temporary)
    durable.sync_directory(os.path.dirname(path))


# --- reading ---------------------------------------------------------------------------------


def public_octets(path: str) -> tuple[Algorithm, bytes]:
    """The algorithm, and what the record has in `p=`, of the private key in PATH.

    An RSA key is a SubjectPublicKeyInfo (RFC 6376, 3.6.1), an Ed25519 key its 32 octets (RFC 8463,
    4.2). Takes what OpenDKIM and dkimpy take: PEM, or the base64 of an Ed25519 seed.
    Raises DkimError, OSError.
    """
    octets = durable.read_file(path, _PEM_BYTES)
    if not octets:
        raise DkimError(f"{path}: there is no private key")
    try:
        if b"-----BEGIN" in octets:
            private: object = serialization.load_pem_private_key(octets, None)
        else:
            seed = base64.b64decode(octets.strip(), validate=True)
            private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DkimError(f"{path}: this is no private key without a passphrase") from None
    if isinstance(private, rsa.RSAPrivateKey):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return "rsa", private.public_key().public_bytes(serialization.Encoding.DER, form)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519", private.public_key().public_bytes_raw()
    raise DkimError(f"{path}: DKIM knows RSA and Ed25519, and this is another kind of key")


def readable_by_others(path: str, group: int | None) -> str:
    """Who may read or change the private key in PATH and should not; "" if nobody.

    Raises OSError.
    """
    for place in (path, os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
        status = os.stat(place)
        if status.st_mode & 0o002 or (place == path and status.st_mode & 0o007):
            return f"everybody ({place} has mode {status.st_mode & 0o7777:o})"
        if status.st_mode & 0o020:
            return f"the group {status.st_gid} may change {place}"
        if place == path and status.st_mode & 0o040 and status.st_gid != group:
            return f"the group {status.st_gid} ({place} has mode {status.st_mode & 0o7777:o})"
    return ""
