"""How mail comes to mdeliver: mailbox_command, LMTP, and the copies of sent mail.

local(8)    asks mailbox_transport_maps, mailbox_transport, mailbox_command_maps, mailbox_command,
            home_mailbox, in this order; the first that is set has the mail. So what is set stays,
            unless the administrator says another way.
See also    local(8); README.md; mdeliver(1), SENT COPIES
"""

from __future__ import annotations

from mdeliver.postfix.changes import Change
from mdeliver.postfix.configuration import split_list
from mdeliver.postfix.step import Proposal, Step, simple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.postfix.step import Box, Wish

SOCKET = "lmtp:unix:/run/mdeliver/lmtp"
"""Where systemd/mdeliver-lmtp.socket listens."""

ORDER = (
    "mailbox_transport_maps",
    "mailbox_transport",
    "mailbox_command_maps",
    "mailbox_command",
    "home_mailbox",
)
"""What local(8) asks for the way to a mailbox, the first that is set."""

_WHY = {
    "command": "local(8) runs mdeliver-lda for each message, as the user; it needs nothing else",
    "lmtp": "a running server delivers, without starting an interpreter for each message; "
    "systemd/mdeliver-lmtp.socket has to be there first",
}
_LIMIT_WHY = (
    "Postfix's default of 51 MB holds for every file that a delivery writes, by mailbox_command "
    "too: once an mbox is that large, all mail to it waits in the queue"
)


def propose(box: Box, wish: Wish) -> Proposal:
    """What is lacking for deliveries. Raises PostfixError."""
    way = wish.deliver or _present_way(box)
    parts = [_way(box, wish, way)]
    parts.append(simple(box, "delivery", "mailbox_size_limit", "0", _LIMIT_WHY))
    why = "ann+lists@ is ann's, and rules see what is behind the +; so do secret Sent addresses"
    if box.value("recipient_delimiter") not in ("", "+"):
        what = f"recipient_delimiter = {box.value('recipient_delimiter')}"
        parts.append(Proposal([Step("delivery", what, why, "set")], []))
    else:
        parts.append(simple(box, "delivery", "recipient_delimiter", "+", why))
    if way == "lmtp":
        parts.append(_lmtp(box))
    return Proposal(
        [step for part in parts for step in part.steps],
        [change for part in parts for change in part.changes],
    )


def _present_way(box: Box) -> str:
    """The way by which mail comes to mdeliver now; "command" if there is none."""
    transports = box.value("mailbox_transport") + box.value("virtual_transport")
    return "lmtp" if "mdeliver" in transports else "command"


def _way(box: Box, wish: Wish, way: str) -> Proposal:
    name = "mailbox_command" if way == "command" else "mailbox_transport"
    target = wish.launcher if way == "command" else SOCKET
    what, why = f"{name} = {target}", _WHY[way]
    first = next((setting for setting in ORDER if box.value(setting)), "")
    said = box.value(first) if first else ""
    if way == "lmtp" and "mdeliver" in box.value("virtual_transport"):
        return Proposal([Step("delivery", what, why, "set", "by virtual_transport")], [])
    if first == name and "mdeliver" in said:
        return Proposal([Step("delivery", f"{first} = {said}", why, "set")], [])
    if first and not wish.deliver:
        note = f"{first} = {said}; --deliver command or --deliver lmtp puts mdeliver in its place"
        return Proposal([Step("delivery", what, why, "kept", note)], [])
    if first and ORDER.index(first) < ORDER.index(name):
        note = f"{first} = {said} goes before it; empty that first"
        return Proposal([Step("delivery", what, why, "kept", note)], [])
    note = f"in the place of {first} = {said}" if first else ""
    return Proposal([Step("delivery", what, why, "lacking", note)], [Change("-e", name, target)])


def _lmtp(box: Box) -> Proposal:
    """What Postfix's LMTP client needs to find the server and to tell it whom mail is from."""
    why = "the server learns who the client was, which rules may ask for"
    told = simple(box, "delivery", "lmtp_send_xforward_command", "yes", why)
    if box.chroot("lmtp/unix") == "n":
        return told
    what = "lmtp/unix: no chroot"
    why = "from Postfix's chroot there is no /run/mdeliver"
    step = Step("delivery", what, why, "lacking")
    change = Change("-F", "lmtp/unix/chroot", "n")
    return Proposal([*told.steps, step], [*told.changes, change])


def sent(box: Box) -> Proposal:
    """Whether what users send comes back for their Sent folders; bcc-maps sets that up."""
    what = "sender_bcc_maps"
    why = "what users send comes back as a copy, and is filed in Sent"
    cleanups = [service for service in box.services if service.program == "cleanup"]
    if any(split_list(box.value_for(service, what)) for service in cleanups):
        return Proposal([Step("sent", what, why, "set", "mdeliver audit looks at it")], [])
    note = "mdeliver bcc-maps --apply makes the tables, and sets them where senders are known"
    return Proposal([Step("sent", what, why, "missing", note)], [])
