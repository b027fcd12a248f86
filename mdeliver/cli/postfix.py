"""`mdeliver postfix`: what Postfix should be told, why, and with --apply telling it.

Without options  every setting is shown, with its state and its reason, and the commands that set
                 what is lacking. Nothing is changed.
Exit status      0 fine; 1 with --check if anything is lacking; 2 usage; 75 while another run goes
                 on; 78 if a setting or Postfix is in the way
See also         postfix/settings.py; mdeliver(1)
"""

from __future__ import annotations

import json
import os
import sys

import click

from mdeliver.outcome import one_line
from mdeliver.postfix import dovecot, settings
from mdeliver.postfix.changes import SetupError
from mdeliver.postfix.configuration import Postfix, PostfixError
from mdeliver.postfix.step import STATES, Box, Wish
from mdeliver.sent.files import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

EX_CONFIG = 78
EX_TEMPFAIL = 75

LOCK_WAIT_S = 30

_COLOURS = {"set": "green", "lacking": "yellow", "trial": "cyan", "later": "cyan"}
_WIDTH = 8


@click.command(
    name="postfix", short_help="Have Postfix refuse who does not keep the standards; show why."
)
@click.argument("parts", nargs=-1, metavar="[PART]...")
@click.option("--apply", "apply_", is_flag=True, help="Set what is lacking.")
@click.option("--try", "trying", is_flag=True, help="Checks that are added only warn in the log.")
@click.option("--enforce", is_flag=True, help="Checks that only warn refuse from now on.")
@click.option("--revert", is_flag=True, help="Take back what --apply has set.")
@click.option("--check", "check_only", is_flag=True, help="Exit with 1 if anything is lacking.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--greeting",
    type=click.Choice(["sleep", "postscreen"]),
    default=None,
    help="How clients are made to wait for the greeting.",
)
@click.option(
    "--deliver",
    type=click.Choice(["command", "lmtp"]),
    default=None,
    help="How mail comes to mdeliver, in the place of what is set.",
)
@click.option("--certificate", default="", metavar="FILES", help="Key and certificates, for TLS.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="A further name of this host; may be repeated.",
)
@click.option(
    "--dovecot",
    "dovecot_file",
    is_flag=False,
    flag_value="-",
    default=None,
    metavar="FILE",
    help="Print Dovecot's side instead, or write it to FILE.",
)
@click.option(
    "--dovecot-version",
    type=click.Choice(dovecot.VERSIONS),
    default=None,
    help="Whose words --dovecot has; those of the Dovecot that is installed.",
)
@click.option("--list", "list_only", is_flag=True, help="List the parts.")
@click.option("--postfix", "directory", metavar="DIRECTORY", help="Postfix's configuration.")
def command(parts: tuple[str, ...], directory: str | None, **options: Any) -> None:
    """Show what Postfix should be told and why: every PART, or those that are named."""
    if options["list_only"]:
        for part, meaning in settings.PARTS.items():
            click.echo(f"{part:<{_WIDTH + 3}} {meaning}")
        return
    for part in parts:
        if part not in settings.PARTS:
            known = ", ".join(settings.PARTS)
            raise click.UsageError(f"there is no part {one_line(part)}; there are {known}")
    _refuse_contradictions(parts, options)
    box = Box(Postfix(directory))
    try:
        _run(box, parts, options)
    except (SetupError, PostfixError) as error:
        click.echo(f"mdeliver: {one_line(str(error))}", err=True)
        sys.exit(EX_CONFIG)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"mdeliver: {one_line(f'{where}{error.strerror}')}", err=True)
        sys.exit(EX_CONFIG)


def _refuse_contradictions(parts: Sequence[str], options: dict[str, Any]) -> None:
    if options["trying"] and options["enforce"]:
        raise click.UsageError("--try and --enforce contradict each other")
    if options["revert"] and (parts or options["apply_"]):
        raise click.UsageError(
            "--revert takes back everything, and goes with neither PART nor --apply"
        )
    if options["check_only"] and options["apply_"]:
        raise click.UsageError("--check changes nothing, and --apply does")


def _run(box: Box, parts: Sequence[str], options: dict[str, Any]) -> None:
    if options["dovecot_file"] is not None:
        version = options["dovecot_version"] or dovecot.installed_version()
        _dovecot(box, str(options["dovecot_file"]), version)
        return
    if not (options["apply_"] or options["revert"]):
        wanted = settings.plan(box, _wish(options), parts)
        _show(wanted, [], as_json=bool(options["as_json"]))
        if options["check_only"] and not wanted.complete:
            sys.exit(1)
        return
    from filelock import FileLock, Timeout

    lock = f"{box.directory}/{settings.KEPT}.lock"
    try:
        with FileLock(lock, timeout=LOCK_WAIT_S, mode=0o600):
            _change(box, parts, options)
    except Timeout:
        click.echo(f"mdeliver: another run holds {lock}", err=True)
        sys.exit(EX_TEMPFAIL)


def _wish(options: dict[str, Any]) -> Wish:
    launcher = os.path.join(os.path.dirname(sys.executable), "mdeliver-lda")
    wish = Wish(
        trying=options["trying"],
        enforce=options["enforce"],
        greeting=options["greeting"] or "",
        deliver=options["deliver"] or "",
        certificate=_files(options["certificate"]),
        names=options["names"],
    )
    return wish.replace(launcher=launcher) if os.path.exists(launcher) else wish


def _files(certificate: str) -> str:
    """What --certificate names, as Postfix wants it; without the files there would be no TLS."""
    found = [os.path.abspath(path) for path in certificate.replace(",", " ").split()]
    for path in found:
        if not os.path.isfile(path):
            raise click.BadParameter(f"{path}: there is no such file", param_hint="--certificate")
    return ",".join(found)


def _change(box: Box, parts: Sequence[str], options: dict[str, Any]) -> None:
    """--apply and --revert."""
    if options["revert"]:
        files = settings.revert(box)
        settings.reload(box.postfix)
        if options["as_json"]:
            click.echo(json.dumps({"put_back": files}))
        else:
            click.echo("put back as before: " + ", ".join(files))
        return
    wish = _wish(options)
    wanted = settings.plan(box, wish, parts)
    files = []
    if not wanted.complete:
        files = settings.apply(wanted, box)
        settings.reload(box.postfix)
        wanted = settings.plan(Box(box.postfix), wish, parts)
    _show(wanted, files, as_json=bool(options["as_json"]))


def _dovecot(box: Box, file: str, version: str) -> None:
    text = dovecot.text(box, version)
    if file == "-":
        click.echo(text, nl=False)
        return
    replace_file(os.path.abspath(file), text.encode(), 0o644)
    click.echo(f"written: {one_line(file)}; doveconf -n checks it, and doveadm reload takes it")


# --- what is shown ---------------------------------------------------------------------------


def _show(wanted: settings.Plan, files: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_object(wanted, files), ensure_ascii=False))
        return
    part = ""
    for step in wanted.steps:
        if step.part != part:
            part = step.part
            click.echo(click.style(f"{part}: {settings.PARTS[part]}", bold=True))
        state = click.style(f"{step.state:<{_WIDTH}}", fg=_COLOURS.get(step.state, "magenta"))
        click.echo(f"  {state} {one_line(step.what)}")
        click.echo(f"  {'':<{_WIDTH}}   why: {step.why}")
        if step.state not in ("set", "lacking"):
            click.echo(f"  {'':<{_WIDTH}}   this {STATES[step.state]}")
        if step.note:
            click.echo(f"  {'':<{_WIDTH}}   here: {one_line(step.note)}")
    click.echo()
    if files:
        click.echo("set in " + ", ".join(files) + "; --revert takes it back")
    if wanted.complete:
        click.echo("nothing is lacking that can be set")
        return
    click.echo("Postfix still needs (or run this again with --apply):")
    if wanted.stale and wanted.table:
        click.echo(f"    the table {wanted.table.name}, which --apply makes")
    for change in wanted.changes:
        click.echo(f"    {one_line(change.command)}")
    click.echo("    postfix reload")


def _as_object(wanted: settings.Plan, files: Sequence[str]) -> dict[str, object]:
    return {
        "steps": [
            {
                "part": step.part,
                "what": step.what,
                "why": step.why,
                "state": step.state,
                "note": step.note,
            }
            for step in wanted.steps
        ],
        "needed": [change.command for change in wanted.changes],
        "table": wanted.table.name if wanted.table else None,
        "table_stale": wanted.stale,
        "files_changed": list(files),
    }
