"""`automatic` and `mailing list`: mail that no person wrote to this user.

automatic     the null sender (RFC 5321 4.5.5: nobody is to answer it), Auto-Submitted other than
              `no` (RFC 3834 5), and procmail's ^FROM_DAEMON, which people know: Mailing-List,
              Precedence junk, bulk or list, `To: Multiple recipients of`, or a sender such as
              postmaster, MAILER-DAEMON, root, owner-x, x-request or echo.
              As in procmail the sender is who stands in From, Sender, their Resent- forms,
              X-Envelope-From and the From_ line (here: the envelope); unlike there only the
              address counts, never the words around it.
mailing list  List-Id, List-Post, Mailing-List, X-Mailing-List, X-BeenThere, or Precedence list.
              List-Unsubscribe alone is what every shop writes (RFC 8058).
"""

from __future__ import annotations

from mdeliver.conditions.facts import limit_words
from mdeliver.outcome import one_line
from mdeliver.structured import words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.scene import Scene

_LIST_HEADERS = ("list-id", "list-post", "mailing-list", "x-mailing-list", "x-beenthere")
_SENDER_HEADERS = ("from", "sender", "resent-from", "resent-sender", "x-envelope-from")

# The words of procmail's ^FROM_DAEMON, its optional letters written out.
_DAEMONS = frozenset(
    """postmst postmstr postmster postmast postmastr postmaster postmn postman postoffice
    mail mailer sendmail sendmailer daemon mmdf majordomo uucp nuucp listserv listproc netserv
    owner ops request response root bounce bbs.smtp echo mirror service services server smtp
    smtperror system admin administrator ammgr autoanswer""".split()
)
_LENGTHS = sorted({len(word) for word in _DAEMONS})
_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_AFTER = _ALPHANUMERIC | frozenset("-_")

_LOCAL_PART = 256
"""Characters; RFC 5321 4.5.3.1.1 allows 64. What is longer is nobody's, and is not looked at."""


def mailing_list(scene: Scene) -> bool:
    """Whether a mailing list sent the message."""
    message = scene.message
    for header in _LIST_HEADERS:
        if message.raw(header):
            scene.because = f"there is {header.title()}"
            return True
    if any(text.lower() == "list" for text in message.texts("precedence")):
        scene.because = "Precedence is list"
        return True
    scene.because = "none of the headers of a mailing list" + limit_words(scene)
    return False


def automatic(scene: Scene) -> bool:
    """Whether a program, not a person, sent the message."""
    reason = _why_automatic(scene)
    scene.because = one_line(reason) or "nothing says that a program sent it" + limit_words(scene)
    return reason != ""


def _why_automatic(scene: Scene) -> str:
    message, sender = scene.message, scene.envelope.sender
    if not sender:
        return "the null sender"
    for text in message.texts("auto-submitted"):
        # auto-submitted-field = "Auto-Submitted:" [CFWS] auto-submitted [CFWS] opt-parameter-list
        keyword = next((word.lower() for _quoted, word in words_of(text)), "no")
        if keyword != "no":
            return f"Auto-Submitted is {keyword[:60]}"
    if message.raw("mailing-list"):
        return "there is Mailing-List"
    for text in message.texts("precedence"):
        for word in ("junk", "bulk", "list"):
            if word in text.lower():
                return f"Precedence is {word}"
    if any(text.lower().startswith("multiple recipients of ") for text in message.texts("to")):
        return "To is Multiple recipients of …"
    local, at, domain = sender.rpartition("@")
    if is_daemon(local if at else domain):
        return f'"{sender}" is the address of a program'
    for header in _SENDER_HEADERS:
        for address in message.addresses(header):
            if is_daemon(address.local):
                return f'"{address.text}" in {header.title()} is the address of a program'
    return ""


def is_daemon(local: str) -> bool:
    """Whether the local part is one of ^FROM_DAEMON's.

    A word of the list that begins the local part or follows what is no letter, digit or one of
    `(.%@`, and is followed by nothing, or by one character that is no letter, digit or one of
    `).!:` and then letters, digits, `-` and `_` to the end: `x-request`, `owner-x`, not `rooted`.
    """
    if len(local) > _LOCAL_PART:
        return False
    text = local.lower().partition("%")[0]
    for start in range(len(text)):
        if start and (text[start - 1] in _ALPHANUMERIC or text[start - 1] in "(.@"):
            continue
        for length in _LENGTHS:
            if text[start : start + length] not in _DAEMONS:
                continue
            rest = text[start + length :]
            if not rest:
                return True
            if (
                rest[0] not in _ALPHANUMERIC
                and rest[0] not in ").!:"
                and _AFTER.issuperset(rest[1:])
            ):
                return True
    return False
