"""Results in words: Authentication-Results (RFC 8601), and the decision log's short form of it.

    spf=pass smtp.mailfrom=example.org; dkim=pass header.d=example.org header.s=sel; arc=none

Guarantee   one line of printable ASCII, of bounded length, whatever a sender put into names
See also    history/decisions.py, results.py, which reads both
"""

from __future__ import annotations

from mdeliver import limits
from mdeliver.authentication.results import believed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.authentication.results import Result
    from mdeliver.message import Message
    from mdeliver.settings import Site

METHODS = ("spf", "dkim", "dmarc", "arc")

# RFC 2045 5.1 token, and `@`, which pvalue may have.
_TOKEN = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+@!#$%&'*^`{|}~"
)

_VALUE_CHARACTERS = 253
_REASON_CHARACTERS = 160


def as_text(results: Iterable[Result]) -> str:
    """RESULTS as the decision log has them."""
    return _joined([_result(result) for result in results])


def field_text(authserv_id: str, results: Iterable[Result]) -> str:
    """The value of an Authentication-Results field, with reasons as comments."""
    return _joined([_value(authserv_id), *[_result(r, _comment(r.reason)) for r in results]])


def believed_text(message: Message, site: Site) -> str:
    """What the fields say that are believed, as the decision log has it; "" where none are."""
    found = believed(message, site)
    return as_text([result for method in METHODS for result in found.found(method)])


def _joined(pieces: list[str]) -> str:
    """PIECES parted by "; ", as many as a field has room for."""
    text = ""
    for piece in pieces:
        longer = f"{text}; {piece}" if text else piece
        if len(longer) > limits.HEADER_TEXT:
            break
        text = longer
    return text


def _result(result: Result, comment: str = "") -> str:
    words = [f"{_value(result.method)}={_value(result.result)}{comment}"]
    words += [f"{_value(name)}={_value(value)}" for name, value in result.properties if value]
    return " ".join(words)


def _value(text: str) -> str:
    # A field is folded at "; ", and that is no place for it.
    text = _printable(text[:_VALUE_CHARACTERS]).replace("; ", ";")
    if text and _TOKEN.issuperset(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _comment(reason: str) -> str:
    """REASON in parentheses; what parts words and fields in it is replaced."""
    text = _printable(reason[:_REASON_CHARACTERS]).replace("\\", "/")
    text = text.replace("(", "[").replace(")", "]").replace(";", ",")
    return f" ({text})" if text else ""


def _printable(text: str) -> str:
    return "".join([c if c.isascii() and c.isprintable() else "?" for c in text])
