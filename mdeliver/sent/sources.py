"""Where the users are known: passwd, Postfix's tables, a Dovecot passwd-file, a plain list.

Each source gives mailboxes and claims (owners.py); nothing is decided here.

passwd   users with a user id in the range and a shell that is none of `nologin` and `false`, at
         every domain of mydestination
tables   virtual_mailbox_maps: each address is a mailbox. virtual_alias_maps, alias_maps: aliases.
         smtpd_sender_login_maps: who may send by an address.
dovecot  `user[@domain]:password:uid:gid:gecos:home:shell:extra`
list     `ADDRESS` or `ADDRESS OWNER` on a line, `#` begins a comment
Fails with  SourceError, PostfixError: what cannot be read, with file and line
See also    passwd(5), virtual(5), aliases(5), SASL_README; Dovecot, "Passwd-file"
"""

from __future__ import annotations

import os
import pwd
import re

from mdeliver.postfix.configuration import Postfix, split_list
from mdeliver.record import Record
from mdeliver.sent.mailaddress import BadAddress, MailAddress, parse
from mdeliver.sent.owners import Claim, Mailbox, SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_BYTES = 256 << 20
"""Size of a list or passwd-file: three million lines."""

_NO_SHELLS = frozenset({"nologin", "false", "sync"})
_TABLE = re.compile(r"(?:proxy:)?[a-z]+:.+", re.DOTALL)


class Found(Record):
    """What one source knows."""

    mailboxes: tuple[Mailbox, ...]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()


class Site(Record):
    """What the sources must know of Postfix.

    destinations  domains whose users are this host's, the main one first
    virtual       other domains whose mail ends here
    delimiter     recipient_delimiter
    """

    destinations: tuple[str, ...]
    virtual: tuple[str, ...]
    delimiter: str

    @property
    def domains(self) -> frozenset[str]:
        """All domains whose mail ends here."""
        return frozenset((*self.destinations, *self.virtual))


def site_of(postfix: Postfix) -> Site:
    """Ask POSTFIX for its domains. Raises PostfixError."""
    # The defaults of the last two are tables of addresses, in which keys without @ are domains.
    lists = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains")
    values = postfix.values_of("myorigin", "recipient_delimiter", *lists)
    origin = values["myorigin"].lower()
    destinations, *virtual = [list(_domains(postfix, values[name])) for name in lists]
    # Users send as user@myorigin; without it in mydestination that mail goes elsewhere.
    destinations.sort(key=lambda domain: (domain != origin, domain.startswith("localhost")))
    return Site(
        tuple(destinations),
        tuple([domain for domains in virtual for domain in domains]),
        values["recipient_delimiter"],
    )


def _domains(postfix: Postfix, value: str) -> Iterator[str]:
    """The domains of a list that may name tables and files (postconf(5), mydestination)."""
    for word in split_list(value):
        if word.startswith("/"):
            for line in _lines(word):
                yield from (part.lower() for part in split_list(line))
        elif _TABLE.fullmatch(word):
            yield from (key.lower() for key, _value in postfix.rows(word) if "@" not in key)
        elif not word.startswith(("!", "[")):
            yield word.lower()


# --- passwd ----------------------------------------------------------------------------------


def system_users(site: Site, lowest_uid: int, highest_uid: int) -> Found:
    """Users of this host who can log in, at every domain of mydestination."""
    mailboxes, claims, notes = [], [], []
    domains = [d for d in site.destinations if not d.startswith("localhost")]
    if not domains:
        raise SourceError(["mydestination has no domain but localhost: set it, or name --domain"])
    for entry in pwd.getpwall():
        name = entry.pw_name
        if not lowest_uid <= entry.pw_uid <= highest_uid or _no_shell(entry.pw_shell):
            continue
        try:
            addresses = [parse(f"{_quoted_name(name)}@{domain}") for domain in domains]
        except BadAddress as error:
            notes.append(f"{error} (passwd)")
            continue
        mailboxes.append(Mailbox(name, addresses[0], entry.pw_dir))
        claims += [Claim(address, (name,), "passwd") for address in addresses]
    return Found(tuple(mailboxes), tuple(claims), tuple(notes))


def _quoted_name(name: str) -> str:
    return MailAddress(name, "x").text.rpartition("@")[0]


def _no_shell(shell: str) -> bool:
    return shell.rpartition("/")[2] in _NO_SHELLS


# --- Postfix's tables ------------------------------------------------------------------------


def virtual_mailboxes(postfix: Postfix) -> Found:
    """Every address in virtual_mailbox_maps is a mailbox."""
    mailboxes, claims, notes = [], [], []
    for table in postfix.values("virtual_mailbox_maps"):
        where = f"virtual_mailbox_maps, {table}"
        for key, _value in postfix.rows(table):
            try:
                address = parse(key)
            except BadAddress as error:
                notes.append(f"{error} ({where})")
                continue
            mailboxes.append(Mailbox(address.key, address, ""))
            claims.append(Claim(address, (address.key,), where))
    return Found(tuple(mailboxes), tuple(claims), tuple(notes))


def aliases(postfix: Postfix, site: Site, setting: str) -> Found:
    """The aliases in virtual_alias_maps, or in alias_maps, whose keys have no domain."""
    claims, notes = [], []
    ours = [d for d in site.destinations if not d.startswith("localhost")]
    for table in postfix.values(setting):
        where = f"{setting}, {table}"
        for key, value in postfix.rows(table):
            if setting == "virtual_alias_maps" and "@" not in key and "." in key:
                continue  # declares a domain
            if key.startswith("@"):
                continue  # a whole domain is no sender
            for domain in [""] if "@" in key else ours:
                try:
                    address = parse(key if "@" in key else f"{_quoted_name(key)}@{domain}")
                except BadAddress as error:
                    notes.append(f"{error} ({where})")
                    continue
                claims.append(Claim(address, _targets(value, site), where))
    return Found((), tuple(claims), tuple(notes))


def sender_logins(postfix: Postfix, site: Site) -> Found:
    """Who may send by which address, where it is one login only."""
    claims, notes = [], []
    for table in postfix.values("smtpd_sender_login_maps"):
        where = f"smtpd_sender_login_maps, {table}"
        for key, value in postfix.rows(table):
            try:
                address = parse(key)
            except BadAddress as error:
                notes.append(f"{error} ({where})")
                continue
            logins = split_list(value)
            # A login may be spelt with and without its domain.
            names = dict.fromkeys(_login(login, site) for login in logins)
            claims.append(Claim(address, tuple(names), where))
    return Found((), tuple(claims), tuple(notes))


def _login(login: str, site: Site) -> str:
    local, at, domain = login.rpartition("@")
    return local if at and domain.lower() in site.destinations else login


def _targets(value: str, site: Site) -> tuple[str, ...]:
    """What an alias leads to; programs, files and includes are targets that lead nowhere."""
    targets = []
    for word in re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^\s,"])+', value):
        local, at, domain = word.lstrip("\\").rpartition("@")
        if not at:
            local, domain = domain, ""
        cut = [i for i, c in enumerate(local) if i and c in site.delimiter]
        plain = local[: cut[0]] if cut and not local.startswith(('"', "|", "/", ":")) else local
        targets.append(f"{plain}@{domain.lower()}" if at else plain)
    return tuple(targets)


# --- files -----------------------------------------------------------------------------------


def dovecot_users(path: str, site: Site) -> Found:
    """The users in a Dovecot passwd-file."""
    mailboxes, claims = [], []
    errors = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}:{number}"
        name, *fields = line.split(":")
        home = fields[4] if len(fields) > 4 and fields[4].startswith("/") else ""
        if not name or name != name.strip():
            errors.append(f"{where} begins with no user name")
            continue
        ours = [d for d in site.destinations if not d.startswith("localhost")]
        domains = [""] if "@" in name else ours
        try:
            addresses = [parse(f"{name}@{domain}" if domain else name) for domain in domains]
        except BadAddress as error:
            errors.append(f"{where}: {error}")
            continue
        if not addresses:
            errors.append(f"{where}: {name} has no domain, and mydestination has none")
            continue
        local_user = "@" not in name or addresses[0].domain in site.destinations
        owner = addresses[0].local if local_user else addresses[0].key
        mailboxes.append(Mailbox(owner, addresses[0], home))
        claims += [Claim(address, (owner,), where) for address in addresses]
    if errors:
        raise SourceError(errors)
    return Found(tuple(mailboxes), tuple(claims))


def listed(path: str, site: Site) -> Found:
    """The addresses in a plain list, each with its owner if that is not the address itself."""
    mailboxes, claims, errors = [], [], []
    # One by one, the system would look through all users for each.
    homes = {entry.pw_name: entry.pw_dir for entry in pwd.getpwall()}
    for number, line in enumerate(_lines(path), 1):
        words = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^\s"])+', line)
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}:{number}"
        try:
            address = parse(words[0])
            if len(words) > 2:
                raise BadAddress("ADDRESS or ADDRESS OWNER is expected")
            mailbox = _list_owner(words[1] if len(words) > 1 else words[0], site, homes)
        except BadAddress as error:
            errors.append(f"{where}: {error}")
            continue
        mailboxes.append(mailbox)
        claims.append(Claim(address, (mailbox.owner,), where, True))
    if errors:
        raise SourceError(errors)
    return Found(tuple(mailboxes), tuple(claims))


def _list_owner(text: str, site: Site, homes: dict[str, str]) -> Mailbox:
    """The mailbox that a list means by TEXT: a login name, or an address."""
    if "@" not in text:
        if not site.destinations:
            raise BadAddress(f'"{text}" has no domain, and mydestination has none')
        return Mailbox(text, parse(f"{text}@{site.destinations[0]}"), homes.get(text, ""))
    address = parse(text)
    if address.domain in site.destinations:
        return Mailbox(address.local, address, homes.get(address.local, ""))
    return Mailbox(address.key, address, "")


def _lines(path: str) -> list[str]:
    """The lines of a file of the administrator's. Raises SourceError."""
    from mdeliver import durable

    try:
        os.stat(path)
        octets = durable.read_file(path, FILE_BYTES)
    except OSError as error:
        raise SourceError([f"cannot read {path}: {error.strerror}"]) from None
    try:
        return octets.decode().split("\n")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise SourceError([f"{path}:{line} is not UTF-8"]) from None
