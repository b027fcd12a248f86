"""`mdeliver test MESSAGE…`: where would it go, and why.

Shares      everything with a delivery but the last step: the same rules, program, plan and paths.
Reads       files, `-` for standard input, and Maildirs (each message in new and cur).
Envelope    from options, else from the environment that Postfix would give, else from what earlier
            deliveries wrote into the message (Return-Path, Delivered-To, X-Original-To).
Prints      the explanation, or with --json one object a line for each message.
Exit status 0 if it could be said of every message where it goes, 1 if not, 2 for wrong usage.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from mdeliver import agent, explain
from mdeliver.diagnostic import render
from mdeliver.intake import Options, make_envelope
from mdeliver.language.syntax import Program
from mdeliver.letter import Letter, read_letter
from mdeliver.message import Message
from mdeliver.outcome import Deferral, Outcome, deferred_by, one_line
from mdeliver.scene import without_extension
from mdeliver.settings import Site, load_site


@click.command("test")
@click.argument("messages", nargs=-1, required=True, metavar="MESSAGE...")
@click.option("--rules", metavar="FILE", help="These rules instead of the site's and the user's.")
@click.option("--user", help="Login name of the recipient.")
@click.option("--home", metavar="DIRECTORY", help="Home directory of the recipient.")
@click.option("--sender", help='Envelope sender; "" is the null sender.')
@click.option("--recipient", help="Envelope recipient.")
@click.option("--extension", help="What follows the recipient delimiter.")
@click.option("--json", "as_json", is_flag=True, help="One object a line for each message.")
def command(
    messages: tuple[str, ...],
    rules: str | None,
    user: str | None,
    home: str | None,
    sender: str | None,
    recipient: str | None,
    extension: str | None,
    as_json: bool,
) -> None:
    """Show where each MESSAGE would go, and why; nothing is delivered.

    MESSAGE is a file, a Maildir, or - for standard input.
    """
    options = Options(rules, user, home, sender, recipient, extension)
    environ = _environment(options)
    paint = _painter()
    try:
        envelope = make_envelope(options, environ)
        site = load_site()
    except Deferral as deferral:
        raise click.ClickException(one_line(deferral.text)) from None
    loaded = _load(envelope.home, envelope.uid, rules)
    all_said = isinstance(loaded, Program)
    for name, letter in _letters(messages):
        if isinstance(letter, OSError):
            click.echo(f"mdeliver test: {one_line(name)}: {letter.strerror}", err=True)
            all_said = False
            continue
        message = Message(letter.head, letter.size, cut=letter.head_cut)
        if isinstance(loaded, Outcome):
            shown = explain.undecided_object(name, message, loaded)
            lines = [explain.outcome_line(loaded, None, paint)]
        else:
            envelope = make_envelope(_traced(options, environ, message, site), environ)
            decision = agent.decide(loaded, letter, envelope, site, explain=True)
            outcome = agent.outcome_of(decision.plan)
            shown = explain.as_object(name, message, decision, outcome)
            lines = explain.as_lines(name, message, decision, outcome, paint)
        click.echo(json.dumps(shown) if as_json else "\n".join(lines))
    sys.exit(0 if all_said else 1)


def _environment(options: Options) -> Mapping[str, str]:
    """The environment, without HOME where it is that of the caller and not of --user."""
    environ = dict(os.environ)
    if options.user is not None and options.user != environ.get("USER"):
        environ.pop("HOME", None)
    return environ


def _traced(options: Options, environ: Mapping[str, str], message: Message, site: Site) -> Options:
    """OPTIONS with what they and the environment leave open taken from the message's own trace.

    A message from a mailbox has been delivered before; Postfix wrote its envelope into it.
    """

    def written(header: str) -> str:
        return next((address.text for address in message.addresses(header)), "")

    found: dict[str, str] = {}
    if options.sender is None and "SENDER" not in environ:
        found["sender"] = written("return-path")
    if options.recipient is None and "RECIPIENT" not in environ:
        found["recipient"] = written("delivered-to")
    if options.extension is None and "EXTENSION" not in environ and "RECIPIENT" not in environ:
        local = (options.recipient or found.get("recipient", "")).rpartition("@")[0]
        found["extension"] = local[len(without_extension(local, site)) + 1 :]
    return options.replace(**found)


def _load(home: str, uid: int, override: str | None) -> Program | Outcome:
    """The program, or the outcome that a delivery would have; all findings are printed."""
    try:
        compiled = agent.load_rules(home, uid, override)
    except (OSError, ValueError, Deferral) as error:
        outcome = deferred_by(error)
        click.echo(f"mdeliver test: {one_line(outcome.text)}", err=True)
        return outcome
    for finding in compiled.findings:
        click.echo(render(finding), err=True)
    return compiled.program if compiled.program is not None else agent.rules_error(compiled)


def _letters(paths: tuple[str, ...]) -> Iterator[tuple[str, Letter | OSError]]:
    """Each message with its name, or why it cannot be read."""
    for path in paths:
        if path == "-":
            yield path, _letter(sys.stdin.fileno())
            continue
        names = [path]
        if os.path.isdir(path):
            boxes = (Path(path, "new"), Path(path, "cur"))
            names = [str(file) for box in boxes for file in sorted(box.glob("*"))]
            if not any(box.is_dir() for box in boxes):
                yield path, OSError(0, "a directory that is no Maildir")
        for name in names:
            try:
                with open(name, "rb") as file:
                    letter = _letter(file.fileno())
            except OSError as error:
                yield name, error
            else:
                yield name, letter


def _letter(fd: int) -> Letter:
    letter = read_letter(fd, tempfile.gettempdir())
    # Only its head is looked at.
    letter.close()
    return letter


def _painter() -> Callable[[str, str], str]:
    """Colours on a terminal that wants them (https://no-color.org), else plain words."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return lambda _colour, words: words
    styles: dict[str, dict[str, Any]] = {"bold": {"bold": True}, "dim": {"dim": True}}
    return lambda colour, words: click.style(words, **styles.get(colour, {"fg": colour}))
