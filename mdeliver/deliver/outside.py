"""What rules ask while they run, answered for one delivery: mdeliver.outside.Outside.

Programs    get the message as it is by the time of the line that asks, without a From_ line.
Filters     succeed with exit status 0 and a message that has a header: its first line is a field
            and an empty line follows. Whatever else they give is dropped, and all stays as it was.
Dry run     without --run-programs no program is run, and what hangs on one is not known.
Fails with  OSError where a program could not be tried (memory, processes, disk).
See also    programs.py, conditions/programs.py, actions/programs.py
"""

from __future__ import annotations

import time

from mdeliver import limits
from mdeliver.outside import NOT_RUN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mdeliver.authentication.lookups import Names
    from mdeliver.deliver.remembered import Consulted, Remembered
    from mdeliver.envelope import Envelope
    from mdeliver.letter import Letter
    from mdeliver.plan import Plan

# RFC 5322 3.6.8: ftext = %d33-57 / %d59-126
_FTEXT = bytes(range(33, 127)).replace(b":", b"")


class Surroundings:
    """Programs and memory, for one message; `close` lets go of what filters made of it."""

    def __init__(
        self,
        envelope: Envelope,
        state_directory: str | None,
        *,
        run_programs: bool = True,
        always_run: frozenset[tuple[str, ...]] = frozenset(),
        remembers: Callable[[], Consulted | Remembered] | None = None,
        names: Callable[[], Names] | None = None,
        before_asking: Callable[[], None] | None = None,
    ) -> None:
        """STATE_DIRECTORY takes what is too large for memory; None in a dry run.

        always_run  conditions' programs, with their arguments, that are run in any case
        remembers  opens the memory of what was delivered and answered, for rules that ask for it;
                   None where nothing is remembered
        names      opens the DNS, or what stands in its place; None where nobody is asked
        before_asking  is called before anything is asked that others answer, in their own time
        """
        self._before_asking = before_asking
        self.was_asked = False
        self._names = names
        self._remembers = remembers
        self._opened: Consulted | Remembered | None = None
        self._envelope = envelope
        self._state = state_directory
        self._run_programs = run_programs
        self._always_run = always_run
        self._made: list[Letter] = []
        self._filters_s = float(limits.FILTERS_S)
        """What is left of the time that filters have."""

    def close(self) -> None:
        """Let go of what filters made."""
        for letter in self._made:
            letter.close()
        self._made = []
        if self._opened is not None:
            self._opened.close()

    def _ask(self) -> None:
        """The rules are about to ask for something."""
        if not self.was_asked and self._before_asking is not None:
            self._before_asking()
        self.was_asked = True

    @property
    def memory(self) -> Consulted | Remembered | None:
        """The memory, opened; None where nothing is remembered."""
        self._ask()
        if self._opened is None and self._remembers is not None:
            self._opened = self._remembers()
        return self._opened

    def delivered_before(self, name: bytes, within_s: float) -> bool:
        """Whether the message NAME was delivered so lately."""
        return self.memory is not None and self.memory.delivered_before(name, within_s)

    def answered(self, to: str, text: str, every_s: float) -> bool:
        """Whether TO was sent the reply TEXT so lately."""
        return self.memory is not None and self.memory.answered(to, text, every_s)

    def names(self) -> Names | None:
        """Who answers questions to the DNS; None where nobody is asked."""
        self._ask()
        return None if self._names is None else self._names()

    def remember(self, plan: Plan, places: tuple[tuple[str, ...], ...]) -> None:
        """Write down what PLAN says is to be remembered, now that PLACES got the message."""
        if self._opened is not None:
            self._opened.remember(plan, places)

    def succeeds(self, argv: tuple[str, ...], octets: Iterable[bytes]) -> tuple[bool | None, str]:
        """Whether the program ends with 0; None where a later try may know; and how it ended."""
        if not self._run_programs and argv not in self._always_run:
            return None, NOT_RUN
        self._ask()
        from mdeliver.programs import run_program

        ended = run_program(argv, octets, self._envelope, self._state)
        return None if ended.knows_later else ended.status == 0, ended.words

    def filtered(
        self, argv: tuple[str, ...], octets: Iterable[bytes], size: int
    ) -> tuple[Letter | None, str]:
        """What the program makes of the message; None where it failed; and how it ended."""
        if not self._run_programs:
            return None, NOT_RUN
        if self._filters_s <= 0:
            return None, "not run: those before it took too long"
        self._ask()
        from mdeliver.letter import letter_in
        from mdeliver.programs import Nameless, run_program

        given = Nameless(self._state)
        began_s = time.monotonic()
        try:

            def take(piece: bytes) -> bool:
                given.write(piece)
                return given.size <= size + limits.PROGRAM_GROWTH_BYTES

            left_s = self._filters_s
            ended = run_program(argv, octets, self._envelope, self._state, take, left_s)
            if ended.status != 0:
                return None, ended.words
            letter = letter_in(given.release(), from_line=True)
        finally:
            self._filters_s -= time.monotonic() - began_s
            given.close()
        self._made.append(letter)
        if not letter.size:
            return None, "it gave nothing back"
        if not _has_header(letter):
            return None, "what it gave back is no message: it has no header"
        return letter, ended.words


def _has_header(letter: Letter) -> bool:
    """Whether LETTER begins with a field, and an empty line ends its header."""
    first = letter.head[: letter.head.find(b"\n") + 1]
    name, colon, _value = first.partition(b":")
    # Some MTAs quote a From_ line that they find within a message.
    is_field = bool(colon and name) and not name.rstrip(b" \t").translate(None, _FTEXT)
    is_field = is_field or first.startswith(b">From ")
    return is_field and letter.head.endswith((b"\n\n", b"\n\r\n"))
