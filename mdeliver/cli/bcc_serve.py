"""`mdeliver bcc-maps --serve`: the maps over Postfix's socketmap protocol.

Says     on standard error what systemd's journal shall have: started, reloaded, what is wrong
See also sent/server.py
"""

from __future__ import annotations

import os
import pwd
import socket
import sys

import click

from mdeliver.outcome import one_line
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent import generate
from mdeliver.sent.server import LiveMaps, Server, listen, sockets_from_systemd
from mdeliver.sent.settings import BccSettings, SettingsError, parse_socket

_LOCK_WAIT_S = 5
"""Postfix waits meanwhile; the answers of before do until the next look."""


def serve(settings: BccSettings, settings_path: str, postfix: Postfix) -> None:
    """Answer until told to stop. Raises what generate.py raises, OSError and SettingsError."""
    listeners = sockets_from_systemd()
    own_path = ""
    if not listeners:
        if not settings.serve:
            raise SettingsError("--serve needs unix:PATH or inet:HOST:PORT, or systemd's sockets")
        kind, name, port = parse_socket(settings.serve, "--serve")
        _refuse_tcp(settings, kind != "unix")
        listeners = [listen(kind, name, port, _group_of(postfix))]
        own_path = name if kind == "unix" else ""
    _refuse_tcp(settings, any(s.family != socket.AF_UNIX for s in listeners))
    maps = LiveMaps(
        lambda: _load(settings, postfix),
        lambda: _fingerprint(settings, settings_path, postfix),
        _say,
    )
    trusted = frozenset({0, os.geteuid(), pwd.getpwnam(postfix.value("mail_owner")).pw_uid})
    _say("answering")
    try:
        Server(listeners, maps, trusted if settings.tagged else None).run()
    finally:
        if own_path:
            from mdeliver import durable

            durable.remove(own_path)


def _refuse_tcp(settings: BccSettings, is_tcp: bool) -> None:
    if settings.tagged and is_tcp:
        raise SettingsError(
            "over TCP every user of this host could ask for the tags of others: "
            "use unix:PATH, or --no-tags"
        )


def _group_of(postfix: Postfix) -> int:
    """The group that Postfix's daemons run as."""
    return pwd.getpwnam(postfix.value("mail_owner")).pw_gid


def _load(settings: BccSettings, postfix: Postfix) -> dict[str, dict[str, str]]:
    """The maps as the sources are now; deliveries get the digests before Postfix gets the tags."""
    with generate.locked_keys(settings, _LOCK_WAIT_S):
        keys = generate.keys_for(settings, generate.now(), rotate=False, forget=False)
        live = settings.replace(output="")
        wanted = generate.want(live, postfix, keys, generate.now())
        generate.write(wanted.replace(tables=()), settings, postfix)
    maps = [
        {row.key.casefold(): value for row, value in zip(wanted.rows, values, strict=True)}
        for values in (
            [row.target for row in wanted.rows],
            [row.plain for row in wanted.rows],
            [generate.logins(row) for row in wanted.rows],
        )
    ]
    return dict(zip(generate.MAP_NAMES, maps, strict=True))


def _fingerprint(settings: BccSettings, settings_path: str, postfix: Postfix) -> object:
    """What changes when a source does."""
    paths = ["/etc/passwd", settings_path, settings.key]
    paths += [source.partition(":")[2] for source in settings.sources if ":" in source]
    directory = postfix.directory or "/etc/postfix"
    paths += [f"{directory}/main.cf"]
    paths += generate.table_files(settings, postfix)
    return tuple(_stamp(path) for path in paths)


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _say(text: str) -> None:
    click.echo(f"mdeliver bcc-maps: {one_line(text)}", err=True)
    sys.stderr.flush()
