"""`mdeliver test MESSAGE…`: where would it go, and why.

Shares      everything with a delivery but the last step: the same rules, program, plan and paths.
Reads       files, `-` for standard input, Maildirs (with --folders their folders too) and mboxes.
Envelope    from options, else from the environment that Postfix would give, else from what earlier
            deliveries wrote into the message (Return-Path, From_ line, Delivered-To).
Prints      the explanation of each file, and a table for mailboxes; with --json one object a line
            for each message; with --against what would change; with --cases what failed.
Exit status 0 if it could be said of every message where it goes, 1 if not, 2 for wrong usage.
            --against: as diff(1), 0 no difference, 1 some, 2 trouble. --cases: 0 all hold, 1 some
            do not, 2 trouble.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import click

from mdeliver import acceptance, explain
from mdeliver.authentication.client import address_of
from mdeliver.cli.surroundings import environment, painter, settings_option
from mdeliver.decision import dns_for, load_rules, rules_error
from mdeliver.diagnostic import render
from mdeliver.envelope import Envelope
from mdeliver.intake import Options, make_envelope, state_directory
from mdeliver.language.compile import Compiled
from mdeliver.language.syntax import Program
from mdeliver.outcome import Deferral, Outcome, deferred_by, one_line
from mdeliver.replay import against, fates, stores, trial, workers
from mdeliver.replay.rehearsal import Rehearsal, Rehearsed, checking_by_zone, zone_of
from mdeliver.rulesfile import rules_paths
from mdeliver.settings import SETTINGS_PATH, Site, load_site

Answer = TypeVar("Answer")

TROUBLE = 2
"""Exit status of --against and --cases where the question could not be answered."""


@click.command("test")
@click.argument("messages", nargs=-1, metavar="[MESSAGE...]")
@click.option("--rules", metavar="FILE", help="These rules instead of the site's and the user's.")
@settings_option(default=None)
@click.option("--user", help="Login name of the recipient.")
@click.option("--home", metavar="DIRECTORY", help="Home directory of the recipient.")
@click.option("--sender", help='Envelope sender; "" is the null sender.')
@click.option("--recipient", help="Envelope recipient.")
@click.option("--extension", help="What follows the recipient delimiter.")
@click.option("--json", "as_json", is_flag=True, help="One object a line for each message.")
@click.option(
    "--each/--table",
    default=None,
    help="Explain each message, or count them all in a table. "
    "Unless said, files are explained and mailboxes counted.",
)
@click.option("--folders", is_flag=True, help="A Maildir's folders as well.")
@click.option("--against", "other", metavar="FILE", help="Only what these rules would change.")
@click.option(
    "--run-programs", is_flag=True, help="Run the filters, and the programs that rules ask."
)
@click.option("--client", metavar="ADDRESS", help="The SMTP client, for SPF.")
@click.option("--helo", metavar="NAME", help="What it said in HELO.")
@click.option("--zone", metavar="FILE", help="A zone file in the place of the DNS.")
@click.option(
    "--cases", multiple=True, metavar="FILE", help="Try the rules on the cases in FILE instead."
)
def command(messages: tuple[str, ...], **given: Any) -> None:
    """Show where each MESSAGE would go, and why; nothing is delivered.

    MESSAGE is a file, a Maildir, an mbox, or - for standard input.

    With --against, FILE takes the place of the user's rules, or of those that --rules names. The
    exit status is 0 if it would change nothing, 1 if it would, and 2 in case of trouble.

    With --cases there is no MESSAGE; the exit status is 0 if all cases hold, 1 if some do not, and
    2 in case of trouble. mdeliver-rules(5) says how cases are written.
    """
    shared = {name: given[name] for name in Options._fields if name in given}
    session = _Session(Options(**shared), given["as_json"], given["each"], given["run_programs"])
    session.ask(given["client"], given["helo"], given["zone"])
    if given["cases"]:
        if messages or given["other"] is not None:
            raise click.UsageError("--cases has its messages in FILE")
        sys.exit(max([_try_cases(session, path) for path in given["cases"]]))
    if not messages:
        raise click.UsageError("Missing argument 'MESSAGE...'.")
    found, all_read = _find(messages, given["folders"])
    if given["other"] is not None:
        status = _compare(session, found, given["other"])
        sys.exit(status if all_read else TROUBLE)
    sys.exit(0 if _show(session, found) and all_read else 1)


class _Session:
    """Who asks, by which rules, and how it is to be shown."""

    def __init__(
        self, options: Options, as_json: bool, each: bool | None, run_programs: bool
    ) -> None:
        self.options = options
        self.as_json = as_json
        self.each = each
        self.environ = environment(options)
        self.paint = painter()
        try:
            self.envelope: Envelope = make_envelope(options, self.environ)
            self.site: Site = load_site(options.settings or SETTINGS_PATH)
        except Deferral as deferral:
            raise click.ClickException(one_line(deferral.text)) from None
        self.run_programs = run_programs
        if run_programs and os.geteuid() != self.envelope.uid:
            # Whoever wrote the rules would have root run what they like.
            raise click.UsageError(
                f"--run-programs would run them as root: be {self.envelope.user}, as by"
                f" runuser -u {self.envelope.user} -- mdeliver test"
            )

    def ask(self, client: str | None, helo: str | None, zone: str | None) -> None:
        """CLIENT and HELO as Postfix would say them; ZONE: a file in the place of the DNS."""
        if client is not None and not address_of(client):
            raise click.BadParameter(f"{client} is no address", param_hint="--client")
        said = {"CLIENT_ADDRESS": client, "CLIENT_HELO": helo}
        self.environ = {**self.environ, **{k: v for k, v in said.items() if v is not None}}
        if zone is None:
            self.names = dns_for(self.site)
            return
        try:
            self.names = zone_of(stores.read_text(zone))
        except OSError as error:
            raise click.ClickException(f"{zone}: {error.strerror}") from None
        except ValueError as error:
            raise click.ClickException(f"{zone}: {error}") from None
        self.site = checking_by_zone(self.site)

    def rehearsal(self, rules: Program | Outcome) -> Rehearsal:
        options, run = self.options, self.run_programs
        return Rehearsal(rules, options, self.environ, self.site, run, self.names)

    def explains(self, stored: stores.Stored) -> bool:
        """Whether the message is explained rather than counted."""
        return self.each if self.each is not None else not stored.in_mailbox


# --- where they go ---------------------------------------------------------------------------


class _Said(NamedTuple):
    """What there is to say of one message: words to print, or only its fate, or why not."""

    words: str
    fate: fates.Fate | None
    trouble: str = ""


def _show(session: _Session, found: Sequence[stores.Stored]) -> bool:
    """Explain or count; whether all could be said."""
    envelope = session.envelope
    texts: dict[str, str] = {}
    override = session.options.rules
    rules = _load(lambda: load_rules(envelope.home, envelope.uid, override, None, texts))
    if isinstance(rules, Program):
        _warn_if_refused(session, texts)
    rehearsal = session.rehearsal(rules)
    reader = stores.Reader()

    def ask(stored: stores.Stored) -> _Said:
        try:
            arrived = reader.read(stored)
        except OSError as error:
            return _Said("", None, f"{stored.name}: {error.strerror}")
        counts = not session.as_json and not session.explains(stored)
        told = rehearsal.of(arrived, explain=not counts)
        message, decision, outcome = told.message, told.decision, told.outcome
        if session.as_json:
            shown = explain.as_object(stored.name, message, decision, outcome)
            return _Said(json.dumps(shown), None)
        if counts:
            return _Said("", fates.fate_of(decision.plan, outcome))
        lines = explain.as_lines(stored.name, message, decision, outcome, session.paint)
        return _Said("\n".join(lines), None)

    counted: list[fates.Fate] = []
    all_said = isinstance(rules, Program)
    quiet = not session.as_json and not any(map(session.explains, found))
    with _answers(found, ask, quiet) as said:
        for one in said:
            if one.trouble:
                _complain(one.trouble)
                all_said = False
            elif one.fate is not None:
                counted.append(one.fate)
            else:
                click.echo(one.words)
    if counted:
        lines = fates.table(fates.rows(counted))
        click.echo("\n".join([*lines, fates.sums([fate.fate for fate in counted])]))
    elif not found and not session.as_json:
        click.echo(fates.sums([]))
    return all_said


def _warn_if_refused(session: _Session, texts: dict[str, str]) -> None:
    """Say so where deliveries would not go by the rules with these TEXTS."""
    envelope = session.envelope
    loaded = acceptance.Loaded(rules_paths(envelope.home, session.options.rules), texts, {})
    state = state_directory(envelope, session.environ)
    refused = acceptance.examine(loaded, envelope, session.site, state, keep=False)
    if refused is not None:
        _complain(f"a delivery would not go by these rules: {refused.line}")


# --- what would change -----------------------------------------------------------------------


class _Compared(NamedTuple):
    """What the comparison of one message gave; JSON only where it is asked for."""

    difference: against.Difference | None
    shown: str
    trouble: str = ""


def _compare(session: _Session, found: Sequence[stores.Stored], other: str) -> int:
    """Print what would change; the exit status."""
    options, home, uid = session.options, session.envelope.home, session.envelope.uid
    rules = _load(lambda: load_rules(home, uid, options.rules))
    others = _load(lambda: against.load_other(home, uid, other, options.rules))
    if isinstance(rules, Outcome) or isinstance(others, Outcome):
        return TROUBLE
    rules_of, others_of = session.rehearsal(rules), session.rehearsal(others)
    labels = (one_line(options.rules or "rules in use"), one_line(other))
    reader = stores.Reader()

    def ask(stored: stores.Stored) -> _Compared:
        try:
            arrived = reader.read(stored)
        except OSError as error:
            return _Compared(None, "", f"{stored.name}: {error.strerror}")

        def rehearse(explained: bool) -> tuple[Rehearsed, Rehearsed]:
            return rules_of.of(arrived, explain=explained), others_of.of(arrived, explain=explained)

        difference = against.difference(stored.name, rehearse)
        if difference is None or not session.as_json:
            return _Compared(difference, "")
        return _Compared(difference, json.dumps(_both(stored.name, *rehearse(True))))

    differences: list[against.Difference] = []
    trouble = False
    with _answers(found, ask, session.each is False) as compared:
        for one in compared:
            if one.trouble:
                _complain(one.trouble)
                trouble = True
            if one.difference is None:
                continue
            differences.append(one.difference)
            if session.as_json:
                click.echo(one.shown)
            elif session.each is not False:
                lines = against.difference_lines(one.difference, labels, session.paint)
                click.echo("\n".join(lines))
    if not session.as_json:
        click.echo("\n".join(against.summary(differences, len(found), labels)))
    return TROUBLE if trouble else 1 if differences else 0


def _both(name: str, one: Rehearsed, other: Rehearsed) -> dict[str, Any]:
    """The object of --against --json: what the two have in common, then each."""
    before, after = (
        explain.as_object(name, side.message, side.decision, side.outcome) for side in (one, other)
    )
    common = {key: before.pop(key) for key in ("message", "message_id")}
    return common | {"rules": before, "against": {key: after[key] for key in before}}


# --- cases -----------------------------------------------------------------------------------


def _try_cases(session: _Session, path: str) -> int:
    """Print which cases at PATH fail, and why; the exit status."""
    envelope = session.envelope
    try:
        tried_rules = trial.load_trial(path, envelope.home, envelope.uid, session.options.rules)
    except (OSError, ValueError, Deferral) as error:
        _complain(f"{path}: {deferred_by(error).text}")
        return TROUBLE
    for finding in tried_rules.findings:
        click.echo(render(finding), err=True)
    if tried_rules.program is None:
        return TROUBLE
    failed = 0
    for case in tried_rules.cases:
        try:
            tried = trial.try_case(
                tried_rules, case, envelope, session.site, run_programs=session.run_programs
            )
        except OSError as error:
            _complain(f"{path}:{case.line}: {error.filename}: {error.strerror}")
            return TROUBLE
        failed += bool(tried.failures)
        if session.as_json:
            click.echo(json.dumps(_case_object(path, tried)))
        elif tried.failures or session.each:
            click.echo("\n".join(_case_lines(path, tried, session.paint)))
    if not session.as_json:
        count = len(tried_rules.cases)
        cases = f"{count} case{'' if count == 1 else 's'}"
        click.echo(f"{one_line(path)}: {cases}, {failed or 'none'} failed")
    return 1 if failed else 0


def _case_lines(path: str, tried: trial.Tried, paint: explain.Paint) -> list[str]:
    """A case with its failures, and the explanation of what happens instead."""
    title = f'"{one_line(tried.case.title)}"'
    lines = [
        f"{one_line(path)}:{failure.expected.line}: {paint('bold', title)}:"
        f" {paint('red', one_line(failure.expected.words))}\n"
        f"    instead: {failure.instead}"
        for failure in tried.failures
    ] or [f"{one_line(path)}:{tried.case.line}: {paint('bold', title)}: {paint('green', 'holds')}"]
    told = tried.rehearsed
    why = explain.as_lines("", told.message, told.decision, told.outcome, paint)
    return lines + [f"  {line}" for line in why[1:]]


def _case_object(path: str, tried: trial.Tried) -> dict[str, Any]:
    told = tried.rehearsed
    name = f"{path}:{tried.case.line}"
    failures = [
        {"line": failure.expected.line, "expected": failure.expected.words}
        for failure in tried.failures
    ]
    return {
        "case": tried.case.title,
        "holds": not failures,
        "failures": failures,
        **explain.as_object(name, told.message, told.decision, told.outcome),
    }


# --- what all of it needs --------------------------------------------------------------------


def _load(load: Callable[[], Compiled]) -> Program | Outcome:
    """The program, or the outcome that a delivery would have; all findings are printed."""
    try:
        compiled = load()
    except (OSError, ValueError, Deferral) as error:
        outcome = deferred_by(error)
        _complain(outcome.text)
        return outcome
    for finding in compiled.findings:
        click.echo(render(finding), err=True)
    return compiled.program if compiled.program is not None else rules_error(compiled)


def _complain(text: str) -> None:
    click.echo(f"mdeliver test: {one_line(text)}", err=True)


def _find(paths: Iterable[str], folders: bool) -> tuple[list[stores.Stored], bool]:
    """All messages that PATHS name, and whether all paths could be read."""
    found: list[stores.Stored] = []
    all_read = True
    for path in paths:
        try:
            found += stores.find(path, folders=folders)
        except OSError as error:
            _complain(f"{path}: {error.strerror}")
            all_read = False
    return found, all_read


@contextmanager
def _answers(
    found: Sequence[stores.Stored], ask: Callable[[stores.Stored], Answer], quiet: bool
) -> Iterator[Iterable[Answer]]:
    """ASK's answers in order; with a progress bar where a terminal shows nothing else meanwhile."""
    # A forked worker has no standard input.
    by_itself = any(stored.path == stores.STANDARD_INPUT for stored in found)
    said = workers.answers(found, ask, workers=1 if by_itself else None)
    try:
        if sys.stderr.isatty() and (quiet or not sys.stdout.isatty()):
            with click.progressbar(said, length=len(found), file=sys.stderr) as shown:
                yield shown
        else:
            yield said
    except workers.WorkerDied as error:
        raise click.ClickException(str(error)) from None
