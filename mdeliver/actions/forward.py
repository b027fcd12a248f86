"""`forward to`: send the message on, as a .forward file does.

Addresses  each once, whether in a text, a `let`, a file of lines or `me`. What is no address when
           the braces are filled in is left out; where none is left the message is kept.
Sender     the envelope's: bounces go to whoever sent it. The null sender stays null, or a bounce
           would be bounced (RFC 5321 6.1). With SRS (settings.py) a sender elsewhere becomes an
           address of ours that postsrsd turns back; srslib is imported only then.
Header     as it is, but for the trace: what local(8) wrote above it for this one delivery goes, and
           a field with the name of this user comes in its place. No Resent- fields: they are for
           a person who sends a message again (RFC 5322 3.6.6), and this is what RFC 5228 4.2 calls
           an MTA-style forward, where signatures of the header must hold as well.
Loops      a message with the field of this user in it has been here: it is not sent on a second
           time but kept. Whoever writes the field into his message is no better off: it is kept.
See also   deliver/forward.py, edits.py
"""

from __future__ import annotations

from mdeliver.addresses import can_be_sent_to
from mdeliver.language.syntax import ForwardTo, InboxTarget, Lines
from mdeliver.plan import TRACE_FIELD, Forward
from mdeliver.scene import value_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdeliver.evaluate import Run
    from mdeliver.scene import Scene


def plan_forward(run: Run, action: ForwardTo, also: bool) -> None:
    """Plan to send the message on; where it cannot be, it is kept, unless ALSO."""
    scene, where = run.scene, action.span.where
    mark = f"{scene.envelope.user}@{scene.site.hostname}"
    if any(text == mark for text in scene.came.texts(TRACE_FIELD.lower())):
        reason = "it has been forwarded by this user before"
        addresses: tuple[str, ...] = ()
    else:
        wanted = dict.fromkeys(_texts(scene, action))
        addresses = tuple([text for text in wanted if can_be_sent_to(text)])
        wrong = ", ".join([f'"{text}"' for text in wanted if text not in addresses])
        reason = f"no address: {wrong or 'there are none'}" if wrong or not addresses else ""
    planned = [a for a in run.actions.values() if isinstance(a, Forward)]
    there = {to for a in planned if a.content == scene.content for to in a.addresses}
    new = tuple([to for to in addresses if to not in there])
    if new:
        run.add(Forward(new, where, scene.content, _sender(scene), mark))
    elif not addresses and not also:
        run.file((InboxTarget(action.span),), (), where)
        reason += ": kept"
    scene.because = reason


def _texts(scene: Scene, action: ForwardTo) -> Iterable[str]:
    """The addresses of ACTION as they are written."""
    for value in scene.values(action.addresses):
        if isinstance(value, Lines):
            yield from filter(None, scene.lines(value).split("\n"))
        else:
            yield value_text(value).strip()


def _sender(scene: Scene) -> str:
    """Where bounces of what is sent on go."""
    sender, site = scene.return_path(), scene.site
    _local, at, domain = sender.rpartition("@")
    ours = (*site.domains, site.srs_domain, scene.envelope.domain, site.hostname.lower())
    if not at or not site.srs_secret or domain.lower() in ours:
        return sender
    from srslib import SRS

    class Arrived(SRS):  # type: ignore[misc]  # srslib brings no types
        """SRS on the day when the message arrived: a plan does not depend on another clock."""

        def generate_ts(self, t: float | None = None) -> str:
            made: str = super().generate_ts(scene.now_s if t is None else t)
            return made

    rewritten: str = Arrived(site.srs_secret).forward(sender, site.srs_domain)
    return rewritten
