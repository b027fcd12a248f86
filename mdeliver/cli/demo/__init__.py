"""`mdeliver demo`: deliver bundled messages into a temporary home, and show what came of it.

Shows       the rules, where each message went, why, what the mbox and the Maildir hold, that a
            second bringing of a message is not doubled, that a mistake in the rules loses nothing.
Checks      what it shows; exit status 1 if anything is not where it should be.
Leaves      nothing behind, save with --keep.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from mdeliver.cli.demo.lmtp import PEOPLE, LmtpStage, hindrance
from mdeliver.cli.demo.stage import DELIVERIES, LATE, Answer, Delivery, Stage, launcher
from mdeliver.outcome import one_line

_MISTAKE = ("file to imap/Junk", "file in imap/Junk")
_MBOX_TOP = 4
"""That many of its lines are shown before the head is cut short."""


@click.command("demo", short_help="Deliver bundled messages into a temporary home.")
@click.option("--keep", is_flag=True, help="Keep the temporary home, and say where it is.")
def command(keep: bool) -> None:
    """Deliver bundled messages into a temporary home and show the result.

    Each message goes through standard input of mdeliver-lda with the environment that Postfix
    makes; then one goes through a private LMTP server. Nothing outside the temporary home is
    touched. The exit status is 0 only if every message arrived where it should.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Subjects and tree lines have more characters than some terminals.
        sys.stdout.reconfigure(errors="backslashreplace")
    home = Path(tempfile.mkdtemp(prefix="mdeliver-demo-")).resolve()
    try:
        play = _Play(Stage(home))
        play.run()
    except subprocess.TimeoutExpired as error:
        raise click.ClickException(f"gave up after {error.timeout:.0f} s: {error.cmd[0]}") from None
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    click.echo()
    for complaint in play.complaints:
        click.secho(f"not as it should be: {complaint}", fg="red")
    if not play.complaints:
        click.secho("Every message arrived where it should, once.", fg="green", bold=True)
    if keep:
        click.echo(f"The home is kept: {home}")
        click.echo(f"Try: cd {home} && HOME=$PWD mdeliver test --rules rules messages/*.eml")
    else:
        click.echo("The temporary home is removed; mdeliver demo --keep keeps it.")
    sys.exit(1 if play.complaints else 0)


class _Play:
    """The demonstration, part by part; `complaints` is what was not as it should be."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.complaints: list[str] = []

    def run(self) -> None:
        """All parts in order."""
        self._opening()
        self._show_rules()
        self._deliver_all()
        self._explain(DELIVERIES[3])
        self._show_mbox()
        self._show_maildir()
        self._bring_again(DELIVERIES[0])
        self._break_rules()
        self._by_lmtp(DELIVERIES[1])
        left = self.stage.leftovers()
        self._expect(not left, f"left behind: {', '.join(left)}")

    def _expect(self, holds: bool, complaint: str) -> None:
        if not holds:
            self.complaints.append(one_line(complaint))

    # --- parts -------------------------------------------------------------------------------

    def _opening(self) -> None:
        path = launcher()
        click.echo(f"Ann's mail, in the temporary home {self.stage.home} (below: ~).")
        if path:
            click.echo(f"Each message goes through standard input of {path},")
            click.echo("as Postfix's mailbox_command hands it over: one process a message.")
        else:
            click.echo("Each message goes through standard input of mdeliver deliver, one process")
            click.echo("a message. The launcher mdeliver-lda is not installed here: make install.")
        click.echo("At the end one message comes by LMTP, for two people at once.")

    def _show_rules(self) -> None:
        _heading("The rules (yours are in ~/.config/mdeliver/rules)")
        for number, line in enumerate(self.stage.rules.read_text().splitlines(), 1):
            words = click.style(line, dim=True) if line.startswith("#") else line
            click.echo(f"{number:4}  {words}".rstrip())

    def _deliver_all(self) -> None:
        _heading("Each message, the exit status that Postfix sees, and where it is now")
        copies = 0
        for delivery in DELIVERIES:
            answer = self.stage.deliver(delivery)
            places = self._judge(delivery, answer)
            copies += len(delivery.places)
            self._row(delivery, answer, places)
        self._expect(self.stage.copies() == copies, "there are more copies than there should be")

    def _judge(self, delivery: Delivery, answer: Answer) -> tuple[str, ...]:
        """Where DELIVERY is; complains if that is not where it should be."""
        places = self.stage.places(delivery)
        said = f" ({answer.line})" if answer.line else ""
        self._expect(
            answer.status == delivery.status,
            f"{delivery.name}: exit status {answer.status}, not {delivery.status}{said}",
        )
        self._expect(
            places == delivery.places,
            f"{delivery.name} is in {', '.join(places) or 'no place'},"
            f" not in {', '.join(delivery.places) or 'none'}",
        )
        return places

    def _row(self, delivery: Delivery, answer: Answer, places: tuple[str, ...]) -> None:
        start = f"  {delivery.name:18}  {answer.status:2}  "
        for place in places or ("nowhere",):
            path, _, flags = place.partition(" ")
            shown = f"~/{path}" if places else path
            click.echo(f"{start}{shown:36}  {flags}".rstrip())
            start = " " * len(start)
        if answer.line:
            click.echo(f"{start}{click.style(one_line(answer.line), dim=True)}")

    def _explain(self, delivery: Delivery) -> None:
        _heading(f"Why: mdeliver test --rules rules messages/{delivery.name}")
        lines = self.stage.explain(delivery)
        self._expect(any("delivered: exit status 0" in x for x in lines), "mdeliver test failed")
        for line in lines:
            click.echo(f"  {line}".rstrip())

    def _show_mbox(self) -> None:
        _heading("The mbox, which POP3 serves: its first lines (note the >From)")
        lines = self.stage.mbox.read_text(errors="replace").split("\n") if self._has_mbox() else []
        for line in [*lines[:_MBOX_TOP], "…", *_letter(lines)]:
            click.echo(f"  {one_line(line)}".rstrip())

    def _has_mbox(self) -> bool:
        there = self.stage.mbox.exists()
        self._expect(there, "there is no mbox")
        return there

    def _show_maildir(self) -> None:
        _heading("The Maildir, which IMAP serves (:2,F is flagged, :2,S is seen)")
        root = self.stage.home / "Maildir"
        for directory in [root, *sorted(root.glob(".*/"))]:
            for part in ("new", "cur"):
                for file in sorted(directory.glob(f"{part}/*")):
                    click.echo(f"  ~/{file.relative_to(self.stage.home)}")

    def _bring_again(self, delivery: Delivery) -> None:
        _heading("Postfix brings the first message a second time, five minutes later")
        before = self.stage.copies()
        answer = self.stage.deliver(delivery, attempt=2)
        places = self._judge(delivery, answer)
        self._row(delivery, answer, places)
        after = self.stage.copies()
        self._expect(after == before, f"{before} copies became {after}")
        click.echo(f"  Before it {before} copies in all, after it {after}: nothing is doubled.")

    def _break_rules(self) -> None:
        _heading(f'A mistake in the rules: "{_MISTAKE[1]}"')
        rules = self.stage.rules
        text = rules.read_text()
        rules.write_text(text.replace(*_MISTAKE))
        broken = LATE._replace(status=75, places=())
        answer = self.stage.deliver(broken)
        self._row(broken, answer, self._judge(broken, answer))
        rules.write_text(text)
        click.echo("  75: it stays in Postfix's queue. The rules are mended, and it comes again:")
        answer = self.stage.deliver(LATE, attempt=2)
        self._row(LATE, answer, self._judge(LATE, answer))

    def _by_lmtp(self, delivery: Delivery) -> None:
        _heading("The other way in: mdeliver lmtp, one message for two people, a reply for each")
        if why := hindrance(self.stage.home):
            click.echo(f"  (not shown: {why})")
            return
        message = (self.stage.messages / delivery.name).read_bytes()
        with LmtpStage(self.stage.home) as stage:
            for who, words in stage.deliver(delivery.sender, message):
                click.echo(f"  {click.style(who, dim=True)}: {one_line(words)}")
            copies = stage.copies(message)
        expected = [f"lmtp/{p}/{place}" for p in PEOPLE for place in ("mbox", "Maildir/new")]
        self._expect(copies == expected, f"by LMTP it is in {', '.join(copies) or 'no place'}")
        for place in copies:
            click.echo(f"  ~/{place}")
        stage.clear()


def _heading(words: str) -> None:
    click.echo()
    click.secho(words, bold=True)


def _letter(lines: list[str]) -> list[str]:
    """The first message of an mbox from its Subject on; what is above it is the servers'."""
    start = next((n for n, line in enumerate(lines) if line.startswith("Subject:")), 0)
    ends = (n for n, line in enumerate(lines) if n > start and line.startswith("From "))
    return "\n".join(lines[start : next(ends, len(lines))]).rstrip("\n").split("\n")
