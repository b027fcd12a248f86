"""`pipe to` and `run`: give the message to a program.

pipe to  the program's success is the delivery: exit status 0, and it is never run again; whatever
         else defers the message, with one line that says how it ended. It runs once all copies are
         on disk, while mboxes are locked still, so that they can be taken back.
run      is tried once when the message is delivered, and has no say: what went wrong is a remark.
Gets     the message as it was by the time of the rule, without a From_ line.
See also programs.py; transaction.py for what a kill leaves to the retry
"""

from __future__ import annotations

from mdeliver.deliver.contents import content_of, content_word
from mdeliver.outcome import Deferral
from mdeliver.plan import Pipe, Run
from mdeliver.programs import run_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.deliver.deliverers import Attempt, Phase


class ProgramCopy:
    """The message on its way into a program."""

    phase: Phase
    remark = ""

    def __init__(self, delivery: Pipe | Run, attempt: Attempt) -> None:
        self.done = False
        self._delivery = delivery
        self._letter = attempt.contents.letter(delivery.content)
        self._envelope = attempt.envelope
        self._state = attempt.state_directory

    def words(self) -> tuple[str, ...]:
        """The program for the journal: its name, what it gets, its arguments."""
        name, *arguments = self._delivery.argv
        kind = "pipe" if isinstance(self._delivery, Pipe) else "run"
        return (kind, name, content_word(self._delivery.content), *arguments)

    def prepare(self, recorded: tuple[str, ...] | None, believed: bool) -> None:
        """See whether an earlier attempt has run it to its end.

        recorded  its words in the journal's line of the earlier attempt: the same as now
        believed  whether that line says that it is done
        """
        assert recorded is None or recorded == self.words()
        self.done = believed

    def settle(self) -> None:
        """Nothing was written."""

    def commit(self) -> None:
        """Run it; raises Deferral where it fails."""
        argv = self._delivery.argv
        ended = run_program(argv, self._letter.chunks(), self._envelope, self._state)
        if ended.status != 0:
            raise Deferral(f'program "{argv[0]}": {ended.words}')

    def sync(self) -> None:
        """Nothing of ours is to be synced."""

    def undo(self) -> bool:
        """Nobody can."""
        return False

    def finish(self) -> None:
        """Nothing follows."""

    def release(self) -> None:
        """Nothing is held."""


class PipeCopy(ProgramCopy):
    """`pipe to`."""

    phase: Phase = "final"


class RunCopy(ProgramCopy):
    """`run`."""

    phase: Phase = "besides"

    def commit(self) -> None:
        """Run it; how it failed is its remark."""
        try:
            super().commit()
        except Deferral as deferral:
            self.remark = deferral.text
        except OSError as error:
            self.remark = f'program "{self._delivery.argv[0]}": {error.strerror}'


def program_delivery(words: tuple[str, ...]) -> Pipe | Run:
    """The delivery that WORDS of the journal name."""
    kind, name, content, *arguments = words
    argv, what = (name, *arguments), content_of(content)
    return Pipe(argv, None, what) if kind == "pipe" else Run(argv, None, what)
