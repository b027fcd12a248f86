"""`forward to`: send the message on through sendmail.

When        once all copies are on disk; then never again. A delivery that is killed between
            sendmail's success and the journal's letter sends it a second time on the retry.
What        the message as it was by the time of the rule, without what local(8) wrote above it, and
            with the field by which a loop is recognised.
Fails with  Deferral, with sendmail's own words: copies are taken back and the message stays in the
            queue.
See also    actions/forward.py, which decides all of it; sendmail.py
"""

from __future__ import annotations

from mdeliver.deliver.contents import content_of, content_word
from mdeliver.deliver.sendmail import Mailing
from mdeliver.edits import passed_on
from mdeliver.plan import TRACE_FIELD, Forward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.deliver.deliverers import Attempt, Phase


class ForwardCopy(Mailing):
    """One message to some addresses."""

    phase: Phase = "final"

    def __init__(self, forward: Forward, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._forward = forward
        letter = attempt.contents.letter(forward.content)
        self._letter = passed_on(letter, TRACE_FIELD, forward.mark)

    def words(self) -> tuple[str, ...]:
        """For the journal: an address, sender, content, mark, further addresses."""
        f = self._forward
        first, *others = f.addresses
        return ("forward", first, f.sender, content_word(f.content), f.mark, *others)

    def commit(self) -> None:
        """Send it; raises Deferral or OSError."""
        self.send(self._forward.sender, self._forward.addresses, self._letter.chunks())


def forward_delivery(words: tuple[str, ...]) -> Forward:
    """The delivery that WORDS of the journal name."""
    _forward, first, sender, content, mark, *others = words
    return Forward((first, *others), None, content_of(content), sender, mark)
