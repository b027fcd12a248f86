"""Whom the site's pop-sync serves: users of the system, or the virtual users of the LMTP server.

system   those of the passwd database with a uid from pop_sync.lowest_uid to highest_uid
virtual  with lmtp.users = "virtual": the addresses in lmtp.virtual_users, all of lmtp.virtual_user;
         addresses that share a home are one
Both     only whose home is there; only those in pop_sync.users, if that names any
Fails with Deferral where a table cannot be read
See also lmtp/accounts.py, lmtp/identity.py
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from typing import NamedTuple

from mdeliver.lmtp.accounts import VirtualAccounts
from mdeliver.lmtp.identity import identity_of_account
from mdeliver.lmtp.settings import Lmtp
from mdeliver.lmtp.worker import Identity
from mdeliver.popsync.settings import PopSync
from mdeliver.settings import Site


class Person(NamedTuple):
    """A user: login name or address, and home directory."""

    name: str
    home: str


def everybody(site: Site, choices: PopSync, lmtp: Lmtp) -> list[Person]:
    """All who are served."""
    found = _virtual(site, choices, lmtp) if lmtp.users == "virtual" else _logins(choices)
    return [person for person in found if os.path.isdir(person.home)]


def _virtual(site: Site, choices: PopSync, lmtp: Lmtp) -> Iterator[Person]:
    homes: set[str] = set()
    wanted = {name.lower() for name in choices.users}
    for account in VirtualAccounts(lmtp, site.recipient_delimiter).everyone():
        if (not wanted or account.name in wanted) and account.home not in homes:
            homes.add(account.home)
            yield Person(account.name, account.home)


def _logins(choices: PopSync) -> Iterator[Person]:
    for entry in _entries(choices.users):
        if 0 < choices.lowest_uid <= entry.pw_uid <= choices.highest_uid:
            yield Person(entry.pw_name, entry.pw_dir)


def _entries(names: tuple[str, ...]) -> Iterator[pwd.struct_passwd]:
    if not names:
        yield from pwd.getpwall()
    for name in names:
        try:
            yield pwd.getpwnam(name)
        except (KeyError, ValueError):
            continue  # not there yet, or no more


def identity_of(person: Person, lmtp: Lmtp) -> Identity:
    """As whom the mail of PERSON is looked at. Raises NotServed."""
    if lmtp.users == "virtual":
        return identity_of_account(person.name, lmtp)
    entry = pwd.getpwnam(person.name)
    return Identity(person.name, entry.pw_uid, entry.pw_gid, person.home, person.name)
