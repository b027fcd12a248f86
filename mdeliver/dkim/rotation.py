"""One key after the other: the next step of changing keys, whichever that is.

    new ──(its record is in DNS)──> signing ──(a newer one signs)──> retired ──(30 days)──> gone

Begins      with a new key where the one that signs is old enough, or where there is none. Nothing
            is signed with it until DNS has its record: else every signature would fail.
Ends        with the private key removed and its record to be taken out of DNS, once what it has
            signed has arrived: Postfix tries for five days, and people resend.
Asks        DNS, and never takes "nobody knows" for an answer
See also    M3AAWG, DKIM Key Rotation Best Common Practices; keys.py
"""

from __future__ import annotations

import time
from typing import NamedTuple

from mdeliver import durable
from mdeliver.dkim import keys, published

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdeliver.audit.names import Names
    from mdeliver.dkim.keys import Algorithm, Key

DAY_S = 86_400
RETIRED_S = 30 * DAY_S
"""How long a key's record stays in DNS after its last signature."""


class Move(NamedTuple):
    """One step that was taken, or why one was not.

    key    it is about this
    words  what was done, or what is to be done now
    done   whether keys are other than before
    """

    key: Key
    words: str
    done: bool


def rotate(
    directory: str,
    domain: str,
    algorithm: Algorithm,
    names: Names,
    *,
    older_than_s: float,
    bits: int,
    group: int | None,
) -> list[Move]:
    """Take the next steps for the keys of DOMAIN by ALGORITHM.

    older_than_s  how long a key signs before the next is made
    bits, group   see keys.make
    Raises DkimError, OSError.
    """
    now_s = time.time()
    moves = list(_forget(directory, domain, algorithm, now_s))
    mine = _of(keys.registered(directory), domain, algorithm)
    new = [key for key in mine if key.state == "new"]
    signing = [key for key in mine if key.state == "signing"]
    if new:
        finding = published.key_finding(new[-1], directory, names)
        if finding.level == "fine":
            moves += take_over(directory, new[-1], signing)
        else:
            moves.append(Move(new[-1], f"cannot sign yet: {finding.what}", done=False))
    elif not signing or now_s - signing[-1].since_s >= older_than_s:
        made = keys.make(directory, domain, selector(algorithm, mine), algorithm, bits, group)
        words = "made; publish its record, then rotate once more"
        moves.append(Move(made, words, done=True))
    return moves


def _of(known: Iterable[Key], domain: str, algorithm: Algorithm) -> list[Key]:
    return [key for key in known if (key.domain, key.algorithm) == (domain, algorithm)]


def selector(algorithm: Algorithm, taken: Iterable[Key]) -> str:
    """A name for a key that is made today: nobody has to remember it, and it says how old it is."""
    stem = time.strftime(f"{algorithm[0]}%Y%m%d")
    names = {key.selector for key in taken}
    return next(n for n in (stem, *(f"{stem}-{k}" for k in range(2, 1000))) if n not in names)


def take_over(directory: str, new: Key, signing: Sequence[Key]) -> list[Move]:
    """Sign with NEW from now on, in the place of those SIGNING; its record is in DNS.

    Raises DkimError, OSError.
    """
    now_s = time.time()
    changed = {new.name: new._replace(state="signing", since_s=now_s)}
    changed |= {key.name: key._replace(state="retired", since_s=now_s) for key in signing}
    known = keys.registered(directory)
    keys.register(directory, [changed.get(key.name, key) for key in known])
    moves = [Move(changed[new.name], "signs from now on", done=True)]
    words = f"signs no more; leave its record in DNS for {RETIRED_S // DAY_S} days"
    return [*moves, *(Move(changed[key.name], words, done=True) for key in signing)]


def _forget(directory: str, domain: str, algorithm: Algorithm, now_s: float) -> Iterable[Move]:
    """Remove keys that were retired long ago."""
    known = keys.registered(directory)
    old = [
        key
        for key in _of(known, domain, algorithm)
        if key.state == "retired" and now_s - key.since_s >= RETIRED_S
    ]
    if not old:
        return []
    # Out of the register first: a key that is there must have its file.
    keys.register(directory, [key for key in known if key not in old])
    for key in old:
        durable.remove(key.path(directory))
    words = "removed; take its record out of DNS"
    return [Move(key, words, done=True) for key in old]
