"""`mdeliver audit`: is the mail server set up as it should be; what is not, why, and what to paste.

Exit status  0 fine; 1 if any check fails; 2 usage; 78 if Postfix, the settings or a zone file
             cannot be read
Output       what Postfix, DNS and others say is made printable; colours only on a terminal
See also     audit/checks.py; mdeliver-audit(8)
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from typing import Any

import click

from mdeliver import durable
from mdeliver.audit.checks import CHECKS, GROUPS, chosen, run_check
from mdeliver.audit.finding import LEVELS
from mdeliver.audit.host import Given, Host
from mdeliver.audit.names import Live, NamesError, ZoneFiles
from mdeliver.audit.transport import fetch_policy
from mdeliver.cli.surroundings import settings_option
from mdeliver.outcome import Deferral, one_line
from mdeliver.postfix.configuration import Postfix, PostfixError
from mdeliver.sent.settings import SettingsError, load_bcc_settings
from mdeliver.settings import load_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from click.shell_completion import CompletionItem

    from mdeliver.audit.finding import Check, Finding
    from mdeliver.audit.names import Names

EX_CONFIG = 78

_COLOURS = {"failure": "red", "warning": "yellow", "advice": "cyan", "fine": "green"}
_ZONE_BYTES = 64 << 20
_WORDS = (*GROUPS, *(check.name for check in CHECKS))


class _CheckNames(click.ParamType[tuple[str, ...], Any]):
    """One or more names of checks or groups, parted by commas."""

    name = "check"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        names = tuple(value.split(",")) if isinstance(value, str) else value
        for name in names:
            if name not in _WORDS:
                known = ", ".join(_WORDS)
                self.fail(f"there is no check {one_line(name)}; there are {known}", param, ctx)
        return tuple(names)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        done, comma, begun = incomplete.rpartition(",")
        return [CompletionItem(done + comma + w) for w in _WORDS if w.startswith(begun)]


@click.command(
    name="audit", short_help="Check how the mail server is set up, and say what to mend."
)
@click.argument("checks", nargs=-1, metavar="[CHECK]...", type=_CheckNames())
@click.option(
    "--only", multiple=True, metavar="CHECK,...", type=_CheckNames(), help="The same as CHECK."
)
@click.option(
    "--skip", multiple=True, metavar="CHECK,...", type=_CheckNames(), help="Leave these out."
)
@click.option("--quiet", is_flag=True, help="Show only what is not fine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
@click.option("--list", "list_only", is_flag=True, help="List the checks.")
@settings_option()
@click.option(
    "--postfix", "directory", metavar="DIRECTORY", help="Postfix's configuration directory."
)
@click.option("--dovecot", "doveconf", default="", metavar="FILE", help="Dovecot's configuration.")
@click.option(
    "--zone",
    "zones",
    multiple=True,
    metavar="FILE",
    help="Ask this zone file in the place of DNS; may be repeated.",
)
@click.option("--resolver", metavar="ADDRESS[:PORT]", help="Ask this name server.")
@click.option(
    "--timeout",
    "limit_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    metavar="SECONDS",
    help="Ask DNS no longer than this.",
)
@click.option(
    "--address", "addresses", multiple=True, metavar="ADDRESS", help="Mail leaves from here."
)
@click.option("--domain", "domains", multiple=True, metavar="DOMAIN", help="Users send as this.")
@click.option(
    "--dkim", multiple=True, metavar="DOMAIN:SELECTOR[:KEY]", help="A DKIM key that is in use."
)
def command(checks: Sequence[tuple[str, ...]], **options: Any) -> None:
    """Check how the mail server is set up: every CHECK, or those that are named."""
    if options["list_only"]:
        _list()
        return
    host = _host(options)
    try:
        host.box.value("myhostname")
    except PostfixError as error:
        click.echo(f"mdeliver: {one_line(str(error))}", err=True)
        sys.exit(EX_CONFIG)
    only = {name for names in (*checks, *options["only"]) for name in names}
    skip = {name for names in options["skip"] for name in names}
    counts = dict.fromkeys(LEVELS, 0)
    for check, finding in _findings(host, chosen(only, skip)):
        counts[finding.level] += 1
        if options["as_json"]:
            # Not even C1 control characters come through in ASCII.
            click.echo(json.dumps(_as_object(check, finding)))
        elif finding.level != "fine" or not options["quiet"]:
            _show(check, finding)
    if not options["as_json"]:
        click.echo(", ".join(f"{n} {level}" for level, n in counts.items() if n) or "no checks")
    if counts["failure"]:
        sys.exit(1)


def _list() -> None:
    for group, meaning in GROUPS.items():
        click.echo(click.style(f"{group}: {meaning}", bold=True))
        for check in CHECKS:
            if check.group == group:
                click.echo(f"  {check.name:<15} {check.title}")


def _host(options: dict[str, Any]) -> Host:
    """What is to be looked at; ends where it cannot be read."""
    path = options["settings"]
    try:
        bcc = load_bcc_settings(path)
        site = load_site(path)
        names = _names(options)
    except (SettingsError, Deferral, NamesError) as error:
        click.echo(f"mdeliver: {one_line(str(error))}", err=True)
        sys.exit(EX_CONFIG)
    for address in options["addresses"]:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise click.UsageError(f"{one_line(address)} is no address") from None
    for key in options["dkim"]:
        if not all(key.partition(":")[::2]):
            raise click.UsageError(f"{one_line(key)}: DOMAIN:SELECTOR or DOMAIN:SELECTOR:KEY")
    if options["directory"]:
        bcc = bcc.replace(postfix=options["directory"])
    given = Given(options["addresses"], options["domains"], options["dkim"], options["doveconf"])
    launcher = os.path.join(os.path.dirname(sys.executable), "mdeliver-lda")
    if os.path.exists(launcher):
        given = given.replace(launcher=launcher)
    fetch = None if options["zones"] else fetch_policy
    return Host(Postfix(bcc.postfix or None), site, bcc, path, names, given, fetch)


def _names(options: dict[str, Any]) -> Names:
    """Who knows DNS. Raises NamesError."""
    paths = options["zones"]
    if not paths:
        return Live(options["resolver"], options["limit_s"])
    if options["resolver"]:
        raise click.UsageError("--zone asks no name server, so --resolver has no place there")
    texts = []
    for path in paths:
        if not os.path.exists(path):
            raise NamesError(f"{path}: there is no such file")
        try:
            texts.append(durable.read_file(path, _ZONE_BYTES).decode("utf-8", "replace"))
        except OSError as error:
            raise NamesError(f"{path}: {error.strerror}") from None
    return ZoneFiles(paths, texts)


def _findings(host: Host, checks: Sequence[Check]) -> Iterator[tuple[Check, Finding]]:
    """All findings; while somebody looks on, with the check that is at work."""
    watched = sys.stderr.isatty()
    for check in checks:
        if watched:
            click.echo(f"\r\033[K{check.title} ...", nl=False, err=True)
        for finding in run_check(check, host):
            if watched:
                click.echo("\r\033[K", nl=False, err=True)
            yield check, finding
    if watched:
        click.echo("\r\033[K", nl=False, err=True)


def _as_object(check: Check, finding: Finding) -> dict[str, object]:
    return {
        "check": check.name,
        "group": check.group,
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
