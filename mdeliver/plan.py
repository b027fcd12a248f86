"""What to do with one message: data only, nothing done yet.

The evaluator makes a Plan, the dry run prints it, the delivery carries out the same Plan. Paths
are absolute and final (folder names already made safe and encoded), so that what `mdeliver test`
shows is what `mdeliver deliver` does. The order of actions is the order of the rules; the same
place appears once, with the flags of all who named it and the content of the last.
"""

from __future__ import annotations

from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from mdeliver.letter import Letter

    Deed: TypeAlias = Literal["set", "add", "remove", "prepend", "drop"]


class Edit(Record):
    """Change the header; what is done afterwards is done with the changed message.

    deed  "set": one field of that name, this one. "add": one more. "remove": none.
          "prepend": one more, above the first Received, as who handles a message on its way puts
          it. "drop": some of them fewer
    name  of the field, as the rules wrote it
    text  its value, unfolded, decoded; "" for "remove"; for "drop" which, as "1,3", from the top
    rule  FILE:LINE; None where no line asked for it, or a delivery completes what an earlier one
          planned
    """

    deed: Deed
    name: str
    text: str
    rule: str | None


class Content(Record):
    """What the message is by the time of an action.

    filtered  how many filters had changed it before: 0 is the message as it came, else
              `Plan.filtered[filtered - 1]`
    edits     what was done to its header since
    """

    filtered: int = 0
    edits: tuple[Edit, ...] = ()


AS_IT_CAME = Content()

TRACE_FIELD = "X-Mdeliver-Forwarded"
"""The field above what `forward to` sends on; its text says by whom."""


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
    content  what is put there
    once     whether it is a copy for the Sent folder, and left out where that has the message
    """

    store: Literal["maildir", "mbox"]
    path: str
    root: str
    mailbox: str | None
    folder: str | None
    flags: tuple[str, ...]
    rule: str | None
    content: Content = AS_IT_CAME
    once: bool = False


class Forward(Record):
    """Send it on through the MTA.

    addresses  to whom, each once
    sender     envelope sender; "" is the null sender
    mark       what the trace field says, by which a loop is recognised
    """

    addresses: tuple[str, ...]
    rule: str | None
    content: Content = AS_IT_CAME
    sender: str = ""
    mark: str = ""


class Pipe(Record):
    """Give it to a program whose success is the delivery.

    argv  the program and its arguments
    """

    argv: tuple[str, ...]
    rule: str | None
    content: Content = AS_IT_CAME


class Run(Record):
    """Give it to a program that has no say in the delivery."""

    argv: tuple[str, ...]
    rule: str | None
    content: Content = AS_IT_CAME


class Reply(Record):
    """Answer the sender, at most once in a while.

    to       the envelope sender, who is answered
    subject  of the reply
    every_s  nobody is sent the same twice within so many seconds
    octets   the whole reply
    name     by which the memory knows that TO was answered (memory.reply_name)
    """

    to: str
    subject: str
    every_s: float
    rule: str | None
    octets: bytes
    name: bytes


class Filter(Record):
    """The message went through a program while the rules ran.

    changed  whether the program gave a message back; else it stayed as it was
    why      why it did, in words; "" where the program gave one back
    """

    argv: tuple[str, ...]
    changed: bool
    rule: str | None
    why: str = ""


class Note(Record):
    """A line for the decision log."""

    text: str
    rule: str | None


if TYPE_CHECKING:
    # What the transaction carries out, each with a deliverer of its own ...
    Delivery = File | Forward | Pipe | Run | Reply
    # ... and what is done, or said, by the way.
    Action = Delivery | Edit | Filter | Note


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
    """Everything to be done with one message for one user.

    actions   in the order of the rules
    filtered  what filters made of the message, in their order
    remember  what names this message to a later `duplicate within`, once it is delivered
    fired     FILE:LINE of every action that was reached, in order, `mark` and `also` included
    authentication  what is known of the sender, as the decision log has it; "" if nothing was asked
    """

    actions: tuple[Action, ...]
    verdict: Verdict
    filtered: tuple[Letter, ...] = ()
    remember: tuple[bytes, ...] = ()
    fired: tuple[str, ...] = ()
    authentication: str = ""


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
