"""Whether what arrives in the inbox gets a copy in the mbox that POP3 serves: `pop3_gets`.

"mail from now on"  the mbox gets what the rules say
"all mail"          so too; `mdeliver pop-sync` also puts there what is in the inbox already
"nothing"           the inbox is its Maildirs only. An inbox that has none stays as it is, and so
                    does a rule that names the mbox: who writes `file to pop3` means it.
Read from           pop_sync.pop3_gets in mdeliver.toml, and what the user's own pop-sync.toml has
                    instead; tomllib is imported only where that has the key
Fails with          Deferral: one line with file and key
See also            actions/places.py, popsync/settings.py; mdeliver(1), SETTINGS
"""

from __future__ import annotations

from mdeliver.outcome import Deferral
from mdeliver.rulesfile import read_rules, users_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mdeliver.settings import Site

KEY = "pop3_gets"
CHOICES = ("mail from now on", "all mail", "nothing")
USERS_FILE = "pop-sync.toml"


def as_the_user_chose(site: Site, home: str, uid: int) -> Site:
    """SITE with the choice of the user whose home is HOME. Raises Deferral or OSError."""
    path = f"{users_directory(home)}/{USERS_FILE}"
    try:
        text = read_rules(path, uid)
    except (FileNotFoundError, NotADirectoryError):
        return site
    if KEY not in text:
        return site
    from mdeliver.tomltext import parse_toml

    try:
        table = parse_toml(text)
    except ValueError as error:
        raise Deferral(f"{path}: {error}", "4.3.5") from None
    return site.replace(pop3_gets=chosen(path, table, site.pop3_gets, ""))


def chosen(path: str, table: Any, default: str, prefix: str) -> str:
    """The choice in TABLE of the file PATH; DEFAULT where it has none. Raises Deferral."""
    if not isinstance(table, dict):
        return default  # whoever reads the whole table says what is wrong with it
    written = table.get(KEY, default)
    if written not in CHOICES:
        words = " or ".join([f'"{choice}"' for choice in CHOICES])
        raise Deferral(f"{path}: {prefix}{KEY} is {words}", "4.3.5")
    return str(written)
