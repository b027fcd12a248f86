"""What `mdeliver dkim` shows: for people, in lines that a zone file may have, or as JSON.

Guarantee   nothing that DNS or a file says can move a cursor or change a colour
See also    dkim.py
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from mdeliver.audit.finding import Finding
from mdeliver.dkim import record, setup
from mdeliver.outcome import one_line
from mdeliver.postfix.step import STATES
from mdeliver.record import Record

_COLOURS = {"failure": "red", "warning": "yellow", "advice": "cyan", "fine": "green"}
_COLOURS |= {"set": "green", "lacking": "yellow", "kept": "magenta"}


class Shown:
    """Prints, one object a line if `as_json`."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, about: str, words: str) -> None:
        """A remark; zone files take it for a comment."""
        if self.as_json:
            click.echo(json.dumps({"about": about, "said": words}))
        else:
            click.echo(f"; {one_line(about)}{about and ': '}{one_line(words)}")

    def records(self, found: Sequence[tuple[str, str, str]]) -> None:
        """Records to publish: name, text, and what each is."""
        for name, value, what in found:
            zone = record.in_zone(name, value)
            if self.as_json:
                said = {"name": name, "type": "TXT", "value": value, "what": what, "zone": zone}
                click.echo(json.dumps(said))
            else:
                click.echo(f"; {one_line(what)}")
                click.echo(zone)

    def finding(self, name: str, finding: Finding) -> None:
        """What there is to say of a name in DNS, or of a file."""
        if self.as_json:
            click.echo(json.dumps({"name": name, **_fields(finding)}))
            return
        click.echo(f"{_coloured(finding.level)} {one_line(name)}: {one_line(finding.what)}")
        for word, text in (("why", finding.why), ("to do", finding.how)):
            if text:
                click.echo(f"{'':<8}   {word}: {one_line(text)}")
        for line in finding.setting:
            click.echo(f"{'':<8}   {line}")

    def plan(self, wanted: setup.Plan, files: Sequence[str]) -> None:
        """What the milter and Postfix have, and lack; FILES were changed."""
        if self.as_json:
            said = {
                "steps": [_fields(step) for step in wanted.steps],
                "needed": [change.command for change in wanted.changes],
                "files_changed": list(files),
                "files_stale": list(wanted.files),
            }
            click.echo(json.dumps(said))
            return
        for step in wanted.steps:
            click.echo(f"{_coloured(step.state)} {one_line(step.what)}")
            click.echo(f"{'':<8}   why: {step.why}")
            if step.state == "kept":
                click.echo(f"{'':<8}   this {STATES[step.state]}")
            if step.note:
                click.echo(f"{'':<8}   here: {one_line(step.note)}")
        if files:
            click.echo(f"set in {_listed(files)}; --revert takes it back")
        click.echo("what leaves is signed" if wanted.complete else "--apply sets what is lacking")

    def put_back(self, files: Sequence[str]) -> None:
        """What --revert has done."""
        if self.as_json:
            click.echo(json.dumps({"put_back": files}))
        else:
            click.echo(f"put back as before: {_listed(files)}")


def _coloured(word: str) -> str:
    return click.style(f"{word:<8}", fg=_COLOURS[word])


def _listed(files: Sequence[str]) -> str:
    return ", ".join(one_line(file) for file in files)


def _fields(value: Record) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value._fields}
