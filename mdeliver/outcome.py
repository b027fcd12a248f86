"""What becomes of one message for one recipient: the value that goes back to the MTA.

An Outcome knows its exit status for local(8) and its LMTP reply; nothing else does.

Exit status  0 delivered or discarded; 75 deferred; 77 rejected (the enhanced code in the text
             decides in Postfix, 77 only says "permanent").
See also     sysexits.h, RFC 3463 (enhanced codes), Postfix pipe_command(3) on "D.S.N text"
"""

from __future__ import annotations

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Fate = Literal["delivered", "rejected", "deferred", "discarded"]

EX_OK = 0
EX_TEMPFAIL = 75
EX_NOPERM = 77


class Outcome(Record):
    """The fate of a message.

    fate     delivered, rejected, deferred or discarded
    status   enhanced status code, such as "2.0.0" (RFC 3463)
    text     one line of words for the administrator or the sender
    """

    fate: Fate
    status: str
    text: str

    @property
    def exit_status(self) -> int:
        """Exit status for local(8); only a rejection is permanent."""
        if self.fate in ("delivered", "discarded"):
            return EX_OK
        return EX_NOPERM if self.fate == "rejected" else EX_TEMPFAIL

    @property
    def line(self) -> str:
        """The one line "D.S.N text" that Postfix reads from the command's output."""
        return f"{self.status} {one_line(self.text)}"

    @property
    def reply(self) -> str:
        """The LMTP reply (RFC 2033, RFC 2034)."""
        code = {"delivered": 250, "discarded": 250, "rejected": 550, "deferred": 451}[self.fate]
        return f"{code} {self.line}"


def one_line(text: str) -> str:
    """TEXT with control characters made visible: no input may add a line to a reply or log."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def delivered(text: str = "delivered") -> Outcome:
    """The message is in all its places, durably."""
    return Outcome("delivered", "2.0.0", text)


def discarded(text: str = "discarded by the rules") -> Outcome:
    """The rules said to drop the message; the MTA is told success."""
    return Outcome("discarded", "2.0.0", text)


def deferred(text: str, status: str = "4.3.0") -> Outcome:
    """The message stays in the MTA's queue. STATUS must be of class 4."""
    return Outcome("deferred", status, text)


def rejected(text: str, status: str = "5.7.1") -> Outcome:
    """The message goes back to its sender. Only an explicit rule may lead here."""
    return Outcome("rejected", status, text)


def split_status(text: str, default: str) -> tuple[str, str]:
    """Split "D.S.N words" into code and words; DEFAULT where the text has no code of that class.

    RFC 3463: class "." subject (1*3 digits) "." detail (1*3 digits).
    """
    code, _, words = text.strip().partition(" ")
    parts = code.split(".")
    if (
        len(parts) == 3
        and parts[0] == default[0]
        and all(p.isascii() and p.isdigit() and len(p) <= 3 for p in parts)
    ):
        return code, words.strip() or "no reason given"
    return default, text.strip() or "no reason given"


class Deferral(Exception):
    """A reason to leave the message in the MTA's queue; caught once, at the edge.

    text    what went wrong, where, and how to mend it, on one line
    status  enhanced status code of class 4
    """

    def __init__(self, text: str, status: str = "4.3.0") -> None:
        super().__init__(text)
        self.text = text
        self.status = status


_MAILBOX_FULL = ("EDQUOT", "EFBIG")
_SYSTEM_FULL = ("ENOSPC", "EMFILE", "ENFILE", "ENOMEM", "ENOLCK", "EAGAIN")


def deferred_by(error: BaseException) -> Outcome:
    """The one place where an exception becomes a status code (RFC 3463).

    Whatever is not known to be anything else is a temporary failure, our own bugs included.
    """
    if isinstance(error, Deferral):
        return deferred(error.text, error.status)
    if isinstance(error, OSError) and error.errno is not None:
        from errno import errorcode

        name = errorcode.get(error.errno, "")
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        status = "4.2.2" if name in _MAILBOX_FULL else "4.3.1" if name in _SYSTEM_FULL else "4.3.0"
        return deferred(f"{where}{error.strerror}", status)
    if isinstance(error, MemoryError):
        return deferred("out of memory", "4.3.1")
    return deferred(f"internal error: {type(error).__name__}: {error}")
