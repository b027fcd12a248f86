"""`mdeliver report`: SPF, DKIM and DMARC results by domain over time, and what a policy would do.

Reads       the decision log of one user; run by root without --user, those of all users, each as
            that user
Prints      a report, one's own domains first; with --json one object a line for each domain; with
            --mail nothing: it is sent
Exit status 0 if everything was read; 1 if some logs could not be, or there is nothing to report;
            2 for wrong usage
See also    authentication/tally.py; mdeliver(1), DECISION LOG
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import click

from mdeliver.authentication import tallytext
from mdeliver.authentication.tally import Tallies
from mdeliver.cli.reporting import Moment, send, yesterday
from mdeliver.cli.surroundings import Asker, painter
from mdeliver.history import recall
from mdeliver.intake import Options
from mdeliver.outcome import one_line

_FIRST_UID = 1000
_NOBODY = 65534

_WANTED = (
    *("time", "outcome", "recipient", "queue_id", "message_id"),
    *("client", "authentication"),
)
"""What is told of a delivery: nothing of what is in the message."""


class _Wanted(NamedTuple):
    """What was asked for."""

    since: float | None
    until: float | None
    domains: tuple[str, ...]
    top: int
    as_json: bool
    deliveries: bool
    address: str | None
    user: str | None
    home: str | None


@click.command("report", short_help="SPF, DKIM and DMARC results by domain: is a policy safe?")
@click.option("--since", type=Moment(), help="Only what came from then on.")
@click.option("--until", type=Moment(), help="Only what came before.")
@click.option(
    "--domain", "domains", multiple=True, metavar="DOMAIN", help="Only this one and those below."
)
@click.option("--top", type=click.IntRange(1), default=10, help="How many of each kind; 10.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.option("--deliveries", is_flag=True, help="What is counted, one object a line.")
@click.option("--mail", "address", metavar="ADDRESS", help="Send the report of yesterday by mail.")
@click.option("--user", help="Login name of the recipient.")
@click.option("--home", metavar="DIRECTORY", help="Home directory of the recipient.")
def command(**given: Any) -> None:
    """Show what SPF, DKIM and DMARC found out, by the domain that mail says to be from.

    For one's own domains it shows who sends in their name; for all, what a policy would have done.
    """
    wanted = _Wanted(**given)
    if wanted.address is not None:
        if wanted.as_json or wanted.deliveries:
            raise click.UsageError("--mail sends the report itself")
        if wanted.since is None and wanted.until is None:
            since_s, until_s = yesterday()
            wanted = wanted._replace(since=since_s, until=until_s)
    reading = _Reading(wanted)
    if wanted.deliveries:
        for said in reading.rows():
            click.echo(json.dumps(said))
        sys.exit(1 if reading.trouble else 0)
    tallies = Tallies()
    for said in reading.rows():
        tallies.take(said)
    _show(tallies, wanted)
    sys.exit(1 if reading.trouble or not tallies.by_domain else 0)


def _show(tallies: Tallies, wanted: _Wanted) -> None:
    shown = tallies.ordered(wanted.domains)
    if wanted.address is not None:
        lines = tallytext.report(tallies, shown, lambda _colour, words: words, wanted.top)
        send(wanted.address, tallytext.summary(tallies, shown), lines)
    elif wanted.as_json:
        for tally in shown:
            click.echo(json.dumps(tallytext.as_object(tallies, tally)))
    else:
        for line in tallytext.report(tallies, shown, painter(), wanted.top):
            click.echo(line)


class _Reading:
    """Reads decision logs; `trouble` is whether one of them could not be read."""

    def __init__(self, wanted: _Wanted) -> None:
        self.wanted = wanted
        self.trouble = False

    def rows(self) -> Iterator[dict[str, Any]]:
        """What the logs have of each delivery, in the order of each log."""
        wanted = self.wanted
        if wanted.user is not None or wanted.home is not None or os.geteuid() != 0:
            yield from self._own()
            return
        for name in _users():
            yield from self._of(name)

    def _own(self) -> Iterator[dict[str, Any]]:
        asker = Asker(Options(user=self.wanted.user, home=self.wanted.home))
        try:
            for said in recall.deliveries(asker.state):
                if self._is_asked_for(said["time"]):
                    yield {key: said.get(key, "") for key in _WANTED}
        except OSError as error:
            self._complain(f"{error.filename}: {error.strerror}")

    def _of(self, name: str) -> Iterator[dict[str, Any]]:
        """A user's log, read by a process of that user: nothing in a home is for root to read."""
        command = [sys.executable, "-m", "mdeliver", "report", "--deliveries", "--user", name]
        for option, time_s in (("--since", self.wanted.since), ("--until", self.wanted.until)):
            if time_s is not None:
                command += [option, datetime.fromtimestamp(time_s).astimezone().isoformat()]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if (said := _row(line)) and self._is_asked_for(said["time"]):
                    yield said
        if child.returncode:
            self._complain(f"the log of {name} could not be read")

    def _is_asked_for(self, time_s: float) -> bool:
        since, until = self.wanted.since, self.wanted.until
        return (since is None or time_s >= since) and (until is None or time_s < until)

    def _complain(self, words: str) -> None:
        self.trouble = True
        click.echo(f"mdeliver report: {one_line(words)}", err=True)


def _users() -> list[str]:
    """Who may have a decision log: people, and whoever else has a home of their own."""
    found = pwd.getpwall()
    return [u.pw_name for u in found if _FIRST_UID <= u.pw_uid != _NOBODY and _has_home(u.pw_dir)]


def _has_home(directory: str) -> bool:
    return directory not in ("", "/", "/nonexistent") and os.path.isdir(directory)


def _row(line: bytes) -> dict[str, Any] | None:
    """A line of a user's process, who may have it say anything."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("time"), int | float):
        return None
    return {key: said[key] if key == "time" else str(said.get(key, "")) for key in _WANTED}
