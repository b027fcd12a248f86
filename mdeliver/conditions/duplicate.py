"""`duplicate within TIME`: whether the same message was delivered to this user so lately.

The same    Message-ID, and with it what neither a list nor a forwarder changes: the Date and the
            addresses in From. Who guesses a Message-ID and sends something else under it first does
            not make the real message disappear. (Who has seen the message can copy it all.)
            Without a Message-ID: the fields that people see, and the body, octet for octet.
            Always of the message as it came, whatever filters and header lines have made of it.
            What comes to the secret Sent address is another message than the one it is a copy of:
            whoever writes to himself gets both, whichever comes first.
Remembered  once the message is delivered, by any rule: plan.Plan.remember, memory.py.
Waits       while another copy of it is being delivered: of two at once the second is the duplicate.
See also    RFC 5322 3.6.4; outside.py
"""

from __future__ import annotations

from mdeliver.memory import name_of
from mdeliver.scene import period_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.language.syntax import DuplicateWithin
    from mdeliver.message import Message
    from mdeliver.scene import Scene

_WHEN = ("date", "resent-date", "resent-message-id")
"""Who sends a message again by hand wants it to be seen again (RFC 5322 3.6.6)."""

_SEEN = ("from", "sender", "to", "cc", "date", "subject")
"""Fields that tell messages without a Message-ID apart; no server on the way writes them."""


def duplicate(scene: Scene, fact: DuplicateWithin) -> bool | None:
    """Whether the message was delivered within the time of FACT; None if that cannot be known."""
    name = message_name(scene.came)
    if scene.envelope.sent_tag.mine:
        name = name_of(b"sent", name)
    if name not in scene.remember:
        scene.remember.append(name)
    if scene.outside is None:
        scene.because = "nothing is remembered here"
        return False
    known = scene.outside.delivered_before(name, period_s(fact.period))
    if known is None:
        scene.because = "it is not known what was delivered before"
    elif known:
        scene.because = f"it was delivered within {fact.period.digits}{fact.period.unit}"
    else:
        scene.because = "it was not delivered before"
    return known


def message_name(message: Message) -> bytes:
    """What all copies of MESSAGE have in common, and no other message has."""
    message_id = b" ".join([value.strip() for value in message.raw("message-id")])
    if message_id:
        authors = " ".join([address.text.lower() for address in message.addresses("from")])
        when = [b" ".join(b" ".join(message.raw(name)).split()) for name in _WHEN]
        return name_of(b"id", message_id, *when, authors.encode("utf-8", "surrogateescape"))
    fields = [b"\n".join([value.strip() for value in message.raw(name)]) for name in _SEEN]
    return name_of(b"no id", *fields, _body_digest(message))


def _body_digest(message: Message) -> bytes:
    from _blake2 import blake2b

    digest = blake2b(digest_size=16)
    left = len(message.head)
    for piece in message.octets() if message.octets is not None else ():
        digest.update(piece[left:])
        left = max(0, left - len(piece))
    return digest.digest()
