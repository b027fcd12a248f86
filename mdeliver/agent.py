"""One message for one user, from its edge to its outcome.

    options, environment ──► Envelope ─┐
    rules files ──► Program ───────────┼─► Decision (plan and reasons) ──► Outcome
    standard input ──► Letter ─────────┘

`mdeliver test` goes the same way as far as the Decision; `carry_out` is the step it leaves out.

Fails with  nothing: every exception becomes a deferral, and only a rule can reject.
"""

from __future__ import annotations

import time

from mdeliver import durable, limits, system
from mdeliver.evaluate import evaluate
from mdeliver.intake import Options, become_owner, make_envelope, parse_options, state_directory
from mdeliver.letter import Letter, read_letter
from mdeliver.message import Message
from mdeliver.outcome import (
    Deferral,
    Outcome,
    deferred,
    deferred_by,
    delivered,
    discarded,
    rejected,
)
from mdeliver.plan import File
from mdeliver.rulescache import RulesCache
from mdeliver.rulesfile import read_rules, reader, rules_paths
from mdeliver.settings import SETTINGS_PATH, Site, load_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from mdeliver.envelope import Envelope
    from mdeliver.language.compile import Compiled
    from mdeliver.language.syntax import Program
    from mdeliver.plan import Decision, Plan

_STANDARD_INPUT = 0

_TAG_MARK = "sent-"
"""How the extension of a secret Sent address begins (sent/evidence.py)."""

SENT_COPIES = "sent-copies"
"""Name, in the state directory, of what sent/filing.py remembers."""


class DeadlinePassed(BaseException):
    """Our time is over. No Exception: it comes once, and who forgives errors must not take it."""


def load_rules(
    home: str,
    uid: int,
    override: str | None,
    seen: dict[str, system.stat_result] | None = None,
) -> Compiled:
    """Read and check all rules of a user.

    override  a rules file to take in place of the site's and the user's
    seen      gets the status of every file that was read, by its path
    Raises OSError where a file that is there cannot be read or must not be trusted.
    """
    # Most deliveries find their rules checked already (rulescache.py).
    from mdeliver.language.compile import Source, compile_rules

    sources = [Source(path, read_rules(path, uid, seen)) for path in rules_paths(home, override)]
    return compile_rules(sources, reader(home, uid, seen))


def decide(
    program: Program,
    letter: Letter,
    envelope: Envelope,
    site: Site,
    *,
    explain: bool,
    now_s: float | None = None,
) -> Decision:
    """What the rules make of a message; nothing is done.

    now_s  its arrival, seconds since 1970; None for now
    """
    arrived_s = time.time() if now_s is None else now_s
    letter, envelope = _recognised(letter, envelope, site, arrived_s)
    message = Message(letter.head, letter.size, cut=letter.head_cut, octets=letter.chunks)
    return evaluate(program, message, envelope, site, arrived_s, explain=explain)


def _recognised(
    letter: Letter, envelope: Envelope, site: Site, now_s: float
) -> tuple[Letter, Envelope]:
    """Where the recipient has a tag: LETTER without it, ENVELOPE with what it proves."""
    if _TAG_MARK not in f"{envelope.extension} {envelope.recipient}".lower():
        return letter, envelope
    from mdeliver.sent.evidence import look_up, without_tag

    found = look_up(envelope, site, now_s)
    if not found.tag:
        return letter, envelope
    letter = without_tag(letter, found.tag, site.recipient_delimiter)
    return letter, envelope.replace(sent_tag=found)


def outcome_of(plan: Plan, done: str = "delivered") -> Outcome:
    """The outcome of PLAN once its deliveries are made; DONE says in words what they came to."""
    verdict = plan.verdict
    match verdict.fate:
        case "deliver":
            return delivered(done)
        case "discard":
            return discarded()
        case "reject":
            return rejected(verdict.text, verdict.status)
        case "defer":
            return deferred(verdict.text, verdict.status)


def rules_error(compiled: Compiled) -> Outcome:
    """The outcome of a message whose rules have an error: the first one, on one line."""
    errors = [finding for finding in compiled.findings if finding.level == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return deferred(errors[0].line + more, "4.3.5")


def carry_out(
    plan: Plan, letter: Letter, envelope: Envelope, site: Site, state: str, rules: str = ""
) -> Outcome:
    """Do what PLAN says; raises OSError or Deferral where nothing, or not all, could be done.

    state  the state directory
    rules  the option --rules, if it was given
    """
    if plan.verdict.fate == "defer":
        return outcome_of(plan)
    from mdeliver.deliver.transaction import deliver_files

    done = deliver_files(
        plan.actions,
        letter,
        envelope,
        state_directory=state,
        hostname=site.hostname,
        now_s=time.time(),
        rules=rules,
        filtered=plan.filtered,
    )
    if done and not plan.actions:
        # By the rules as they are now it goes nowhere, but an earlier attempt had begun to deliver.
        return delivered(done)
    return outcome_of(plan, done or "nothing to deliver")


def deliver(arguments: Sequence[str], environ: Mapping[str, str]) -> Outcome:
    """Deliver the message on standard input; the whole of `mdeliver deliver`.

    arguments  the command line after `deliver`
    environ    as Postfix made it
    """
    try:
        start_deadline(limits.DEADLINE_S)
        return _deliver(parse_options(arguments), environ)
    except DeadlinePassed:
        return deferred(f"the delivery took longer than {limits.DEADLINE_S} s")
    except Exception as error:
        return deferred_by(error)


def program_for(
    cache: RulesCache, envelope: Envelope, rules: str | None, site: Site
) -> Program | Outcome:
    """The checked rules of the user of ENVELOPE; the outcome where they have an error.

    rules  the option --rules
    """
    program = cache.fetch()
    if program is None:
        compiled = load_rules(envelope.home, envelope.uid, rules, cache.files)
        program = cache.program = compiled.program
        if program is None:
            if site.on_rules_error == "defer":
                return rules_error(compiled)
            program = _without_rules()
    return program


def deliver_letter(
    program: Program, letter: Letter, envelope: Envelope, site: Site, state: str, rules: str = ""
) -> Outcome:
    """Decide, and do it: what all ways in have in common.

    state  the state directory, which exists
    rules  the option --rules, if it was given
    Raises OSError or Deferral where nothing, or not all, could be done.
    """
    now_s = time.time()
    letter, envelope = _recognised(letter, envelope, site, now_s)
    plan = decide(program, letter, envelope, site, explain=False, now_s=now_s).plan

    def do(plan: Plan) -> Outcome:
        return carry_out(plan, letter, envelope, site, state, rules)

    if not any(isinstance(action, File) and action.once for action in plan.actions):
        outcome = do(plan)
        if system.exists(system.join(state, SENT_COPIES)):
            from mdeliver.sent.filing import look_again

            look_again(state, now_s)
        return outcome
    from mdeliver.sent.filing import file_once

    return file_once(plan, letter, state, now_s, do)


def _deliver(options: Options, environ: Mapping[str, str]) -> Outcome:
    system.umask(0o077)
    envelope = make_envelope(options, environ)
    become_owner(envelope)
    site = load_site(options.settings or SETTINGS_PATH)
    cache = RulesCache(envelope, options.rules, environ)
    program = program_for(cache, envelope, options.rules, site)
    if isinstance(program, Outcome):
        return program
    state = state_directory(envelope, environ)
    durable.make_directory(state)
    letter = read_letter(_STANDARD_INPUT, state)
    try:
        if letter.size == 0 and not letter.from_line:
            raise Deferral("standard input was empty: no message came")
        outcome = deliver_letter(program, letter, envelope, site, state, options.rules or "")
        # Only now: nothing that goes wrong with it can touch the delivery.
        cache.keep()
        return outcome
    finally:
        letter.close()


def _without_rules() -> Program:
    """What holds where there are no rules at all."""
    from mdeliver.language.compile import compile_rules

    program = compile_rules([], str).program  # nothing is included
    assert program is not None
    return program


def start_deadline(seconds: int) -> None:
    """End ourselves in time, with everything taken back: Postfix would bounce at its limit.

    DeadlinePassed is raised in SECONDS; 0 calls that off. `_signal` is the module beneath `signal`,
    which imports enum.
    """
    import _signal

    def give_up(_signal_number: int, _frame: object) -> NoReturn:
        raise DeadlinePassed

    _signal.signal(_signal.SIGALRM, give_up)
    _signal.alarm(seconds)
