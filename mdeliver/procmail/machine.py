"""Run a procmailrc over one message, doing nothing: what would procmail do with it?

Model       the file as one list of instructions, since a clone (`c` on a block) goes on behind its
            block, and an included file ends blocks that are open in it.
Flow        last_matched  the last recipe without A or a matched (A, a)
            matched       a recipe of the current chain of E matched (E, e)
            succeeded     the last action that was done succeeded (a, e)
Unknown     a fate hangs on a program that may not be run: what is known so far, and the reason.
See also    procmailrc(5), testing.py, deeds.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdeliver.procmail.deeds import Deeds
from mdeliver.procmail.expand import Unknown
from mdeliver.procmail.fate import Delivery, Fate, Step
from mdeliver.procmail.mail import Mail, read_mail
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.state import State
from mdeliver.procmail.syntax import Assignment, Block, File, Pipe, Recipe
from mdeliver.procmail.testing import Conditions
from mdeliver.procmail.world import World

if TYPE_CHECKING:
    from mdeliver.procmail.syntax import Item

_CANNOT_DELIVER = 73
_INCLUDED = 100
_STEPS = 100_000
_CLONES = 200


class Instruction(NamedTuple):
    """`kind` is "do", "open" (a block; `target` is behind its end) or "close"."""

    kind: str
    item: Item | None
    target: int


def flatten(items: tuple[Item, ...]) -> list[Instruction]:
    """ITEMS as a list of instructions."""
    made: list[Instruction] = []
    _flatten(items, made)
    return made


def _flatten(items: tuple[Item, ...], made: list[Instruction]) -> None:
    for item in items:
        if isinstance(item, Recipe) and isinstance(item.action, Block):
            place = len(made)
            made.append(Instruction("open", item, 0))
            _flatten(item.action.items, made)
            if item.action.close is not None:
                made.append(Instruction("close", None, 0))
            made[place] = Instruction("open", item, len(made))
        elif isinstance(item, Recipe | Assignment):
            made.append(Instruction("do", item, 0))


class Frame:
    """A file that is being run."""

    def __init__(self, code: list[Instruction], name: str, depth: int) -> None:
        self.code = code
        self.name = name
        self.at = 0
        self.depth = depth
        """How many blocks were open when it began."""

    def copy(self) -> Frame:
        made = Frame(self.code, self.name, self.depth)
        made.at = self.at
        return made


class Run:
    """One procmail process, or a clone of one."""

    def __init__(self, world: World, state: State, frames: list[Frame], log: Log) -> None:
        self.world = world
        self.state = state
        self.frames = frames
        self.log = log
        self.last_matched = self.matched = self.succeeded = False
        self.stack: list[tuple[bool, bool]] = []
        self.delivered = False
        self.ended = False

    def run(self) -> int:
        """Run to the end; the exit status. Raises Unknown."""
        while self.frames and not self.delivered and not self.ended:
            frame = self.frames[-1]
            if frame.at >= len(frame.code):
                del self.stack[frame.depth :]
                self.frames.pop()
                continue
            self.log.count()
            instruction = frame.code[frame.at]
            frame.at += 1
            if instruction.kind == "close":
                if len(self.stack) > frame.depth:
                    self.matched, self.last_matched = self.stack.pop()
            elif instruction.kind == "open":
                assert isinstance(instruction.item, Recipe)
                self.block(instruction.item, instruction.target)
            elif isinstance(instruction.item, Assignment):
                self.assignment(instruction.item)
            elif isinstance(instruction.item, Recipe):
                self.recipe(instruction.item)
        if not self.delivered and not self.ended:
            self.delivered = Deeds(self.world, self.state, self.log.deliveries).at_the_end()
        status = 0 if self.delivered or self.ended else _CANNOT_DELIVER
        return self.state.exit_status(status)

    # --- recipes

    def holds(self, recipe: Recipe) -> bool:
        """Whether RECIPE matches; what later recipes ask about is noted."""
        flags = recipe.head.flags
        tried = True
        if "e" in flags:
            tried = self.matched and not self.succeeded
            flags = flags.replace("E", "").replace("a", "")
        if "E" in flags:
            tried = tried and not self.matched
        if "a" in flags:
            tried = tried and self.last_matched and self.succeeded
        if "A" in flags:
            tried = tried and self.last_matched
        held = tried and Conditions(self.world, self.state, recipe).hold()
        self.note_match(held, flags)
        self.log.step(recipe, "matches" if held else "does not match" if tried else "not tried")
        return held

    def note_match(self, held: bool, flags: str) -> None:
        if not set(flags) & {"A", "a"}:
            self.last_matched = held
        if not self.matched or "E" not in flags:
            self.matched = held

    def recipe(self, recipe: Recipe) -> None:
        if not self.holds(recipe):
            return
        if recipe.action is None:
            # Its action is missing: as if it had not matched.
            self.note_match(False, recipe.head.flags)
            return
        deeds = Deeds(self.world, self.state, self.log.deliveries)
        done = deeds.do(recipe)
        self.log.assumed += deeds.assumed
        self.succeeded = done.succeeded
        self.delivered = done.delivered
        if isinstance(recipe.action, Pipe) and recipe.action.capture and done.succeeded:
            self.magic(recipe.action.capture)

    def block(self, recipe: Recipe, behind: int) -> None:
        if not self.holds(recipe):
            self.frames[-1].at = behind
            return
        self.succeeded = True
        if "c" not in recipe.head.flags:
            self.stack.append((self.matched, self.last_matched))
            return
        status = self.clone()
        self.frames[-1].at = behind
        if set(recipe.head.flags) & {"w", "W"} or recipe.head.lock is not None:
            self.succeeded = status == 0

    def clone(self) -> int:
        """Run a copy of this process through the block and all behind it; its exit status."""
        self.log.clones += 1
        if self.log.clones > _CLONES:
            raise Unknown(f"more than {_CLONES} clones")
        child = Run(self.world, self.state.copy(), [f.copy() for f in self.frames], self.log)
        child.last_matched, child.matched = self.last_matched, self.matched
        child.succeeded = True
        child.stack = [*self.stack, (self.matched, self.last_matched)]
        return child.run()

    # --- assignments

    def assignment(self, item: Assignment) -> None:
        self.state.assign(item)
        self.magic(item.name)

    def magic(self, name: str) -> None:
        """What an assignment to NAME does besides."""
        if name == "MAILDIR":
            self.state.change_directory(self.world)
        elif name == "HOST" and self.state.value("HOST") != self.world.variables()["HOST"]:
            self.ended = True
        elif name in ("INCLUDERC", "SWITCHRC"):
            self.another_file(self.state.value(name) or "", name == "SWITCHRC")

    def another_file(self, path: str, switches: bool) -> None:
        frame = self.frames[-1]
        if path in ("", "/dev/null"):
            if switches:
                del self.stack[frame.depth :]
                self.frames.pop()
            return
        if switches and path == frame.name:
            frame.at = 0
            del self.stack[frame.depth :]
            return
        text = self.world.read(self.state.absolute(path))
        if text is None or len(self.frames) > _INCLUDED:
            return
        code = flatten(parse_procmailrc(text, path).items)
        if switches:
            del self.stack[frame.depth :]
            self.frames[-1] = Frame(code, path, frame.depth)
        elif text:
            self.frames.append(Frame(code, path, len(self.stack)))


class Log:
    """What all processes of one run did."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.assumed: list[str] = []
        self.steps: list[Step] = []
        self.clones = 0
        self.steps_done = 0

    def count(self) -> None:
        self.steps_done += 1
        if self.steps_done > _STEPS:
            raise Unknown("the file goes round in circles")

    def step(self, recipe: Recipe, result: str) -> None:
        first = next((part.text for part in recipe.conditions), "")
        words = f":0{recipe.head.flags}" + (f" * {first}" if first else "")
        self.steps.append(Step(recipe.span.where, words, result))


def run_procmailrc(file: File, octets: bytes, world: World) -> Fate:
    """What procmail does with the message OCTETS by FILE."""
    log = Log()
    mail: Mail = read_mail(octets)
    run = Run(world, State(world, mail), [Frame(flatten(file.items), file.name, 0)], log)
    try:
        status, unknown = run.run(), ""
    except Unknown as error:
        status, unknown = 75, str(error)
    return Fate(tuple(log.deliveries), status, unknown, tuple(log.assumed), tuple(log.steps))
