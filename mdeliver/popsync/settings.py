"""What becomes of mail that POP3 has downloaded: the choices of site and user.

Site    the table [pop_sync] in mdeliver.toml
User    the same keys in ~/.config/mdeliver/pop-sync.toml, which win; not those of the daemon
Fails with Deferral: one line with file and key
See also pop3choice.py, which deliveries ask; mdeliver(1), SETTINGS
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from mdeliver.outcome import Deferral
from mdeliver.pop3choice import CHOICES
from mdeliver.record import Record
from mdeliver.rulesfile import read_rules
from mdeliver.settings import SETTINGS_PATH, read_settings
from mdeliver.tomltext import parse_toml

USERS_FILE = "mdeliver/pop-sync.toml"

DOWNLOADED = ("keep", "read", "archive", "delete")
DAEMONS = ("users", "lowest_uid", "highest_uid", "poll_s", "workers", "remember")
"""Keys that only the site has."""


class PopSync(Record):
    """All that can be set.

    pop3_gets    which mail POP3 gets at all (pop3choice.py)
    downloaded   what becomes of the copy in the Maildir: kept as it is, marked read, archived, or
                 deleted, which is moved to Trash
    archive      the folder for archived mail; {year} is that of the message's arrival
    mark_read    whether archived mail is marked read
    trash        the folder for deleted mail
    both_ways    whether what is deleted in IMAP leaves the mbox
    users        login names that the daemon of the site serves; () for all
    lowest_uid, highest_uid  the uids of these
    poll_s       seconds between two looks where the kernel cannot tell of changes (NFS)
    workers      processes at a time
    remember     the file by which a start knows who need not be looked at (asbefore.py); "" for
                 none
    """

    pop3_gets: str = CHOICES[0]
    downloaded: Literal["keep", "read", "archive", "delete"] = "keep"
    archive: str = "Archive"
    mark_read: bool = True
    trash: str = "Trash"
    both_ways: bool = False
    users: tuple[str, ...] = ()
    lowest_uid: int = 1000
    highest_uid: int = 59999
    poll_s: int = 15
    workers: int = 4
    remember: str = "/var/lib/mdeliver/pop-sync.looks"


def load_site_choices(path: str = SETTINGS_PATH) -> PopSync:
    """The choices of the site. Raises Deferral."""
    text = read_settings(path)
    tables = _parsed(path, text.decode("utf-8", "replace"))
    table = tables.get("pop_sync", {})
    if not isinstance(table, dict):
        raise Deferral(f"{path}: pop_sync is a table: [pop_sync]", "4.3.5")
    return _changed(PopSync(), table, path, "pop_sync.")


def users_path(home: str, config: str = "") -> str:
    """The file in which the user whose home is HOME chooses.

    config  the environment's XDG_CONFIG_HOME, "" for none
    """
    base = config if config.startswith("/") else f"{home}/.config"
    return f"{base}/{USERS_FILE}"


def with_users_choices(site: PopSync, home: str, uid: int, config: str = "") -> PopSync:
    """SITE with what the user whose home is HOME has chosen. Raises Deferral.

    config  the environment's XDG_CONFIG_HOME, "" for none
    """
    path = users_path(home, config)
    try:
        text = read_rules(path, uid)
    except (FileNotFoundError, NotADirectoryError):
        return site
    return _changed(site, _parsed(path, text), path, "")


def _parsed(path: str, text: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise Deferral(f"{path}: {error}", "4.3.5") from None


def _changed(before: PopSync, table: dict[str, Any], path: str, prefix: str) -> PopSync:
    for _key, words in wrong_choices(table, prefix):
        raise Deferral(f"{path}: {words}", "4.3.5")
    return before.replace(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    )


def wrong_choices(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The keys of TABLE that are wrong, each with words that say how.

    prefix  how the site's keys begin; "" for a user, who has fewer
    """
    for key, value in table.items():
        if key in DAEMONS and not prefix:
            yield key, f"{key} is for the site to say, in {SETTINGS_PATH}"
        elif key not in PopSync._fields:
            known = [name for name in PopSync._fields if prefix or name not in DAEMONS]
            yield key, f"there is no key {prefix}{key}; there are {', '.join(known)}"
        elif expected := _wrong(key, value):
            yield key, f"{prefix}{key} is {expected}"


def _wrong(key: str, value: Any) -> str:
    """What KEY should be; "" if VALUE is that."""
    if key == "pop3_gets":
        return "" if value in CHOICES else " or ".join([f'"{choice}"' for choice in CHOICES])
    if key == "downloaded":
        return "" if value in DOWNLOADED else " or ".join([f'"{word}"' for word in DOWNLOADED])
    if key in ("archive", "trash"):
        fine = isinstance(value, str) and all(value.split("/"))
        return "" if fine else "a folder's name, such as Archive/{year}"
    if key in ("mark_read", "both_ways"):
        return "" if isinstance(value, bool) else "true or false"
    if key == "remember":
        fine = isinstance(value, str) and (not value or value.startswith("/"))
        return "" if fine else 'a whole path, or ""'
    if key == "users":
        fine = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return "" if fine else "a list of login names"
    return "" if type(value) is int and value >= 1 else "a whole number from 1 on"
