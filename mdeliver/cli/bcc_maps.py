"""`mdeliver bcc-maps`: which senders get a copy of what they send, as tables for Postfix.

Without options  the tables are written, if they changed, and what Postfix still lacks is shown.
Exit status      0 fine; 1 with --check if anything is stale or not set; 2 usage; 75 while another
                 run goes on; 78 if a source, a key file, a setting or Postfix is in the way
See also         sent/generate.py, sent/setup.py; mdeliver(1)
"""

from __future__ import annotations

import json
import os
import sys

import click

from mdeliver.cli.surroundings import settings_option
from mdeliver.outcome import one_line
from mdeliver.postfix import changes
from mdeliver.postfix.configuration import Postfix, PostfixError
from mdeliver.sent import generate, setup
from mdeliver.sent.keys import KeysError
from mdeliver.sent.owners import SourceError
from mdeliver.sent.settings import BccSettings, SettingsError, checked, load_bcc_settings
from mdeliver.sent.tables import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict, Unpack

    class Given(TypedDict):
        """The options, as click hands them over."""

        sources: tuple[str, ...]
        output: str | None
        domains: tuple[str, ...]
        exclude: tuple[str, ...]
        tagged: bool | None
        dry_run: bool
        check_only: bool
        as_json: bool
        apply_: bool
        undo: bool
        rotate: bool
        forget: bool
        serve: str | None
        postfix_directory: str | None


EX_CONFIG = 78
EX_TEMPFAIL = 75

SHOWN = 20
"""Changes of each kind that are named, unless --json asks for all."""


@click.command(name="bcc-maps", short_help="Have Postfix send back what users send, for Sent.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="passwd, virtual, aliases, logins, dovecot:FILE or list:FILE; may be repeated.",
)
@click.option("--output", metavar="TYPE:FILE", help="The table to write.")
@click.option(
    "--domain",
    "domains",
    multiple=True,
    metavar="DOMAIN",
    help="Only senders at this domain; may be repeated.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="WHO",
    help="No copies for this address, @domain or user; may be repeated.",
)
@click.option(
    "--tags/--no-tags", "tagged", default=None, help="Whether copies go to secret addresses."
)
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option(
    "--check",
    "check_only",
    is_flag=True,
    help="Write nothing; exit with 1 if anything is stale or not set.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--apply", "apply_", is_flag=True, help="Set what Postfix needs, too.")
@click.option("--undo", is_flag=True, help="Take back what --apply has set.")
@click.option("--rotate", is_flag=True, help="Make new tags; old ones stay valid for a time.")
@click.option("--forget", is_flag=True, help="With --rotate: old tags end at once.")
@click.option(
    "--serve",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="SOCKET",
    help="Answer Postfix live on unix:PATH or inet:HOST:PORT.",
)
@settings_option()
@click.option(
    "--postfix", "postfix_directory", metavar="DIRECTORY", help="Postfix's configuration directory."
)
def command(settings: str, **options: Unpack[Given]) -> None:
    """Write Postfix's sender_bcc_maps tables, so that what users send appears in Sent.

    Which senders there are comes from the sources; what is written goes beside main.cf. Without
    --apply nothing of Postfix's own settings is changed: what they lack is shown.
    """
    try:
        chosen = _settings(settings, options)
        _run(chosen, settings, options)
    except (
        SourceError,
        SettingsError,
        KeysError,
        TableError,
        PostfixError,
        changes.SetupError,
    ) as error:
        for line in str(error).split("\n"):
            click.echo(f"mdeliver: {one_line(line)}", err=True)
        sys.exit(EX_CONFIG)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"mdeliver: {one_line(f'{where}{error.strerror}')}", err=True)
        sys.exit(EX_CONFIG)


def _settings(path: str, options: Given) -> BccSettings:
    """The site's settings, with options over them."""
    settings = load_bcc_settings(path)
    tagged = options["tagged"]
    settings = settings.replace(
        sources=options["sources"] or settings.sources,
        output=options["output"] if options["output"] is not None else settings.output,
        domains=options["domains"] or settings.domains,
        exclude=(*settings.exclude, *options["exclude"]),
        tagged=settings.tagged if tagged is None else tagged,
        postfix=options["postfix_directory"] or settings.postfix,
        serve=options["serve"] or settings.serve,
    )
    return checked(settings, "options")


def _run(settings: BccSettings, settings_path: str, options: Given) -> None:
    postfix = Postfix(settings.postfix or None)
    if options["forget"] and not options["rotate"]:
        raise click.UsageError("--forget goes with --rotate")
    if options["undo"]:
        changed = changes.undo(_kept(settings))
        click.echo("put back as before: " + ", ".join(changed))
        _tell_of_server(changed, settings_path)
        _reload(postfix)
        return
    if options["serve"] is not None:
        from mdeliver.cli.bcc_serve import serve

        serve(settings, settings_path, postfix)
        return
    if options["dry_run"] or options["check_only"]:
        _look(settings, settings_path, postfix, options)
        return
    from filelock import FileLock, Timeout

    _kind, path = generate.output_of(settings, postfix)
    try:
        with (
            FileLock(f"{path}.lock", timeout=generate.LOCK_WAIT_S, mode=0o600),
            generate.locked_keys(settings, generate.LOCK_WAIT_S),
        ):
            _write(settings, settings_path, postfix, options)
    except Timeout as held:
        click.echo(f"mdeliver: another run holds {held.lock_file}", err=True)
        sys.exit(EX_TEMPFAIL)


def _kept(settings: BccSettings) -> str:
    """Where --apply remembers what was there before."""
    return os.path.join(os.path.dirname(settings.tags), "bcc-maps.undo")


def _compared(
    settings: BccSettings, postfix: Postfix, options: Given
) -> tuple[generate.Wanted, generate.Report, list[changes.Change]]:
    """What is wanted, how far what is there is from it, and what Postfix lacks."""
    now = generate.now()
    keys = generate.keys_for(settings, now, rotate=options["rotate"], forget=options["forget"])
    wanted = generate.want(settings, postfix, keys, now)
    report = generate.compare(wanted, settings)
    lacking = setup.needed(generate.map_names(wanted, settings), postfix, postfix.services())
    return wanted, report, lacking


def _look(settings: BccSettings, settings_path: str, postfix: Postfix, options: Given) -> None:
    """--dry-run and --check: all but the writing."""
    wanted, report, lacking = _compared(settings, postfix, options)
    as_json = options["as_json"]
    _show(wanted, report, lacking, settings_path, settings.tags, done=False, as_json=as_json)
    if options["check_only"] and (report.stale or lacking):
        sys.exit(1)


def _write(settings: BccSettings, settings_path: str, postfix: Postfix, options: Given) -> None:
    wanted, report, lacking = _compared(settings, postfix, options)
    generate.write(wanted, settings, postfix)
    changed: list[str] = []
    if options["apply_"]:
        believe = wanted.keys and setup.says_of_belief(settings_path) is None
        path = settings_path if believe else None
        changed = setup.make(lacking, postfix, _kept(settings), path, settings.tags)
        lacking = []
        if changed or (report.stale and wanted.tables[0].kind == "texthash"):
            _reload(postfix)
    _show(
        wanted,
        report,
        lacking,
        settings_path,
        settings.tags,
        done=True,
        as_json=options["as_json"],
        changed=changed,
    )


def _reload(postfix: Postfix) -> None:
    if changes.is_running(postfix):
        postfix.run("postfix", "reload")


def _tell_of_server(changed: Sequence[str], settings_path: str) -> None:
    """Deliveries of their own read mdeliver.toml each time; those of a server do not."""
    if settings_path in changed:
        click.echo("if mdeliver lmtp runs, it must read this: systemctl reload mdeliver-lmtp")


# --- what is shown ---------------------------------------------------------------------------


def _show(
    wanted: generate.Wanted,
    report: generate.Report,
    lacking: Sequence[changes.Change],
    settings_path: str,
    tags: str,
    *,
    done: bool,
    as_json: bool,
    changed: Sequence[str] = (),
) -> None:
    believed = not wanted.keys or bool(setup.says_of_belief(settings_path))
    if as_json:
        shown = {
            "addresses": len(wanted.rows),
            "table": wanted.tables[0].name,
            "added": report.added,
            "removed": report.removed,
            "changed": report.changed,
            "stale": report.stale and not done,
            "written": report.stale and done,
            "notes": wanted.notes,
            "needed": [change.command for change in lacking],
            "settings_changed": list(changed),
            "tags_believed": bool(wanted.keys) and believed,
        }
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    table = wanted.tables[0].name
    for word, keys in (("+", report.added), ("-", report.removed), ("~", report.changed)):
        for key in keys[:SHOWN]:
            click.echo(f"{word} {one_line(key)}")
        if len(keys) > SHOWN:
            click.echo(f"{word} and {len(keys) - SHOWN} more")
    for note in wanted.notes[:SHOWN]:
        click.echo(f"left as it is: {one_line(note)}")
    state = "written" if report.stale and done else "stale" if report.stale else "unchanged"
    click.echo(f"{table}: {len(wanted.rows)} senders, {state}")
    if changed:
        click.echo("set in " + ", ".join(changed) + "; --undo takes it back")
        _tell_of_server(changed, settings_path)
    if lacking:
        click.echo("Postfix still needs (or run this again with --apply):")
        for change in lacking:
            click.echo(f"    {change.command}")
        click.echo("    postfix reload")
    if not believed:
        click.echo(f"and once that is set, deliveries need in {settings_path}:")
        for line in setup.belief(tags):
            click.echo(f"    {line}")
