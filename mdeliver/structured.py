"""The words of structured header fields with parameters: Content-Type, Authentication-Results, ...

    quoted-string, comment, quoted-pair     RFC 5322 3.2.1, 3.2.2, 3.2.4
    token, tspecials                        RFC 2045 5.1, of which only `;` and `=` part words here

Guarantee   never raises, linear time.
Tolerates   anything: a quote or comment that is never closed goes on to the end of the text.
See also    addresses.py, which reads what these rules are not enough for
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Word: TypeAlias = tuple[bool, str]
    """Whether it stood in quotes, and its text."""

_SPECIALS = '"()\\;= \t\r'


def words_of(text: str) -> list[Word]:
    """The words, quoted texts, `;` and `=` of TEXT, an unfolded value, without its comments."""
    text = text.replace("\n", " ")
    for special in _SPECIALS:
        if special in text:
            text = text.replace(special, f"\n{special}\n")
    found: list[Word] = []
    quoted: list[str] | None = None
    depth = 0
    escaped = False
    for token in text.split("\n"):
        if not token:
            continue
        if quoted is not None:
            if escaped or token not in '"\\':
                quoted.append(token)
                escaped = False
            elif token == '"':
                found.append((True, "".join(quoted)))
                quoted = None
            else:
                escaped = True
        elif depth:
            if escaped:
                escaped = False
            else:
                escaped = token == "\\"
                depth += (token == "(") - (token == ")")
        elif token == '"':
            quoted = []
        elif token == "(":
            depth = 1
        elif token not in " \t\r":
            found.append((False, token))
    if quoted is not None:
        found.append((True, "".join(quoted)))
    return found
