"""What the rules may ask while they run: programs, and what was delivered before.

The evaluator asks through this one protocol, so that a delivery runs programs, a dry run only when
it is told to, and a test of rules neither. All answers may be *not known yet* (None): a rule whose
outcome hangs on one defers the message.

Imports  nothing; deliver/outside.py answers for a delivery
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from mdeliver.letter import Letter
    from mdeliver.message import Message

    class Outside(Protocol):
        """Whoever answers."""

        def succeeds(self, argv: tuple[str, ...], message: Message) -> bool | None:
            """Whether the program ARGV, given MESSAGE, ends with 0; None if it cannot be known."""

        def filtered(self, argv: tuple[str, ...], message: Message) -> Letter | None:
            """What the program ARGV makes of MESSAGE; None if it fails: then all stays as it is."""

        def delivered_before(self, name: bytes, within_s: float) -> bool | None:
            """Whether a message of that NAME was delivered so lately; if not, nobody else is told
            so until this delivery has ended."""

        def answered(self, to: str, text: str, every_s: float) -> bool:
            """Whether TO was sent the reply TEXT so lately."""
