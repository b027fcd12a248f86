"""`spf|dkim|dmarc|arc RESULT, …`: what our own servers say of the sender.

No field that is believed is the result `none`. What is believed, and why not all, is said in
authentication/results.py.
"""

from __future__ import annotations

from mdeliver.authentication.results import believed
from mdeliver.conditions.facts import limit_words
from mdeliver.outcome import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.language.syntax import Authentication
    from mdeliver.scene import Scene


def authenticated(scene: Scene, fact: Authentication) -> bool:
    """Whether one of the results of FACT's method is among those that it names."""
    found = scene.authentication
    if found is None:
        found = scene.authentication = believed(scene.message, scene.site)
    results = found.of(fact.method)
    if scene.explain:
        scene.because = one_line(f"{fact.method} is {', '.join(results)}"[:200])
        if not found.fields:
            scene.because += ": no Authentication-Results that can be believed"
            if found.refused:
                scene.because += " (the sender may have written what is there; see authserv_ids)"
        scene.because += limit_words(scene)
    return not set(fact.results).isdisjoint(results)
