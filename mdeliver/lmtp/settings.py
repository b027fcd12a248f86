"""What the site says about the LMTP server: the table [lmtp] of mdeliver.toml.

Read by      `mdeliver lmtp`, when it starts and at SIGHUP; deliveries do not look at it
Fails with   Deferral: one line with file and key
See also     mdeliver(1), SETTINGS; settings.py, which reads the other tables
"""

from __future__ import annotations

import ipaddress

from mdeliver import limits
from mdeliver.outcome import Deferral
from mdeliver.record import Record
from mdeliver.settings import SETTINGS_PATH, is_count, read_settings
from mdeliver.tomltext import parse_toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NoReturn


class Lmtp(Record):
    """Settings of the server; mdeliver(1) says what each means.

    Times are in seconds, sizes in MB (2**20 octets).
    """

    listen: tuple[str, ...] = ("unix:/run/mdeliver/lmtp",)
    socket_user: str = "postfix"
    socket_mode: str = "0600"
    launcher: str = "/run/mdeliver/launcher"
    front_user: str = "nobody"
    users: Literal["system", "virtual"] = "system"
    first_uid: int = 1000
    virtual_user: str = "vmail"
    virtual_users: tuple[str, ...] = ("/etc/mdeliver/users",)
    virtual_homes: str = "/var/vmail"
    mail_group: str = "mail"
    over_quota: Literal["accept", "defer", "reject"] = "accept"
    quota_maildir: str = "Maildir"
    trusted: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    tls_certificate: str = ""
    tls_key: str = ""
    message_mb: int = 100
    receiving_mb: int = 512
    recipients: int = limits.LMTP_RECIPIENTS
    sessions: int = 1000
    workers: int = 200
    user_workers: int = 1
    command_s: int = 300
    message_s: int = 600
    delivery_s: int = 300
    slow_s: int = 30
    worker_idle_s: int = 60
    memory_mb: int = 1024
    processes: int = 1000
    files: int = 256


CHOICES = {"users": ("system", "virtual"), "over_quota": ("accept", "defer", "reject")}
"""The keys that take one of a few words."""

LEAST = {"message_mb": 0, "memory_mb": 32, "files": 32}
"""Of numbers that do not begin at 1: no limit, and what a worker cannot do without."""

MOST = {"first_uid": 2**32 - 2}
"""Of numbers that go beyond MOST_OF_ALL."""

MOST_OF_ALL = 1_000_000
"""As a time or a size without limit in practice, and still one that the kernel takes."""


def load_lmtp(path: str = SETTINGS_PATH) -> Lmtp:
    """The table [lmtp] of the settings in PATH; defaults for what is not set.

    Raises Deferral where the file is no TOML, or has a key or a value that cannot be.
    """
    text = read_settings(path)
    try:
        table = parse_toml(text).get("lmtp", {})
    except ValueError as error:
        raise Deferral(f"{path}: {error}", "4.3.5") from None
    if not isinstance(table, dict):
        raise Deferral(f"{path}: lmtp is a table: [lmtp]", "4.3.5")
    for key in table:
        if key not in Lmtp._fields:
            _refuse(path, key, "does not exist; see mdeliver(1)")
    found = Lmtp(**{key: _checked(path, key, value) for key, value in table.items()})
    _check_together(path, found)
    return found


def changed_for_the_next_start(before: Lmtp, after: Lmtp) -> list[str]:
    """The keys of what stays open as long as the server runs, where they differ."""
    of_sockets = ("listen", "launcher", "socket_user", "socket_mode")
    return [key for key in of_sockets if getattr(before, key) != getattr(after, key)]


def _checked(path: str, key: str, value: Any) -> Any:
    """VALUE, if it is of the kind that KEY takes."""
    default = Lmtp._defaults[key]
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            _refuse(path, key, "is a list of texts")
        return tuple(value)
    if isinstance(default, int):
        least, most = LEAST.get(key, 1), MOST.get(key, MOST_OF_ALL)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            _refuse(path, key, f"is a whole number from {least} to {most}")
        return value
    if not isinstance(value, str):
        _refuse(path, key, "is a text")
    if key in CHOICES and value not in CHOICES[key]:
        _refuse(path, key, f'is one of {", ".join(CHOICES[key])}, not "{value}"')
    return value


def _check_together(path: str, found: Lmtp) -> None:
    for address in found.listen:
        try:
            parse_address(address)
        except ValueError as error:
            _refuse(path, "listen", str(error))
    if not 0 < len(found.socket_mode) < 5 or set(found.socket_mode) - set("01234567"):
        _refuse(path, "socket_mode", 'is an octal number in quotes, such as "0600"')
    for network in found.trusted:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            _refuse(path, "trusted", f"has no address or network: {error}")
    if bool(found.tls_certificate) != bool(found.tls_key):
        _refuse(path, "tls_certificate", "and lmtp.tls_key are set together")
    for key in ("launcher", "virtual_homes"):
        value = getattr(found, key)
        if value and not value.startswith("/"):
            _refuse(path, key, "is an absolute path")
    if not all(table.startswith("/") for table in found.virtual_users):
        _refuse(path, "virtual_users", "is a list of absolute paths")


def parse_address(text: str) -> str | tuple[str, int]:
    """`unix:PATH` as the path, `inet:HOST:PORT` as host and port. Raises ValueError."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return rest
    host, _, port = rest.rpartition(":")
    if kind == "inet" and host and is_count(port, 65535) and int(port):
        return host.removeprefix("[").removesuffix("]"), int(port)
    raise ValueError(f'has "unix:/path" and "inet:address:port", not "{text}"')


def _refuse(path: str, key: str, words: str) -> NoReturn:
    raise Deferral(f"{path}: lmtp.{key} {words}", "4.3.5")
