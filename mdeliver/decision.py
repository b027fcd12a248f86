"""What the rules make of a message: from files to a Program, from a message to its Decision.

    rules files ──► Program ─┐
    message, envelope ───────┴─► Decision (plan and reasons) ──► Outcome

All that a delivery, a dry run and a trial of rules have in common; nothing is done here.

Fails with  OSError, Deferral where rules that are there cannot be read or must not be trusted.
See also    agent.py, which carries the plan out; replay/rehearsal.py, which does not
"""

from __future__ import annotations

import time

from mdeliver import system
from mdeliver.envelope import NO_TAG
from mdeliver.evaluate import evaluate
from mdeliver.message import Message
from mdeliver.outcome import Outcome, deferred, delivered, discarded, rejected
from mdeliver.pop3choice import as_the_user_chose
from mdeliver.rulesfile import reader, rules_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mdeliver.authentication.lookups import Names
    from mdeliver.envelope import Envelope
    from mdeliver.language.compile import Compiled
    from mdeliver.language.syntax import Program
    from mdeliver.letter import Letter
    from mdeliver.outside import Outside
    from mdeliver.plan import Decision, Plan
    from mdeliver.settings import Site

_TAG_MARK = "sent-"
"""How the extension of a secret Sent address begins (sent/evidence.py)."""


def load_rules(
    home: str,
    uid: int,
    override: str | None,
    seen: dict[str, system.stat_result] | None = None,
    texts: dict[str, str] | None = None,
) -> Compiled:
    """Read and check all rules of a user.

    override  a rules file to take in place of the site's and the user's
    seen      gets the status of every file that was read, by its path
    texts     gets their texts
    Raises OSError where a file that is there cannot be read or must not be trusted.
    """
    # Most deliveries find their rules checked already (rulescache.py).
    from mdeliver.language.compile import Source, compile_rules

    read_file = reader(home, uid, seen)

    def read(path: str) -> str:
        text = read_file(path)
        if texts is not None:
            texts[path] = text
        return text

    sources = [Source(path, read(path)) for path in rules_paths(home, override)]
    return compile_rules(sources, read)


def without_rules() -> Program:
    """What holds where there are no rules at all."""
    from mdeliver.language.compile import compile_rules

    program = compile_rules([], str).program  # nothing is included
    assert program is not None
    return program


def rules_error(compiled: Compiled) -> Outcome:
    """The outcome of a message whose rules have an error: the first one, on one line."""
    errors = [finding for finding in compiled.findings if finding.level == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return deferred(errors[0].line + more, "4.3.5")


def decide(
    program: Program,
    letter: Letter,
    envelope: Envelope,
    site: Site,
    *,
    explain: bool,
    now_s: float | None = None,
    outside: Outside | None = None,
) -> Decision:
    """What the rules make of a message; nothing is done but what they ask of OUTSIDE.

    For who delivers nothing; agent.Passage goes the same way, by what it has already.

    now_s    its arrival, seconds since 1970; None for now
    outside  runs programs and remembers (evaluate.py)
    """
    arrived_s = time.time() if now_s is None else now_s
    letter, envelope = recognised(letter, envelope, site, arrived_s)
    site = as_the_user_chose(site, envelope.home, envelope.uid)
    return evaluate(
        program,
        message_of(letter),
        envelope,
        site,
        arrived_s,
        explain=explain,
        outside=outside,
    )


def message_of(letter: Letter) -> Message:
    """LETTER as rules read it."""
    return Message(letter.head, letter.size, cut=letter.head_cut, octets=letter.chunks)


def recognised(
    letter: Letter, envelope: Envelope, site: Site, now_s: float
) -> tuple[Letter, Envelope]:
    """Where the recipient has a tag: LETTER without it, ENVELOPE with what it proves.

    What was recognised already comes back as it is.
    """
    if envelope.sent_tag is not NO_TAG:
        return letter, envelope
    addresses = (envelope.extension, envelope.recipient, envelope.original_recipient)
    if _TAG_MARK not in " ".join(addresses).lower():
        return letter, envelope
    from mdeliver.sent.evidence import look_up, without_tag

    found = look_up(envelope, site, now_s)
    if not found.tag:
        return letter, envelope
    letter = without_tag(letter, found.tag, site.recipient_delimiter)
    return letter, envelope.replace(sent_tag=found)


def dns_for(site: Site) -> Callable[[], Names]:
    """Opens the DNS as SITE has set it; each time for one message."""

    def opened() -> Names:
        # The package behind it costs more than a whole delivery.
        from mdeliver.authentication.lookups import Resolved

        return Resolved(site.checking.resolver, site.checking.seconds)

    return opened


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
