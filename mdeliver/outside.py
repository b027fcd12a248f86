"""What the rules may ask while they run: programs, and what was delivered before.

The evaluator asks through this one protocol, so that a delivery runs programs, a dry run only when
it is told to, and a test of rules neither. All answers may be *not known yet* (None): a rule whose
outcome hangs on one defers the message.

Imports  nothing; deliver/outside.py answers for a delivery, and for a dry run
"""

from __future__ import annotations

NOT_RUN = "not run: --run-programs runs it"
"""Why a dry run has no answer of a program."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from mdeliver.authentication.lookups import Names
    from mdeliver.letter import Letter

    class Outside(Protocol):
        """Whoever answers."""

        def succeeds(
            self, argv: tuple[str, ...], octets: Iterable[bytes]
        ) -> tuple[bool | None, str]:
            """Whether the program ARGV, given the message OCTETS, ends with 0; None if it cannot be
            known. And in words how it ended."""

        def filtered(
            self, argv: tuple[str, ...], octets: Iterable[bytes], size: int
        ) -> tuple[Letter | None, str]:
            """What the program ARGV makes of the message OCTETS, SIZE of them; None if it fails:
            then all stays as it is. And in words how it ended."""

        def delivered_before(self, name: bytes, within_s: float) -> bool | None:
            """Whether a message of that NAME was delivered so lately; if not, nobody else is told
            so until this delivery has ended."""

        def names(self) -> Names | None:
            """Who answers questions to the DNS; None where nobody is asked."""

        def answered(self, to: str, text: str, every_s: float) -> bool:
            """Whether TO was sent the reply TEXT so lately."""
