"""DKIM (RFC 6376): which domains say, by a signature, that the message is theirs?

By          dkimpy; ed25519 (RFC 8463) by PyNaCl
Results     one for each signature (RFC 8601 2.7.1):
              pass       it is right
              fail       it is wrong, or the body is another one
              policy     right or wrong, it proves nothing here: SHA-1, a key of too few bits, a
                         body that goes on after what is signed (l=), a signature that has expired
              neutral    it cannot be read; it is wrong, and its owner only tries the key (t=y)
              permerror  there is no key, or not one for it; From is not signed
              temperror  the key is not known now
Cap         limits.SIGNATURES from the top are looked at
Fails with  nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dkim

from mdeliver import limits
from mdeliver.authentication.lookups import Unanswered
from mdeliver.authentication.results import Result
from mdeliver.authentication.signed import KeyRefused, Keys, tags_of, why_odd

if TYPE_CHECKING:
    from mdeliver.authentication.lookups import Names
    from mdeliver.authentication.signed import Signed

FIELD = b"dkim-signature"


def check_dkim(signed: Signed, names: Names, min_bits: int) -> tuple[Result, ...]:
    """What each signature of the message is worth, the topmost first.

    min_bits  an RSA key of fewer bits proves nothing (RFC 8301 3.2: 1024)
    """
    fields = signed.fields(FIELD)
    if not fields:
        return (Result("dkim", "none", (), "there is no signature"),)
    keys = Keys(names, signed.ends_s)
    found = []
    for number, field in enumerate(fields[: limits.SIGNATURES]):
        tags = tags_of(field)
        result, reason = _check(signed, number, field, tags, keys, min_bits)
        found.append(Result("dkim", result, _properties(tags), reason))
    if len(fields) > limits.SIGNATURES:
        more = f"{len(fields) - limits.SIGNATURES} more signatures are not looked at"
        found[-1] = found[-1].replace(reason=f"{found[-1].reason}; {more}")
    return tuple(found)


def _properties(tags: dict[str, str]) -> tuple[tuple[str, str], ...]:
    named = (("header.d", "d"), ("header.s", "s"), ("header.a", "a"))
    return tuple([(name, tags[tag].lower()) for name, tag in named if tags.get(tag)])


def _check(
    signed: Signed, number: int, field: bytes, tags: dict[str, str], keys: Keys, min_bits: int
) -> tuple[str, str]:
    """Result and reason for one signature."""
    odd = why_odd(field)
    if odd:
        return "neutral", odd
    relaxed = tags.get("c", "").lower().endswith("/relaxed")
    if tags.get("a", "").lower() == "rsa-sha1":
        return "policy", "SHA-1 proves nothing (RFC 8301)"
    if tags.get("h") is not None and "from" not in tags["h"].lower().split(":"):
        return "permerror", "From is not signed"
    keys.flags, keys.wanted = frozenset(), tags.get("a", "").lower().partition("-")[0].encode()
    try:
        right = signed.verify(number, keys, relaxed=relaxed)
    except Unanswered as unanswered:
        return "temperror", str(unanswered)
    except KeyRefused as refused:
        return "permerror", str(refused)
    except dkim.ValidationError as error:
        if "body hash mismatch" in str(error):
            return _wrong("the body is not what was signed", keys)
        expired = "is past" in str(error)
        return ("policy", "it has expired") if expired else ("neutral", "it cannot be read")
    except Exception as error:
        # What dkimpy does not expect: octets that are no base64, numbers too long for a number ...
        return "neutral", f"it cannot be read: {type(error).__name__}"
    if not right:
        return _wrong("the signature is wrong", keys)
    return _worth(signed, tags, keys, min_bits, relaxed)


def _wrong(reason: str, keys: Keys) -> tuple[str, str]:
    # RFC 6376 3.6.1: what is only tried is as if it were not signed.
    if b"y" in keys.flags:
        return "neutral", f"{reason}, but its owner only tries the key"
    return "fail", reason


def _worth(
    signed: Signed, tags: dict[str, str], keys: Keys, min_bits: int, relaxed: bool
) -> tuple[str, str]:
    """What a signature that is right proves."""
    domain = tags.get("d", "").lower()
    identity = tags.get("i", "").lower().rpartition("@")[2]
    if b"s" in keys.flags and identity and identity != domain:
        return "permerror", "the key is not for subdomains"
    if 0 < keys.bits < min_bits:
        return "policy", f"the key has {keys.bits} bits only"
    if "l" in tags:
        body = signed.relaxed if relaxed else signed.simple
        if int(tags["l"]) < len(body.rstrip(b"\r\n")):
            return "policy", f"no more than {tags['l']} octets of the body are signed (l=)"
    return "pass", f"signed by {domain}"
