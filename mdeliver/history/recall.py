"""The decision log, read: which deliveries, and how often each rule took a hand in one.

Reads      every file of the log, the oldest first. A line that a full disk cut is left out, and so
           is one that is no object of ours: the file is its owner's, who may write what he likes.
Rules      are known by FILE:LINE, so what was counted before a file was last changed may be another
           rule's: only what came later counts.
See also   decisions.py, account.py, which write it
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mdeliver import durable
from mdeliver.history import decisions
from mdeliver.language import printer
from mdeliver.language.syntax import Do, If, Include

if TYPE_CHECKING:
    from mdeliver.language.syntax import Statement

_START = b'{"time": '

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "time": (int, float),
    "duration_s": (int, float),
    "size": int,
    "fired": list,
    "actions": list,
    "rule": (str, type(None)),
    **dict.fromkeys(
        (
            *("user", "sender", "recipient", "original_recipient", "queue_id", "message_id"),
            *("subject", "digest", "outcome", "status", "text"),
        ),
        str,
    ),
}
"""Every key of a delivery's object and what kind of value it has."""

_LOG_BYTES = 1 << 30
"""Of one file; the settings keep it far below."""

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


_DAMAGE_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "time": (int, float),
    "damaged": str,
    "text": str,
}
"""Likewise of a line that tells of a damaged file."""

_TIMES = ("time", "duration_s")
_MOST_S = 1e15
"""JSON has numbers that are no time, and whole ones too long for any arithmetic."""


class Question(NamedTuple):
    """Which deliveries are asked for; what is None does not matter.

    message  a Message-ID, with or without < >, or a queue id
    rule     FILE:LINE or FILE, whose first steps may be missing
    since_s  seconds since 1970
    """

    message: str | None = None
    rule: str | None = None
    since_s: float | None = None


class Hits(NamedTuple):
    """One action of the rules, and what it did.

    rule     FILE:LINE
    words    as the rules have it
    times    deliveries in which it was reached
    last_s   when that was last, None for never
    since_s  since when it has been counted
    """

    rule: str
    words: str
    times: int
    last_s: float | None
    since_s: float


class Told(NamedTuple):
    """What the log has.

    deliveries  the oldest first
    damage      files that were found damaged, each as the log tells of it
    unread      by the path of each file of the log: how many lines are none of ours, or only part
                of one
    """

    deliveries: list[dict[str, Any]]
    damage: list[dict[str, Any]]
    unread: dict[str, int]


def deliveries(state: str) -> Iterator[dict[str, Any]]:
    """Every delivery in the log of the state directory STATE, the oldest first. Raises OSError."""
    for _path, said in _objects(state):
        if said is not None and _is_delivery(said):
            yield said


def everything(state: str) -> Told:
    """All that the log of the state directory STATE has. Raises OSError."""
    told = Told([], [], {})
    for path, said in _objects(state):
        if said is not None and _is_delivery(said):
            told.deliveries.append(said)
        elif said is not None and _has(said, _DAMAGE_KINDS):
            told.damage.append(said)
        else:
            told.unread[path] = told.unread.get(path, 0) + 1
    return told


def _objects(state: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Each line of the log, as an object; None where it is none. Whence it is stands before it."""
    for path in decisions.paths(state):
        for line in durable.read_file(path, _LOG_BYTES).splitlines():
            # What a full disk cut may stand before a whole one; within a text the quotes differ.
            try:
                said = json.loads(line[max(0, line.rfind(_START)) :])
            except (ValueError, RecursionError):
                said = None
            if line:
                yield path, said if isinstance(said, dict) else None


def _has(said: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]]) -> bool:
    kinds_fit = all(key in said and isinstance(said[key], kind) for key, kind in kinds.items())
    return kinds_fit and all(abs(said[key]) < _MOST_S for key in _TIMES if key in kinds)


def _is_delivery(said: Mapping[str, Any]) -> bool:
    if not _has(said, _KINDS):
        return False
    whole = all(
        isinstance(action, dict) and isinstance(action.get("rule"), str | None)
        for action in said["actions"]
    )
    return whole and all(isinstance(rule, str) for rule in said["fired"])


def matching(found: Iterable[dict[str, Any]], question: Question) -> Iterator[dict[str, Any]]:
    """Those of FOUND that QUESTION asks for."""
    for said in found:
        if question.since_s is not None and said["time"] < question.since_s:
            continue
        if question.message is not None and not _is_message(said, question.message):
            continue
        if question.rule is not None and not any(
            _is_rule(rule, question.rule) for rule in _rules_of(said)
        ):
            continue
        yield said


def _is_message(said: Mapping[str, Any], wanted: str) -> bool:
    bare = wanted.strip().removeprefix("<").removesuffix(">")
    message_id = said["message_id"].strip().removeprefix("<").removesuffix(">")
    return bare != "" and bare in (message_id, said["queue_id"])


def _is_rule(rule: str, wanted: str) -> bool:
    file, _, line = rule.rpartition(":")
    return any(
        name == wanted or name.endswith("/" + wanted.lstrip("/"))
        for name in (f"{file}:{line}", file)
    )


def _rules_of(said: Mapping[str, Any]) -> set[str]:
    """Every rule that had a hand in a delivery."""
    rules = {*said["fired"], said["rule"], *(action.get("rule") for action in said["actions"])}
    return {rule for rule in rules if isinstance(rule, str)}


def seconds_of(text: str) -> float:
    """The time that TEXT names, seconds since 1970: `7d` ago, or a date, with a time or without.

    Raises ValueError.
    """
    ago = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip())
    if ago:
        return time.time() - int(ago[1]) * _UNITS_S[ago[2]]
    return datetime.fromisoformat(text.strip()).timestamp()


def hits(found: Iterable[Mapping[str, Any]], statements: Iterable[Statement]) -> list[Hits]:
    """How often each action in STATEMENTS was reached in the deliveries FOUND.

    A deferred delivery counts for the rule that deferred it and for no other: it comes again.
    """
    actions = dict(_actions(statements))
    changed = {file: _changed_s(file) for file in {_file_of(rule) for rule in actions}}
    counts = dict.fromkeys(actions, 0)
    last: dict[str, float] = {}
    first_s: float | None = None
    for said in found:
        first_s = said["time"] if first_s is None else min(first_s, said["time"])
        rules = {said["rule"]} if said["outcome"] == "deferred" else set(said["fired"])
        for rule in rules & actions.keys():
            if said["time"] >= changed[_file_of(rule)]:
                counts[rule] += 1
                last[rule] = max(said["time"], last.get(rule, 0))
    begun_s = time.time() if first_s is None else first_s
    return [
        Hits(rule, words, counts[rule], last.get(rule), max(begun_s, changed[_file_of(rule)]))
        for rule, words in actions.items()
    ]


def _file_of(rule: str) -> str:
    return rule.rpartition(":")[0]


def _changed_s(file: str) -> float:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return 0.0


def _actions(statements: Iterable[Statement]) -> Iterator[tuple[str, str]]:
    """Place and words of every action, in the order of the rules."""
    for statement in statements:
        match statement:
            case Do():
                yield statement.action.span.where, printer.line_of(statement)
            case If():
                for branch in statement.branches:
                    yield from _actions(branch.block)
                yield from _actions(statement.otherwise or ())
            case Include():
                yield from _actions(statement.body or ())
            case _:
                pass
