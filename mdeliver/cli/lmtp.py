"""`mdeliver lmtp`: the delivery agent of a whole server, in the foreground.

Settings    the table [lmtp] of mdeliver.toml; --listen and --launcher in place of theirs
Prints      what the administrator should know, to standard error; nothing about single messages,
            which the MTA logs with our replies
Exit status 0 after SIGTERM, once everything is finished; 1 where it cannot start; 2 for wrong usage
"""

from __future__ import annotations

import os

import click

from mdeliver.cli.surroundings import settings_option
from mdeliver.lmtp.gaps import gaps_filled
from mdeliver.lmtp.listeners import open_listeners
from mdeliver.lmtp.master import Master
from mdeliver.lmtp.prepare import prepare
from mdeliver.lmtp.rehearsal import rehearse
from mdeliver.lmtp.settings import Lmtp, load_lmtp, parse_address
from mdeliver.outcome import Deferral, one_line
from mdeliver.settings import Site, load_site


@click.command("lmtp", short_help="Serve LMTP for many users.")
@settings_option()
@click.option(
    "--listen", multiple=True, metavar="ADDRESS", help="unix:PATH or inet:HOST:PORT; repeatable."
)
@click.option("--launcher", metavar="PATH", help='Socket for mdeliver-lda; "" for none.')
@click.option("--check", is_flag=True, help="Only check the settings.")
def command(settings: str, listen: tuple[str, ...], launcher: str | None, check: bool) -> None:
    """Serve LMTP until SIGTERM; SIGHUP reads the settings again.

    Started by root, users' mail is delivered by processes of theirs, and nothing that strangers
    write is read as root. Started by a user, that user's mail is delivered.
    """
    given = {"listen": listen or None, "launcher": launcher}
    changes = {key: value for key, value in given.items() if value is not None}

    def load() -> tuple[Lmtp, Site]:
        lmtp = load_lmtp(settings).replace(**changes)
        prepare(lmtp)
        return lmtp, load_site(settings)

    try:
        for address in listen:
            parse_address(address)
        lmtp, _ = load()
        if check:
            there = os.path.exists(settings)
            click.echo(f"{settings}: fine" if there else "no settings: defaults hold")
            return
        master = Master(load, _report)
        listeners, door = open_listeners(lmtp)
        rehearse()
        _report("ready")
        with gaps_filled():
            master.run(listeners, door)
        _report("finished")
    except Deferral as error:
        raise click.ClickException(error.text) from None
    except ValueError as error:
        raise click.UsageError(f"--listen {error}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror}") from None


def _report(words: str) -> None:
    """One line for the administrator; a standard error that is gone stops nothing."""
    try:
        click.echo(f"mdeliver lmtp: {one_line(words)}", err=True)
    except OSError:
        pass
