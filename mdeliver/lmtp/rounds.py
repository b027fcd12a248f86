"""What waits for one user is delivered in rounds: decided one by one, filed together.

Round      takes one message after the other: the rules decide. What is only filed waits until the
           round is full or nothing more is there, and is delivered together then: one sync serves
           all (deliver/together.py). All else is delivered at once, after what had waited.
Waits      for nobody: before the rules ask a program, the DNS or the memory, what was decided is
           delivered, so that no message is held up by another one's rules.
Answers    each message's own, once it is on disk; accounts are written when all have theirs
Time       each message has its own limit while it is decided, and those filed together have one
Keeps      between rounds: the user's checked rules; the journal, open, and what lock files are
           made of
Fails with nothing: every message gets an answer
See also   worker.py, door.py (what a round takes); agent.py
"""

from __future__ import annotations

import time

from mdeliver.agent import (
    DeadlinePassed,
    Passage,
    do_afterwards,
    follow_up,
    start_deadline,
)
from mdeliver.deliver.journalfile import KeptJournal
from mdeliver.deliver.together import Wanted, deliver_together
from mdeliver.dotlock import keep_file_in, stop_keeping
from mdeliver.history.account import Account
from mdeliver.lmtp.keptrules import KeptRules
from mdeliver.outcome import Outcome, deferred, deferred_by
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from mdeliver.agent import Afterwards
    from mdeliver.envelope import Envelope
    from mdeliver.letter import Letter
    from mdeliver.settings import Site

    class Task(Protocol):
        """A message that somebody has brought, and waits for its answer.

        limit_s    how long it may take
        is_wanted  whether somebody still waits, after a while
        """

        limit_s: int

        def open(self) -> Brought: ...
        def is_wanted(self) -> bool: ...
        def answer(self, outcome: Outcome) -> None: ...
        def close(self) -> None: ...


MESSAGES = 32
OCTETS = 4 << 20
"""No more than these are filed together."""


class Brought(Record):
    """A message as it was brought.

    state    the state directory of the one it is for
    environ  what names the user's directories
    rules    the option --rules
    """

    letter: Letter
    envelope: Envelope
    site: Site
    state: str
    environ: Mapping[str, str]
    rules: str | None = None


class Kept:
    """What a worker keeps from round to round."""

    def __init__(self) -> None:
        self.rules = KeptRules()
        self._journal: KeptJournal | None = None
        self._state = ""

    def journal(self, state: str) -> KeptJournal:
        """The journal in the state directory STATE; no attempt may be under way."""
        if self._journal is not None:
            if self._state == state:
                self._journal.look()
                return self._journal
            self._journal.close()
            self._journal = None
        keep_file_in(state)
        self._journal = KeptJournal(state)
        self._state = state
        return self._journal

    def close(self) -> None:
        """Let go of the files: nothing more comes."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        stop_keeping()

    def rest(self) -> None:
        """A round is over."""
        if self._journal is not None:
            self._journal.rest()


class Round:
    """One round; `end` must be called.

    longest_s  how long the message took that took longest, of those that were not filed together
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._waiting: list[tuple[Task, Passage]] = []
        self._octets = 0
        self.longest_s = 0.0
        self._state = ""
        self._journal: KeptJournal | None = None
        self._settled: list[Passage] = []
        self._afterwards: Afterwards = []
        kept.rules.look_again()

    def take(self, task: Task) -> None:
        """Decide what becomes of TASK's message; deliver it, or let it wait for others."""
        began_s = time.monotonic()
        passage, ending = self._decided(task, began_s)
        if ending is None and passage is not None:
            self._waiting.append((task, passage))
            self._octets += passage.letter.size
            if len(self._waiting) >= MESSAGES or self._octets >= OCTETS:
                self._deliver_waiting()
            return
        assert ending is not None
        self.longest_s = max(self.longest_s, time.monotonic() - began_s)
        self._settle(task, passage, ending)

    def end(self) -> None:
        """Deliver what still waits, and write the accounts."""
        self._deliver_waiting()
        self._kept.rest()
        if self._settled or self._afterwards:
            keep = self._kept.rules.keep
            # Accounts first: a look at Sent folders may fail, or take all the time there is.
            do_afterwards([*self._afterwards, lambda: follow_up(self._settled), keep])
            # They know the messages, and what those asked for knows this round.
            self._afterwards = []

    def _decided(self, task: Task, began_s: float) -> tuple[Passage | None, Outcome | None]:
        """TASK's message, if its way could be begun, and its outcome; None where it waits."""
        passage: Passage | None = None
        try:
            try:
                start_deadline(task.limit_s)
                opened = self._open(task, began_s)
                if isinstance(opened, Outcome):
                    return None, opened
                passage = opened
                passage.decide(lambda: self._deliver_others_first(task))
                if passage.is_plain:
                    return passage, None
                self._deliver_others_first(task)
                return passage, passage.carry_out()
            finally:
                start_deadline(0)
        except DeadlinePassed:
            return passage, _late(passage, task.limit_s)
        except Exception as error:
            return passage, deferred_by(error)

    def _open(self, task: Task, began_s: float) -> Passage | Outcome:
        """The way of TASK's message through the user's rules; the outcome where they are bad."""
        brought = task.open()
        letter, envelope, site, state = (
            brought.letter,
            brought.envelope,
            brought.site,
            brought.state,
        )
        rules = self._kept.rules
        program = rules.program(envelope, brought.rules, brought.environ, site)
        if isinstance(program, Outcome):
            account, refusal = Account(envelope, None, site, state, began_s), program
            account.answered()
            self._afterwards.append(lambda: account.close(refusal))
            return refusal
        if state != self._state:
            self._deliver_others_first(task)
            # Opening it lets go of the one before, whether it succeeds or not.
            self._state = ""
            self._journal = self._kept.journal(state)
            self._state = state
        options = brought.rules or ""
        return Passage(
            program,
            letter,
            envelope,
            site,
            state,
            options,
            self._journal,
            rules.prefilter,
            began_s,
            rules.chosen,
        )

    def _deliver_others_first(self, task: Task) -> None:
        if self._waiting:
            # TASK's alarm would find them on nobody's list.
            start_deadline(0)
            self._deliver_waiting()
            start_deadline(task.limit_s)

    def _deliver_waiting(self) -> None:
        """Deliver together what was decided, and answer."""
        waiting, self._waiting, self._octets = self._waiting, [], 0
        if not waiting:
            return
        words: list[str | None] = [None] * len(waiting)
        limit_s = min([task.limit_s for task, _passage in waiting])
        try:
            if len(waiting) > 1:
                try:
                    start_deadline(limit_s)
                    words = self._together([passage for _task, passage in waiting])
                finally:
                    start_deadline(0)
        except DeadlinePassed:
            for task, passage in waiting:
                self._settle(task, passage, _late(passage, limit_s))
            return
        except Exception:
            # Whoever has no words yet is delivered alone, and told what is wrong.
            words = [passage.account.done.words or None for _task, passage in waiting]
        alone = []
        for (task, passage), done in zip(waiting, words, strict=True):
            if done is None:
                alone.append((task, passage))
            else:
                self._settle(task, passage, passage.delivered(done))
        for task, passage in alone:
            # Each takes its time: by then somebody may have given up.
            if len(waiting) > 1 and not task.is_wanted():
                self._let_go(task, passage)
            else:
                self._settle(task, passage, self._alone(task, passage))

    def _together(self, passages: list[Passage]) -> list[str | None]:
        assert self._journal is not None
        for passage in passages:
            passage.account.plan = passage.plan
        wanted = [
            Wanted(p.plan.actions, p.letter, p.envelope, p.now_s, p.rules, p.account.done)
            for p in passages
        ]
        return deliver_together(
            wanted,
            journal_file=self._journal,
            state_directory=self._state,
            hostname=passages[0].site.hostname,
        )

    def _alone(self, task: Task, passage: Passage) -> Outcome:
        try:
            try:
                start_deadline(task.limit_s)
                return passage.carry_out()
            finally:
                start_deadline(0)
        except DeadlinePassed:
            return _late(passage, task.limit_s)
        except Exception as error:
            return deferred_by(error)

    def _settle(self, task: Task, passage: Passage | None, ending: Outcome) -> None:
        """Tell who waits, and let go of the message."""
        task.answer(ending)
        if passage is not None:
            passage.ending = ending
            passage.account.answered()
        self._let_go(task, passage)

    def _let_go(self, task: Task, passage: Passage | None) -> None:
        try:
            if passage is not None:
                self._settled.append(passage)
                passage.close()
        except OSError:
            pass  # it has its answer, and others wait for theirs
        finally:
            task.close()


def _late(passage: Passage | None, limit_s: int) -> Outcome:
    """The outcome of PASSAGE where the alarm came; it may have come when all was done."""
    if passage is not None and passage.account.done.words:
        return passage.delivered(passage.account.done.words)
    return deferred(f"the delivery took longer than {limit_s} s")
