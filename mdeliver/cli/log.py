"""`mdeliver log [MESSAGE-ID]`: what was done with which message, by which rule, and how fast.

Reads       the decision log of one user; run by root, as that user.
Prints      some lines for each delivery, the newest last; with --json its object; with --rules how
            often each rule was reached, those that never were included.
Exit status 0 if something was found, 1 if not, 2 for wrong usage.
See also    history/recall.py; mdeliver(1), DECISION LOG
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from mdeliver.cli.surroundings import Asker, painter
from mdeliver.decision import load_rules, rules_error
from mdeliver.history import recall
from mdeliver.intake import Options
from mdeliver.language.syntax import Program
from mdeliver.outcome import Deferral, one_line

SHOWN = 10
"""Deliveries that are shown where nothing is asked for."""

_COLOURS = {"delivered": "green", "discarded": "yellow"}


@click.command("log", short_help="What was done with a message, and by which rule.")
@click.argument("message_id", required=False, metavar="[MESSAGE-ID]")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the newest N.")
@click.option("--rule", metavar="FILE:LINE", help="Only those in which this rule was reached.")
@click.option("--since", metavar="TIME", help="Only later ones: 3h, 7d, 2026-08-01, ...")
@click.option("--rules", "by_rule", is_flag=True, help="How often each rule was reached.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.option("--user", help="Login name of the recipient.")
@click.option("--home", metavar="DIRECTORY", help="Home directory of the recipient.")
def command(
    message_id: str | None,
    last: int | None,
    rule: str | None,
    since: str | None,
    by_rule: bool,
    as_json: bool,
    user: str | None,
    home: str | None,
) -> None:
    """Show what was done with messages, and by which rules.

    A MESSAGE-ID may stand without its < >; the queue id of the MTA does as well. Without it and
    without options the last 10 deliveries are shown.
    """
    try:
        since_s = recall.seconds_of(since) if since is not None else None
    except (ValueError, OverflowError):
        words = "is no time; write 3h, 7d, 2026-08-01 or '2026-08-01 12:00'"
        raise click.BadParameter(f"{since!r} {words}", param_hint="--since") from None
    asker = Asker(Options(user=user, home=home))
    question = recall.Question(message_id, rule, since_s)
    try:
        told = recall.everything(asker.state)
        found = list(recall.matching(told.deliveries, question))
        if last is None and not by_rule and question == recall.Question():
            last = SHOWN
        if last is not None:
            found = found[-last:]
        counted = recall.hits(found, _program(asker).statements) if by_rule else []
    except OSError as error:
        raise click.ClickException(one_line(f"{error.filename}: {error.strerror}")) from None
    if by_rule:
        _show_hits(counted, len(found), as_json)
        sys.exit(0 if counted else 1)
    if message_id is None and rule is None:
        found = _with_damage(found, told.damage, since_s)
    paint = painter()
    for said in found:
        click.echo(json.dumps(said) if as_json else "\n".join(_lines(said, paint)))
    _show_unread(told.unread)
    if not found:
        click.echo("mdeliver log: no such delivery is in the log", err=True)
    sys.exit(0 if found else 1)


def _program(asker: Asker) -> Program:
    """The rules as they are now; raises OSError, and ClickException where they cannot be used."""
    try:
        compiled = load_rules(asker.envelope.home, asker.envelope.uid, None)
    except Deferral as deferral:
        raise click.ClickException(one_line(deferral.text)) from None
    if compiled.program is None:
        raise click.ClickException(one_line(rules_error(compiled).text))
    return compiled.program


# --- damage ----------------------------------------------------------------------------------


def _with_damage(
    found: list[dict[str, Any]], damage: list[dict[str, Any]], since_s: float | None
) -> list[dict[str, Any]]:
    """FOUND, and what was found damaged in that time; since the first of them, where no other."""
    begin_s = since_s if since_s is not None else min([s["time"] for s in found], default=0)
    later = [said for said in damage if said["time"] >= begin_s]
    # The log's own order, where nothing was damaged: clocks go back.
    return sorted([*found, *later], key=lambda said: said["time"]) if later else found


def _show_unread(unread: Mapping[str, int]) -> None:
    """Say what of the log was left out: a full disk or a crash has cut it, or somebody else."""
    for path, lines in unread.items():
        words = f"{path}: lines that cannot be read, and are left out: {lines}"
        click.echo(f"mdeliver log: {one_line(words)}", err=True)


# --- deliveries ------------------------------------------------------------------------------


def _lines(said: Mapping[str, Any], paint: Callable[[str, str], str]) -> list[str]:
    """One delivery, or one damaged file; no control character reaches the terminal."""
    if "damaged" in said:
        return [f"{_when(said['time'])}  {paint('red', 'damaged')}: {one_line(said['text'])}"]
    outcome = one_line(said["outcome"])
    by = f" by {said['rule']}" if said["rule"] else ""
    seconds = f"{1000 * said['duration_s']:.0f} ms"
    lines = [
        f"{_when(said['time'])}  {paint(_COLOURS.get(outcome, 'red'), outcome)}"
        f"{one_line(by)}: {one_line(said['status'])} {one_line(said['text'])} ({seconds})",
        f"  from {one_line(said['sender']) or '<>'} to {one_line(said['recipient'])}"
        f"{_also_known(said)}",
    ]
    if said["subject"]:
        lines.append(f"  subject {paint('bold', one_line(said['subject']))}")
    queue = f", queue id {one_line(said['queue_id'])}" if said["queue_id"] else ""
    lines.append(
        f"  {one_line(said['message_id']) or 'no Message-ID'}, {said['size']} bytes{queue}"
    )
    if said.get("authentication"):
        lines.append(f"  {one_line(str(said['authentication']))}")
    for action in said["actions"]:
        # What is found out is added as a header; it stands above already.
        if action.get("action") != "prepend header":
            lines.append(f"  {_action(action, paint)}")
    return lines


def _also_known(said: Mapping[str, Any]) -> str:
    original = said["original_recipient"]
    return f" (was {one_line(original)})" if original not in ("", said["recipient"]) else ""


def _action(action: Mapping[str, Any], paint: Callable[[str, str], str]) -> str:
    """What was done, as a rule would say it, and by which."""
    name = str(action.get("action"))
    inbox = "no rule took it: the inbox" if name == "file" else ""
    by = paint("dim", one_line(str(action.get("rule") or inbox)))
    if name == "file":
        place = "/".join([str(w) for w in (action.get("mailbox"), action.get("folder")) if w])
        path = str(action.get("path"))
        flags = action.get("flags")
        shown = flags and isinstance(flags, list) and action.get("store") == "maildir"
        marked = f" as {', '.join([str(flag) for flag in flags])}" if shown and flags else ""
        where = f" ({path})" if place else ""
        return f"file to {paint('bold', one_line(place or path))}{one_line(marked + where)}  {by}"
    rest = {key: value for key, value in action.items() if key not in ("action", "rule")}
    words = ", ".join(filter(None, [_words(value) for value in rest.values()]))
    return f"{one_line(f'{name} {words}')}  {by}".rstrip()


def _words(value: object) -> str:
    if isinstance(value, list):
        return " ".join([str(inner) for inner in value])
    if value is False:
        return "failed: the message stayed as it was"
    return "" if value is True or value is None else str(value)


def _when(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "at no time"


# --- rules -----------------------------------------------------------------------------------


def _show_hits(counted: list[recall.Hits], deliveries: int, as_json: bool) -> None:
    if as_json:
        for hits in counted:
            click.echo(json.dumps(hits._asdict()))
        return
    if not counted:
        click.echo("mdeliver log: the rules have no action", err=True)
        return
    rule_width = max([len(hits.rule) for hits in counted])
    click.echo(f"{'hits':>8}  {'last':19}  {'rule':{rule_width}}  action")
    for hits in counted:
        last = _when(hits.last_s) if hits.last_s is not None else "never"
        rule = one_line(hits.rule)
        click.echo(f"{hits.times:>8}  {last:19}  {rule:{rule_width}}  {one_line(hits.words)}")
    never = sum(hits.times == 0 for hits in counted)
    since = min([hits.since_s for hits in counted])
    click.echo(
        f"deliveries in the log: {deliveries}; rules are counted since {_when(since)}, or since"
        f" their file was changed; {never or 'none'} of {len(counted)} never fired"
    )
