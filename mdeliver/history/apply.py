"""Rules over mail that is already there, and the way back.

    messages of a folder --> wishes --> steps, written down, then done, a batch at a time
                                             |
                                        applied/ID --> taken back, the last first

Guarantee   no message is lost or doubled, whatever is killed whenever: every step is on disk before
            it is begun and can be done again (steps.py). What was interrupted is finished first
            when rules are applied again, or taken back by --undo.
Names       a message keeps the unique part of its name, and its flags; Dovecot's keywords are
            called by other letters in each folder, so they are translated where the other folder
            has them, and left out where not. Undoing brings all of it back.
Clients     may be at work meanwhile. What one has moved or marked since it was looked at is left
            alone; nothing is undone where one has changed anything, unless that is wanted.
See also    records.py, wishes.py; mdeliver(1)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mdeliver import durable, system
from mdeliver.deliver.maildir import make_maildir
from mdeliver.history import records, steps
from mdeliver.history.folders import Folder
from mdeliver.history.keywords import keywords_of, translated
from mdeliver.history.records import Applied, Copied, Copy, Make, Move, Step
from mdeliver.history.steps import Changed, Deliverer, letters_of, unique_of
from mdeliver.history.wishes import Spot, Wish, letters_with
from mdeliver.plan import File

_BATCH = 100
"""Messages whose steps are written, and whose folders are synced, together."""

Tell = Callable[[int], None]
"""Is told how many messages, or steps, are done with."""


class Done(NamedTuple):
    """What came of it.

    id        of the record, which --undo takes
    messages  that something was done with
    troubles  what could not be done, or not taken back, and why
    """

    id: str
    messages: int
    troubles: tuple[str, ...]


class NotUndone(Exception):
    """Clients have changed something since; nothing was taken back. `troubles` says what."""

    def __init__(self, troubles: Sequence[str]) -> None:
        super().__init__(f"{len(troubles)} messages were changed since")
        self.troubles = tuple(troubles)


# --- there -----------------------------------------------------------------------------------


def interrupted(state: str) -> list[Applied]:
    """What was begun, or begun to be undone, and not finished."""
    return [a for a in records.records(state) if a.state in ("open", "undoing")]


def finish(applied: Applied, deliverer: Deliverer) -> tuple[str, ...]:
    """Do the rest of what is written in APPLIED; what could not be done, and why."""
    troubles = _do(applied, applied.steps, deliverer)
    applied.write({"finished": round(time.time(), 3)})
    return tuple(troubles)


def apply(wishes: Sequence[Wish], folder: Folder, deliverer: Deliverer, tell: Tell) -> Done:
    """Do what WISHES say with the messages of FOLDER.

    deliverer  its `applied` is not used: this is a new record
    Raises OSError, Deferral; what was done until then is in a record.
    """
    records.forget_old(deliverer.state)
    applied = records.begin(deliverer.state, folder.words)
    deliverer = deliverer._replace(applied=applied.id)
    planner = _Planner(folder, deliverer.hostname)
    troubles: list[str] = []
    for start in range(0, len(wishes), _BATCH):
        batch = wishes[start : start + _BATCH]
        planned = [step for wish in batch for step in planner.steps_of(wish)]
        applied.begin_steps(planned)
        troubles += _do(applied, planned, deliverer)
        tell(len(batch))
    applied.write({"finished": round(time.time(), 3)})
    return Done(applied.id, len(wishes) - len(troubles), tuple(troubles))


def _do(applied: Applied, planned: Iterable[Step], deliverer: Deliverer) -> list[str]:
    """Do the steps PLANNED; what somebody else was faster with."""
    deliverer = deliverer._replace(applied=applied.id)
    touched: set[str] = set()
    troubles = []
    for step in planned:
        if step.number in applied.skipped:
            continue
        try:
            match step:
                case Make():
                    steps.make(step)
                case Move():
                    steps.move(step)
                    touched |= {system.dirname(step.source), system.dirname(step.target)}
                case Copy():
                    if step.number not in applied.copied:
                        applied.note_copy(step, steps.copy(step, deliverer))
        except Changed as changed:
            troubles.append(str(changed))
            applied.write({"skipped": step.number, "why": str(changed)}, durably=False)
    _settle(touched)
    return troubles


class _Planner:
    """Makes steps of wishes, and knows which names are taken."""

    def __init__(self, folder: Folder, hostname: str) -> None:
        self._folder = folder
        self._host = hostname.replace("/", "\\057").replace(":", "\\072").replace(",", "\\054")
        self._number = 0
        self._taken: dict[str, set[str]] = {}
        self._keywords: dict[str, dict[str, str]] = {}

    def _next(self) -> int:
        self._number += 1
        return self._number

    def steps_of(self, wish: Wish) -> Iterator[Step]:
        """What is to be done, in this order: copies while the message is where it was."""
        for spot in (*wish.copies, wish.target):
            if spot is not None and spot.store == "maildir":
                yield from self._making(spot)
        for spot in wish.copies:
            yield Copy(self._next(), wish.path, *spot, wish.sender, wish.arrived_s)
        path = wish.target.path if wish.target else self._folder.path
        root = wish.target.root if wish.target else self._folder.root
        target = self._target(wish, path)
        if target != wish.path:
            yield Move(self._next(), wish.path, target, self._folder.root, root)

    def _making(self, spot: Spot) -> Iterator[Make]:
        if spot.path not in self._taken:
            if not system.is_directory(spot.path):
                yield Make(self._next(), spot.path, spot.root)
            elif not system.is_directory(system.join(spot.path, "tmp")):
                # Somebody has made it by halves; it is none of ours to remove.
                make_maildir(File("maildir", spot.path, spot.root, None, None, (), None))
            names = [
                name for part in ("new", "cur")
                for name in durable.names_in(system.join(spot.path, part))
            ]  # fmt: skip
            self._taken[spot.path] = {unique_of(name) for name in names}

    def _target(self, wish: Wish, path: str) -> str:
        """The name that the message gets in the Maildir PATH."""
        name = wish.path.rpartition("/")[2]
        unique, colon, info = name.partition(":")
        if path != self._folder.path:
            if unique in self._taken[path]:
                unique = self._fresh(wish.size)
            self._taken[path].add(unique)
        if colon and not info.startswith("2,"):
            # Some other program's words; nobody knows where flags would go.
            return system.join(path, "cur", f"{unique}:{info}")
        letters = letters_with(wish.path, wish.flags)
        if path != self._folder.path:
            letters = self._translated(letters, path)
        if colon or letters:
            # Letters stand in the order of ASCII; a client may have written them otherwise.
            kept = letters_of(wish.path)
            same = path == self._folder.path and sorted(kept) == sorted(letters)
            return system.join(path, "cur", f"{unique}:2,{kept if same else letters}")
        return system.join(path, system.dirname(wish.path).rpartition("/")[2], unique)

    def _fresh(self, octets: int) -> str:
        """A unique name for a message whose own is taken where it goes."""
        seconds, rest_ns = divmod(time.time_ns(), 1_000_000_000)
        process = f"P{system.getpid()}A{self._number}"
        return f"{seconds}.M{rest_ns // 1000}{process}.{self._host},S={octets}"

    def _translated(self, letters: str, path: str) -> str:
        """LETTERS as the Maildir PATH has them: a to z are keywords, as Dovecot numbers them."""
        mine = self._keywords_of(self._folder.path)
        if not mine or not any(letter.islower() for letter in letters):
            return letters
        return translated(letters, mine, self._keywords_of(path))

    def _keywords_of(self, path: str) -> dict[str, str]:
        if path not in self._keywords:
            self._keywords[path] = keywords_of(path)
        return self._keywords[path]


# --- and back --------------------------------------------------------------------------------


def undo(applied: Applied, deliverer: Deliverer, tell: Tell, *, partial: bool) -> Done:
    """Take back all that APPLIED did, the last step first.

    partial  whether what clients have changed is left, and all the rest taken back
    Raises NotUndone, with nothing taken back; OSError, Deferral: what is left can be undone again.
    """
    deliverer = deliverer._replace(applied=applied.id)
    found = [step for step in reversed(applied.steps) if step.number not in applied.skipped]
    troubles = [trouble for step in found if (trouble := _trouble(applied, step))]
    troubles += _mboxes_grown(applied, found)
    if troubles and not partial and applied.state != "undoing":
        raise NotUndone(troubles)
    applied.write({"undoing": round(time.time(), 3)})
    troubles = []
    touched: set[str] = set()
    messages = set()
    for step in found:
        try:
            match step:
                case Make():
                    _settle(touched)
                    steps.unmake(step)
                case Move():
                    steps.move_back(step)
                    touched |= {system.dirname(step.source), system.dirname(step.target)}
                    messages.add(step.source)
                case Copy():
                    steps.copy_back(step, _copied(applied, step, deliverer), deliverer)
                    messages.add(step.source)
        except Changed as changed:
            troubles.append(str(changed))
        tell(1)
    _settle(touched)
    applied.write({"undone": round(time.time(), 3)})
    return Done(applied.id, len(messages), tuple(troubles))


def _settle(touched: set[str]) -> None:
    for directory in sorted(touched):
        if system.is_directory(directory):
            durable.sync_directory(directory)


def _trouble(applied: Applied, step: Step) -> str:
    """Why STEP cannot be taken back; "" where it can."""
    try:
        match step:
            case Move():
                steps.check_move(step)
            case Copy() if step.number in applied.copied:
                steps.check_copy(step, applied.copied[step.number])
            case _:
                pass
    except Changed as changed:
        return str(changed)
    return ""


def _mboxes_grown(applied: Applied, found: Iterable[Step]) -> list[str]:
    """Mboxes that do not end with our copies any more."""
    ends: dict[str, int] = {}
    for step in found:
        copied = applied.copied.get(step.number)
        if isinstance(step, Copy) and step.store == "mbox" and copied and copied.places:
            words = copied.places[0]
            ends[step.path] = max(ends.get(step.path, 0), int(words[-2]) + int(words[-1]))
    return [
        f"{path}: other mail has come after the copies there, or somebody has changed it"
        for path, end in ends.items()
        if system.exists(path) and system.stat(path).st_size != end
    ]


def _copied(applied: Applied, step: Copy, deliverer: Deliverer) -> Copied:
    """Where the copy of STEP is; one that was killed before it could say so is looked up."""
    known = applied.copied.get(step.number)
    return known if known is not None else steps.copy(step, deliverer)
