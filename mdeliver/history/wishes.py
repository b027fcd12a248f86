"""What rules would do with a message that is already in a Maildir.

Done        `file to` and `keep` move it, flags are added to those it has, `discard` moves it to
            Trash; a second place gets a copy, with the flags of the message.
Stays       a message that no rule took, also if it is not in the inbox; one that a rule would
            reject, defer, forward or give to a program, since nothing of that is done: it came
            long ago. Its header is not changed either.
The mbox    of the inbox gets nothing: POP3 clients would fetch again what they have. Any other
            mbox gets a copy, and then the message goes to Trash.
Twice       a place that has the message already gets no second copy.
Arrival     is the time of change of its file, as IMAP's INTERNALDATE is.
See also    apply.py, which does it
"""

from __future__ import annotations

import os
from typing import Literal, NamedTuple

from mdeliver.actions.places import FLAGS
from mdeliver.deedwords import action_words
from mdeliver.history.folders import Folder, Places
from mdeliver.history.held import Held
from mdeliver.history.steps import letters_of
from mdeliver.message import Message
from mdeliver.outcome import one_line
from mdeliver.plan import Edit, File, Filter, Note, Plan
from mdeliver.replay.fates import NO_RULE, Place, file_flags, file_words
from mdeliver.replay.rehearsal import Rehearsal, traced
from mdeliver.replay.stores import Arrived, Stored

_LETTERS = {"draft": "D", "flagged": "F", "answered": "R", "seen": "S"}

Deed = Literal["moved", "discarded", "marked", "left"]


class Spot(NamedTuple):
    """A place, as plan.File has it; workers can send it to one another."""

    store: Literal["maildir", "mbox"]
    path: str
    root: str
    flags: tuple[str, ...]


class Wish(NamedTuple):
    """What is to be done with one message.

    path       its file
    size       in octets
    deed       what becomes of it
    target     the folder that it goes to, if it does not stay
    flags      that are added
    copies     the other places
    sender     its envelope sender
    arrived_s  seconds since 1970
    places     rows of the table
    """

    path: str
    size: int
    deed: Deed
    target: Spot | None
    flags: tuple[str, ...]
    copies: tuple[Spot, ...]
    sender: str
    arrived_s: float
    places: tuple[Place, ...]


def letters_with(path: str, flags: tuple[str, ...]) -> str:
    """The letters of the message at PATH, and those of FLAGS, in the order of ASCII."""
    return "".join(sorted({*letters_of(path), *(_LETTERS[flag] for flag in flags)}))


class Asked(NamedTuple):
    """What wishes depend on beside the message."""

    folder: Folder
    rehearsal: Rehearsal
    places: Places
    held: Held


def wish(stored: Stored, arrived: Arrived, asked: Asked) -> Wish:
    """What the rules would do with the message STORED in the folder. Raises OSError."""
    folder, rehearsal = asked.folder, asked.rehearsal
    told = rehearsal.of(arrived, explain=False)
    plan, fate = told.decision.plan, told.outcome.fate
    arrived_s = arrived.arrived_s or 0.0
    here, others = _sorted(plan, folder, asked.places, arrived_s)
    undecided = plan.verdict.rule is None or fate in ("rejected", "deferred")
    flags = tuple(dict.fromkeys([flag for file in here for flag in file.flags]))
    deed: Deed = "marked" if letters_with(stored.path, flags) != _now(stored.path) else "left"
    target = None
    if fate == "discarded":
        target = folder.trash if not _same(folder.trash.path, folder.path) else None
        deed = "discarded" if target else "left"
    elif not undecided and not here and others:
        target = _main(others, plan) or folder.trash
        deed, flags = "moved", target.flags
        if _same(target.path, folder.path):
            target, deed = None, "left"
    letter = arrived.letter
    copies = [file for file in others if file is not target and not asked.held(file, letter)]
    sender = ""
    if copies:
        head = Message(letter.head, letter.size)
        options = traced(rehearsal.options, rehearsal.environ, head, letter, rehearsal.site)
        sender = options.sender or ""
    rows = _rows(plan, deed, target, copies, flags, fate)
    spots = tuple([_spot(_marked(file, stored.path)) for file in copies])
    return Wish(
        *(stored.path, letter.size, deed, _spot(target) if target else None, flags),
        *(spots, sender, arrived_s, tuple(rows)),
    )


def _now(path: str) -> str:
    return "".join(sorted(set(letters_of(path))))


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one == other


def _main(others: list[File], plan: Plan) -> File | None:
    """Which of OTHERS the message itself goes to: where the rules end, not where `also` stands."""
    maildirs = [file for file in others if file.store == "maildir"]
    ending = [file for file in maildirs if file.rule == plan.verdict.rule]
    return next(iter(ending or maildirs), None)


def _marked(file: File, path: str) -> File:
    """The copy FILE with the flags of the message at PATH: what was read is not new elsewhere."""
    letters = letters_with(path, file.flags)
    return file.replace(flags=tuple([f for f in FLAGS if _LETTERS[f] in letters]))


def _spot(file: File) -> Spot:
    return Spot(file.store, file.path, file.root, file.flags)


def _sorted(
    plan: Plan, folder: Folder, places: Places, arrived_s: float
) -> tuple[list[File], list[File]]:
    """What PLAN files: where the message is already, or stays in any case; and anywhere else."""
    here: list[File] = []
    others: list[File] = []
    mboxes: set[str] | None = None
    for file in plan.actions:
        if not isinstance(file, File):
            continue
        if file.rule is None or _same(file.path, folder.path):
            here.append(file)
            continue
        if file.store == "mbox":
            if mboxes is None:
                mboxes = {f.path for f in places.inbox(arrived_s) if f.store == "mbox"}
            if file.path in mboxes:
                continue
        others.append(file)
    return here, others


def _rows(
    plan: Plan,
    deed: Deed,
    target: File | None,
    copies: list[File],
    flags: tuple[str, ...],
    fate: str,
) -> list[Place]:
    rule = one_line(plan.verdict.rule or NO_RULE)
    rows = []
    if target is not None:
        words = "discarded to " if deed == "discarded" else ""
        by = one_line(target.rule) if target.rule else rule
        rows.append(Place(words + file_words(target) + file_flags(target), target.path, by))
    elif deed == "marked":
        by = next((f.rule for f in plan.actions if isinstance(f, File) and f.rule), rule)
        rows.append(Place(f"stays, as {', '.join(flags)}", "", one_line(by)))
    else:
        why = f" (would be {fate})" if fate in ("rejected", "deferred") else ""
        rows.append(Place(f"stays{why}", "", rule))
    for file in copies:
        words = f"a copy to {file_words(file)}{file_flags(file)}"
        rows.append(Place(words, file.path, one_line(file.rule or rule)))
    for action in plan.actions:
        if not isinstance(action, File | Edit | Filter | Note):
            words = f"not done: {one_line(action_words(action))}"
            rows.append(Place(words, "", one_line(action.rule or rule)))
    return rows
