"""`mdeliver rejects`: what Postfix refused, what of it was probably wanted, and what to do.

Reads       logs as files, from standard input or from the journal; without any, this host's log
            with its rotated parts. All of it is read whatever --since says: who has written before
            is known from there.
Prints      a report; with --json one object a line for each attempt; with --by the counts of one
            side; with --follow each refusal as it happens; with --mail nothing: it is sent.
Exit status 0 if everything was read, whatever it says; 1 if some could not be; 2 for wrong usage.
See also    mdeliver(1); postfix/judgement.py
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from mdeliver.cli.reporting import Moment, send, yesterday
from mdeliver.outcome import one_line
from mdeliver.postfix import logfiles, rejects, rejectstext
from mdeliver.postfix.events import Refusal, events
from mdeliver.postfix.history import History
from mdeliver.postfix.judgement import day, judge
from mdeliver.postfix.logfiles import STANDARD_INPUT, Broken
from mdeliver.postfix.maillog import Clock
from mdeliver.postfix.readlogs import read
from mdeliver.replay.workers import WorkerDied

_WORTH_FORKING = 2 * logfiles.BLOCK_BYTES
_LOOK_AGAIN_S = 0.5


@click.command("rejects")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--journal", is_flag=True, help="Read the journal, by journalctl.")
@click.option("--since", type=Moment(), help="Only what was refused from then on.")
@click.option("--until", type=Moment(), help="Only what was refused before.")
@click.option("--about", metavar="TEXT", default="", help="Only what has TEXT in it.")
@click.option("--by", "side", type=click.Choice(rejects.SIDES), help="Only counts, by one side.")
@click.option("--top", type=click.IntRange(1), default=10, help="How many of each kind; 10.")
@click.option("--all", "every", is_flag=True, help="Every message, those rightly refused too.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.option("--follow", is_flag=True, help="Show each refusal when it happens.")
@click.option("--mail", "address", metavar="ADDRESS", help="Send the report of yesterday by mail.")
def command(files: tuple[str, ...], **given: Any) -> None:
    """Show what Postfix refused, what was probably wanted first.

    FILE is a log, compressed or not, or - for standard input, such as journalctl's with -o json.
    Without FILE, this host's log is read with its rotated parts, or the journal.
    """
    wanted = _Wanted(**given)
    if wanted.address is not None:
        if wanted.follow or wanted.as_json or wanted.side:
            raise click.UsageError("--mail sends the report itself")
        if wanted.since is None and wanted.until is None:
            since_s, until_s = yesterday()
            wanted = wanted._replace(since=since_s, until=until_s)
    reading = _Reading(_logs(files, wanted.journal), wanted)
    try:
        if wanted.follow:
            reading.follow()
        else:
            with _no_cycles():
                reading.whole()
                reading.show()
    except WorkerDied as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        # The way to end --follow; a report that was interrupted is none.
        sys.exit(0 if wanted.follow else 130)
    sys.exit(1 if reading.trouble else 0)


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Millions of values and no cycle among them: to look for one takes half of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _Wanted(NamedTuple):
    """What was asked for."""

    journal: bool
    since: float | None
    until: float | None
    about: str
    side: str | None
    top: int
    every: bool
    as_json: bool
    follow: bool
    address: str | None


def _logs(files: Sequence[str], journal: bool) -> list[str]:
    """The files to read, in order; [] for the journal."""
    if journal:
        if files:
            raise click.UsageError("--journal is read in the place of FILE")
        return []
    found = list(files) or logfiles.usual_logs()
    try:
        return logfiles.in_order(found)
    except OSError as error:
        raise click.ClickException(_said(error)) from None


class _Reading:
    """Reads the logs into a history, and shows it."""

    def __init__(self, paths: list[str], wanted: _Wanted) -> None:
        self.paths = paths
        self.wanted = wanted
        self.trouble = False
        since_s = float("-inf") if wanted.since is None else wanted.since
        until_s = float("inf") if wanted.until is None else wanted.until
        self.history = History(since_s, until_s)

    # --- reading -----------------------------------------------------------------------------

    def whole(self) -> None:
        """Read everything there is."""
        sizes = {path: _size(path) for path in self.paths}
        total = sum(sizes.values())
        # Standard input may be a terminal or a slow pipe: its lines are better read as they come.
        workers = None if total >= _WORTH_FORKING or not self.paths else 0
        if not (sys.stderr.isatty() and total):
            for path in self.paths or [""]:
                self._file(path, workers, lambda _done: None)
            return
        with click.progressbar(length=total, label="reading", file=sys.stderr) as bar:
            before = 0
            for path in self.paths:
                self._file(path, workers, _mover(bar, before))
                before += sizes[path]

    def _file(self, path: str, workers: int | None, at: Callable[[int], None]) -> None:
        blocks = logfiles.blocks(path) if path else logfiles.journal_blocks()
        try:
            for block, found in read(blocks, workers=workers):
                self.history.add_all(found)
                at(block.done)
        except (OSError, Broken) as error:
            self._complain(_said(error))

    def follow(self) -> None:
        """Read everything there is and will be, and show refusals as they happen."""
        shown_from_s = self.wanted.since if self.wanted.since is not None else int(time.time())
        for path in self.paths[:-1]:
            self._file(path, 0, lambda _done: None)
        try:
            for lines, latest_s in _growing(self.paths[-1] if self.paths else ""):
                clock = Clock(latest_s)
                for event in events(b"\n".join(lines), clock):
                    refusal = self.history.add(event)
                    if refusal is not None and refusal.time_s >= shown_from_s:
                        self._show_live(refusal)
        except (OSError, Broken) as error:
            self._complain(_said(error))

    def _show_live(self, refusal: Refusal) -> None:
        attempt = self.history.attempt_of(refusal)
        case = rejects.Case(attempt, judge(attempt, self.history))
        if not rejects.is_about(attempt, self.wanted.about):
            return
        if self.wanted.as_json:
            click.echo(json.dumps(rejects.case_as_object(case)))
        else:
            for line in rejectstext.live_line(case):
                click.echo(line)
        sys.stdout.flush()

    # --- showing -----------------------------------------------------------------------------

    def show(self) -> None:
        """The report in the form that was asked for."""
        wanted = self.wanted
        findings = rejects.find(self.history, wanted.about)
        if wanted.address is not None:
            self._send(findings, wanted.address)
        elif wanted.side is not None:
            self._show_side(findings, wanted.side)
        elif wanted.as_json:
            for chosen in findings.by_level.values():
                for case in rejects.first_of(chosen):
                    click.echo(json.dumps(rejects.case_as_object(case)))
        else:
            for line in rejectstext.report(findings, _painter(), wanted.top, every=wanted.every):
                click.echo(line)

    def _show_side(self, findings: rejects.Findings, side: str) -> None:
        most = None if self.wanted.every or self.wanted.as_json else self.wanted.top
        rows, rest = rejects.counted_by(side, findings.every, most)
        if self.wanted.as_json:
            for row in rows:
                click.echo(json.dumps(rejects.row_as_object(side, row)))
            return
        for line in rejectstext.table(side, rows, rest, _painter()):
            click.echo(line)

    def _send(self, findings: rejects.Findings, address: str) -> None:
        """Hand the report to sendmail."""
        lines = rejectstext.report(findings, _plainly, self.wanted.top, every=self.wanted.every)
        send(address, rejectstext.summary(findings), [*self._period(), *lines])

    def _period(self) -> Iterator[str]:
        since, until = self.wanted.since, self.wanted.until
        if since is not None or until is not None:
            start = "the beginning" if since is None else day(since)
            end = "now" if until is None else day(until)
            yield f"from {start} to {end}"

    def _complain(self, words: str) -> None:
        self.trouble = True
        click.echo(f"mdeliver rejects: {one_line(words)}", err=True)


def _growing(path: str) -> Iterator[tuple[Sequence[bytes], float]]:
    """Lines as they come, from a file, standard input or the journal ("")."""
    if path == STANDARD_INPUT:
        for line in iter(lambda: sys.stdin.buffer.readline(logfiles.BLOCK_BYTES), b""):
            yield [line.rstrip(b"\n")], time.time()
    elif not path:
        with logfiles.journal(follow=True) as stream:
            for line in iter(lambda: stream.readline(logfiles.BLOCK_BYTES), b""):
                yield [line.rstrip(b"\n")], time.time()
    else:
        for lines in logfiles.follow_file(path):
            if lines:
                yield lines, time.time()
            else:
                time.sleep(_LOOK_AGAIN_S)


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _mover(bar: Any, before: int) -> Callable[[int], None]:
    """Moves BAR to BEFORE and as much further as is said."""

    def move(done: int) -> None:
        bar.update(before + done - bar.pos)

    return move


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def _plainly(_colour: str, words: str) -> str:
    return words


def _painter() -> Callable[[str, str], str]:
    """Colours on a terminal that wants them (https://no-color.org), else plain words."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return _plainly
    styles: dict[str, dict[str, Any]] = {"bold": {"bold": True}, "dim": {"dim": True}}
    return lambda colour, words: click.style(words, **styles.get(colour, {"fg": colour}))
