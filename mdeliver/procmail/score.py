"""Weighted scoring, as procmailsc(5) has it and procmail adds it up.

Range       from -2147483647, which is a failure at once, to 2147483647, which skips what follows.
"""

from __future__ import annotations

from mdeliver.procmail.matcher import Matcher

MAX = 2147483647.0
MIN = -2147483647.0


class Infinite(Exception):
    """The score is at one of its ends; the argument says which."""


def of_matches(
    matcher: Matcher, text: bytes, score: float, weight: float, exponent: float
) -> tuple[float, bytes | None]:
    """SCORE after all matches of TEXT have been counted, and the last one's MATCH."""
    at, left = 0, len(text)
    first_square = weight * weight
    matched: bytes | None = None
    while weight != 0 and MIN < score < MAX and left >= 0:
        found = matcher.find(text, at)
        if found is None:
            break
        if found.matched is not None:
            matched = found.matched
        score += weight
        weight *= exponent
        if at >= found.end:
            # An empty match goes on for ever: the sum of the series.
            if 0 < exponent < 1:
                score += weight / (1 - exponent)
            elif exponent >= 1 and weight != 0:
                score += MIN if weight < 0 else MAX
            break
        square = weight * weight
        if square < first_square < 1:
            break
        first_square = square
        left -= found.end - at
        at = found.end
    return score, matched


def of_size(
    sign: str, negated: bool, size: int, limit: int, weight: float, exponent: float
) -> float:
    """What a size adds. Raises Infinite where it divides by nothing."""
    if (sign == "<") != negated:
        if size:
            ratio = limit / size
        elif limit > 0:
            raise Infinite(MAX)
        else:
            raise Infinite(MIN)
    elif limit:
        ratio = size / limit
    else:
        raise Infinite(MAX)
    try:
        power = ratio**exponent
    except (OverflowError, ZeroDivisionError):
        raise Infinite(MAX if weight > 0 else MIN) from None
    return weight * power if isinstance(power, float) else 0.0


def of_program(negated: bool, status: int, score: float, weight: float, exponent: float) -> float:
    """SCORE after a program that ended with STATUS."""
    if not negated:
        return score + (exponent if status else weight)
    for _ in range(status):
        score += weight
        if not MIN < score < MAX:
            break
        weight *= exponent
    return score


def clamped(score: float) -> tuple[float, bool]:
    """SCORE within its range, and whether it is not at the lower end."""
    if score > MAX:
        return MAX, True
    if score <= MIN:
        return MIN, False
    return score, True


def shown(score: float) -> int:
    """What `$=` holds."""
    whole = int(score)
    return 1 if whole == 0 and score > 0 else whole
