"""`mdeliver pop-sync`: what POP3 has downloaded is marked, archived or deleted in the Maildir.

Runs        for oneself; started by root, or by the user to whom all virtual users' mail belongs,
            for all users of the site or for the one who is named, in a process of that user's own
Prints      a line, or with --json an object, for each change to standard output; what the
            administrator should know to standard error
Exit status 0 fine; 1 if an mbox could not be looked at; 2 wrong usage; 75 while another pop-sync is
            at work, or where rules, settings, disk or files are in the way
See also    mdeliver/popsync/; mdeliver(1)
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from typing import Any

import click

from mdeliver.cli.output import OutputLost
from mdeliver.cli.surroundings import Asker, settings_option
from mdeliver.intake import Options
from mdeliver.lmtp.accounts import VirtualAccounts
from mdeliver.lmtp.settings import Lmtp, load_lmtp
from mdeliver.outcome import Deferral, deferred_by, one_line
from mdeliver.popsync import daemon, site, sync
from mdeliver.popsync.accounts import account_of
from mdeliver.popsync.carry import Change
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.people import everybody
from mdeliver.popsync.settings import PopSync, load_site_choices
from mdeliver.popsync.sync import Account
from mdeliver.settings import load_site

EX_TEMPFAIL = 75

_HOW = {
    "seen": "downloaded by POP3",
    "removed": "removed by POP3",
    "deleted": "deleted in IMAP",
    "all mail": "is for POP3 too",
}


@click.command("pop-sync", short_help="Carry POP3 downloads over to the Maildir.")
@click.option("--once", is_flag=True, help="Look once, and end; for cron.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done; implies --once.")
@click.option("--both-ways", is_flag=True, help="What was deleted in IMAP leaves the mbox too.")
@click.option("--status", is_flag=True, help="Show what is known of each mbox, and end.")
@click.option("--user", help="Login name or address; root without it serves all users.")
@click.option("--home", metavar="DIRECTORY", help="Home directory of the user.")
@click.option("--rules", metavar="FILE", help="These rules instead of the site's and the user's.")
@settings_option()
@click.option("--json", "as_json", is_flag=True, help="Objects for programs.")
def command(**given: Any) -> None:
    """Look what POP3 has downloaded, and do with its copy in the Maildir what the user has chosen.

    Without --once, --dry-run or --status it stays, and looks whenever an mbox changes, until
    SIGTERM; SIGHUP reads rules and settings again.
    """
    once = given["once"] or given["dry_run"] or given["status"]
    try:
        lmtp = load_lmtp(given["settings"])
        if given["home"] is None and _serves_all(lmtp):
            if not given["dry_run"] and not given["status"]:
                sys.exit(_site(given, once=once))
            if given["user"] is None:
                words = "--dry-run and --status are for one user: name one with --user"
                raise click.UsageError(words)
            given["home"] = _virtual_home(given, lmtp)
        sys.exit(_one(given, once=once))
    except (OSError, Deferral) as error:
        _report(deferred_by(error).text)
        sys.exit(EX_TEMPFAIL)


def _serves_all(lmtp: Lmtp) -> bool:
    """Whether we may look at the mail of all: as root, or as the one user that it belongs to."""
    if os.geteuid() == 0:
        return True
    try:
        virtual_uid = pwd.getpwnam(lmtp.virtual_user).pw_uid
    except KeyError:
        return False
    return lmtp.users == "virtual" and virtual_uid == os.geteuid()


def _virtual_home(given: dict[str, Any], lmtp: Lmtp) -> str | None:
    """The home of the virtual user who is asked for; None for a user of the system."""
    if given["user"] is None or lmtp.users != "virtual":
        return None
    delimiters = load_site(given["settings"]).recipient_delimiter
    found = VirtualAccounts(lmtp, delimiters).find(given["user"], 0.0)
    return found.home if found is not None else None


# --- one user --------------------------------------------------------------------------------


def _one(given: dict[str, Any], *, once: bool) -> int:
    path = given["settings"]
    asker = Asker(Options(rules=given["rules"], user=given["user"], home=given["home"]))

    def load() -> Account:
        found = load_site(path)
        choices = _choices(given)
        return account_of(asker.envelope, asker.environ, found, choices, given["rules"])

    if not once:
        daemon.run(load, _report, _teller(asker.envelope.user, given["as_json"]))
        return 0
    account = load()
    if given["status"]:
        return _status(account, given["as_json"])
    tell = _teller(account.user, given["as_json"], would=given["dry_run"])
    if given["dry_run"]:
        return _look(account, Ledger(account.state, keep=False), tell, do=False)
    with sync.alone(account.state):
        return _look(account, Ledger(account.state, keep=True), tell, do=True)


def _choices(given: dict[str, Any]) -> PopSync:
    """The site's choices, by its settings and by the command line."""
    choices = load_site_choices(given["settings"])
    return choices.replace(both_ways=True) if given["both_ways"] else choices


def _look(account: Account, ledger: Ledger, tell: Any, *, do: bool) -> int:
    try:
        looked = sync.look_through(account, ledger, tell, do=do)
    finally:
        ledger.close()
    for trouble in looked.troubles:
        _report(trouble)
    return 1 if looked.troubles else 0


def _status(account: Account, as_json: bool) -> int:
    """Show what is known of each mbox."""
    ledger = Ledger(account.state, keep=False)
    choices = account.choices
    for mbox in account.mboxes:
        messages, downloaded = ledger.counts(mbox)
        waiting = sum(download.mbox == mbox for download in ledger.downloads())
        if as_json:
            said = {
                "user": account.user,
                "mbox": mbox,
                "looked_at": bool(ledger.status(mbox)),
                "messages": messages,
                "downloaded": downloaded,
                "waiting": waiting,
                "choice": choices.downloaded,
                "pop3_gets": choices.pop3_gets,
                "both_ways": choices.both_ways,
            }
            click.echo(json.dumps(said))
            continue
        known = f"{messages} messages, {downloaded} of them downloaded, {waiting} waiting"
        if not ledger.status(mbox):
            known = "not looked at yet"
        ways = ", both ways" if choices.both_ways else ""
        words = f"downloaded mail: {choices.downloaded}{ways}; POP3 gets: {choices.pop3_gets}"
        click.echo(one_line(f"{account.user}: {mbox}: {known}; {words}"))
    ledger.close()
    return 0


# --- all users -------------------------------------------------------------------------------


def _site(given: dict[str, Any], *, once: bool) -> int:
    """Serve everybody, or the one who is named."""

    def load() -> site.Settings:
        choices = _choices(given)
        if given["user"] is not None:
            # What is remembered is of all: one who is named is looked at.
            choices = choices.replace(users=(given["user"],), lowest_uid=1, remember="")
        lmtp = site.wide(load_lmtp(given["settings"]))
        return site.Settings(load_site(given["settings"]), choices, lmtp, given["rules"])

    def tell(user: str, change: Change) -> None:
        _teller(user, given["as_json"])(change)

    if given["user"] is not None and not everybody(*load()[:3]):
        raise click.ClickException(f"there is no user {one_line(given['user'])} with a home")
    return site.run(load, _report, tell, once=once)


def _teller(user: str, as_json: bool, *, would: bool = False) -> Any:
    """What prints a change of USER's, to standard error where standard output takes nothing."""

    def tell(change: Change) -> None:
        line = _line(user, change, would)
        said = {"user": user, **change._asdict(), "done": not would}
        try:
            click.echo(json.dumps(said) if as_json else line)
        except OutputLost as lost:
            # What is done is done, and what is left must not stay undone for a log on a full disk.
            _report(f"standard output: {lost}: {line}")

    return tell


def _line(user: str, change: Change, would: bool) -> str:
    deed = f"would be {change.deed}" if would else change.deed
    name = change.message_id or "a message without Message-ID"
    where = change.target or f"of {change.mbox}"
    return one_line(f"{user}: {name} {_HOW[change.how]}: {deed}: {where}")


def _report(words: str) -> None:
    """One line for the administrator; a standard error that is gone stops nothing."""
    try:
        click.echo(f"mdeliver pop-sync: {one_line(words)}", err=True)
    except OSError:
        pass
