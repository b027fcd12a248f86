"""What `mdeliver apply` writes down: every step before it is done, so that it can be taken back.

Place       applied/ID in the state directory, one file for each time rules were applied
Lines       objects of JSON, only ever added to:
              {"applied": ID, "time": S, "folder": WORDS}      the first
              {"deed": "make" | "move" | "copy", "number": N, ...}
              {"copied": N, "places": [...], "from_line": ...}  where a copy is
              {"skipped": N, "why": ...}                        a step that could not be done
              {"finished": S}   {"undoing": S}   {"undone": S}
States      open       the last line is a step's: it was interrupted. Apply does the rest of the
                       written steps first; --undo takes back what was done
            finished   undoing (a --undo was interrupted: the next goes on)   undone
Guarantee   steps are on disk before the first of them is begun. A torn last line is of a step that
            was never begun; it counts as none.
At once     one apply or undo at a time: a lock on applied/lock.
Fails with  OSError, Deferral; RecordError for an ID that there is not
See also    steps.py, apply.py
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from mdeliver import durable, locks, system
from mdeliver.outcome import Deferral

KEPT = 50
"""So many finished records are kept; older ones are removed when rules are applied again."""

_RECORD_BYTES = 1 << 30

State = Literal["open", "finished", "undoing", "undone"]


class RecordError(Exception):
    """There is no such record, or none that can be used; the text says which there are."""


class Make(NamedTuple):
    """A folder of a Maildir is made."""

    number: int
    path: str
    root: str


class Move(NamedTuple):
    """A message gets another name; the roots are of the Maildirs, for their quota."""

    number: int
    source: str
    target: str
    source_root: str
    target_root: str


class Copy(NamedTuple):
    """A message is put into one more place.

    sender     envelope sender, for a From_ line
    arrived_s  seconds since 1970
    """

    number: int
    source: str
    store: Literal["maildir", "mbox"]
    path: str
    root: str
    flags: tuple[str, ...]
    sender: str
    arrived_s: float


Step = Make | Move | Copy

_DEEDS: dict[str, type[Make] | type[Move] | type[Copy]] = {"make": Make, "move": Move, "copy": Copy}


_NO_TEXTS: dict[str, Any] = {"number": int, "flags": tuple, "arrived_s": (int, float)}
"""What the fields of steps are that are no texts."""


class Copied(NamedTuple):
    """Where a copy is: the deliverer's words for it, and the From_ line if it is in an mbox."""

    places: tuple[tuple[str, ...], ...]
    from_line: str


class Applied:
    """The record of one application of rules.

    id       its name
    folder   which folder, in the words of the command line
    began_s  seconds since 1970
    steps    in the order in which they are done
    copied   by the number of the step
    skipped  why, by the number of the step
    state    see the module
    unread   lines that are none of ours; a last one that is cut is of a step that was never begun
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.id = path.rpartition("/")[2]
        self.folder = ""
        self.began_s = 0.0
        self.steps: list[Step] = []
        self.copied: dict[int, Copied] = {}
        self.skipped: dict[int, str] = {}
        self.state: State = "open"
        self.unread = 0

    @property
    def trouble(self) -> str:
        """What is wrong with the record, in words; "" for nothing."""
        if not self.unread:
            return ""
        words = f"lines that cannot be read, and are left out: {self.unread}"
        return f"{self.path} is damaged: {words}"

    def write(self, *said: dict[str, Any], durably: bool = True) -> None:
        """Add a line for each of SAID, and return once they are on disk if DURABLY."""
        lines = [json.dumps(line) for line in said]
        text = b"".join([line.encode() + b"\n" for line in lines])
        fd = durable.open_own_file(self.path, create=True)
        try:
            size = durable.size_of(fd)
            # Whoever was killed in the middle of a line has not ended it.
            torn = size > 0 and durable.read_at(fd, 1, size - 1) != b"\n"
            durable.write_all(fd, b"\n" + text if torn else text)
            if durably:
                durable.sync(fd)
        finally:
            system.close(fd)
        for line in lines:
            self._take(json.loads(line))

    def begin_steps(self, steps: Sequence[Step]) -> None:
        """Write STEPS down; they are on disk when this returns."""
        deeds = {kind: deed for deed, kind in _DEEDS.items()}
        self.write(*({"deed": deeds[type(step)], **step._asdict()} for step in steps))

    def note_copy(self, step: Copy, copied: Copied) -> None:
        """Write down where the copy is, durably: nothing else tells after a power cut."""
        self.write({"copied": step.number, **copied._asdict()})

    def _take(self, said: dict[str, Any]) -> None:
        """What a line says; raises KeyError, TypeError or ValueError where it is none of ours."""
        match said:
            case {"applied": str(), "time": int() | float() as began_s, "folder": str() as folder}:
                self.folder, self.began_s = folder, began_s
            case {"deed": str() as deed, "number": int()}:
                self.steps.append(_step(_DEEDS[deed], said))
                self.state = "open"
            case {
                "copied": int() as number,
                "places": list() as places,
                "from_line": str() as line,
            }:
                self.copied[number] = Copied(tuple(map(_texts, places)), line)
            case {"skipped": int() as number, "why": str() as why}:
                self.skipped[number] = why
            case {"finished": _}:
                self.state = "finished"
            case {"undoing": _}:
                self.state = "undoing"
            case {"undone": _}:
                self.state = "undone"
            case _:
                raise ValueError("no line of ours")


def _step(kind: type[Make] | type[Move] | type[Copy], said: dict[str, Any]) -> Step:
    """The step that a line says, whatever a crash has made of the line: else it raises."""
    fields = {name: said[name] for name in kind._fields}
    if kind is Copy:
        fields["flags"] = _texts(fields["flags"])
        if fields["store"] not in ("maildir", "mbox"):
            raise ValueError("no store of ours")
    for name, value in fields.items():
        if not isinstance(value, _NO_TEXTS.get(name, str)):
            raise TypeError(f"{name} is a {type(value).__name__}")
    return kind(**fields)


def _texts(words: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(word, str) for word in words):
        raise TypeError("texts are expected")
    return tuple(words)


def begin(state: str, folder: str) -> Applied:
    """A new record in the state directory STATE, durable when this returns."""
    directory = _directory(state)
    stem = time.strftime("%Y%m%d-%H%M%S")
    taken = set(durable.names_in(directory))
    name = next(n for n in (stem, *(f"{stem}-{k}" for k in range(2, 10000))) if n not in taken)
    applied = Applied(system.join(directory, name))
    applied.write({"applied": name, "time": round(time.time(), 3), "folder": folder})
    return applied


def records(state: str) -> list[Applied]:
    """Every record in the state directory STATE, the oldest first."""
    return [applied for applied in _all(state) if applied.began_s]


def troubles(state: str) -> list[str]:
    """What is wrong with the records in the state directory STATE, each on a line."""
    return [applied.trouble for applied in _all(state) if applied.trouble]


def _all(state: str) -> list[Applied]:
    """Every file that has a record, and those that had one and are damaged."""
    found = []
    for name in sorted(durable.names_in(_directory(state))):
        if name[:1].isdigit():
            found.append(_read(system.join(_directory(state), name)))
    return sorted(found, key=lambda applied: (applied.began_s, len(applied.id), applied.id))


def forget_old(state: str) -> None:
    """Remove the oldest records of what is over, so that KEPT are left."""
    over = [applied for applied in records(state) if applied.state in ("finished", "undone")]
    for applied in over[:-KEPT]:
        durable.remove(applied.path)


def record(state: str, name: str | None) -> Applied:
    """The record called NAME; without a name the newest that can be undone. Raises RecordError."""
    found = records(state)
    if name is None:
        left = [applied for applied in found if applied.state != "undone"]
        if not left:
            raise RecordError("there is nothing to undo")
        return left[-1]
    for applied in found:
        if applied.id == name:
            return applied
    raise RecordError(f"there is no record {name}; see mdeliver apply --undo --list")


def _read(path: str) -> Applied:
    applied = Applied(path)
    for line in durable.read_file(path, _RECORD_BYTES).splitlines():
        try:
            applied._take(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            is_torn = line.startswith(b"{") and b"\0" not in line
            applied.unread += bool(line.strip()) and not is_torn
    return applied


@contextmanager
def alone(state: str) -> Iterator[None]:
    """Only one process at a time applies rules, or takes them back. Raises Deferral."""
    directory = _directory(state)
    durable.make_directory(directory)
    fd = durable.open_own_file(system.join(directory, "lock"), create=True)
    try:
        if not locks.try_lock(fd, 0, locks.WHOLE_FILE, exclusive=True):
            raise Deferral("another mdeliver apply of this user is at work")
        yield
    finally:
        durable.close_read(fd)


def _directory(state: str) -> str:
    return system.join(state, "applied")
