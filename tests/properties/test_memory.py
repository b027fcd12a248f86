"""The memory as many deliveries use it, killed at any call: what is said to be written is there."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mdeliver import durable, limits, locks, memory, system
from mdeliver.memory import DELIVERED, REPLIED, Memory, Recollection, name_of

KINDS = st.sampled_from((DELIVERED, REPLIED))
NAMES = st.integers(0, 400).map(lambda number: name_of(b"%d" % number))
EVER_S = 1e9
RECORDS = 24


class Killed(BaseException):
    """The process ends here; the kernel closes what it had open."""


class Dying:
    """Stands for the module system: dies at one call, a write half done."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.opened: list[int] = []

    def __getattr__(self, name: str) -> Any:
        thing = getattr(system, name)
        if name not in ("open", "close", "write", "fdatasync", "fsync", "ftruncate", "rename"):
            return thing

        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                if name == "write":
                    self._half(*arguments)
                raise Killed
            made = thing(*arguments, **named)
            if name == "open":
                self.opened.append(made)
            elif name == "close":
                self.opened.remove(arguments[0])
            return made

        return call

    @staticmethod
    def _half(fd: int, octets: bytes) -> None:
        system.write(fd, octets[: len(octets) // 2])


class Memories(RuleBasedStateMachine):
    """Deliveries one after the other; the file is so small that it is often rewritten."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.before = limits.REMEMBERED_BYTES
        limits.REMEMBERED_BYTES = 40 * RECORDS
        # Names, and whether it was said that they are written.
        self.written: dict[bytes, list[tuple[bytes, bool]]] = {DELIVERED: [], REPLIED: []}

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            limits.REMEMBERED_BYTES = self.before
            shutil.rmtree(self.directory)

    @rule(kind=KINDS, names=st.lists(NAMES, min_size=1, max_size=3))
    def remember(self, kind: bytes, names: list[bytes]) -> None:
        kept = Memory(str(self.directory))
        kept.remember(kind, *names)
        kept.close()
        self.written[kind] += [(name, True) for name in names]

    @rule(kind=KINDS, name=NAMES)
    def claim(self, kind: bytes, name: bytes) -> None:
        kept = Memory(str(self.directory))
        before = kept.holds(kind, name, EVER_S)
        assert kept.claim(kind, name, EVER_S) != before
        kept.close()
        if not before:
            self.written[kind].append((name, True))

    @rule(kind=KINDS, name=NAMES, at=st.integers(0, 14))
    def remember_and_be_killed(self, kind: bytes, name: bytes, at: int) -> None:
        dying = Dying(at)
        users = (memory, durable, locks)
        for module in users:
            vars(module)["system"] = dying
        try:
            Memory(str(self.directory)).remember(kind, name)
        except Killed:
            pass
        finally:
            for module in users:
                vars(module)["system"] = system
            for fd in dying.opened:
                system.close(fd)
        self.written[kind].append((name, False))

    @rule(octets=st.binary(min_size=1, max_size=90))
    def a_power_cut_leaves_what_nobody_wrote(self, octets: bytes) -> None:
        with (self.directory / "memory").open("ab") as file:
            file.write(octets)
        (self.directory / "memory").chmod(0o600)

    @invariant()
    def the_newest_are_found_and_nothing_else(self) -> None:
        if not hasattr(self, "directory"):
            return
        seen = Recollection(str(self.directory))
        for kind, written in self.written.items():
            # A quarter of the file is each kind's; what a killed delivery wrote may be there, too.
            for name, certain in written[-RECORDS // 4 :]:
                assert seen.holds(kind, name, EVER_S) or not certain
            for number in range(0, 400, 37):
                name = name_of(b"%d" % number)
                if seen.holds(kind, name, EVER_S):
                    assert name in [known for known, _ in written]


TestMemories = Memories.TestCase
TestMemories.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
