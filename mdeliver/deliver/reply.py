"""`reply with`: send the answer through sendmail, once.

When        once the message is delivered, whatever becomes of the answer: what went wrong with it
            is a remark. Marked in the journal before it is sent, so that a retry sends no second.
Who         is written down before it is sent: of two deliveries that both found nobody answered,
            one answers.
Envelope    the null sender: no answer, and no bounce, comes back (RFC 3834 3.3).
See also    actions/reply.py, which decides and writes it; memory.py, sendmail.py
"""

from __future__ import annotations

from mdeliver import system
from mdeliver.deliver.sendmail import Mailing
from mdeliver.memory import REPLIED, Memory
from mdeliver.outcome import Deferral
from mdeliver.plan import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.deliver.deliverers import Attempt, Phase


class ReplyCopy(Mailing):
    """One answer."""

    phase: Phase = "besides"

    def __init__(self, reply: Reply, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._reply = reply

    def words(self) -> tuple[str, ...]:
        """For the journal: to whom, by which name it is remembered, how long, and the answer."""
        r = self._reply
        return ("reply", r.to, r.name.hex(), repr(r.every_s), system.from_octets(r.octets))

    def commit(self) -> None:
        """Send it, unless somebody else has; what goes wrong is its remark."""
        reply = self._reply
        try:
            memory = Memory(self._attempt.state_directory)
            try:
                claimed = memory.claim(REPLIED, reply.name, reply.every_s)
            finally:
                memory.close()
            if claimed:
                self.send("", (reply.to,), (reply.octets,))
        except Deferral as deferral:
            self.remark = f"no reply: {deferral.text}"
        except OSError as error:
            self.remark = f"no reply: {error.strerror}"


def reply_delivery(words: tuple[str, ...]) -> Reply:
    """The delivery that WORDS of the journal name."""
    _reply, to, name, every_s, text = words
    octets = system.to_octets(text)
    return Reply(to, "", float(every_s), None, octets, bytes.fromhex(name))
