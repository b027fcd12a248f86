"""`mdeliver check`: every error and warning in rules files, with place, caret and hint.

Without FILE  the files that a delivery to this user would use, as the one program they make; the
              cases beside them; and the user's choices for pop-sync, which deliveries read too.
With FILEs    each on its own; `-` is standard input; pop-sync.toml has choices and no rules.
Exit status   1 if there is an error, 2 if nothing could be checked as asked, else 0.
See also      mdeliver-rules(5); language/findings.py has the codes
"""

from __future__ import annotations

import json
import os
import pwd
import sys

import click

from mdeliver.diagnostic import Diagnostic, render
from mdeliver.envelope import Envelope
from mdeliver.language.compile import Compiled, Source, compile_rules
from mdeliver.language.findings import CATALOGUE
from mdeliver.language.lints import lint
from mdeliver.outcome import Deferral, one_line
from mdeliver.pop3choice import USERS_FILE as CHOICES
from mdeliver.popsync.choicefindings import CHOICE_FINDINGS, choice_findings
from mdeliver.replay.casefindings import CASE_FINDINGS
from mdeliver.rulesfile import (
    SITE_RULES,
    Untrusted,
    cases_beside,
    read_rules,
    reader,
    rules_paths,
    users_directory,
)
from mdeliver.settings import load_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdeliver.diagnostic import Level

STDIN = "-"


@click.command(name="check")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
@click.option("--explain", metavar="CODE", help="Say what a code such as E203 means.")
@click.option("--user", metavar="NAME", help="Check the rules of this user.")
@click.option("--home", metavar="DIR", help="Home directory in which rules are looked for.")
def command(
    files: tuple[str, ...], as_json: bool, explain: str | None, user: str | None, home: str | None
) -> None:
    """Show every error and warning in rules files.

    Without FILE, the rules that a delivery to this user would follow are checked: the site's,
    then the user's, with the cases beside them; and the user's pop-sync.toml. With FILE "-",
    standard input.
    """
    if explain is not None:
        _explain(explain)
        return
    home, uid = _whose(user, home)
    if files:
        looked_at = list(files)
        findings = [
            finding
            for file in files
            for finding in (
                check_choices(file, uid)
                if os.path.basename(file) == CHOICES
                else check_files([file], home, uid)
            )
        ]
    else:
        looked_at, findings = _check_user(Envelope(user or _name_of(uid), home, uid), as_json)
    if as_json:
        for finding in findings:
            click.echo(json.dumps(_as_object(finding), ensure_ascii=False))
    else:
        _show(findings, looked_at)
    if any(finding.level == "error" for finding in findings):
        sys.exit(1)


def _check_user(asker: Envelope, as_json: bool) -> tuple[list[str], list[Diagnostic]]:
    """The files of ASKER's that a delivery reads, and all findings in them."""
    paths = rules_paths(asker.home, None)
    findings: list[Diagnostic] = []
    if paths:
        findings = check_files(paths, asker.home, asker.uid)
        if not any(finding.level == "error" for finding in findings):
            findings += check_cases(paths, asker)
    elif not as_json:
        click.echo("no rules file: mail is delivered by the built-in rules")
    choices = f"{users_directory(asker.home)}/{CHOICES}"
    if os.path.lexists(choices):
        paths = [*paths, choices]
        findings += check_choices(choices, asker.uid)
    return paths, findings


def check_choices(path: str, uid: int) -> list[Diagnostic]:
    """All findings in the pop-sync.toml at PATH."""
    try:
        return choice_findings(path, read_rules(path, uid))
    except (OSError, Untrusted) as error:
        return [_unreadable(path, error, "choices")]


def check_files(paths: Sequence[str], home: str, uid: int) -> list[Diagnostic]:
    """All findings in the rules files PATHS, which make one program."""
    texts: dict[str, str] = {}
    read_include = reader(home, uid)
    sources = []
    for path in paths:
        try:
            text = _read(path, uid)
        except (OSError, Untrusted) as error:
            return [_unreadable(path, error)]
        texts[path] = text
        sources.append(Source(path, text))
    compiled = compile_rules(sources, _noting(texts, read_include))
    if compiled.program is None:
        return list(compiled.findings)
    return _warnings(compiled, texts, [path for path in paths if path != SITE_RULES])


def check_cases(paths: Sequence[str], asker: Envelope) -> list[Diagnostic]:
    """What is wrong with the cases beside the rules files PATHS, and which of them do not hold.

    asker  user, home and uid whose rules they are
    A case that does not hold is an error only where it keeps the rules out of use.
    """
    from mdeliver.replay import trial
    from mdeliver.replay.cases import parse_cases

    try:
        site = load_site()
    except Deferral as error:
        raise click.ClickException(error.text) from None
    findings: list[Diagnostic] = []
    for place, rules in enumerate(paths, 1):
        for beside in cases_beside([rules]):
            try:
                cases = parse_cases(read_rules(beside, asker.uid), beside)
                sources = [Source(path, read_rules(path, asker.uid)) for path in paths[:place]]
            except (OSError, Untrusted) as error:
                findings.append(_unreadable(beside, error))
                continue
            tried = trial.trial_of(beside, cases, sources, reader(asker.home, asker.uid))
            level: Level = "error" if site.cases_required or cases.required else "warning"
            findings += [finding.replace(level=level) for finding in tried.findings]
            findings += trial.failing(tried, asker, site, level)
    return findings


def _warnings(compiled: Compiled, texts: dict[str, str], complete: list[str]) -> list[Diagnostic]:
    assert compiled.program is not None
    return lint(compiled.program, texts, complete)


def _read(path: str, uid: int) -> str:
    if path != STDIN:
        return read_rules(path, uid)
    octets = sys.stdin.buffer.read()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Untrusted("standard input is not UTF-8") from None


def _noting(texts: dict[str, str], read_file: Callable[[str], str]) -> Callable[[str], str]:
    """READ_FILE, with each text kept under the name that findings have for it."""

    def read(path: str) -> str:
        text = texts[path] = read_file(path)
        return text

    return read


def _unreadable(path: str, error: OSError | Untrusted, what: str = "rules") -> Diagnostic:
    from mdeliver.diagnostic import Span

    reason = error.strerror if isinstance(error, OSError) else str(error)
    message = f"cannot read the {what}: {reason or error}"
    return Diagnostic("E317", "error", message, Span(path, 1, 1, 1))


def _whose(user: str | None, home: str | None) -> tuple[str, int]:
    """Home and user id of the one whose rules are checked."""
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
    except KeyError:
        if user:
            raise click.BadParameter(f"there is no user {user}", param_hint="--user") from None
        return home or os.environ.get("HOME", "/"), os.getuid()
    if home is None:
        home = entry.pw_dir if user else os.environ.get("HOME") or entry.pw_dir
    return home, entry.pw_uid


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# --- what is shown ---------------------------------------------------------------------------


def _explain(code: str) -> None:
    entry = (CATALOGUE | CASE_FINDINGS | CHOICE_FINDINGS).get(code.upper())
    if entry is None:
        raise click.BadParameter(f"there is no finding {code}", param_hint="--explain")
    title, text = entry
    click.echo(f"{code.upper()}: {title}\n")
    click.echo(click.wrap_text(text, width=78))


def _as_object(finding: Diagnostic) -> dict[str, object]:
    place = finding.place
    return {
        "code": finding.code,
        "level": finding.level,
        "message": finding.message,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "end_column": place.end_column,
        "source": finding.source,
        "hint": finding.hint,
    }


def _show(findings: Sequence[Diagnostic], files: Sequence[str]) -> None:
    colours = {"error": "red", "warning": "yellow"}
    for finding in findings:
        first, *rest = render(finding).split("\n")
        where, level, message = first.partition(f" {finding.level} ")
        # click leaves out the colours unless it writes to a terminal.
        styled = click.style(level, fg=colours[finding.level], bold=True)
        click.echo(click.style(where, bold=True) + styled + message)
        for line in rest:
            marked = line.strip().strip("^") == "" and line.strip() != ""
            click.echo(click.style(line, fg="green", bold=True) if marked else line)
    if findings:
        click.echo(_summary(findings))
        if any(finding.level == "error" for finding in findings):
            return
    troubled = {finding.place.file for finding in findings if finding.level == "error"}
    for file in files:
        if file not in troubled:
            click.echo(f"{one_line(file)}: no errors")


def _summary(findings: Sequence[Diagnostic]) -> str:
    """Such as "2 errors, 1 warning in 1 file"."""
    counts = []
    for level in ("error", "warning"):
        count = sum(finding.level == level for finding in findings)
        if count:
            counts.append(_counted(count, level))
    files = {finding.place.file for finding in findings}
    return f"{', '.join(counts)} in {_counted(len(files), 'file')}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
