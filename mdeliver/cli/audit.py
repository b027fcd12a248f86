"""`mdeliver audit`: is the mail server set up as it should be; what is not, why, and what to paste.

Exit status  1 if any check fails, 78 if Postfix or the settings cannot be read, else 0
See also     audit/checks.py; mdeliver(1)
"""

from __future__ import annotations

import json
import sys

import click

from mdeliver.audit.checks import CHECKS, run_checks
from mdeliver.audit.finding import LEVELS
from mdeliver.audit.host import Host
from mdeliver.outcome import Deferral, one_line
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent.settings import SettingsError, load_bcc_settings
from mdeliver.settings import SETTINGS_PATH, load_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.audit.finding import Check, Finding

EX_CONFIG = 78

_COLOURS = {"failure": "red", "warning": "yellow", "advice": "cyan", "fine": "green"}


@click.command(
    name="audit", short_help="Check how the mail server is set up, and say what to mend."
)
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
@click.option(
    "--settings",
    "settings_path",
    default=SETTINGS_PATH,
    metavar="FILE",
    help="Settings of the site.",
)
@click.option(
    "--postfix", "directory", metavar="DIRECTORY", help="Postfix's configuration directory."
)
@click.option("--list", "list_only", is_flag=True, help="List the checks.")
def command(
    checks: tuple[str, ...],
    as_json: bool,
    settings_path: str,
    directory: str | None,
    list_only: bool,
) -> None:
    """Check how the mail server is set up: every CHECK, or those that are named."""
    if list_only:
        for check in CHECKS:
            click.echo(f"{check.name:<15} {check.title}")
        return
    known = [check.name for check in CHECKS]
    for name in checks:
        if name not in known:
            raise click.UsageError(f"there is no check {name}; there are {', '.join(known)}")
    try:
        bcc = load_bcc_settings(settings_path)
        if directory:
            bcc = bcc.replace(postfix=directory)
        site = load_site(settings_path)
    except (SettingsError, Deferral) as error:
        click.echo(f"mdeliver: {one_line(str(error))}", err=True)
        sys.exit(EX_CONFIG)
    host = Host(Postfix(bcc.postfix or None), site, bcc, settings_path)
    found = list(run_checks(host, checks))
    for check, finding in found:
        if as_json:
            click.echo(json.dumps(_as_object(check, finding), ensure_ascii=False))
        else:
            _show(check, finding)
    if not as_json:
        counts = {level: sum(f.level == level for _c, f in found) for level in LEVELS}
        click.echo(", ".join(f"{number} {level}" for level, number in counts.items() if number))
    if any(finding.level == "failure" for _check, finding in found):
        sys.exit(1)


def _as_object(check: Check, finding: Finding) -> dict[str, object]:
    return {
        "check": check.name,
        "level": finding.level,
        "what": finding.what,
        "why": finding.why,
        "how": finding.how,
        "setting": list(finding.setting),
    }


def _show(check: Check, finding: Finding) -> None:
    level = click.style(finding.level, fg=_COLOURS[finding.level], bold=True)
    click.echo(f"{level} {check.name}: {one_line(finding.what)}")
    if finding.why:
        click.echo(f"    why: {one_line(finding.why)}")
    if finding.how:
        click.echo(f"    how: {one_line(finding.how)}")
    for line in finding.setting:
        click.echo(f"        {one_line(line)}")
