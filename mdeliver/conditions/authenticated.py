"""`spf|dkim|dmarc|arc RESULT, …`: what is known of the sender.

Believed    what our own servers say in Authentication-Results; authentication/results.py says what
            is believed, and why not all
Computed    where they say nothing of a method, and the site's settings say `compute`: all four at
            once, from the message as it came, and what was found is added to it as a field. Fields
            that were forged in our name go then (RFC 8601 5).
None        where neither is to be had the result is `none`.
Unknown     what the DNS does not say now a later try may know: a rule that hangs on it defers, for
            authentication.wait_s after the message's arrival. Then the result is temperror alone.
"""

from __future__ import annotations

from mdeliver.authentication.results import agreed, believed, border_received, forged
from mdeliver.authentication.wording import METHODS, as_text, field_text
from mdeliver.conditions.facts import limit_words
from mdeliver.outcome import one_line
from mdeliver.plan import Edit
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.authentication.computed import Computed
    from mdeliver.authentication.results import Believed, Result
    from mdeliver.language.syntax import Authentication
    from mdeliver.scene import Scene

NAME = "Authentication-Results"

_REASON_CHARACTERS = 400


class Known(Record):
    """What is known of the sender of one message.

    believed  what our servers say
    computed  what was found out here; None where nothing was
    """

    believed: Believed
    computed: Computed | None

    def found(self, method: str) -> tuple[Result, ...]:
        """All results of METHOD; () where nothing is known of it."""
        found = self.believed.found(method)
        return found or (self.computed.found(method) if self.computed is not None else ())

    @property
    def text(self) -> str:
        """All of it, as the decision log has it; nothing of what was not checked."""
        checked = self.computed is not None and not self.computed.client.unchecked
        found = self.found if checked else self.believed.found
        return as_text([result for method in METHODS for result in found(method)])


def authenticated(scene: Scene, fact: Authentication) -> bool | None:
    """Whether one of the results of FACT's method is among those that it names."""
    known = know(scene, fact.method)
    found = known.found(fact.method)
    results = agreed(fact.method, found)
    computed = known.computed is not None and not known.believed.found(fact.method)
    unknown = computed and "temperror" in results
    if scene.explain or unknown:
        # For the log too: who waits should be told for what.
        scene.because = _because(scene, fact.method, results, known)
    if not set(fact.results).isdisjoint(results):
        return True
    return None if unknown and _waits(scene) else False


def know(scene: Scene, *methods: str) -> Known:
    """What is known; what is not known yet of one of METHODS is computed, if the site says so."""
    known = scene.authentication
    if known is None:
        known = Known(believed(scene.message, scene.site), None)
    wanted = known.computed is None and not all(map(known.found, methods))
    if wanted and scene.site.checking.compute != "never" and scene.outside is not None:
        names = scene.outside.names()
        if names is not None:
            from mdeliver.authentication.computed import compute

            came = scene.came
            pieces = (came.head,) if came.octets is None else came.octets()
            known = known.replace(computed=compute(came, pieces, scene.envelope, scene.site, names))
            _add_field(scene, known)
    scene.authentication = known
    return known


def _add_field(scene: Scene, known: Known) -> None:
    """Add what was computed to the message; what was forged in our name goes."""
    computed, site = known.computed, scene.site
    if computed is None or computed.client.unchecked or not site.checking.header:
        return
    numbers = forged(scene.message, site)
    if numbers:
        scene.edit(Edit("drop", NAME, ",".join(map(str, numbers)), None))
    ours = site.authserv_ids[0] if site.authserv_ids else site.hostname
    new = [result for result in computed.results if not known.believed.found(result.method)]
    scene.edit(Edit("prepend", NAME, field_text(ours, new), None))


def _waits(scene: Scene) -> bool:
    """Whether the message came so lately that it can wait for the DNS."""
    date = border_received(scene.came).rpartition(";")[2]
    from email.utils import mktime_tz, parsedate_tz

    try:
        moment = parsedate_tz(date)
        arrived_s = None if moment is None else mktime_tz(moment)
    except (ValueError, OverflowError, IndexError):
        arrived_s = None
    # Without a date nobody could say when to stop.
    return arrived_s is not None and scene.now_s - arrived_s < scene.site.checking.wait_s


def _because(scene: Scene, method: str, results: tuple[str, ...], known: Known) -> str:
    found = known.found(method)
    reasons = "; ".join(filter(None, map(_reason, found)))
    words = f"{method} is {', '.join(results)}"[:200] + (f": {reasons}" if reasons else "")
    words = one_line(words[:_REASON_CHARACTERS])
    if not known.believed.fields and known.computed is None:
        words += ": no Authentication-Results that can be believed"
        if known.believed.refused:
            words += " (the sender may have written what is there; see authserv_ids)"
        if scene.site.checking.compute == "never":
            words += ', and authentication.compute is "never"'
    return words + limit_words(scene)


def _reason(result: Result) -> str:
    """Why it is so; which signature, where there may be several."""
    if not result.reason:
        return ""
    selector = result.value("header.s") if result.method == "dkim" else ""
    about = f"{result.value('header.d')} {selector}: " if selector else ""
    return f"{about}{result.reason}"
