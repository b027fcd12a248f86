"""All that mdeliver has to say about Postfix's settings, part by part, and how it is set.

Guarantee   what the administrator has set stays; what is set already is not touched, so that a
            second run changes nothing; --revert puts every file back octet for octet.
Table       of our own names, beside main.cf; made before the settings name it
See also    standards.py, greeting.py, submission.py, ways.py; changes.py, which makes and undoes
"""

from __future__ import annotations

import os

from mdeliver import durable
from mdeliver.postfix import changes, greeting, ownnames, standards, submission, ways
from mdeliver.postfix.step import Proposal, Step
from mdeliver.record import Record
from mdeliver.sent import tables
from mdeliver.sent.settings import COMPILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdeliver.postfix.configuration import Postfix
    from mdeliver.postfix.step import Box, Wish

PARTS = {
    "client": "who connects has a name",
    "helo": "who greets says a name that exists, and not ours",
    "sender": "senders can be answered",
    "recipient": "recipients exist as far as DNS knows",
    "data": "clients that take turns, bounces that have one recipient",
    "greeting": "clients that wait for the greeting",
    "submission": "TLS and passwords, where one's own users send",
    "delivery": "the way to mdeliver",
    "sent": "copies of sent mail",
}
"""Every part and what it is for, in the order in which they are shown and set."""

KEPT = "mdeliver-postfix.undo"
"""The file beside main.cf that remembers what was there before."""


class Plan(Record):
    """What is to be done.

    steps    every setting, in the order of PARTS
    changes  calls of postconf
    table    the table of our own names as it should be; None if it is not asked for
    stale    whether the table has to be written
    """

    steps: Sequence[Step]
    changes: Sequence[changes.Change]
    table: tables.Table | None
    stale: bool

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do."""
        return not self.changes and not self.stale


def plan(box: Box, wish: Wish, parts: Sequence[str] = ()) -> Plan:
    """What is lacking of PARTS, () for all. Raises SetupError, PostfixError, OSError."""
    chosen = [part for part in PARTS if not parts or part in parts]
    table = ownnames.table(box, wish.names) if "helo" in chosen else None
    checks = [part for part in chosen if part in {check.part for check in standards.CHECKS}]
    proposals = [standards.propose(box, wish, checks, table.name if table else "")]
    if "greeting" in chosen:
        proposals.append(greeting.propose(box, wish))
    if "submission" in chosen:
        proposals.append(submission.propose(box, wish))
    if "delivery" in chosen:
        proposals.append(ways.propose(box, wish))
    if "sent" in chosen:
        proposals.append(ways.sent(box))
    return _joined(proposals, table)


def _joined(proposals: Sequence[Proposal], table: tables.Table | None) -> Plan:
    steps = [step for proposal in proposals for step in proposal.steps]
    order = list(PARTS)
    return Plan(
        sorted(steps, key=lambda step: order.index(step.part)),
        [change for proposal in proposals for change in proposal.changes],
        table,
        table is not None and not tables.is_fresh(table),
    )


def apply(wanted: Plan, box: Box) -> list[str]:
    """Do what WANTED says; returns the files that were changed.

    Raises SetupError, PostfixError, OSError; then everything is as it was.
    """
    table = wanted.table if wanted.stale else None
    if table is None:
        return changes.make(wanted.changes, box.postfix, _kept(box))
    _be_ours(table)
    is_new = not os.path.exists(table.path)

    def write() -> None:
        tables.write(table, box.postfix, secret=False)

    try:
        return changes.make(wanted.changes, box.postfix, _kept(box), [table.path], write)
    except BaseException:
        if is_new:
            durable.remove(table.compiled)
        raise


def _be_ours(table: tables.Table) -> None:
    """Raise SetupError where somebody else made the file."""
    text = durable.read_file(table.path, tables.TABLE_BYTES)
    if text and not text.startswith(ownnames.HEAD.encode()):
        raise changes.SetupError(f"{table.path} was not made by mdeliver postfix: move it away")


def revert(box: Box) -> list[str]:
    """Put back what `apply` changed; returns the files. Raises SetupError, OSError."""
    path = f"{box.directory}/{ownnames.FILE}"
    was_there = os.path.exists(path)
    changed = changes.undo(_kept(box))
    if was_there and not os.path.exists(path):
        for end in COMPILED.values():
            durable.remove(path + end)
    return changed


def _kept(box: Box) -> str:
    return f"{box.directory}/{KEPT}"


def reload(postfix: Postfix) -> None:
    """Have a running Postfix read its settings; new ports are opened then, too."""
    if changes.is_running(postfix):
        postfix.run("postfix", "reload")
