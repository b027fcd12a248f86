"""Every kind of delivery, and what carries it out.

undoable  copies in mailboxes: committed first, and taken back if anything after them fails
final     what nobody can take back (`forward to`, `pipe to`): done once all copies are on disk,
          one after the other; each is marked durably in the journal, and never done again
besides   what has no say in the delivery (`run`, `reply`): once it is done and no mailbox is locked
          any more, each is marked, then tried once

See also  transaction.py, which takes them through their steps
"""

from __future__ import annotations

from mdeliver.deliver.contents import Contents, content_of
from mdeliver.deliver.maildir import MaildirCopy
from mdeliver.deliver.mbox import MboxCopy
from mdeliver.plan import AS_IT_CAME, File, Forward, Pipe, Reply, Run
from mdeliver.record import Record

TYPE_CHECKING = False
_DELIVERIES = (File, Forward, Pipe, Run, Reply)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal, Protocol

    from mdeliver.deliver.journal import Journal
    from mdeliver.deliver.mboxturn import MboxTurns
    from mdeliver.envelope import Envelope
    from mdeliver.plan import Action, Delivery

    Phase = Literal["undoable", "final", "besides"]

    class Copy(Protocol):
        """What every deliverer offers.

        done    an earlier attempt delivered it
        remark  what went wrong with what has no say, else ""
        """

        phase: Phase
        done: bool
        remark: str

        def words(self) -> tuple[str, ...]: ...
        def prepare(self, recorded: tuple[str, ...] | None, believed: bool) -> None: ...
        def settle(self) -> None: ...
        def commit(self) -> None: ...
        def sync(self) -> None: ...
        def undo(self) -> bool: ...
        def finish(self) -> None: ...
        def release(self) -> None: ...


class Attempt(Record):
    """One attempt at a message, as deliverers need to know it.

    contents         what the message is, by the time of each action
    from_line        of copies in mboxes
    hostname         for unique names and lock files
    state_directory  where what is too large for memory may go, and the memory is
    sendmail         the program that takes mail to be sent
    turns            at mboxes, where they are shared with other messages
    """

    contents: Contents
    envelope: Envelope
    from_line: bytes
    journal: Journal
    hostname: str
    state_directory: str
    sendmail: str
    turns: MboxTurns | None = None


def deliverer_of(delivery: Delivery, attempt: Attempt) -> Copy:
    """What carries DELIVERY out."""
    contents, journal, hostname = attempt.contents, attempt.journal, attempt.hostname
    match delivery:
        case File(store="maildir"):
            letter = contents.letter(delivery.content)
            return MaildirCopy(delivery, letter, journal.key, hostname)
        case File():
            letter = contents.letter(delivery.content)
            return MboxCopy(delivery, letter, attempt.from_line, journal, hostname, attempt.turns)
        case Pipe() | Run():
            from mdeliver.deliver.pipe import PipeCopy, RunCopy

            return (PipeCopy if isinstance(delivery, Pipe) else RunCopy)(delivery, attempt)
        case Forward():
            from mdeliver.deliver.forward import ForwardCopy

            return ForwardCopy(delivery, attempt)
        case Reply():
            from mdeliver.deliver.reply import ReplyCopy

            return ReplyCopy(delivery, attempt)
        case _:
            raise AssertionError(f"nothing carries out a {type(delivery).__name__}")


def delivery_of(words: tuple[str, ...]) -> Delivery:
    """The delivery that WORDS of the journal name: what an earlier attempt had planned."""
    match words[0]:
        case "maildir" | "mbox":
            store, path, root, flags, content = words[:5]
            return File(
                "maildir" if store == "maildir" else "mbox",
                path,
                root,
                None,
                None,
                tuple(flags.split(",")) if flags else (),
                None,
                content_of(content),
            )
        case "pipe" | "run":
            from mdeliver.deliver.pipe import program_delivery

            return program_delivery(words)
        case "forward":
            from mdeliver.deliver.forward import forward_delivery

            return forward_delivery(words)
        case "reply":
            from mdeliver.deliver.reply import reply_delivery

            return reply_delivery(words)
        case _:
            raise AssertionError(f"the journal names a {words[0]}")


def deliveries_in(actions: tuple[Action, ...]) -> tuple[Delivery, ...]:
    """Those of ACTIONS that a transaction carries out."""
    return tuple([action for action in actions if isinstance(action, _DELIVERIES)])


def filters_of(deliveries: Iterable[Delivery]) -> set[int]:
    """The numbers of the filters that made what DELIVERIES take."""
    contents = [getattr(delivery, "content", AS_IT_CAME) for delivery in deliveries]
    return {content.filtered for content in contents} - {0}
