"""What a delivery would make of a stored message: everything but the last step.

Shares      the rules, the evaluator and the plan with `mdeliver deliver`.
Envelope    from options, else from the environment that Postfix would give, else from what an
            earlier delivery wrote into the message: Return-Path or the From_ line, Delivered-To.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mdeliver.decision import decide, outcome_of
from mdeliver.deliver.outside import Surroundings
from mdeliver.deliver.remembered import Consulted
from mdeliver.envelope import Envelope
from mdeliver.intake import Options, make_envelope, state_directory
from mdeliver.language.syntax import Program
from mdeliver.letter import Letter
from mdeliver.message import Message
from mdeliver.outcome import Outcome, deferred_by
from mdeliver.plan import Decision, Plan, Verdict
from mdeliver.record import Record
from mdeliver.replay.mboxread import sender_of
from mdeliver.replay.stores import Arrived
from mdeliver.scene import without_extension
from mdeliver.settings import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.authentication.lookups import Names


class Rehearsed(Record):
    """One message and what would become of it."""

    message: Message
    decision: Decision
    outcome: Outcome


class Rehearsal(Record):
    """One user's delivery as far as it goes without doing anything.

    rules         the program, or what a delivery without one would say
    options       as on the command line
    environ       as Postfix would make it
    run_programs  whether programs that rules ask are run; else what hangs on one is not known
    names         opens the DNS, or what stands in its place
    always_run    programs of conditions that are run in any case, with their arguments
    """

    rules: Program | Outcome
    options: Options
    environ: Mapping[str, str]
    site: Site
    run_programs: bool = False
    names: Callable[[], Names] | None = None
    always_run: frozenset[tuple[str, ...]] = frozenset()

    def of(self, arrived: Arrived, *, explain: bool) -> Rehearsed:
        """What would become of the message; raises nothing, as a delivery does.

        explain  whether the decision has a trace, which takes as long again
        """
        letter, arrives_now = arrived.letter, arrived.arrived_s is None
        message = Message(letter.head, letter.size, cut=letter.head_cut)
        if isinstance(self.rules, Outcome):
            return _undecided(message, self.rules)
        try:
            options = traced(self.options, self.environ, message, letter, self.site)
            envelope = make_envelope(options, self.environ)
            decision = rehearse(
                self.rules,
                letter,
                envelope,
                self.site,
                explain=explain,
                now_s=arrived.arrived_s,
                run_programs=self.run_programs,
                names=self.names,
                always_run=self.always_run,
                # What arrived long ago is no duplicate of what is remembered of it now.
                memory=state_directory(envelope, self.environ) if arrives_now else None,
            )
            return Rehearsed(message, decision, outcome_of(decision.plan))
        except Exception as error:
            return _undecided(message, deferred_by(error))


def rehearse(
    program: Program,
    letter: Letter,
    envelope: Envelope,
    site: Site,
    *,
    explain: bool,
    now_s: float | None,
    run_programs: bool,
    memory: str | None = None,
    names: Callable[[], Names] | None = None,
    always_run: frozenset[tuple[str, ...]] = frozenset(),
) -> Decision:
    """What the rules make of a message.

    run_programs  whether the programs that they ask are run
    memory        the state directory in which what was delivered before is looked up; None for
                  nothing was
    names         opens the DNS, or what stands in its place; None where nobody is asked
    always_run    programs that conditions ask in any case, with their arguments
    """
    outside = Surroundings(
        envelope,
        None,
        run_programs=run_programs,
        remembers=None if memory is None else lambda: Consulted(memory),
        names=names,
        always_run=always_run,
    )
    try:
        return decide(
            program, letter, envelope, site, explain=explain, now_s=now_s, outside=outside
        )
    finally:
        outside.close()


def zone_of(text: str) -> Callable[[], Names]:
    """The zone file TEXT in the place of the DNS. Raises ValueError where it is none."""
    # The package behind it costs more than all else.
    from mdeliver.authentication.lookups import ZoneFile

    zone = ZoneFile(text)
    return lambda: zone


def checking_by_zone(site: Site) -> Site:
    """SITE where a zone file is given: then everything that rules ask is found out by it."""
    if site.checking.compute != "never":
        return site
    return site.replace(checking=site.checking.replace(compute="asked"))


def traced(
    options: Options, environ: Mapping[str, str], message: Message, letter: Letter, site: Site
) -> Options:
    """OPTIONS with what they and the environment leave open taken from the message's own trace.

    A message from a mailbox has been delivered before; Postfix wrote its envelope into it.
    """
    found: dict[str, str] = {}
    if options.sender is None and "SENDER" not in environ:
        found["sender"] = _written(message, "return-path") or (
            "" if message.texts("return-path") else sender_of(letter.from_line) or ""
        )
    if options.recipient is None and "RECIPIENT" not in environ:
        found["recipient"] = _written(message, "delivered-to")
    if options.extension is None and "EXTENSION" not in environ and "RECIPIENT" not in environ:
        local = (options.recipient or found.get("recipient", "")).rpartition("@")[0]
        found["extension"] = local[len(without_extension(local, site)) + 1 :]
    return options.replace(**found)


def _undecided(message: Message, outcome: Outcome) -> Rehearsed:
    """The rules could not be asked: a delivery would have OUTCOME."""
    verdict = Verdict("defer", outcome.status, outcome.text, None)
    return Rehearsed(message, Decision(Plan((), verdict), ()), outcome)


def _written(message: Message, header: str) -> str:
    return next((address.text for address in message.addresses(header)), "")
