"""What `mdeliver bcc-maps` is to do: the table [bcc_maps] in mdeliver.toml, and options over it.

Fails with  SettingsError, one line: file, key, and what was expected
See also    mdeliver(1), SETTINGS; mdeliver/settings.py has what deliveries read
"""

from __future__ import annotations

from mdeliver.outcome import Deferral
from mdeliver.record import Record
from mdeliver.settings import SETTINGS_PATH, TAGS_PATH, is_count, read_settings
from mdeliver.tomltext import parse_toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOURCES = ("passwd", "virtual", "aliases", "logins")
"""Sources without a file name; then there are dovecot:FILE and list:FILE."""

PATTERNS = ("regexp", "pcre")
COMPILED = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}
"""Types that postmap compiles, and what it adds to the file's name."""

TYPES = ("texthash", *COMPILED, *PATTERNS)


class SettingsError(Exception):
    """One line for the administrator."""


class BccSettings(Record):
    """Everything that can be set.

    sources        what is read, of SOURCES, dovecot:FILE and list:FILE
    output         TYPE:FILE of the table; "" for Postfix's default type and /etc/postfix/sender_bcc
    domains        only addresses at these; () for all of ours
    exclude        addresses, @domains and owners that get no copy
    lowest_uid, highest_uid  the users of passwd
    tagged         whether copies go to secret Sent addresses
    valid_days     how long tags of a replaced key stay valid
    key            the key file
    tags           the table of digests that deliveries read
    serve          unix:PATH or inet:HOST:PORT where Postfix asks instead of reading tables; ""
    postfix        Postfix's configuration directory, "" for its own
    """

    sources: tuple[str, ...] = ("passwd",)
    output: str = ""
    domains: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    lowest_uid: int = 1000
    highest_uid: int = 59999
    tagged: bool = True
    valid_days: int = 30
    key: str = "/etc/mdeliver/sent.keys"
    tags: str = TAGS_PATH
    serve: str = ""
    postfix: str = ""


def load_bcc_settings(path: str = SETTINGS_PATH) -> BccSettings:
    """What PATH says in [bcc_maps]; defaults for the rest. Raises SettingsError."""
    try:
        tables = parse_toml(read_settings(path))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except Deferral as error:
        raise SettingsError(error.text) from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    table = tables.get("bcc_maps", {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: bcc_maps is a table: [bcc_maps]")
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in BccSettings._fields:
            raise SettingsError(f"{path}: there is no key bcc_maps.{key}; see mdeliver(1)")
        given[key] = _checked(f"{path}: bcc_maps.{key}", value, getattr(BccSettings(), key))
    return checked(BccSettings(**given), path)


def _checked(what: str, value: Any, default: Any) -> Any:
    """VALUE, if it is of the kind of DEFAULT."""
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise SettingsError(f"{what} is a list of texts")
        return tuple(value)
    kinds = {bool: "true or false", int: "a number", str: "a text"}
    if type(value) is not type(default):
        raise SettingsError(f"{what} is {kinds[type(default)]}")
    return value


def checked(settings: BccSettings, where: str) -> BccSettings:
    """SETTINGS, if they make sense. Raises SettingsError, which names WHERE they stand."""
    for source in settings.sources:
        kind, _, file = source.partition(":")
        if source not in SOURCES and not (kind in ("dovecot", "list") and file.startswith("/")):
            known = ", ".join((*SOURCES, "dovecot:FILE", "list:FILE"))
            raise SettingsError(f"{where}: {source} is no source; there are {known} (whole paths)")
    kind, _, file = settings.output.partition(":")
    if settings.output and (kind not in TYPES or not file.startswith("/")):
        raise SettingsError(
            f"{where}: output is TYPE:FILE, a whole path; types: {', '.join(TYPES)}"
        )
    for path in (settings.key, settings.tags):
        if not path.startswith("/"):
            raise SettingsError(f"{where}: {path} is no whole path")
    if settings.serve:
        parse_socket(settings.serve, where)
    if settings.valid_days < 1:
        raise SettingsError(f"{where}: valid_days is 1 or more: messages wait in queues")
    return settings


def parse_socket(text: str, where: str) -> tuple[str, str, int]:
    """TEXT as kind ("unix" or "inet"), path or host, and port (0 for a path)."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return kind, rest, 0
    host, _, port = rest.rpartition(":")
    if kind == "inet" and host and is_count(port, 65535) and int(port):
        return kind, host, int(port)
    raise SettingsError(f"{where}: {text} is no socket: unix:/PATH or inet:HOST:PORT is expected")
