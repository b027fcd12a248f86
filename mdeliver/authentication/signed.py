"""What DKIM and ARC have in common: the message as dkimpy takes it, and the keys in the DNS.

Guarantee   no octets of a message, and no key, make dkimpy take long: it has regular expressions
            that take quadratic time on white space, copies a field for each of its folds, and
            computes with keys of any size
Own policy  one record, not revoked, RSA of at most limits.KEY_BITS with a small exponent, a hash
            that the record allows; the lower bound of a key's size is the caller's
See also    RFC 6376 3.6.1, RFC 8301, RFC 8463
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any

import dkim
import dkim.util

from mdeliver import limits
from mdeliver.authentication.lookups import Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.authentication.lookups import Names

_QUIET = logging.getLogger("mdeliver.dkimpy")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
"""dkimpy complains of what a sender wrote: nothing that a host's log needs."""

_LONG_WHITE = re.compile(rb"[ \t\r\n]{64}")
_WHITE = re.compile(rb"[ \t]+")
_TAGS = re.compile(rb"^[ \t\r\n]*([A-Za-z]\w*)[ \t\r\n]*$")

_EXPONENT_BITS = 64


class KeyRefused(Exception):
    """The key is not one that a signature can be checked with; the words say why."""


class Keys:
    """The keys that the signatures of one message name."""

    def __init__(self, names: Names, ends_s: float) -> None:
        """ENDS_S: when there is no more time for signatures, of time.monotonic()."""
        self._names = names
        self._ends_s = ends_s
        self.bits = 0
        """Size of the RSA key that was read last; 0 for another kind."""
        self.flags: frozenset[bytes] = frozenset()
        """The flags (t=) of the key that was read last: `y` it is tried, `s` no subdomains."""
        self.wanted = b"rsa"
        """The kind of key that the signature is of: rsa or ed25519."""
        self.unanswered = ""
        """What could not be known, in words; "" where all was answered."""

    def __call__(self, name: bytes, timeout: float = 0) -> bytes:  # noqa: ARG002 - as dkimpy calls
        """The record at NAME. Raises KeyRefused, Unanswered: dkimpy lets both through."""
        if time.monotonic() > self._ends_s:
            raise Unanswered(f"signatures took longer than {limits.SIGNATURES_S} s")
        try:
            records = self._names.texts(name.decode("utf-8"))
        except UnicodeDecodeError:
            raise KeyRefused("the name of the key is no name") from None
        except Unanswered as unanswered:
            self.unanswered = str(unanswered)
            raise
        if len(records) != 1:
            raise KeyRefused("there are several keys" if records else "there is no key")
        self._look_at(records[0])
        return records[0]

    def _look_at(self, record: bytes) -> None:
        try:
            tags = dkim.util.parse_tag_value(record)
        except dkim.util.InvalidTagValueList:
            raise KeyRefused("the key's record cannot be read") from None
        self.flags = frozenset(flag.strip() for flag in tags.get(b"t", b"").split(b":"))
        self.bits = 0
        if not tags.get(b"p"):
            raise KeyRefused("the key was revoked")
        hashes = [name.strip() for name in tags.get(b"h", b"sha256").split(b":")]
        if b"sha256" not in hashes:
            raise KeyRefused("the key is not for sha256")
        services = [name.strip() for name in tags.get(b"s", b"*").split(b":")]
        if not {b"*", b"email"} & set(services):
            raise KeyRefused("the key is not for mail")
        if tags.get(b"k", b"rsa") != self.wanted:
            raise KeyRefused("the key is of another kind")
        if self.wanted == b"rsa":
            self.bits = self._rsa_bits(record)

    def _rsa_bits(self, record: bytes) -> int:
        try:
            key, bits, _kind, _for_reports = dkim.evaluate_pk("", record)
            exponent = key["publicExponent"].bit_length()
        except Exception:
            raise KeyRefused("the key cannot be read") from None
        if bits > limits.KEY_BITS or exponent > _EXPONENT_BITS:
            raise KeyRefused(f"the key of {bits} bits is too large")
        return int(bits)


class Signed:
    """A message whose signatures are checked."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        """PIECES of the message. Raises ValueError where it cannot be read as one; words why."""
        octets = _joined(pieces)
        if odd := _why_odd_head(octets):
            raise ValueError(odd)
        try:
            self._message = dkim.DKIM(octets, logger=_QUIET)
            self._chain = dkim.ARC(logger=_QUIET)
        except (dkim.DKIMException, IndexError, ValueError):
            raise ValueError("its header has lines that are no fields") from None
        self._chain.headers = [_unfolded(name, value) for name, value in self._message.headers]
        self._simple: bytes = self._message.body
        self._relaxed: bytes | None = None
        self.ends_s = time.monotonic() + limits.SIGNATURES_S
        """When there is no more time for its signatures."""

    def fields(self, *names: bytes) -> list[bytes]:
        """The values of the fields called one of NAMES (lower case), with their folds."""
        return [bytes(v) for name, v in self._message.headers if name.lower() in names]

    @property
    def simple(self) -> bytes:
        """The body as it is, lines ending in CRLF."""
        return self._simple

    @property
    def relaxed(self) -> bytes:
        """The body with white space as `relaxed` has it (RFC 6376 3.4.4 a).

        To do so again changes nothing, and takes dkimpy linear time.
        """
        if self._relaxed is None:
            self._relaxed = _WHITE.sub(b" ", self._simple).replace(b" \r\n", b"\r\n")
        return self._relaxed

    def verify(self, number: int, keys: Keys, *, relaxed: bool) -> bool:
        """Whether DKIM signature NUMBER (from 0, the topmost) is right; raises what dkimpy does."""
        self._message.body = self.relaxed if relaxed else self._simple
        return bool(self._message.verify(idx=number, dnsfunc=keys))

    def verify_chain(self, keys: Keys) -> tuple[Any, list[dict[str, Any]], str]:
        """What dkimpy says of the ARC chain; raises what it does."""
        self._chain.body = self.relaxed
        found: tuple[Any, list[dict[str, Any]], str] = self._chain.verify(dnsfunc=keys)
        return found


def _unfolded(name: bytes, value: bytes) -> list[bytes]:
    """A field as the chain takes it: dkimpy looks for ` i=N;` in an ARC-Message-Signature."""
    canonical = tags_of(value).get("c", "relaxed").lower().partition("/")[0]
    if name.lower() != b"arc-message-signature" or canonical != "relaxed":
        return [name, value]
    # White space is one space by this canonical form, wherever a line was folded.
    return [name, b" " + b" ".join(value.split()) + b"\r\n"]


def _joined(pieces: Iterable[bytes]) -> bytes:
    found: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limits.SIGNED_BYTES:
            raise ValueError(f"it is larger than {limits.SIGNED_BYTES >> 20} MB")
        found.append(piece)
    return b"".join(found)


def _why_odd_head(octets: bytes) -> str:
    """Why the header of the message OCTETS is not looked at, in words; "" if it is."""
    ends = [at for at in (octets.find(b"\n\n"), octets.find(b"\n\r\n")) if at >= 0]
    end = min(ends, default=len(octets))
    if end > limits.HEAD_BYTES:
        return f"its header is longer than {limits.HEAD_BYTES >> 10} KB"
    # dkimpy copies a field for each line by which it goes on.
    folds = octets.count(b"\n ", 0, end) + octets.count(b"\n\t", 0, end)
    return (
        f"its header has more than {limits.SIGNED_FOLDS} folds"
        if folds > limits.SIGNED_FOLDS
        else ""
    )


def why_odd(field: bytes) -> str:
    """Why a signature's FIELD is not looked at, in words; "" if it is."""
    if len(field) > limits.SIGNATURE_BYTES:
        return f"the field is longer than {limits.SIGNATURE_BYTES >> 10} KB"
    if field.count(b":") > limits.SIGNED_FIELDS:
        return f"it names more than {limits.SIGNED_FIELDS} fields"
    # dkimpy's expressions try a run of white space from each of its octets.
    return "the field is full of white space" if _LONG_WHITE.search(field) else ""


def tags_of(field: bytes) -> dict[str, str]:
    """The tags of a signature's FIELD, folds and white space taken out; what is none is left."""
    found: dict[str, str] = {}
    for spec in field.split(b";"):
        name, equals, value = spec.partition(b"=")
        if equals and (tag := _TAGS.match(name)):
            text = b"".join(value.split()).decode("utf-8", "replace")
            found.setdefault(tag[1].decode(), text)
    return found
