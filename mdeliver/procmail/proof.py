"""Whether rules do the same as the procmailrc they came from, message by message.

Compared    what is done: files by their paths, addresses that get it on, programs and their
            arguments, an answer; and whether the mail counts as delivered. Not compared: flags,
            octets (procmail counts no empty line), which rule it was.
Unknown     where a program would have to be run, nothing is said but that.
Duplicates  neither side remembers anything: `formail -D` and `duplicate within` find none.
See also    machine.py for the one side, replay/rehearsal.py for the other
"""

from __future__ import annotations

import os.path
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mdeliver.outcome import one_line
from mdeliver.plan import File, Forward, Pipe, Plan, Reply, Run
from mdeliver.procmail.fate import Delivery, Fate
from mdeliver.procmail.machine import run_procmailrc
from mdeliver.procmail.syntax import File as Procmailrc
from mdeliver.procmail.world import World
from mdeliver.replay.against import reasons
from mdeliver.replay.rehearsal import Rehearsed
from mdeliver.replay.stores import Arrived


class Deeds(NamedTuple):
    """What is done with a message.

    done     each thing in words that both sides have in common
    fate     "delivered", "discarded", "rejected" or "deferred"
    reasons  why, line by line
    """

    done: frozenset[str]
    fate: str
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        """In a few words."""
        done = ", ".join(sorted(self.done))
        return done if self.fate == "delivered" and done else f"{self.fate} {done}".rstrip()

    @property
    def deed(self) -> tuple[frozenset[str], str]:
        """What must be the same on both sides."""
        return self.done, self.fate


class Compared(NamedTuple):
    """One message: what the other program does and what the rules do.

    unknown  why the other side is not known, "" if it is
    """

    name: str
    theirs: Deeds
    ours: Deeds
    unknown: str

    @property
    def same(self) -> bool:
        return not self.unknown and self.theirs.deed == self.ours.deed


def compare(
    name: str,
    arrived: Arrived,
    file: Procmailrc,
    world: World,
    rehearse: Callable[[Arrived], Rehearsed],
) -> Compared:
    """What becomes of one message on either side."""
    rehearsed = rehearse(arrived)
    ours = of_plan(rehearsed, world.home)
    octets = with_from_line(arrived)
    fate = run_procmailrc(file, octets, world)
    return Compared(one_line(name), of_fate(fate), ours, fate.unknown)


def with_from_line(arrived: Arrived) -> bytes:
    """The message as Postfix would hand it over: a From_ line first."""
    letter = arrived.letter
    octets = b"".join(letter.chunks())
    if letter.from_line:
        return letter.from_line + octets
    sender = "MAILER-DAEMON"
    for line in letter.head.split(b"\n"):
        if line.lower().startswith(b"return-path:"):
            path = line.partition(b":")[2].strip(b" \t\r<>").decode("latin-1")
            sender = path or sender
            break
    when = time.asctime(time.gmtime(arrived.arrived_s))
    return f"From {sender}  {when}\n".encode("latin-1") + octets


# --- the one side ----------------------------------------------------------------------------


def of_fate(fate: Fate) -> Deeds:
    """What procmail does."""
    done = frozenset(words for d in fate.deliveries for words in _delivery_words(d))
    if fate.status == 75:
        verdict = "deferred"
    elif fate.status:
        verdict = "rejected"
    else:
        verdict = "delivered" if done else "discarded"
    steps = [s for s in fate.steps if s.result == "matches"]
    told = [f"{step.where}  {one_line(step.words)}" for step in steps]
    told += [
        f"{d.rule or 'end of the file'}  {d.kind} {one_line(d.path)}".rstrip()
        for d in fate.deliveries
    ]
    return Deeds(done, verdict, tuple(told))


def _delivery_words(delivery: Delivery) -> list[str]:
    match delivery.kind:
        case "nowhere":
            return []
        case "forward":
            return _addresses(delivery.argv[1:])
        case "pipe":
            return _program_words(delivery.argv, delivery.shell)
        case _:
            return [f"in {one_line(delivery.path)}"]


def _addresses(words: Sequence[str]) -> list[str]:
    """Whom sendmail, called with WORDS, sends to; it takes `a@example.org,` as well."""
    given = [word for word in words if not word.startswith("-")]
    addresses = [address for word in given for address in word.split(",") if address]
    return [f"to {one_line(address.lower())}" for address in addresses]


def _program_words(argv: tuple[str, ...], shell: bool) -> list[str]:
    if shell:
        command = argv[0].replace("\\\n", " ")
        if "formail" in command and "-r" in command and command.rstrip().endswith("-t"):
            return ["an answer"]
        last = command.rpartition("|")[2].split()
        if last and os.path.basename(last[0]) in ("sendmail", "$SENDMAIL"):
            return _addresses(last[1:])
        return [f"program {one_line(' '.join(command.split()))}"]
    if os.path.basename(argv[0]) == "formail" and "D" in "".join(argv[1:2]):
        # A question, and no delivery.
        return []
    if os.path.basename(argv[0]) == "sendmail":
        return _addresses(argv[1:])
    return [f"program {one_line(' '.join(argv))}"]


# --- the other -------------------------------------------------------------------------------


def of_plan(rehearsed: Rehearsed, home: str) -> Deeds:
    """What the rules do; HOME is where `~/` leads."""
    plan = rehearsed.decision.plan
    done = frozenset(words for action in _deliveries(plan) for words in _action_words(action, home))
    fate = rehearsed.outcome.fate
    if fate == "delivered" and not done:
        fate = "discarded"
    if fate == "discarded" and done:
        fate = "delivered"
    return Deeds(done, fate, tuple(reasons(rehearsed.decision)))


def _deliveries(plan: Plan) -> list[object]:
    return [a for a in plan.actions if isinstance(a, File | Forward | Pipe | Run | Reply)]


def _action_words(action: object, home: str) -> list[str]:
    match action:
        case File(path=path):
            return [f"in {one_line(path)}"]
        case Forward(addresses=addresses):
            return [f"to {one_line(address.lower())}" for address in addresses]
        case Pipe(argv=argv) | Run(argv=argv):
            words = argv[2:] if argv[0] == "flock" else argv
            if words[0].startswith("~/"):
                words = (home + words[0][1:], *words[1:])
            words = words[2:] if words[:2] == ("sh", "-c") else words
            return [f"program {one_line(' '.join(' '.join(words).split()))}"]
        case Reply():
            return ["an answer"]
        case _:
            return []
