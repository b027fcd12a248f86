"""`mdeliver apply FOLDER`: rules over mail that is already there; shows first, does on --yes.

Shows       a table as `mdeliver test` does of a mailbox, and what would be moved, marked, copied.
Does        on --yes, with a record by which --undo brings everything back.
Runs        as the user whose mail it is; started by root, it becomes that user.
Exit status 0 fine; 1 if something could not be done, or --undo was refused; 2 wrong usage; 75 while
            another apply is at work, or where disk or files are in the way.
See also    history/apply.py, history/wishes.py; mdeliver(1)
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import click

from mdeliver import damage
from mdeliver.cli.surroundings import Asker, progress
from mdeliver.decision import load_rules, rules_error
from mdeliver.history import apply as history
from mdeliver.history import records
from mdeliver.history.folders import Folder, FolderError, Places, find_folder
from mdeliver.history.held import Held
from mdeliver.history.steps import Deliverer
from mdeliver.history.wishes import Asked, Wish, wish
from mdeliver.intake import Options
from mdeliver.language.syntax import Program
from mdeliver.outcome import Deferral, deferred_by, one_line
from mdeliver.replay import fates, stores, workers
from mdeliver.replay.rehearsal import Rehearsal
from mdeliver.settings import SETTINGS_PATH, Site, load_site

EX_TEMPFAIL = 75

SHOWN = 20
"""Troubles that are named, unless --json asks for all."""


@click.command("apply", short_help="Run rules over mail that is already there.")
@click.argument("folder", required=False)
@click.option("--rules", metavar="FILE", help="These rules instead of the site's and the user's.")
@click.option("--user", help="Login name of the recipient.")
@click.option("--home", metavar="DIRECTORY", help="Home directory of the recipient.")
@click.option("--sender", help='Envelope sender; "" is the null sender.')
@click.option("--recipient", help="Envelope recipient.")
@click.option("--extension", help="What follows the recipient delimiter.")
@click.option("--trash", default="Trash", metavar="FOLDER", help="Where discarded mail goes.")
@click.option("--yes", is_flag=True, help="Do it; without, it is only shown.")
@click.option("--undo", is_flag=True, help="Take back what was done last, or ID in FOLDER's place.")
@click.option("--partial", is_flag=True, help="With --undo: leave what a client has changed.")
@click.option("--list", "listed", is_flag=True, help="With --undo: show what can be taken back.")
@click.option("--json", "as_json", is_flag=True, help="Objects for programs.")
def command(folder: str | None, **given: Any) -> None:
    """Run the rules over the messages of FOLDER, a Maildir.

    FOLDER is named as in rules, such as inbox or imap/Lists, or by its path. Messages are moved,
    marked, copied and, where rules discard them, moved to Trash. Nothing else is done: no rule
    forwards, answers, rejects or runs a program.

    With --undo, FOLDER is the ID that was told when it was done.
    """
    shared = {name: given.get(name) for name in Options._fields}
    if given["undo"] and (given["yes"] or given["rules"]):
        raise click.UsageError("--undo goes without --yes and --rules")
    if not given["undo"] and (given["partial"] or given["listed"]):
        raise click.UsageError("--partial and --list go with --undo")
    if not given["undo"] and folder is None:
        raise click.UsageError("Missing argument 'FOLDER'.")
    try:
        work = _Work(Options(**shared), given["as_json"])
        try:
            if given["listed"]:
                sys.exit(_list(work))
            if given["undo"]:
                sys.exit(_undo(work, folder, given["partial"]))
            sys.exit(_apply(work, folder or "", given["trash"], yes=given["yes"]))
        finally:
            for found in damage.taken(work.state):
                _complain(found.text)
    except (OSError, Deferral) as error:
        _complain(deferred_by(error).text)
        sys.exit(EX_TEMPFAIL)


class _Work:
    """For whom, and how it is to be shown."""

    def __init__(self, options: Options, as_json: bool) -> None:
        self.asker = Asker(options)
        self.as_json = as_json
        self.site: Site = load_site(options.settings or SETTINGS_PATH)
        self.state = self.asker.state
        self.deliverer = Deliverer(self.asker.envelope, self.state, self.site.hostname, "")


# --- there -----------------------------------------------------------------------------------


def _apply(work: _Work, words: str, trash: str, *, yes: bool) -> int:
    """Show what would be done, and do it if YES; the exit status."""
    program = _program(work.asker)
    envelope, options = work.asker.envelope, work.asker.options
    places = Places(program, envelope, work.site, options.rules)
    try:
        folder = find_folder(words, trash, places, envelope.home)
    except FolderError as error:
        raise click.ClickException(one_line(str(error))) from None
    rehearsal = Rehearsal(program, options, work.asker.environ, work.site)
    asked = Asked(folder, rehearsal, places, Held())
    if not yes:
        wishes, troubles = _wishes(asked)
        _show(work, folder, wishes, troubles, None)
        return 1 if troubles else 0
    with records.alone(work.state):
        troubles = list(_finish_interrupted(work))
        wishes, unread = _wishes(asked)
        wanted = [w for w in wishes if w.deed != "left" or w.copies]
        if not wanted:
            _show(work, folder, wishes, [*troubles, *unread], None)
            return 1 if troubles or unread else 0
        with progress(len(wanted), "doing") as tell:
            done = history.apply(wanted, folder, work.deliverer, tell)
    troubles += [*unread, *done.troubles]
    _show(work, folder, wishes, troubles, done.id)
    return 1 if troubles else 0


def _program(asker: Asker) -> Program:
    compiled = load_rules(asker.envelope.home, asker.envelope.uid, asker.options.rules)
    if compiled.program is None:
        raise click.ClickException(one_line(rules_error(compiled).text))
    return compiled.program


def _finish_interrupted(work: _Work) -> Iterator[str]:
    """Do the rest of what was interrupted; yields what could not be done."""
    for applied in history.interrupted(work.state):
        if applied.state == "undoing":
            words = f"an --undo of {applied.id} was interrupted"
            raise click.ClickException(f"{words}; run mdeliver apply --undo {applied.id} first")
        if applied.trouble:
            yield applied.trouble
        yield from history.finish(applied, work.deliverer)


def _wishes(asked: Asked) -> tuple[list[Wish], list[str]]:
    """What the rules would do with each message, and which could not be read."""
    found = list(stores.find(asked.folder.path, folders=False))
    reader = stores.Reader()

    def ask(stored: stores.Stored) -> Wish | str:
        try:
            return wish(stored, reader.read(stored), asked)
        except OSError as error:
            return f"{stored.name}: {error.strerror}"

    wishes: list[Wish] = []
    troubles: list[str] = []
    try:
        with progress(len(found), "asking the rules") as tell:
            for answer in workers.answers(found, ask):
                if isinstance(answer, Wish):
                    wishes.append(answer)
                else:
                    troubles.append(answer)
                tell(1)
    except workers.WorkerDied as error:
        raise click.ClickException(str(error)) from None
    return wishes, troubles


def _show(
    work: _Work, folder: Folder, wishes: Sequence[Wish], troubles: Sequence[str], done: str | None
) -> None:
    """The table, what it comes to, and what was in the way; DONE is the record's ID."""
    deeds = Counter[str](one.deed for one in wishes)
    deeds["copied"] = sum(len(one.copies) for one in wishes)
    if work.as_json:
        for one in wishes:
            click.echo(json.dumps(_object(one)))
        total = {name: deeds[name] for name in _DEEDS}
        summary = {"folder": folder.path, "messages": len(wishes), **total, "id": done}
        click.echo(json.dumps({**summary, "troubles": list(troubles)}))
        return
    shown = [fates.Fate(one.places, one.deed, "") for one in wishes]
    if wishes:
        click.echo("\n".join(fates.table(fates.rows(shown))))
    parts = [f"{deeds[name]} {name}" for name in _DEEDS if deeds[name]]
    count = f"{len(wishes)} message{'' if len(wishes) == 1 else 's'}"
    click.echo(f"{one_line(folder.path)}: {count}{': ' if parts else ''}{', '.join(parts)}")
    _complain_of(troubles)
    if done is not None:
        click.echo(f"done; mdeliver apply --undo {done} takes it back")
    elif any(wish.deed != "left" or wish.copies for wish in wishes):
        click.echo("nothing is done yet; --yes does it")


_DEEDS = ("moved", "discarded", "marked", "copied", "left")


def _object(one: Wish) -> dict[str, Any]:
    """The object of --json for one message."""
    return {
        "message": one.path,
        "deed": one.deed,
        "to": one.target.path if one.target else None,
        "flags": list(one.flags),
        "copies": [spot.path for spot in one.copies],
        "rules": [place.rule for place in one.places],
    }


# --- and back --------------------------------------------------------------------------------


def _undo(work: _Work, name: str | None, partial: bool) -> int:
    """Take back the record NAME, or the newest; the exit status."""
    with records.alone(work.state):
        _complain_of(records.troubles(work.state))
        try:
            applied = records.record(work.state, name)
        except records.RecordError as error:
            raise click.ClickException(one_line(str(error))) from None
        if applied.state == "undone":
            raise click.ClickException(f"{applied.id} is undone already")
        try:
            with progress(len(applied.steps), "undoing") as tell:
                done = history.undo(applied, work.deliverer, tell, partial=partial)
        except history.NotUndone as refused:
            _complain_of(refused.troubles)
            _refuse(applied.id)
    if work.as_json:
        click.echo(json.dumps({**done._asdict(), "troubles": list(done.troubles)}))
    else:
        _complain_of(done.troubles)
        click.echo(f"{done.id}: {done.messages} messages are as they were")
    return 1 if done.troubles else 0


def _refuse(name: str) -> NoReturn:
    words = "nothing was taken back: a mail program has changed what is named above"
    raise click.ClickException(f"{words}; mdeliver apply --undo {name} --partial leaves that")


def _list(work: _Work) -> int:
    """Show every record; the exit status."""
    found = records.records(work.state)
    _complain_of(records.troubles(work.state))
    for applied in found:
        kinds = Counter(type(step).__name__.lower() for step in applied.steps)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(applied.began_s))
        if work.as_json:
            numbers = {"moves": kinds["move"], "copies": kinds["copy"], "folders": kinds["make"]}
            said = {"id": applied.id, "folder": applied.folder, "state": applied.state, **numbers}
            click.echo(json.dumps({**said, "time": applied.began_s}))
        else:
            parts = f"{kinds['move']} moved or marked, {kinds['copy']} copied"
            state = "interrupted" if applied.state == "open" else applied.state
            click.echo(f"{applied.id}  {when}  {one_line(applied.folder)}: {parts}, {state}")
    if not found:
        click.echo("mdeliver apply: there is nothing to undo", err=True)
    return 0 if found else 1


def _complain_of(troubles: Sequence[str]) -> None:
    for trouble in troubles[:SHOWN]:
        _complain(trouble)
    if len(troubles) > SHOWN:
        _complain(f"and {len(troubles) - SHOWN} more")


def _complain(text: str) -> None:
    click.echo(f"mdeliver apply: {one_line(text)}", err=True)
