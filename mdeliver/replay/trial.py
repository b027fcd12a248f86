"""Try rules on their cases: what was expected, what would happen instead, and why.

Shares      everything with a delivery but the last step.
Targets     an expectation's places are what a rule of the same words would plan, under the
            definitions of the rules that are tried: `{year}` and names mean what they mean there.
See also    cases.py for the format
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from mdeliver.decision import outcome_of
from mdeliver.diagnostic import Diagnostic, Span
from mdeliver.envelope import Envelope
from mdeliver.intake import Options
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.syntax import Discard, Do, Inbox, Include, Let, Mailbox, MeIs, Program
from mdeliver.letter import Letter, letter_of
from mdeliver.message import Message
from mdeliver.outcome import one_line
from mdeliver.plan import Plan
from mdeliver.replay import stores
from mdeliver.replay.cases import Case, Cases, Expected, parse_cases
from mdeliver.replay.expectations import Failure, failures
from mdeliver.replay.rehearsal import Rehearsed, checking_by_zone, rehearse, traced, zone_of
from mdeliver.rulesfile import read_rules, reader, rules_paths
from mdeliver.settings import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdeliver.authentication.lookups import Names
    from mdeliver.diagnostic import Level
    from mdeliver.language.syntax import Statement

_DEFINITIONS = (Mailbox, Inbox, MeIs, Let)

_NOWHERE = Span("", 1, 1, 2)
_NOTHING_ELSE = Do(False, Discard(_NOWHERE), _NOWHERE)
"""Ends a rule that is asked only what it plans, without the inbox."""


class Tried(NamedTuple):
    """One case, and what came of it."""

    case: Case
    rehearsed: Rehearsed
    failures: tuple[Failure, ...]


class Trial(NamedTuple):
    """A file of cases that can be tried.

    program      None where a finding is an error
    required     whether the rules must not be used while a case does not hold
    definitions  what names mean at the end of the rules
    targets      by line, the rule that says what an expectation says
    """

    path: str
    cases: tuple[Case, ...]
    program: Program | None
    required: bool
    definitions: tuple[Statement, ...]
    targets: dict[int, Do]
    findings: tuple[Diagnostic, ...]


def load_trial(path: str, home: str, uid: int, override: str | None) -> Trial:
    """Read the cases at PATH and the rules that they are about.

    override  `--rules FILE`, in place of what the cases say
    Raises OSError, ValueError (no UTF-8), Untrusted.
    """
    cases = parse_cases(stores.read_text(path), path)
    if cases.rules and not override:
        override = os.path.join(os.path.dirname(path), cases.rules)
    sources = [Source(file, read_rules(file, uid)) for file in rules_paths(home, override)]
    return trial_of(path, cases, sources, reader(home, uid))


def trial_of(
    path: str, cases: Cases, sources: list[Source], read_file: Callable[[str], str]
) -> Trial:
    """The CASES at PATH with the rules in SOURCES.

    read_file  the text of an included file; raises as rulesfile.reader does
    """
    compiled = compile_rules(sources, read_file)
    findings = (*cases.findings, *compiled.findings)
    if findings or compiled.program is None:
        return Trial(path, cases.cases, None, cases.required, (), {}, findings)
    both = compile_rules([*sources, Source(path, cases.targets)], read_file)
    if both.program is None:
        shown = tuple(_as_written(finding, path, cases) for finding in both.findings)
        return Trial(path, cases.cases, None, cases.required, (), {}, shown)
    targets = {
        statement.span.line: statement
        for statement in both.program.statements
        if isinstance(statement, Do) and statement.span.file == path
    }
    definitions = tuple(definitions_in(compiled.program.statements))
    return Trial(path, cases.cases, compiled.program, cases.required, definitions, targets, ())


def _as_written(finding: Diagnostic, path: str, cases: Cases) -> Diagnostic:
    """FINDING in a target, shown on the line that the user wrote."""
    place = finding.place
    if place.file != path or place.line not in cases.shifts:
        return finding
    shift = cases.shifts[place.line]
    column, end = max(1, place.column - shift), max(2, place.end_column - shift)
    words = next(e.words for c in cases.cases for e in c.expected if e.line == place.line)
    return finding.replace(place=place.replace(column=column, end_column=end), source=words)


def definitions_in(statements: tuple[Statement, ...]) -> list[Statement]:
    """What is defined outside of any block, in order."""
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Include):
            found += definitions_in(statement.body or ())
        elif isinstance(statement, _DEFINITIONS):
            found.append(statement)
    return found


def try_case(
    trial: Trial, case: Case, asker: Envelope, site: Site, *, run_programs: bool = False
) -> Tried:
    """What becomes of CASE's message, and which expectations that does not meet.

    asker         user, home and uid where the case does not say them
    run_programs  whether programs that rules ask are run
    Raises OSError where the message or the zone is in a file that cannot be read, or is none.
    """
    assert trial.program is not None
    if case.message is not None:
        letter = letter_of(case.message)
    else:
        file = os.path.join(os.path.dirname(trial.path), case.file)
        letter = stores.letter_in(file)
    if "size" in case.said:
        letter = letter.replace(size=int(case.said["size"]))
    message = Message(letter.head, letter.size, cut=letter.head_cut)
    envelope = _envelope(case, message, letter, asker, site)
    now_s = float(case.said["arrived"]) if "arrived" in case.said else time.time()
    names = _zone(trial, case)
    if names is not None:
        site = checking_by_zone(site)

    def planned(program: Program, explain: bool) -> Rehearsed:
        decision = rehearse(
            program,
            letter,
            envelope,
            site,
            explain=explain,
            now_s=now_s,
            run_programs=run_programs,
            names=names,
        )
        return Rehearsed(message, decision, outcome_of(decision.plan))

    def ruled(expected: Expected) -> Plan | None:
        if not expected.ruled:
            return None
        alone = (trial.targets[expected.line].replace(also=True), _NOTHING_ELSE)
        return planned(Program((*trial.definitions, *alone)), False).decision.plan

    rehearsed = planned(trial.program, True)
    wanted = {expected: ruled(expected) for expected in case.expected}
    return Tried(case, rehearsed, tuple(failures(rehearsed, wanted)))


def _zone(trial: Trial, case: Case) -> Callable[[], Names] | None:
    """What answers in the place of the DNS; None where the case names no zone."""
    if "zone" not in case.said:
        return None
    path = os.path.join(os.path.dirname(trial.path), case.said["zone"])
    try:
        return zone_of(stores.read_text(path))
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), path) from None


def failing(trial: Trial, asker: Envelope, site: Site, level: Level) -> Iterator[Diagnostic]:
    """Each expectation that does not hold, as a finding of LEVEL."""
    for case in trial.cases if trial.program is not None else ():
        try:
            failed = try_case(trial, case, asker, site).failures
        except OSError as error:
            place = Span(trial.path, case.line, 1, 2)
            yield Diagnostic("C104", level, f"{error.filename}: {error.strerror}", place)
            continue
        for expected, instead in failed:
            place = Span(trial.path, expected.line, 1, len(expected.words) + 1)
            message = f'the case "{one_line(case.title)}" does not hold'
            yield Diagnostic("C106", level, message, place, expected.words, f"instead: {instead}")


def _envelope(
    case: Case, message: Message, letter: Letter, asker: Envelope, site: Site
) -> Envelope:
    """The envelope that the case says; what it leaves open is the message's own, or ASKER's."""
    said = case.said
    given = {name: said[name] for name in ("sender", "recipient", "extension") if name in said}
    options = traced(Options(**given), {}, message, letter, site)
    user = said.get("user", asker.user)
    home = said.get("home", f"/home/{user}" if "user" in said else asker.home)
    recipient = options.recipient or user
    written = "sender" in said or message.texts("return-path") or letter.from_line
    # Who writes a case thinks of From; only a message that says otherwise has another sender.
    author = next((address.text for address in message.addresses("from")), "")
    return Envelope(
        user=user,
        home=home,
        uid=asker.uid,
        sender=(options.sender or "") if written else author,
        recipient=recipient,
        original_recipient=recipient,
        extension=options.extension or "",
        domain=recipient.rpartition("@")[2].lower() if "@" in recipient else "",
        sasl_username=said.get("submitted by", ""),
        client_address=said.get("client", ""),
        client_helo=said.get("helo", ""),
    )
