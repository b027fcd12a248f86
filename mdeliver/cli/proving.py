"""The proof of `mdeliver convert --prove`: both sides over a mailbox, and what differs.

Prints      each message that fares differently, with both reasons, then how many do not; with
            --json an object for each that differs
Exit status as diff(1): 0 no message differs, 1 some do, 2 where the rules have an error
See also    procmail/proof.py, sieve/proof.py, which compare one message
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from mdeliver.diagnostic import render
from mdeliver.intake import Options
from mdeliver.language.compile import Source, compile_rules
from mdeliver.outcome import one_line
from mdeliver.procmail import proof
from mdeliver.procmail.tally import Tally
from mdeliver.replay import stores
from mdeliver.replay.rehearsal import Rehearsal, Rehearsed
from mdeliver.replay.stores import Arrived, Stored
from mdeliver.rulesfile import reader
from mdeliver.settings import load_site

TROUBLE = 2
_HALF = 110
"""Characters at either end of a reason that is shown."""

Compare = Callable[[Stored, Arrived, Callable[[Arrived], Rehearsed]], proof.Compared]


def prove(mailbox: str, rehearsal: Rehearsal, as_json: bool, compare: Compare, other: str) -> None:
    """Compare both sides over the messages in MAILBOX; exits 1 if they differ."""
    try:
        found = list(stores.find(mailbox, folders=True))
    except OSError as error:
        raise click.ClickException(f"{one_line(mailbox)}: {error.strerror}") from None
    reading = stores.Reader()
    tally = Tally()
    with _progress(found) as messages:
        for stored in messages:
            try:
                arrived = reading.read(stored)
            except OSError as error:
                raise click.ClickException(f"{one_line(stored.name)}: {error.strerror}") from None
            one = compare(stored, arrived, lambda it: rehearsal.of(it, explain=True))
            tally.add(one)
            if not one.same and (as_json or not one.lost):
                click.echo(_compared_json(one) if as_json else _compared(one, other))
    if not as_json:
        for line in tally.lines():
            click.echo(line)
    if tally.same < tally.all:
        sys.exit(1)


class Ours(NamedTuple):
    """The rules that are put to the proof.

    label  what they are called in errors
    asked  the programs that the converter itself has them ask, with their arguments
    """

    label: str
    text: str
    asked: frozenset[tuple[str, ...]]


def rehearsal(ours: Ours, envelope: Options, run_programs: bool) -> Rehearsal:
    """The rules made ready for messages with what is given of ENVELOPE; exits 2 with what is wrong.

    run_programs  whether the programs of the rules are run; ours.asked always is
    """
    home = envelope.home or ""
    compiled = compile_rules([Source(ours.label, ours.text)], reader(home, os.getuid()))
    if compiled.program is None:
        for finding in compiled.findings:
            click.echo(one_line_each(render(finding)), err=True)
        sys.exit(TROUBLE)
    environ = {"USER": envelope.user or "", "HOME": home}
    return Rehearsal(
        compiled.program, envelope, environ, load_site(), run_programs, always_run=ours.asked
    )


def one_line_each(text: str) -> str:
    """TEXT with its lines, but no other control character."""
    return "\n".join([one_line(line) for line in text.split("\n")])


@contextmanager
def _progress(found: list[Stored]) -> Iterator[Any]:
    if sys.stderr.isatty() and not sys.stdout.isatty():
        with click.progressbar(found, file=sys.stderr) as shown:
            yield shown
    else:
        yield found


def _compared(one: proof.Compared, other: str) -> str:
    if one.unknown:
        return f"{one.name}\n  not known: {one_line(one.unknown)}"
    lines = [one.name]
    if one.content:
        return f"{one.name}\n  both      {one.ours.words}\n            {one_line(one.content)}"
    for label, side in ((other, one.theirs), ("rules", one.ours)):
        lines.append(f"  {label:8}  {side.words}")
        lines += [f"            {_short(reason)}" for reason in side.reasons]
    return "\n".join(lines)


def _short(text: str) -> str:
    """TEXT, or the beginning and the end of it: what was found stands there."""
    return text if len(text) <= 2 * _HALF else f"{text[:_HALF]} … {text[-_HALF:]}"


def _compared_json(one: proof.Compared) -> str:
    sides = {
        label: {"done": sorted(side.done), "fate": side.fate, "reasons": list(side.reasons)}
        for label, side in (("original", one.theirs), ("rules", one.ours))
    }
    told = {
        "message": one.name,
        "unknown": one.unknown,
        "content": one.content,
        "lost": one.lost,
        **sides,
    }
    return json.dumps(told, ensure_ascii=False)
