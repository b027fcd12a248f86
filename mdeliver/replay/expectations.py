"""Whether what a case expects of a message is what becomes of it.

A deed that rules could do is compared with what a rule of the same words plans: so names, braces
and paths mean in cases what they mean in rules. Where nothing follows the verb, any deed of that
kind will do.

See also  cases.py for the words, trial.py, which asks
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mdeliver.deedwords import action_words
from mdeliver.outcome import one_line
from mdeliver.plan import Edit, File, Filter, Forward, Note, Pipe, Plan, Reply, Run
from mdeliver.replay.cases import Expected
from mdeliver.replay.fates import fate_of, file_flags, file_words
from mdeliver.replay.rehearsal import Rehearsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.plan import Action

_FATES = {"reject": "rejected", "defer": "deferred", "discard": "discarded"}

_KINDS: dict[str, type] = {
    "file": File, "forward": Forward, "pipe": Pipe, "run": Run, "filter": Filter,
    "set": Edit, "add": Edit, "remove": Edit, "reply": Reply, "log": Note,
}  # fmt: skip

# Where a message goes: what is expected of these is all that may happen, unless `also` is written.
_WHERE = (File, Forward, Pipe)
_WHERE_VERBS = ("file", "forward", "pipe")


class Failure(NamedTuple):
    """One expectation that does not hold, and what happens instead."""

    expected: Expected
    instead: str


def failures(rehearsed: Rehearsed, wanted: Mapping[Expected, Plan | None]) -> list[Failure]:
    """Which of the expectations REHEARSED does not meet.

    wanted  what is expected, with the plan of a rule that says the same where there is one
    """
    plan, outcome = rehearsed.decision.plan, rehearsed.outcome
    fate = fate_of(plan, outcome)
    others = [one_line(action_words(a)) for a in plan.actions if not isinstance(a, _WHERE)]
    said = "; ".join([f"{fate.words} {fate.reply_words}".rstrip(), *others])
    found = []
    for expected, rule in wanted.items():
        holds = _happens(expected, rule, rehearsed)
        if expected.manner == "not":
            holds = not holds
        elif expected.manner == "" and expected.verb in _WHERE_VERBS:
            holds = holds and outcome.fate == "delivered"
        if not holds:
            found.append(Failure(expected, said))
    only = [e for e in wanted if e.manner == "" and e.verb in (*_WHERE_VERBS, *_FATES)]
    unnamed = _unnamed(plan, wanted)
    if only and unnamed and not found:
        # All that was named is there; what was not named is there too.
        found.append(Failure(only[-1], f"{said}: {', '.join(unnamed)} was not expected"))
    return found


def _happens(expected: Expected, rule: Plan | None, rehearsed: Rehearsed) -> bool:
    plan, outcome = rehearsed.decision.plan, rehearsed.outcome
    if expected.verb in _FATES:
        same = outcome.fate == _FATES[expected.verb]
        # `does not reject "X"` is asked the same way round: a rejection without X is none of these.
        return same and expected.text in outcome.line
    done = _of_kind(expected, plan)
    if rule is None:
        return any(expected.text in _text(action) for action in done)
    deeds = _of_kind(expected, rule)
    match = any if expected.manner == "not" else all
    return bool(deeds) and match(_among(deed, done, expected.manner) for deed in deeds)


def _of_kind(expected: Expected, plan: Plan) -> list[Action]:
    """What PLAN does of the kind that is EXPECTED."""
    return [
        action
        for action in plan.actions
        if isinstance(action, _KINDS[expected.verb])
        and (not isinstance(action, Edit) or action.deed == expected.verb)
    ]


def _text(action: Action) -> str:
    """What ACTION says; "" where it says nothing."""
    if isinstance(action, Reply):
        from email import message_from_bytes

        body = message_from_bytes(action.octets).get_payload(decode=True)
        assert isinstance(body, bytes)  # replies have one part
        return f"{action.subject}\n{body.decode('utf-8', 'replace')}"
    return action.text if isinstance(action, Note) else ""


def _among(deed: Action, done: list[Action], manner: str) -> bool:
    """Whether DEED is one of those DONE."""
    match deed:
        case File():
            there = [f for f in done if isinstance(f, File) and f.path == deed.path]
            # Flags are compared where they are written; an mbox has none.
            plain = manner == "not" or not deed.flags or deed.store == "mbox"
            return any(plain or file.flags == deed.flags for file in there)
        case Forward():
            sent = {a for f in done if isinstance(f, Forward) for a in f.addresses}
            wanted = deed.addresses
            return any(a in sent for a in wanted) if manner == "not" else sent.issuperset(wanted)
        case Pipe() | Run() | Filter():
            # Arguments that are not written are not compared.
            words = len(deed.argv)
            return any(getattr(action, "argv", ())[:words] == deed.argv for action in done)
        case Edit():
            field = deed.name.lower(), deed.text
            return any(isinstance(e, Edit) and (e.name.lower(), e.text) == field for e in done)
        case _:
            raise AssertionError(f"no rule stands for a {type(deed).__name__}")


def _unnamed(plan: Plan, wanted: Mapping[Expected, Plan | None]) -> list[str]:
    """Where the message goes that nothing expects, in words."""
    any_of = {_KINDS[e.verb] for e, rule in wanted.items() if rule is None and e.verb in _KINDS}
    rules = [r for e, r in wanted.items() if r is not None and e.manner != "not"]
    named = [action for rule in rules for action in rule.actions]
    paths = {action.path for action in named if isinstance(action, File)}
    addresses = {a for action in named if isinstance(action, Forward) for a in action.addresses}
    programs = [action.argv for action in named if isinstance(action, Pipe)]
    found = []
    for action in plan.actions:
        match action:
            case _ if type(action) in any_of:
                continue
            case File() if action.path not in paths:
                found.append(file_words(action) + file_flags(action))
            case Forward() if not addresses.issuperset(action.addresses):
                found.append(one_line(action_words(action)))
            case Pipe() if not any(action.argv[: len(argv)] == argv for argv in programs):
                found.append(one_line(action_words(action)))
    return found
