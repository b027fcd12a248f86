"""Hand a message to the MTA: what `forward to` and `reply with` have in common.

Called      SENDMAIL -i -f SENDER -- ADDRESS ...   with the message on standard input. -i: a line
            with nothing but a dot ends nothing; `<>` is the null sender for every MTA's sendmail;
            nothing after -- is an option.
Accepted    is what sendmail ended with 0 for: then the MTA has it in its queue, and bounces are its
            business. Everything else is to be tried again.
See also    sendmail(1) of Postfix, forward.py, reply.py, programs.py
"""

from __future__ import annotations

from mdeliver.outcome import Deferral
from mdeliver.programs import run_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.deliver.deliverers import Attempt


class Mailing:
    """A message on its way to the MTA; nobody can take it back."""

    remark = ""

    def __init__(self, attempt: Attempt) -> None:
        self.done = False
        self._attempt = attempt

    def prepare(self, _recorded: tuple[str, ...] | None, believed: bool) -> None:
        """See whether an earlier attempt has done it: the journal is BELIEVED to say so."""
        self.done = believed

    def settle(self) -> None:
        """Nothing was written."""

    def send(self, sender: str, addresses: tuple[str, ...], message: Iterable[bytes]) -> None:
        """Send MESSAGE; raises Deferral where sendmail does not take it, or OSError."""
        attempt = self._attempt
        argv = (attempt.sendmail, "-i", "-f", sender or "<>", "--", *addresses)
        ended = run_program(argv, message, attempt.envelope, attempt.state_directory)
        if ended.status != 0:
            raise Deferral(f"{attempt.sendmail}: {ended.words}")

    def sync(self) -> None:
        """Nothing of ours is to be synced."""

    def undo(self) -> bool:
        """Nobody can."""
        return False

    def finish(self) -> None:
        """Nothing follows."""

    def release(self) -> None:
        """Nothing is held."""
