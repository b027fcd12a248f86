"""What would change between two rules files: the messages that fare differently, and why.

Differs     a message that would lie in other places, with other flags, or be answered otherwise.
            That another rule does the same is no difference.
Reasons     from each side's own trace: the rule that did it, the conditions around it, and what
            they found in the message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mdeliver import explain
from mdeliver.language.compile import Compiled, Source, compile_rules
from mdeliver.outcome import one_line
from mdeliver.plan import Decision, Step
from mdeliver.replay.fates import NO_RULE, Fate, fate_of
from mdeliver.replay.rehearsal import Rehearsed
from mdeliver.rulesfile import SITE_RULES, read_rules, reader, rules_paths


class Side(NamedTuple):
    """What becomes of a message by one of the two: the fate, and its reasons line by line."""

    fate: Fate
    reasons: tuple[str, ...]


class Difference(NamedTuple):
    """A message that fares differently."""

    name: str
    message_id: str
    sides: tuple[Side, Side]


def load_other(home: str, uid: int, other: str, override: str | None) -> Compiled:
    """The rules to compare with.

    other     compared with `--rules OVERRIDE` it stands alone; compared with the rules in use it
              takes the place of the user's, after the site's
    Raises OSError, Untrusted.
    """
    before = [] if override else [p for p in rules_paths(home, None) if p == SITE_RULES]
    sources = [Source(path, read_rules(path, uid)) for path in (*before, other)]
    return compile_rules(sources, reader(home, uid))


def difference(
    name: str, rehearse: Callable[[bool], tuple[Rehearsed, Rehearsed]]
) -> Difference | None:
    """How the fates of the message NAME differ; None where they do not.

    rehearse  gives what becomes of it by the one and by the other, with a trace or without
    """
    if not _differ(*rehearse(False)):
        return None
    one, other = rehearse(True)
    first, second = (
        Side(fate_of(side.decision.plan, side.outcome), tuple(reasons(side.decision)))
        for side in (one, other)
    )
    message_id = one_line(explain.message_id(one.message) or "no Message-ID")
    return Difference(one_line(name), message_id, (first, second))


def _differ(one: Rehearsed, other: Rehearsed) -> bool:
    return (
        fate_of(one.decision.plan, one.outcome).deed
        != fate_of(other.decision.plan, other.outcome).deed
    )


def reasons(decision: Decision) -> list[str]:
    """Every rule that had a part in DECISION, below the conditions that it stands under.

    Also one that did nothing, such as a reply that nobody gets, and says why.
    """
    plan = decision.plan
    silent = [step.rule for step in decision.trace if step.result == "done" and step.because]
    rules = dict.fromkeys([*(action.rule for action in plan.actions), *silent, plan.verdict.rule])
    told: dict[Step, None] = {}
    for rule in rules:
        for step in _way_to(rule, decision.trace):
            told[step] = None
    lines = [_line(step) for step in told]
    if None in rules:
        lines.append(NO_RULE if plan.verdict.fate == "deliver" else "no rule was asked")
    return lines


def _way_to(rule: str | None, trace: Sequence[Step]) -> list[Step]:
    """The step of RULE that was done, and the branches around it, outermost first."""
    for index, step in enumerate(trace):
        if step.rule == rule and step.result in ("done", "unknown"):
            way = [step]
            for before in reversed(trace[:index]):
                if before.depth < way[-1].depth and before.result == "yes":
                    way.append(before)
            return way[::-1]
    return []


def _line(step: Step) -> str:
    words = f"{one_line(step.rule)}  {'  ' * step.depth}{one_line(step.source)}"
    return f"{words}  ({one_line(step.because)})" if step.because else words


def difference_lines(found: Difference, labels: tuple[str, str], paint: explain.Paint) -> list[str]:
    """FOUND for people; LABELS say which rules each side goes by."""
    lines = [f"{paint('bold', found.name)}  {found.message_id}"]
    width = max(map(len, labels))
    for label, side in zip(labels, found.sides, strict=True):
        words = paint("bold", side.fate.words)
        lines.append(f"  {label:{width}}  {words}  {side.fate.reply_words}".rstrip())
        lines += [f"  {'':{width}}    {paint('dim', reason)}" for reason in side.reasons]
    return lines


def summary(found: Iterable[Difference], total: int, labels: tuple[str, str]) -> list[str]:
    """How many messages would go from where to where, out of TOTAL."""
    ways = Counter((d.sides[0].fate.words, d.sides[1].fate.words) for d in found)
    changed = ways.total()
    same = f"{changed} of {total} messages would fare differently"
    if not changed:
        return [f"no difference: {labels[0]} and {labels[1]} do the same with {total} messages"]
    order = sorted(ways.items(), key=lambda way: (-way[1], way[0]))
    return [
        f"{'messages':>8}  {labels[0]} -> {labels[1]}",
        *(f"{count:>8}  {before} -> {after}" for (before, after), count in order),
        same,
    ]
