"""What the site says once for all users.

Read from    /etc/mdeliver/mdeliver.toml, if it is there (tomllib is imported only then)
Keys         [site] domains, hostname, recipient_delimiter, authserv_ids, sendmail;
             [rules] on_error, cases; [forward] srs_domain, srs_secret;
             [sent] believe_tags, folder, tags; [authentication], as Checking has them.
             [bcc_maps] is read by sent/settings.py, [lmtp] by lmtp/settings.py, [pop_sync] by
             popsync/settings.py
Fails with   Deferral: one line with file and key; a delivery then stays in the queue
See also     mdeliver(1), FILES
"""

from __future__ import annotations

from mdeliver import durable, limits, pop3choice, system
from mdeliver.outcome import Deferral
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

SETTINGS_PATH = "/etc/mdeliver/mdeliver.toml"
TAGS_PATH = "/var/lib/mdeliver/sent.tags"
SYSLOG_PATH = "/dev/log"
SENDMAIL_PATH = "/usr/sbin/sendmail"


class Checking(Record):
    """How SPF, DKIM, DMARC and ARC are found out (authentication/computed.py).

    compute       "never"; "asked": for a message whose rules ask, where no Authentication-Results
                  that is believed has it; "always": for every message, for the log's sake
    resolver      name servers, ADDRESS or ADDRESS:PORT; () for those of resolv.conf
    seconds       how long all questions about one message may take
    wait_s        for how long after its arrival a message waits in the queue where a rule hangs on
                  what the DNS did not say; then the result is temperror
    header        whether what was computed is added as Authentication-Results
    forwarders    lower-case names of hosts or their domains, addresses, networks: of what they
                  bring SPF does not fail
    sealers       lower-case domains whose ARC seals are believed
    own_networks  networks whose mail is not checked
    dkim_bits     an RSA key of fewer bits proves nothing
    """

    compute: Literal["never", "asked", "always"] = "never"
    resolver: tuple[str, ...] = ()
    seconds: int = 20
    wait_s: int = 3600
    header: bool = True
    forwarders: tuple[str, ...] = ()
    sealers: tuple[str, ...] = ()
    own_networks: tuple[str, ...] = ()
    dkim_bits: int = 1024


NO_CHECKING = Checking()


class Site(Record):
    """Facts about this host that rules may depend on.

    domains              lower-case domains whose mail ends here; () means: the recipient's own
    hostname             this host's name, for file names, Received lines and From_ lines
    recipient_delimiter  characters that part user and extension, such as "+"
    on_rules_error       what becomes of a message whose rules have an error: "defer" keeps it in
                         the queue, "inbox" delivers it to the inbox
    authserv_ids         lower-case names by which this site's filters sign Authentication-Results,
                         and which they remove from what comes in; () means: the host's name, and
                         only where no sender can have written it (authentication/results.py)
    believe_tags         whether a secret Sent address proves who sent a message: only where
                         Postfix uses the map with the tags for senders that it knows
                         (sent/setup.py)
    sent_folder          the folder that the IMAP server calls \\Sent
    tags_path            the table of digests that tags are looked up in (sent/evidence.py)
    log_decisions        whether each delivery leaves a line in the user's decision log
    log_kilobytes        size at which a new decision log is begun
    log_files            how many older decision logs are kept
    syslog               the socket of syslog; "" for no line there
    syslog_name          how lines there begin
    sendmail             the program that takes mail to be sent: forwarded messages, replies
    srs_domain           a domain of ours, whose addresses stand in the place of the senders of
                         what is forwarded (SRS); "" for senders as they are
    srs_secret           what proves that such an address is of our making
    cases_required       whether changed rules come into use only when their cases hold
    checking             how SPF, DKIM, DMARC and ARC are found out
    pop3_gets            whether what arrives in the inbox gets a copy in the mbox (pop3choice.py)
    """

    domains: tuple[str, ...] = ()
    hostname: str = "localhost"
    recipient_delimiter: str = "+"
    on_rules_error: Literal["defer", "inbox"] = "defer"
    authserv_ids: tuple[str, ...] = ()
    believe_tags: bool = False
    sent_folder: str = "Sent"
    tags_path: str = TAGS_PATH
    log_decisions: bool = True
    log_kilobytes: int = 1024
    log_files: int = 4
    syslog: str = SYSLOG_PATH
    syslog_name: str = "mdeliver/local"
    sendmail: str = SENDMAIL_PATH
    srs_domain: str = ""
    srs_secret: str = ""
    cases_required: bool = False
    checking: Checking = NO_CHECKING
    pop3_gets: str = pop3choice.CHOICES[0]


def read_settings(path: str) -> bytes:
    """What the settings file PATH holds; b"" where there is none in the usual place.

    A file that somebody named must be there: its name mistyped, or its disk not mounted, would
    turn every setting into its default, and nobody would hear of it. Raises Deferral.
    """
    text = durable.read_file(path, limits.RULES_BYTES)
    if not text and path != SETTINGS_PATH and not system.exists(path):
        raise Deferral(f"{path}: there is no such settings file", "4.3.5")
    return text


def load_site(path: str = SETTINGS_PATH) -> Site:
    """The site's settings; defaults for what is not set.

    Raises Deferral where the file is no TOML, or has a key or a value that does not exist.
    """
    hostname = system.uname().nodename or "localhost"
    text = read_settings(path)
    if not text:
        return Site(hostname=hostname)
    from mdeliver.tomltext import parse_toml

    try:
        tables = parse_toml(text)
    except ValueError as error:
        raise Deferral(f"{path}: {error}", "4.3.5") from None
    pop_sync = tables.get("pop_sync")
    pop3_gets = pop3choice.chosen(path, pop_sync, pop3choice.CHOICES[0], "pop_sync.")
    site = _table(path, tables, "site")
    rules = _table(path, tables, "rules")
    sent = _table(path, tables, "sent")
    log = _table(path, tables, "log")
    forward = _table(path, tables, "forward")
    authentication = _table(path, tables, "authentication")
    _no_other_table(path, tables)
    found = Site(
        _take_list(path, site, "site", "domains"),
        _take(path, site, "site", "hostname", hostname),
        _take(path, site, "site", "recipient_delimiter", "+"),
        _one_of(path, rules, "rules", "on_error", "defer", "inbox"),
        _take_list(path, site, "site", "authserv_ids"),
        _take_flag(path, sent, "sent", "believe_tags"),
        _folder(path, _take(path, sent, "sent", "folder", "Sent")),
        _take(path, sent, "sent", "tags", TAGS_PATH),
        _take_flag(path, log, "log", "decisions", default=True),
        _take_count(path, log, "log", "kilobytes", 1024),
        _take_count(path, log, "log", "files", 4),
        _take(path, log, "log", "syslog", SYSLOG_PATH),
        _take(path, log, "log", "syslog_name", "mdeliver/local"),
        _program(path, _take(path, site, "site", "sendmail", SENDMAIL_PATH)),
        *_srs(path, forward),
        _one_of(path, rules, "rules", "cases", "optional", "required") == "required",
        _checking(path, authentication) if authentication else NO_CHECKING,
    )
    read = {"site": site, "rules": rules, "sent": sent, "log": log, "forward": forward}
    _nothing_left(path, read | {"authentication": authentication})
    return found.replace(pop3_gets=pop3_gets)


def _no_other_table(path: str, tables: dict[str, Any]) -> None:
    for elsewhere in ("bcc_maps", "lmtp", "pop_sync"):
        _table(path, tables, elsewhere)
    for table in tables:
        known = "[site], [rules], [authentication], [forward], [sent], [log], [bcc_maps], [lmtp]"
        words = f"there is no table [{table}]; there are {known} and [pop_sync]"
        raise Deferral(f"{path}: {words}", "4.3.5")


def _nothing_left(path: str, tables: dict[str, dict[str, Any]]) -> None:
    for name, left in tables.items():
        for key in left:
            raise Deferral(f"{path}: there is no key {name}.{key}; see mdeliver(1)", "4.3.5")


def _table(path: str, tables: dict[str, Any], name: str) -> dict[str, Any]:
    table = tables.pop(name, {})
    if not isinstance(table, dict):
        raise Deferral(f"{path}: {name} is a table: [{name}]", "4.3.5")
    return table


def _take_list(path: str, table: dict[str, Any], name: str, key: str) -> tuple[str, ...]:
    """A list of texts, in lower case."""
    values = table.pop(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Deferral(f"{path}: {name}.{key} is a list of texts", "4.3.5")
    return tuple([value.lower() for value in values])


def _one_of(path: str, table: dict[str, Any], name: str, key: str, *words: str) -> Any:
    """One of WORDS, by default the first."""
    written = _take(path, table, name, key, words[0])
    if written not in words:
        known = " or ".join([f'"{word}"' for word in words])
        raise Deferral(f'{path}: {name}.{key} is {known}, not "{written}"', "4.3.5")
    return written


def _folder(path: str, name: str) -> str:
    """NAME, if it can be a folder's: steps parted by `/`."""
    if not all(name.split("/")):
        raise Deferral(f"{path}: sent.folder is a folder's name, such as Sent", "4.3.5")
    return name


def _srs(path: str, forward: dict[str, Any]) -> tuple[str, str]:
    """Domain and secret of SRS, or neither."""
    domain = _take(path, forward, "forward", "srs_domain", "").lower()
    secret = _take(path, forward, "forward", "srs_secret", "")
    if bool(domain) != bool(secret):
        words = "forward.srs_domain and forward.srs_secret go together: set both or neither"
        raise Deferral(f"{path}: {words}", "4.3.5")
    return domain, secret


def _checking(path: str, table: dict[str, Any]) -> Checking:
    return Checking(
        _one_of(path, table, "authentication", "compute", "never", "asked", "always"),
        _servers(path, _take_list(path, table, "authentication", "resolver")),
        _take_count(path, table, "authentication", "seconds", 20),
        _take_count(path, table, "authentication", "wait_s", 3600, least=0),
        _take_flag(path, table, "authentication", "header", default=True),
        _take_list(path, table, "authentication", "forwarders"),
        _take_list(path, table, "authentication", "sealers"),
        _networks(path, _take_list(path, table, "authentication", "own_networks")),
        _take_count(path, table, "authentication", "dkim_bits", 1024),
    )


def _servers(path: str, servers: tuple[str, ...]) -> tuple[str, ...]:
    """SERVERS, if each is an address, perhaps with a port."""
    for written in servers:
        host, port = split_server(written)
        if not _is_network(host, host_only=True) or not is_count(port, 65535):
            words = "authentication.resolver is a list of addresses, such as 127.0.0.1"
            raise Deferral(f'{path}: {words}, not "{written}"', "4.3.5")
    return servers


def split_server(written: str) -> tuple[str, str]:
    """Address and port of `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`."""
    address, colon, port = written.rpartition(":")
    if not colon or written.endswith("]") or (":" in address and not address.endswith("]")):
        address, port = written, "53"
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    return address, port


def _networks(path: str, networks: tuple[str, ...]) -> tuple[str, ...]:
    for written in networks:
        if not _is_network(written):
            words = "authentication.own_networks is a list of networks, such as 192.168.1.0/24"
            raise Deferral(f'{path}: {words}, not "{written}"', "4.3.5")
    return networks


def _is_network(written: str, host_only: bool = False) -> bool:
    # inet_pton says the same as the module `ipaddress`, without its import.
    import _socket

    address, slash, bits = written.partition("/")
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    try:
        _socket.inet_pton(family, address)
    except (OSError, ValueError):
        return False
    if not slash:
        return True
    return not host_only and is_count(bits, 128 if ":" in address else 32)


def is_count(written: str, most: int) -> bool:
    """Whether WRITTEN is a number up to MOST; Python reads none of thousands of digits."""
    return written.isdecimal() and len(written) <= len(str(most)) and int(written) <= most


def _program(path: str, name: str) -> str:
    """NAME, if it is the whole path of a program."""
    if not name.startswith("/"):
        raise Deferral(f"{path}: site.sendmail is the whole path of a program", "4.3.5")
    return name


def _take_flag(
    path: str, table: dict[str, Any], name: str, key: str, default: bool = False
) -> bool:
    value = table.pop(key, default)
    if not isinstance(value, bool):
        raise Deferral(f"{path}: {name}.{key} is true or false", "4.3.5")
    return value


def _take_count(
    path: str, table: dict[str, Any], name: str, key: str, default: int, least: int = 1
) -> int:
    """A whole number from LEAST on; TOML's true is none."""
    value = table.pop(key, default)
    if type(value) is not int or value < least:
        raise Deferral(f"{path}: {name}.{key} is a whole number from {least} on", "4.3.5")
    return value


def _take(path: str, table: dict[str, Any], name: str, key: str, default: str) -> Any:
    value = table.pop(key, default)
    if not isinstance(value, str):
        raise Deferral(f"{path}: {name}.{key} is a text", "4.3.5")
    return value
