"""ARC (RFC 8617): what those who passed a message on found out before they changed it.

Result    none, pass (every seal is right, and the newest signature of the message), fail,
          temperror. Anybody can seal: `pass` says who did, not that they are honest.
Believed  what sealers on the site's list found out, from the newest set down to the first of
          somebody else: dmarc.py takes it where DMARC would fail
By        dkimpy; limits.SEALS bounds the chain
Fails with  nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dkim

from mdeliver import limits
from mdeliver.authentication.lookups import Unanswered
from mdeliver.authentication.results import Result, parse_results
from mdeliver.authentication.signed import KeyRefused, Keys, tags_of, why_odd
from mdeliver.message import plain_text
from mdeliver.record import Record

if TYPE_CHECKING:
    from mdeliver.authentication.lookups import Names
    from mdeliver.authentication.signed import Signed

FIELDS = (b"arc-seal", b"arc-message-signature", b"arc-authentication-results")
_SET = len(FIELDS)


class Chain(Record):
    """What the chain says.

    result     for rules and the header
    dmarc_by   the listed sealer that saw DMARC pass, "" if none did
    """

    result: Result
    dmarc_by: str


def check_arc(signed: Signed, names: Names, sealers: tuple[str, ...], min_bits: int) -> Chain:
    """What the ARC chain of the message is worth.

    sealers   domains, in lower case, whose findings are believed; their subdomains too
    min_bits  of an RSA key
    """
    fields = signed.fields(*FIELDS)
    if not fields:
        return Chain(Result("arc", "none", (), "there is no chain"), "")
    odd = next(filter(None, map(why_odd, fields)), "")
    if not odd and len(fields) > limits.SEALS * _SET:
        odd = f"there are more than {limits.SEALS} sets"
    if odd:
        return _failed(odd)
    for tags in map(tags_of, signed.fields(b"arc-message-signature")):
        if "l" in tags or "from" not in tags.get("h", "").lower().split(":"):
            return _failed("a set signs no From, or a part of the body only")
    keys = _StrongKeys(names, signed.ends_s, min_bits)
    try:
        result, sets, reason = signed.verify_chain(keys)
    except Unanswered as unanswered:
        return Chain(Result("arc", "temperror", (), str(unanswered)), "")
    except Exception as error:
        return _failed(f"it cannot be read: {type(error).__name__}")
    if result != b"pass":
        return _failed(reason)
    sealer = _sealer(sets[0])
    properties = (("header.d", sealer), ("header.i", str(len(sets))))
    return Chain(Result("arc", "pass", properties, f"sealed by {sealer}"), _dmarc_by(sets, sealers))


class _StrongKeys(Keys):
    """Keys of enough bits: dkimpy says no more of each seal than whether it is right."""

    def __init__(self, names: Names, ends_s: float, min_bits: int) -> None:
        super().__init__(names, ends_s)
        self._min_bits = min_bits

    def __call__(self, name: bytes, timeout: float = 0) -> bytes:
        try:
            record = super().__call__(name, timeout)
        except KeyRefused as refused:
            # Of an older set only the seal must be right, not the signature of the message.
            raise dkim.KeyFormatError(str(refused)) from None
        if 0 < self.bits < self._min_bits:
            raise dkim.KeyFormatError(f"a key has {self.bits} bits only")
        return record


def _failed(reason: str) -> Chain:
    return Chain(Result("arc", "fail", (), reason), "")


def _sealer(one: dict[str, Any]) -> str:
    return plain_text(one["as-domain"]).lower()


def _dmarc_by(sets: list[dict[str, Any]], sealers: tuple[str, ...]) -> str:
    """The sealer on the list that saw DMARC pass; the newest of SETS comes first."""
    for one in sets:
        sealer = _sealer(one)
        if not any(sealer == known or sealer.endswith(f".{known}") for known in sealers):
            break
        # RFC 8617 4.1.1: "i=1;", then as in Authentication-Results.
        _instance, _, said = plain_text(one["aar-value"]).partition(";")
        _authserv_id, results = parse_results(said)
        if any(found.method == "dmarc" and found.result == "pass" for found in results):
            return sealer
    return ""
