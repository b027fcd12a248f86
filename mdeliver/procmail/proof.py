"""Whether rules do the same as the procmailrc they came from, message by message.

Compared    what is done: files by their paths, addresses that get it on, programs and their
            arguments, an answer; whether the mail counts as delivered; and the octets that each
            of them gets (octets.py). Not compared: flags, the text of an answer, which rule it was.
Unknown     where a program would have to be run, on either side, nothing is said but that.
Duplicates  neither side remembers anything: `formail -D` and `duplicate within` find none.
See also    machine.py for the one side, replay/rehearsal.py for the other
"""

from __future__ import annotations

import os.path
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mdeliver.edits import edited_letter
from mdeliver.intake import Options
from mdeliver.letter import Letter
from mdeliver.message import Message
from mdeliver.outcome import one_line
from mdeliver.outside import NOT_RUN
from mdeliver.plan import Content, File, Forward, Pipe, Plan, Reply, Run
from mdeliver.procmail import octets
from mdeliver.procmail.commands import bare_command, unwrapped
from mdeliver.procmail.fate import Delivery, Fate
from mdeliver.procmail.folders import whole_maildir
from mdeliver.procmail.machine import run_procmailrc
from mdeliver.procmail.mail import skip_from_line
from mdeliver.procmail.syntax import Block, Recipe
from mdeliver.procmail.syntax import File as Procmailrc
from mdeliver.procmail.world import World
from mdeliver.replay.against import reasons
from mdeliver.replay.rehearsal import Rehearsed, traced
from mdeliver.replay.stores import Arrived
from mdeliver.settings import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.syntax import Item

Delivered = File | Forward | Pipe | Run | Reply

ANY_ENVELOPE = Options()

Octets = tuple[tuple[str, bytes], ...]
"""What is done, in words, with the octets that it is done with."""


class Deeds(NamedTuple):
    """What is done with a message.

    done     each thing in words that both sides have in common
    fate     "delivered", "discarded", "rejected" or "deferred"
    reasons  why, line by line
    octets   what each of them gets, where that is compared
    """

    done: frozenset[str]
    fate: str
    reasons: tuple[str, ...]
    octets: Octets = ()

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

    unknown   why a side is not known, "" if both are
    content   what differs in what is delivered, "" if nothing does
    designed  the listed differences that it has
    assumed   what was taken for granted about programs that were not run
    lost      the recipe of this message that was not carried over, "" if there is none
    """

    name: str
    theirs: Deeds
    ours: Deeds
    unknown: str
    content: str = ""
    designed: frozenset[str] = frozenset()
    assumed: tuple[str, ...] = ()
    lost: str = ""

    @property
    def same(self) -> bool:
        return not self.unknown and not self.content and self.theirs.deed == self.ours.deed


def compare(
    name: str,
    arrived: Arrived,
    file: Procmailrc,
    world: World,
    rehearse: Callable[[Arrived], Rehearsed],
    lost: frozenset[str] = frozenset(),
    sender: str | None = None,
) -> Compared:
    """What becomes of one message on either side.

    lost    recipes without a rule
    sender  the envelope's; None for the one that the message says
    """
    rehearsed = rehearse(arrived)
    ours = of_plan(rehearsed, world.home, arrived.letter)
    fate = run_procmailrc(file, with_from_line(arrived, sender), world)
    theirs = of_fate(fate)
    unknown = fate.unknown or not_known(rehearsed)
    if unknown or theirs.deed != ours.deed:
        did = "" if unknown else _lost(fate, lost, ours)
        return Compared(one_line(name), theirs, ours, unknown, assumed=fate.assumed, lost=did)
    found = contents(theirs.octets, ours.octets)
    return Compared(one_line(name), theirs, ours, "", found.other, found.designed, fate.assumed)


def _lost(fate: Fate, lost: frozenset[str], ours: Deeds) -> str:
    """The recipe among LOST by which FATE differs from OURS, "" if it is not only that one."""
    gone = [delivery for delivery in fate.deliveries if delivery.rule in lost]
    rest = {words for d in fate.deliveries if d.rule not in lost for words in _delivery_words(d)}
    return gone[0].rule if gone and (not rest or rest == ours.done) else ""


def recipes_within(file: Procmailrc, places: Iterable[str]) -> frozenset[str]:
    """The places of the recipes in FILE that stand at PLACES, and of all those in their blocks."""
    wanted = set(places)
    found: set[str] = set(wanted)

    def look(items: tuple[Item, ...], within: bool) -> None:
        for item in items:
            if not isinstance(item, Recipe):
                continue
            inside = within or item.span.where in wanted
            if inside:
                found.add(item.span.where)
            if isinstance(item.action, Block):
                look(item.action.items, inside)

    look(file.items, False)
    return frozenset(found)


def not_known(rehearsed: Rehearsed) -> str:
    """Why it is not known what the rules do, "" if it is."""
    # A filter that is not run leaves all as it is, here as on the other side.
    asked = next(
        (
            step
            for step in rehearsed.decision.trace
            if NOT_RUN in step.because and not step.source.startswith("filter through")
        ),
        None,
    )
    return f"{asked.rule}: {one_line(asked.because)}" if asked is not None else ""


def contents(theirs: Octets, ours: Octets) -> octets.Difference:
    """How what is delivered differs, over all that both sides do."""
    designed: set[str] = set()
    for words, given in theirs:
        others = [other for deed, other in ours if deed == words]
        found = [octets.difference(given, other) for other in others]
        nearest = min(found, key=lambda one: (one.other != "", len(one.designed)), default=None)
        if nearest is None:
            continue
        if nearest.other:
            return octets.Difference(frozenset(), f"{words}: {nearest.other}")
        designed |= nearest.designed
    return octets.Difference(frozenset(designed), "")


def with_from_line(arrived: Arrived, sender: str | None = None) -> bytes:
    """The message as Postfix would hand it over: a From_ line first.

    sender  the envelope's, "" for nobody; None for the one that the message says
    """
    letter = arrived.letter
    message = b"".join(letter.chunks())
    if sender is None:
        if letter.from_line:
            return letter.from_line + message
        sender = _return_path(letter)
    when = time.asctime(time.gmtime(arrived.arrived_s))
    line = f"From {sender or 'MAILER-DAEMON'}  {when}\n"
    return line.encode("latin-1", "backslashreplace") + message


def _return_path(letter: Letter) -> str:
    for line in letter.head.split(b"\n"):
        if line.lower().startswith(b"return-path:"):
            return line.partition(b":")[2].strip(b" \t\r<>").decode("latin-1")
    return ""


def extension(arrived: Arrived, site: Site, envelope: Options = ANY_ENVELOPE) -> str:
    """What Postfix would give as the extension of the address it came to.

    envelope  what is given of it; the rest is what the message says
    """
    letter = arrived.letter
    message = Message(letter.head, letter.size, cut=letter.head_cut)
    return traced(envelope, {}, message, letter, site).extension or ""


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
    given = [(words, _given(d)) for d in fate.deliveries for words in _delivery_words(d)]
    return Deeds(done, verdict, tuple(told), tuple(given))


def _given(delivery: Delivery) -> bytes:
    """What a delivery is of; the From_ line counts nowhere (24)."""
    return skip_from_line(delivery.part) if delivery.begin == 0 else delivery.part


def _delivery_words(delivery: Delivery) -> list[str]:
    match delivery.kind:
        case "nowhere":
            return []
        case "forward":
            return _addresses(delivery.argv[1:])
        case "pipe":
            return _program_words(delivery.argv, delivery.shell)
        case _:
            return [f"in {one_line(whole_maildir(delivery.path).rstrip('/'))}"]


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
        return [f"program {one_line(' '.join(bare_command(command).split()))}"]
    if os.path.basename(argv[0]) == "formail" and "D" in "".join(argv[1:2]):
        # A question, and no delivery.
        return []
    if os.path.basename(argv[0]) == "sendmail":
        return _addresses(argv[1:])
    return [f"program {one_line(' '.join(argv))}"]


# --- the other -------------------------------------------------------------------------------


def of_plan(rehearsed: Rehearsed, home: str, letter: Letter) -> Deeds:
    """What the rules do with LETTER; HOME is where `~/` leads."""
    plan = rehearsed.decision.plan
    done: list[str] = []
    given: list[tuple[str, bytes]] = []
    for action in _deliveries(plan):
        words, part = _action_words(action, home)
        done += words
        content = None if isinstance(action, Reply) else _content(action.content, plan, letter)
        if content is not None:
            given += [(deed, _part(part, content)) for deed in words]
    fate = rehearsed.outcome.fate
    if fate == "delivered" and not done:
        fate = "discarded"
    if fate == "discarded" and done:
        fate = "delivered"
    return Deeds(frozenset(done), fate, tuple(reasons(rehearsed.decision)), tuple(given))


def _content(content: Content, plan: Plan, letter: Letter) -> bytes | None:
    """The octets of CONTENT; None where what a filter made is not kept."""
    base = plan.filtered[content.filtered - 1] if content.filtered else letter
    if base is not letter and base.memory is None:
        return None
    return b"".join(edited_letter(base, content.edits).chunks())


def _part(part: str, octets: bytes) -> bytes:
    """The "head" or "body" of a message, "" for all of it."""
    end = octets.find(b"\n\n")
    behind = len(octets) if end < 0 else end + 2
    return {"head": octets[:behind], "body": octets[behind:]}.get(part, octets)


def _deliveries(plan: Plan) -> list[Delivered]:
    return [a for a in plan.actions if isinstance(a, File | Forward | Pipe | Run | Reply)]


def _action_words(action: Delivered, home: str) -> tuple[list[str], str]:
    """What is done, and with which part of the message."""
    match action:
        case File(path=path):
            return [f"in {one_line(path)}"], ""
        case Forward(addresses=addresses):
            return [f"to {one_line(address.lower())}" for address in addresses], ""
        case Pipe(argv=argv) | Run(argv=argv):
            argv, part = unwrapped(argv[2:] if argv[0] == "flock" else argv)
            if argv[0].startswith("~/"):
                argv = (home + argv[0][1:], *argv[1:])
            shell = argv[:2] == ("sh", "-c")
            return _program_words(argv[2:] if shell else argv, shell), part
        case Reply():
            return ["an answer"], ""
