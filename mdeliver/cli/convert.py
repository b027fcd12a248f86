"""`mdeliver convert procmailrc|sieve FILE`: the same rules in mdeliver's language, and the proof.

Prints      the rules on standard output, the report on standard error; --json both as one object.
--prove     runs both over a Maildir, an mbox or messages and lists what would fare differently.
Executes    nothing of the file, but with --prove --run-programs its programs. A proof asks sed(1)
            what rules of the converter's own would ask it.
Exit status 0 if everything was carried over, 1 if something was not, 2 for wrong usage.
            --prove: as diff(1), 0 no message differs, 1 some do, 2 trouble.
See also    procmail/converter.py, procmail/proof.py, mdeliver-convert(1), MIGRATING.md
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mdeliver.cli import proving
from mdeliver.cli.proving import one_line_each
from mdeliver.diagnostic import Diagnostic, render
from mdeliver.intake import Options
from mdeliver.language.compile import Source, compile_rules
from mdeliver.outcome import one_line
from mdeliver.procmail import proof
from mdeliver.procmail.linetext import sed_arguments
from mdeliver.procmail.report import Converted, Entry
from mdeliver.rulesfile import reader
from mdeliver.settings import load_site

if TYPE_CHECKING:
    from mdeliver.procmail.syntax import File as Procmailrc
    from mdeliver.replay.rehearsal import Rehearsed
    from mdeliver.replay.stores import Arrived, Stored

STDIN = "-"
MOST_BYTES = 8 << 20

Convert = Callable[[str, str], Converted]


@click.group(name="convert")
def command() -> None:
    """Turn other rules into mdeliver's, and prove them the same."""


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that both formats have."""
    for option in (
        click.argument("file", metavar="FILE"),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--prove", metavar="MAILBOX", help="Compare both over these messages."),
        click.option("--rules", metavar="RULES", help="Prove these rules, not the converted ones."),
        click.option("--sender", metavar="ADDRESS", help="With --prove: the envelope sender."),
        click.option("--recipient", metavar="ADDRESS", help="With --prove: the envelope's own."),
        click.option("--user", metavar="NAME", help="Whose rules they are."),
        click.option("--home", metavar="DIR", help="The home directory."),
    ):
        function = option(function)
    return function


@command.command(name="procmailrc")
@_options
@click.option("--allow-shell", is_flag=True, help="Carry commands over that need a shell.")
@click.option("--run-programs", is_flag=True, help="With --prove: run procmail's programs.")
def procmailrc(
    file: str,
    as_json: bool,
    prove: str | None,
    rules: str | None,
    sender: str | None,
    recipient: str | None,
    user: str | None,
    home: str | None,
    allow_shell: bool,
    run_programs: bool,
) -> None:
    """Convert a procmailrc. FILE "-" is standard input."""
    from mdeliver.procmail.converter import convert_procmailrc
    from mdeliver.procmail.folders import NOBODY, Whose
    from mdeliver.procmail.world import World

    name, home, uid = _whose(user, home)
    envelope = _envelope(prove, name, home, sender, recipient)
    parsed = _parsed(_read(file, uid), file)
    whose = Whose(name, home) if _is_of_one(file) else NOBODY
    reading = _including(home, uid)
    converted = convert_procmailrc(
        parsed,
        reading,
        allow_shell=allow_shell,
        whose=whose,
        filters_succeed=prove is not None and not run_programs,
    )
    if prove is None:
        _print(converted, as_json, reader(home, uid))
        return
    world = World(home, name, programs=run_programs, pretends=True)
    reported = [entry.place.where for entry in converted.entries if entry.level == "lost"]
    site = load_site()
    lost = frozenset() if rules else proof.recipes_within(parsed, reported)

    def compare(
        stored: Stored, arrived: Arrived, rehearse: Callable[[Arrived], Rehearsed]
    ) -> proof.Compared:
        world.now_s = arrived.arrived_s
        world.argument = proof.extension(arrived, site, envelope)
        return proof.compare(stored.name, arrived, parsed, world, rehearse, lost, sender)

    rehearsal = proving.rehearsal(_ours(converted, rules), envelope, run_programs)
    proving.prove(prove, rehearsal, as_json, compare, "procmail")


def _parsed(text: str, file: str) -> Procmailrc:
    """The procmailrc TEXT of FILE; lines that end in CRLF are read as they were meant."""
    from mdeliver.procmail.parser import parse_procmailrc

    parsed = parse_procmailrc(text, file)
    if "\r\n" not in text:
        return parsed
    said_once = [finding for finding in parsed.findings if finding.code == "P108"]
    parsed = parse_procmailrc(text.replace("\r\n", "\n"), file)
    return parsed.replace(findings=(*said_once, *parsed.findings))


@command.command(name="sieve")
@_options
def sieve(
    file: str,
    as_json: bool,
    prove: str | None,
    rules: str | None,
    sender: str | None,
    recipient: str | None,
    user: str | None,
    home: str | None,
) -> None:
    """Convert a Sieve script. FILE "-" is standard input."""
    from mdeliver.sieve.converter import convert_sieve
    from mdeliver.sieve.reader import read_script

    name, home, uid = _whose(user, home)
    envelope = _envelope(prove, name, home, sender, recipient)
    octets = _read(file, uid).encode("latin-1")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    converted = convert_sieve(read_script(text, file))
    if prove is None:
        _print(converted, as_json, reader(home, uid))
        return
    from mdeliver.sieve.proof import Pigeonhole, compare

    try:
        pigeonhole = Pigeonhole(text, name, home)
    except OSError as error:
        raise click.ClickException(f"the proof needs Dovecot's sieve-test(1): {error}") from None
    with pigeonhole:

        def compare_one(
            stored: Stored, arrived: Arrived, rehearse: Callable[[Arrived], Rehearsed]
        ) -> proof.Compared:
            return compare(stored.name, arrived, pigeonhole, rehearse, sender, recipient)

        rehearsal = proving.rehearsal(_ours(converted, rules), envelope, False)
        proving.prove(prove, rehearsal, as_json, compare_one, "sieve")


def _envelope(
    prove: str | None, name: str, home: str, sender: str | None, recipient: str | None
) -> Options:
    """Who the messages of the proof are from and for, as far as they do not say it themselves."""
    if prove is None and (sender is not None or recipient is not None):
        raise click.UsageError("--sender and --recipient go with --prove")
    return Options(user=name, home=home, sender=sender, recipient=recipient)


def _ours(converted: Converted, rules: str | None) -> proving.Ours:
    """The rules that are put to the proof: those of the file RULES, or else the converted ones."""
    if rules is None:
        return proving.Ours("converted rules", converted.text, sed_arguments(converted.text))
    text = _read(rules, os.getuid()).encode("latin-1").decode("utf-8", "replace")
    return proving.Ours(rules, text, frozenset())


# --- reading -----------------------------------------------------------------------------------


def _whose(user: str | None, home: str | None) -> tuple[str, str, int]:
    """Name, home and user id of the one whose rules they are."""
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
    except KeyError:
        if user and home:
            return user, home, os.getuid()
        raise click.BadParameter(f"there is no user {user}", param_hint="--user") from None
    own = None if user else os.environ.get("HOME")
    return entry.pw_name, home or own or entry.pw_dir, entry.pw_uid


def _read(path: str, uid: int) -> str:
    """The text at PATH, a character for each byte."""
    try:
        octets = sys.stdin.buffer.read() if path == STDIN else _octets(path, uid)
    except OSError as error:
        raise click.ClickException(f"{one_line(path)}: {error.strerror}") from None
    if len(octets) > MOST_BYTES:
        raise click.ClickException(f"{one_line(path)}: larger than {MOST_BYTES >> 20} MB")
    return octets.decode("latin-1")


def _is_of_one(path: str) -> bool:
    """Whether the file PATH is one user's, and not the site's."""
    return not os.path.abspath(path).startswith("/etc/procmail")


def _octets(path: str, uid: int) -> bytes:
    """What is in the file PATH. Raises OSError.

    For root who converts a user's file: only files of that user, or those of /etc/procmail*. What
    a user's file names, or is a link to, may be a secret, and the rules will be the user's.
    """
    for_another = os.getuid() == 0 and uid != 0
    # A FIFO that a user has put there must not have root wait for ever.
    flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if for_another else 0)
    with open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        theirs = status.st_uid == uid or (status.st_uid == 0 and path.startswith("/etc/procmail"))
        if for_another and not (theirs and stat.S_ISREG(status.st_mode)):
            raise PermissionError(errno.EPERM, f"not a file of user id {uid}", path)
        return file.read(MOST_BYTES + 1)


def _including(home: str, uid: int) -> Callable[[str], str | None]:
    """How the converter reads the files that INCLUDERC names."""

    def read(path: str) -> str | None:
        try:
            octets = _octets(home + path[1:] if path.startswith("~/") else path, uid)
        except (OSError, ValueError):
            return None
        return octets.decode("latin-1") if len(octets) <= MOST_BYTES else None

    return read


# --- printing ----------------------------------------------------------------------------------


def _print(converted: Converted, as_json: bool, reading: Callable[[str], str]) -> None:
    """The rules and the report; exit status 1 if something was not carried over."""
    converted = _checked(converted, reading)
    if as_json:
        click.echo(json.dumps(_as_object(converted), ensure_ascii=False))
    else:
        click.echo(converted.text, nl=False)
        for finding in converted.findings:
            click.echo(one_line_each(render(finding)), err=True)
        for entry in converted.entries:
            click.echo(one_line(entry.line), err=True)
        click.echo(_summary(converted), err=True)
    if not converted.is_whole:
        sys.exit(1)


def _checked(converted: Converted, reading: Callable[[str], str]) -> Converted:
    """CONVERTED, with what `mdeliver check` would call an error among its findings."""
    compiled = compile_rules([Source("converted rules", converted.text)], reading)
    errors = [finding for finding in compiled.findings if finding.level == "error"]
    return converted.replace(findings=(*converted.findings, *errors))


def _summary(converted: Converted) -> str:
    counts = dict.fromkeys(("lost", "differs", "note"), 0)
    for entry in converted.entries:
        counts[entry.level] += 1
    errors = sum(finding.level == "error" for finding in converted.findings)
    if errors:
        return f"{errors} error{'' if errors == 1 else 's'} in the file: look at the rules closely"
    if converted.is_whole and not counts["differs"]:
        return "everything was carried over"
    lost = f"{counts['lost']} not carried over" if counts["lost"] else "everything was carried over"
    differs = f", {counts['differs']} not quite the same" if counts["differs"] else ""
    return lost + differs


def _as_object(converted: Converted) -> dict[str, Any]:
    return {
        "rules": converted.text,
        "whole": converted.is_whole,
        "entries": [_entry(entry) for entry in converted.entries],
        "findings": [_finding(finding) for finding in converted.findings],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    place = {"file": entry.place.file, "line": entry.place.line}
    return {
        "level": entry.level,
        **place,
        "what": entry.what,
        "why": entry.why,
        "todo": entry.todo,
    }


def _finding(finding: Diagnostic) -> dict[str, Any]:
    place = finding.place
    where = {"file": place.file, "line": place.line, "column": place.column}
    return {
        "code": finding.code,
        "level": finding.level,
        **where,
        "message": finding.message,
        "hint": finding.hint,
    }
