"""One message for one user, from its edge to its outcome.

    options, environment ──► Envelope ─┐
    rules files ──► Program ───────────┼─► Decision (plan and reasons) ──► Outcome
    standard input ──► Letter ─────────┘

`mdeliver test` goes the same way as far as the Decision; `carry_out` is the step it leaves out.

Fails with  nothing: every exception becomes a deferral, and only a rule can reject.
"""

from __future__ import annotations

import _signal
import time

from mdeliver import durable, limits, system
from mdeliver.decision import (
    dns_for,
    load_rules,
    message_of,
    outcome_of,
    recognised,
    rules_error,
    without_rules,
)
from mdeliver.deliver.outside import Surroundings
from mdeliver.evaluate import evaluate
from mdeliver.history.account import Account, close_together, tell_damage
from mdeliver.intake import Options, become_owner, make_envelope, parse_options, state_directory
from mdeliver.letter import Letter, read_letter
from mdeliver.outcome import Deferral, Outcome, deferred, deferred_by, delivered
from mdeliver.plan import File
from mdeliver.pop3choice import as_the_user_chose
from mdeliver.rulescache import RulesCache
from mdeliver.rulesfile import cases_beside, rules_paths
from mdeliver.settings import SETTINGS_PATH, Site, load_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, TypeAlias

    from mdeliver.conditions.prefilter import Prefilter
    from mdeliver.deliver.journalfile import JournalFile, KeptJournal
    from mdeliver.deliver.remembered import Remembered
    from mdeliver.envelope import Envelope
    from mdeliver.language.syntax import Program
    from mdeliver.plan import Plan

    Afterwards: TypeAlias = list[Callable[[], None]]
    """What is to be done once the answer is out, in this order."""

_STANDARD_INPUT = 0

SENT_COPIES = "sent-copies"
"""Name, in the state directory, of what sent/filing.py remembers."""


_UNDER_WAY = deferred("the delivery took too long")


class DeadlinePassed(BaseException):
    """Our time is over. No Exception: it comes once, and who forgives errors must not take it."""


def carry_out(
    plan: Plan,
    letter: Letter,
    envelope: Envelope,
    site: Site,
    state: str,
    rules: str = "",
    account: Account | None = None,
    journal_file: JournalFile | None = None,
) -> Outcome:
    """Do what PLAN says; raises OSError or Deferral where nothing, or not all, could be done.

    state    the state directory
    rules    the option --rules, if it was given
    account  is told what is done
    journal_file  the journal, where this process keeps it open
    """
    if account is not None:
        account.plan = plan
    from mdeliver.deliver.transaction import deliver_files

    done = deliver_files(
        plan.actions,
        letter,
        envelope,
        state_directory=state,
        hostname=site.hostname,
        now_s=time.time(),
        sendmail=site.sendmail,
        rules=rules,
        filtered=plan.filtered,
        done=account.done if account is not None else None,
        journal_file=journal_file,
    )
    if done and not plan.actions:
        # By the rules as they are now it goes nowhere, or waits for a program; but an earlier
        # attempt had begun to deliver, and half of it must not stay half if they say so for days.
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
    if program is not None:
        return program
    texts: dict[str, str] = {}
    compiled = load_rules(envelope.home, envelope.uid, rules, cache.files, texts)
    program = compiled.program
    if program is None:
        return rules_error(compiled) if site.on_rules_error == "defer" else without_rules()
    paths = rules_paths(envelope.home, rules)
    if cases_beside(paths):
        from mdeliver.acceptance import Loaded, examine

        refused = examine(Loaded(paths, texts, cache.files), envelope, site, cache.state)
        if refused is not None:
            if refused.good is None:
                if site.on_rules_error == "defer":
                    return deferred(refused.line, "4.3.5")
                return without_rules().replace(notice=refused.line)
            # Not kept: other settings, or a less busy host, may find the new ones good.
            return refused.good
    cache.program = program
    return program


def deliver_letter(
    program: Program,
    letter: Letter,
    envelope: Envelope,
    site: Site,
    state: str,
    rules: str = "",
) -> Outcome:
    """Decide, and do it.

    state       the state directory, which exists
    rules       the option --rules, if it was given
    Raises OSError or Deferral where nothing, or not all, could be done.
    """
    passage = Passage(program, letter, envelope, site, state, rules)
    try:
        passage.decide()
        return passage.carry_out()
    except Exception as error:
        passage.ending = deferred_by(error)
        raise
    finally:
        do_afterwards([passage.close, lambda: follow_up([passage])])


def do_afterwards(afterwards: Afterwards) -> None:
    """Do what follows a delivery; it takes its time, but not for ever, and changes no outcome."""
    try:
        try:
            start_deadline(limits.AFTERWARDS_S)
            for step in afterwards:
                step()
        finally:
            start_deadline(0)
    except (DeadlinePassed, Exception):
        pass  # the message's fate is known, or told: nothing here can change it


class Passage:
    """One letter on its way through: what becomes of it is decided, then done.

    plan     what was decided, once it is
    account  of the delivery
    ending   how it ended, for the account
    """

    def __init__(
        self,
        program: Program,
        letter: Letter,
        envelope: Envelope,
        site: Site,
        state: str,
        rules: str,
        journal_file: KeptJournal | None = None,
        prefilter: Prefilter | None = None,
        began_s: float | None = None,
        choose: Callable[[Site, str, int], Site] = as_the_user_chose,
    ) -> None:
        """STATE: the state directory, which exists; RULES: the option --rules, "" without it.

        journal_file, prefilter, began_s, choose  in a process that has more than one letter
        """
        self.now_s = time.time()
        self.account = Account(envelope, letter, site, state, began_s)
        self.letter, self.envelope = letter, envelope
        self.rules = rules
        self.plan: Plan
        self.ending = _UNDER_WAY
        self.site = site
        self._program, self._state = program, state
        self._journal_file = journal_file
        self._prefilter = prefilter
        self._choose = choose
        self._outside: Surroundings | None = None

    def decide(self, before_asking: Callable[[], None] | None = None) -> None:
        """Run the rules. BEFORE_ASKING is called before they wait for anybody else's answer."""
        came, now_s = self.letter, self.now_s
        letter, envelope = recognised(came, self.envelope, self.site, now_s)
        message = message_of(letter)
        self.letter, self.envelope = letter, envelope
        self.account.envelope = envelope
        self.account.message = message if letter is came else None
        outside = self._outside = Surroundings(
            envelope,
            self._state,
            remembers=self._memory,
            names=dns_for(self.site),
            before_asking=before_asking,
        )
        site = self._choose(self.site, envelope.home, envelope.uid)
        self.plan = evaluate(
            self._program,
            message,
            envelope,
            site,
            now_s,
            explain=False,
            outside=outside,
            prefilter=self._prefilter,
        ).plan

    def _memory(self) -> Remembered:
        from mdeliver.deliver.remembered import Remembered

        return Remembered(self._state, self.letter, self.envelope, self.rules)

    @property
    def is_plain(self) -> bool:
        """Whether the plan can be carried out together with those of other messages."""
        plan, outside = self.plan, self._outside
        if outside is None or outside.was_asked or plan.remember:
            return False
        if plan.verdict.fate != "deliver" or not plan.actions:
            return False
        for action in plan.actions:
            if not isinstance(action, File) or action.once or action.content.filtered:
                return False
        return True

    def carry_out(self) -> Outcome:
        """Do what was decided. An alarm or an error when it is done changes nothing any more."""
        plan = self.plan
        try:
            if [action for action in plan.actions if isinstance(action, File) and action.once]:
                from mdeliver.sent.filing import file_once

                self.ending = file_once(plan, self.letter, self._state, self.now_s, self._do)
            else:
                self.ending = self._do(plan)
        except (DeadlinePassed, Exception):
            if not self.account.done.words:
                raise
            self.ending = self.delivered(self.account.done.words)
        return self.ending

    def look_at_sent_copies(self) -> None:
        """A client may have put its own copy of what was sent beside ours."""
        if system.exists(system.join(self._state, SENT_COPIES)):
            from mdeliver.sent.filing import look_again

            look_again(self._state, self.now_s)

    def _do(self, plan: Plan) -> Outcome:
        outcome = carry_out(
            plan,
            self.letter,
            self.envelope,
            self.site,
            self._state,
            self.rules,
            self.account,
            self._journal_file,
        )
        if plan.remember and self._outside is not None:
            self._outside.remember(plan, self.account.done.places)
        return self._with_notice(outcome)

    def delivered(self, done: str) -> Outcome:
        """The outcome of what was decided; DONE says in words what it came to."""
        # By the rules as they are now it may go nowhere: see `carry_out`.
        outcome = outcome_of(self.plan, done) if self.plan.actions else delivered(done)
        return self._with_notice(outcome)

    def _with_notice(self, outcome: Outcome) -> Outcome:
        """OUTCOME, with what the user's administrator should know of the rules."""
        notice = self._program.notice
        if notice and outcome.exit_status == 0:
            # Not where a sender or another host is told.
            return outcome.replace(text=f"{outcome.text}, {notice}")
        return outcome

    def close(self) -> None:
        """Let go of what the rules asked for."""
        if self._outside is not None:
            self._outside.close()
            # It has a method of ours: the two would keep each other, and the message.
            self._outside = None


def follow_up(passages: Sequence[Passage]) -> None:
    """Say in the log what became of PASSAGES, and look at the Sent folder once for all.

    Nothing that goes wrong with it touches them.
    """
    close_together([(passage.account, passage.ending) for passage in passages])
    by_state = {passage.account.state: passage for passage in passages}
    try:
        for passage in by_state.values():
            passage.look_at_sent_copies()
    finally:
        tell_damage({state: passage.site for state, passage in by_state.items()})


def _deliver(options: Options, environ: Mapping[str, str]) -> Outcome:
    system.umask(0o077)
    envelope = make_envelope(options, environ)
    become_owner(envelope)
    site = load_site(options.settings or SETTINGS_PATH)
    state = state_directory(envelope, environ)
    durable.make_directory(state)
    cache = RulesCache(envelope, options.rules, environ, site)
    program = program_for(cache, envelope, options.rules, site)
    if isinstance(program, Outcome):
        Account(envelope, None, site, state).close(program)
        return program
    letter = read_letter(_STANDARD_INPUT, state)
    try:
        if letter.size == 0 and not letter.from_line:
            raise Deferral("standard input was empty: no message came")
        outcome = deliver_letter(program, letter, envelope, site, state, options.rules or "")
        do_afterwards([cache.keep])
        return outcome
    finally:
        letter.close()


def start_deadline(seconds: int) -> None:
    """End ourselves in time, with everything taken back: Postfix would bounce at its limit.

    DeadlinePassed is raised in SECONDS; 0 calls that off. `_signal` is the module beneath `signal`,
    which imports enum.
    """
    if seconds and _signal.getsignal(_signal.SIGALRM) is not _give_up:
        _signal.signal(_signal.SIGALRM, _give_up)
    _signal.alarm(seconds)


def _give_up(_signal_number: int, _frame: object) -> NoReturn:
    raise DeadlinePassed
