"""The memory as rules ask for it, for one delivery; it is opened when the first rule does.

Whose       what this delivery wrote in an earlier attempt is not found: a retry decides as that
            did. It is known as the same by what the journal knows it by, where the MTA's queue id
            or its Received line makes that certain; whoever feeds one file twice made two
            deliveries.
Forgiving   what cannot be written down once the message is delivered is no reason to bring it
            again: a later copy passes, and that is all.
See also    memory.py, outside.py, conditions/duplicate.py, deliver/reply.py
"""

from __future__ import annotations

from mdeliver.memory import DELIVERED, NOBODY, REPLIED, Memory, Recollection, reply_name
from mdeliver.outcome import Deferral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.envelope import Envelope
    from mdeliver.letter import Letter
    from mdeliver.plan import Plan

_NO_DELIVERY = ("run", "reply")
"""Places in the journal where no copy of the message is (deliverers.py, besides)."""


class Consulted:
    """The memory as a dry run asks it: nothing is written, nothing is locked."""

    def __init__(self, directory: str) -> None:
        self._recollection = Recollection(directory)

    def delivered_before(self, name: bytes, within_s: float) -> bool:
        """As Outside."""
        return self._recollection.holds(DELIVERED, name, within_s)

    def answered(self, to: str, text: str, every_s: float) -> bool:
        """As Outside."""
        return self._recollection.holds(REPLIED, reply_name(to, text), every_s)

    def remember(self, plan: Plan, places: tuple[tuple[str, ...], ...]) -> None:
        """Nothing was delivered."""

    def close(self) -> None:
        """Nothing is held."""


class Remembered:
    """The memory of one delivery; `close` lets others ask for the same message."""

    def __init__(self, directory: str, letter: Letter, envelope: Envelope, rules: str) -> None:
        self._directory = directory
        self._delivery = letter, envelope, rules
        self._memory: Memory | None = None

    def _opened(self) -> Memory:
        if self._memory is None:
            self._memory = Memory(self._directory, owner_of(*self._delivery))
        return self._memory

    def delivered_before(self, name: bytes, within_s: float) -> bool:
        """As Outside; raises Deferral where another delivery of the message does not end."""
        memory = self._opened()
        memory.hold(name)
        return memory.holds(DELIVERED, name, within_s)

    def answered(self, to: str, text: str, every_s: float) -> bool:
        """As Outside. Whoever asks at the same time is stopped when it comes to sending."""
        return self._opened().holds(REPLIED, reply_name(to, text), every_s)

    def remember(self, plan: Plan, places: tuple[tuple[str, ...], ...]) -> None:
        """Write down what PLAN says, if PLACES, as the journal has them, got the message."""
        if not plan.remember or all(words[0] in _NO_DELIVERY for words in places):
            return
        try:
            self._opened().remember(DELIVERED, *plan.remember)
        except (OSError, Deferral, MemoryError):
            pass

    def close(self) -> None:
        """Let go of it."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def owner_of(letter: Letter, envelope: Envelope, rules: str) -> bytes:
    """What the memory knows this delivery and its retries by; NOBODY if they cannot be known."""
    from mdeliver.deliver.transaction import comes_by_mta, key_of

    if not comes_by_mta(letter, envelope):
        return NOBODY
    return bytes.fromhex(key_of(letter, envelope, rules).decode())[: len(NOBODY)]
