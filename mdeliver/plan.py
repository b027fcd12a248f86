"""What to do with one message: data only, nothing done yet.

The evaluator makes a Plan, the dry run prints it, the delivery carries out the same Plan. Paths
are absolute and final (folder names already made safe and encoded), so that what `mdeliver test`
shows is what `mdeliver deliver` does. The order of actions is the order of the rules; the same
place appears once, with the flags of all who named it.
"""

from __future__ import annotations

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class File(Record):
    """Put a copy into one place.

    store    "maildir" or "mbox"
    path     absolute: the directory with tmp, new and cur in it, or the mbox file
    root     absolute: the Maildir that `path` is a Maildir++ folder of (it holds subscriptions and
             maildirsize); equal to `path` for an inbox, a mailbox of its own, and any mbox
    mailbox  the name rules gave it, None for a place written outright
    folder   the folder as rules wrote it, braces filled in: "Lists/postfix"; None for the inbox
    flags    of seen, flagged, answered, draft, in this order; a mbox ignores them
    rule     FILE:LINE of the rule that named it first; None for the implicit inbox
    """

    store: Literal["maildir", "mbox"]
    path: str
    root: str
    mailbox: str | None
    folder: str | None
    flags: tuple[str, ...]
    rule: str | None


if TYPE_CHECKING:
    # Later kinds of action (forward, pipe, reply, ...) join here, each with a deliverer of its own.
    Action = File


class Verdict(Record):
    """How the rules ended.

    fate    "deliver": carry out the actions. "discard": likewise (there may have been `also`
            actions), then say success. "reject": carry out the actions, then send it back.
            "defer": do nothing at all.
    status  enhanced status code of a reject or defer, else ""
    text    its words, else ""
    rule    FILE:LINE of the line that ended the rules; None where none did (implicit inbox)
    """

    fate: Literal["deliver", "discard", "reject", "defer"]
    status: str
    text: str
    rule: str | None


class Plan(Record):
    """Everything to be done with one message for one user."""

    actions: tuple[Action, ...]
    verdict: Verdict


class Step(Record):
    """One line of the explanation, in the order of evaluation.

    rule     FILE:LINE
    depth    how deeply the line is nested in blocks, from 0
    source   the line's own words, such as `if from is colleagues`
    result   "yes", "no" or "unknown" for a condition, "done" for an action or definition that was
             reached, "skipped" for a branch not looked at because an earlier one held
    because  what decided it: the field, the text found and the value it was compared with
    """

    rule: str
    depth: int
    source: str
    result: Literal["yes", "no", "unknown", "done", "skipped"]
    because: str


class Decision(Record):
    """A plan and the reasons for it."""

    plan: Plan
    trace: tuple[Step, ...]
