"""Whether a message may be answered automatically: by its envelope and header alone.

Never       the null sender, programs and daemons, addresses that say that they take no answers,
            mailing lists and newsletters (any List- field), the user's own addresses, what the user
            sent, what asks for no answer (X-Auto-Response-Suppress), and mail in whose To and Cc
            the user does not stand: copies through lists, aliases and Bcc.
            Whatever is wrong with an address, or unclear: no answer is the smaller evil.
See also    RFC 3834 2 and 5, RFC 5230 4.5-4.6; conditions/automatic.py
"""

from __future__ import annotations

from mdeliver.addresses import can_be_sent_to
from mdeliver.conditions.automatic import automatic, mailing_list
from mdeliver.conditions.facts import is_mine, my_address_in, sent_by_me

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.scene import Scene

_LIST_HEADERS = (
    "list-help", "list-unsubscribe", "list-subscribe", "list-owner", "list-archive",
)  # fmt: skip
"""RFC 2369; List-Id and List-Post are mailing_list's."""

_NO_ANSWERS = ("noreply", "donotreply", "dontreply", "noanswer", "unattended", "bounces", "bounce")

_SUPPRESSED = frozenset(("all", "oof", "autoreply"))
"""[MS-OXCMAIL] 2.1.3.2.20: what Exchange and its friends do not want answered."""


def why_not(scene: Scene) -> str:
    """Why the message must not be answered, in words; "" if it may.

    What counts is the message as it came: a header that a rule or a filter took away says as much.
    """
    changed, scene.message = scene.message, scene.came
    try:
        return _about_sender(scene) or _about_header(scene)
    finally:
        scene.message = changed


def asked_at(scene: Scene) -> str:
    """The address of mine that the message was visibly sent to; "" if there is none."""
    found = my_address_in(scene)
    return found[1] if found is not None else ""


def _about_sender(scene: Scene) -> str:
    sender = scene.return_path()
    local, at, domain = sender.rpartition("@")
    if not sender:
        return "the null sender"
    if not at or not domain or not can_be_sent_to(sender):
        return f'"{sender}" is no address'
    if is_mine(scene, sender):
        return f'"{sender}" is my own address'
    if sent_by_me(scene):
        return f"it is my own message: {scene.because}"
    for address in (local, *[a.local for a in scene.message.addresses("from")]):
        if _takes_no_answers(address):
            return f'"{address}" takes no answers'
    return ""


def _about_header(scene: Scene) -> str:
    if mailing_list(scene) or automatic(scene):
        return scene.because
    for header in _LIST_HEADERS:
        if scene.message.raw(header):
            return f"there is {header.title()}"
    for text in scene.message.texts("x-auto-response-suppress"):
        if _SUPPRESSED & {word.strip().lower() for word in text.split(",")}:
            return f"X-Auto-Response-Suppress is {text[:60]}"
    if not asked_at(scene):
        return "none of my addresses is in To or Cc"
    return ""


def _takes_no_answers(local: str) -> bool:
    plain = local.lower()
    for joiner in "-_.":
        plain = plain.replace(joiner, "")
    return plain.startswith(_NO_ANSWERS) or plain.endswith(_NO_ANSWERS[:4])
