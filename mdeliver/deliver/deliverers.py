"""Every kind of delivery, and what carries it out.

undoable  copies in mailboxes: committed first, and taken back if anything after them fails
final     what nobody can take back (`forward to`, `pipe to`): done once all copies are on disk,
          one after the other; each is marked durably in the journal, and never done again
besides   what has no say in the delivery (`run`, `reply`): marked, then tried once

See also  transaction.py, which takes them through their steps
"""

from __future__ import annotations

from mdeliver.deliver.contents import Contents, content_of
from mdeliver.deliver.maildir import MaildirCopy
from mdeliver.deliver.mbox import MboxCopy
from mdeliver.plan import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Protocol

    from mdeliver.deliver.journal import Journal
    from mdeliver.plan import Action, Delivery

    Phase = Literal["undoable", "final", "besides"]

    class Copy(Protocol):
        """What every deliverer offers; `done` says that an earlier attempt delivered it."""

        phase: Phase
        done: bool

        def words(self) -> tuple[str, ...]: ...
        def prepare(self, recorded: tuple[str, ...] | None, believed: bool) -> None: ...
        def commit(self) -> None: ...
        def sync(self) -> None: ...
        def undo(self) -> bool: ...
        def finish(self) -> None: ...
        def release(self) -> None: ...


def deliverer_of(
    delivery: Delivery,
    contents: Contents,
    from_line: bytes,
    journal: Journal,
    hostname: str,
) -> Copy:
    """What carries DELIVERY out."""
    match delivery:
        case File(store="maildir"):
            letter = contents.letter(delivery.content)
            return MaildirCopy(delivery, letter, journal.key, hostname)
        case File():
            letter = contents.letter(delivery.content)
            return MboxCopy(delivery, letter, from_line, journal, hostname)
        case _:
            raise AssertionError(f"nothing carries out a {type(delivery).__name__}")


def delivery_of(words: tuple[str, ...]) -> Delivery:
    """The delivery that WORDS of the journal name: what an earlier attempt had planned."""
    match words[0]:
        case "maildir" | "mbox":
            store, path, root, flags, content = words[:5]
            return File(
                store,  # type: ignore[arg-type]  # one of the two
                path,
                root,
                None,
                None,
                tuple(flags.split(",")) if flags else (),
                None,
                content_of(content),
            )
        case _:
            raise AssertionError(f"the journal names a {words[0]}")


def deliveries_in(actions: tuple[Action, ...]) -> tuple[Delivery, ...]:
    """Those of ACTIONS that a transaction carries out."""
    return tuple([action for action in actions if isinstance(action, File)])
