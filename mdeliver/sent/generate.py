"""From settings and sources to tables, digests of tags and a report.

    sources ──► claims ──► owners ──► rows ──► sender_bcc          address → Sent address with tag
                                          ├──► sender_bcc-local    address → mailbox, without tag
                                          └──► sender_bcc-login    address → who may send by it
    keys ──► tags ─────────────────────────►   sent.tags           digests, for deliveries

Order       digests first, then tables: no copy is sent to an address that deliveries do not know.
Once        under locks (filelock): two runs wait for one another, and whoever reads the keys and
            writes what they make, the live server too, has them to itself meanwhile: else a key
            that was just given up would come back.
Fails with  SourceError, SettingsError, KeysError, TableError, PostfixError, OSError: nothing of
            what stands is changed before everything wanted is known.
"""

from __future__ import annotations

import os
import time

from mdeliver import durable
from mdeliver.postfix.configuration import Postfix
from mdeliver.record import Record
from mdeliver.sent import keys as keyring
from mdeliver.sent import sources, tables
from mdeliver.sent.evidence import MARK, TAG_LENGTH
from mdeliver.sent.files import remove_left_over, replace_file
from mdeliver.sent.mailaddress import in_table, is_split, with_extension
from mdeliver.sent.owners import Owned, Ownership, SourceError, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mdeliver.sent.keys import Key
    from mdeliver.sent.settings import BccSettings

OPT_OUT = ".config/mdeliver/no-sent-copies"
"""A user who makes this file in the home directory gets no copies."""

MAP_NAMES = ("sender_bcc", "sender_bcc-local", "sender_bcc-login")
"""What the maps are called over socketmap, in the order of their tables."""

LOCK_WAIT_S = 60
_DAY_S = 86400


class Row(Record):
    """One sender: key of the tables, owner, and where copies go with and without a tag."""

    key: str
    owner: str
    target: str
    plain: str


class Wanted(Record):
    """Everything as it should be.

    rows    senders that get copies
    tables  all tables, the one with the tags first
    digests what deliveries recognise tags by; b"" without tags
    keys    the site's keys, () without tags
    notes   what was left out, and why
    """

    rows: tuple[Row, ...]
    tables: tuple[tables.Table, ...]
    digests: bytes
    keys: tuple[Key, ...]
    notes: tuple[str, ...]


class Report(Record):
    """What changed, or would; addresses without their tags.

    added, removed, changed  senders; `changed` go to another mailbox
    stale                    whether anything has to be written
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    stale: bool


def output_of(settings: BccSettings, postfix: Postfix) -> tuple[str, str]:
    """Type and path of the table."""
    kind, _, path = settings.output.partition(":")
    if path:
        return kind, path
    directory = postfix.directory or postfix.run("postconf", "-hd", "config_directory").strip()
    return postfix.value("default_database_type"), f"{directory}/sender_bcc"


def find_owners(settings: BccSettings, postfix: Postfix, site: sources.Site) -> Ownership:
    """Read all sources and decide who owns what, without those that want no copy."""
    for domain in settings.domains:
        if domain.lower() not in site.domains:
            raise SourceError([f"{domain} is not one of our domains; see postconf mydestination"])
    found = [_read(source, settings, postfix, site) for source in settings.sources]
    ownership = settle(
        [m for f in found for m in f.mailboxes], [c for f in found for c in f.claims], site.domains
    )
    opted_out: dict[str, bool] = {}
    domains = frozenset(map(str.lower, settings.domains))
    excluded = frozenset(map(str.casefold, settings.exclude))
    kept, notes = [], [*ownership.notes, *(n for f in found for n in f.notes)]
    for owned in ownership.owned:
        mailbox = owned.mailbox
        if domains and owned.address.domain not in domains:
            continue
        if mailbox.owner not in opted_out:
            opted_out[mailbox.owner] = bool(mailbox.home) and os.path.lexists(
                os.path.join(mailbox.home, OPT_OUT)
            )
            if opted_out[mailbox.owner]:
                notes.append(f"{mailbox.owner} wants no copies ({mailbox.home}/{OPT_OUT})")
        if not opted_out[mailbox.owner] and not _is_excluded(owned, excluded):
            kept.append(owned)
    return Ownership(tuple(kept), tuple(notes))


def _read(
    source: str, settings: BccSettings, postfix: Postfix, site: sources.Site
) -> sources.Found:
    kind, _, path = source.partition(":")
    match kind:
        case "passwd":
            return sources.system_users(site, settings.lowest_uid, settings.highest_uid)
        case "virtual":
            boxes = sources.virtual_mailboxes(postfix)
            alias = sources.aliases(postfix, site, "virtual_alias_maps")
            claims = (*boxes.claims, *alias.claims)
            return sources.Found(boxes.mailboxes, claims, (*boxes.notes, *alias.notes))
        case "aliases":
            return sources.aliases(postfix, site, "alias_maps")
        case "logins":
            return sources.sender_logins(postfix, site)
        case "dovecot":
            return sources.dovecot_users(path, site)
        case "list":
            return sources.listed(path, site)
        case _:
            raise AssertionError(f"the settings let the source {source} through")


def _is_excluded(owned: Owned, excluded: frozenset[str]) -> bool:
    address = owned.address
    return bool(excluded & {address.key, f"@{address.domain}", owned.mailbox.owner.casefold()})


def table_files(settings: BccSettings, postfix: Postfix) -> list[str]:
    """The files behind those of Postfix's tables that are sources."""
    names = {
        "virtual": ("virtual_mailbox_maps", "virtual_alias_maps"),
        "aliases": ("alias_maps",),
        "logins": ("smtpd_sender_login_maps",),
    }
    files = []
    for source in settings.sources:
        for setting in names.get(source, ()):
            for table in postfix.values(setting):
                path = table.removeprefix("proxy:").partition(":")[2]
                files += [path, *(path + suffix for suffix in (".db", ".lmdb", ".cdb"))]
    return [path for path in files if path.startswith("/")]


def rows_of(
    ownership: Ownership, key: Key | None, delimiters: str, notes: list[str]
) -> Iterator[Row]:
    """The rows of the tables; KEY makes the tags, None for none."""
    extensions: dict[str, str] = {}
    for owned in ownership.owned:
        owner, address = owned.mailbox.owner, owned.mailbox.address
        if owner not in extensions:
            extensions[owner] = ""
            if key is not None and is_split(address.local, delimiters):
                notes.append(
                    f"{address.text} has a recipient delimiter in its name, so its copies go "
                    "without a tag"
                )
            elif key is not None:
                extensions[owner] = keyring.extension_of(key, owner)
        extension = extensions[owner]
        target = with_extension(address, delimiters[:1], extension) if extension else address
        yield Row(owned.address.text, owner, target.text, address.text)


def want(settings: BccSettings, postfix: Postfix, keys: list[Key], now_s: int) -> Wanted:
    """Everything as it should be; KEYS are the site's (one is made where there is none)."""
    site = sources.site_of(postfix)
    kind, path = output_of(settings, postfix)
    if kind not in postfix.table_types():
        raise tables.TableError(f"this Postfix has no {kind} tables; see postconf -m")
    ownership = find_owners(settings, postfix, site)
    notes = list(ownership.notes)
    if tables.is_pattern(kind):
        return _patterns(settings, site, kind, path, notes)
    tagged = settings.tagged and site.delimiter != ""
    if settings.tagged and not tagged:
        notes.append("recipient_delimiter is empty: copies go without tags")
    if tagged and not keys:
        keys = [keyring.new_key(now_s)]
    found = list(rows_of(ownership, keys[-1] if tagged else None, site.delimiter, notes))
    # Asked over socketmap, any key can be answered.
    rows = [row for row in found if settings.serve or in_table(row.key)]
    unwritable = [row.key for row in found if not settings.serve and not in_table(row.key)]
    notes += [f"{key} cannot be written in a {kind} table" for key in unwritable]
    made = [tables.Table(kind, path, tables.text_of((r.key, r.target) for r in rows))]
    digests = b""
    if tagged:
        plain = tables.text_of((r.key, r.plain) for r in rows)
        login = tables.text_of((r.key, logins(r)) for r in rows)
        made += [tables.Table(kind, f"{path}-local", plain)]
        made += [tables.Table(kind, f"{path}-login", login)]
        # A server of virtual users calls by its address what a passwd entry names.
        owners = ((o.mailbox.owner, o.mailbox.address.key) for o in ownership.owned)
        digests = keyring.digest_table(keys, owners, settings.valid_days * _DAY_S)
    return Wanted(tuple(rows), tuple(made), digests, tuple(keys if tagged else ()), tuple(notes))


def logins(row: Row) -> str:
    """The SASL names by which the owner may send: with the domain, and without."""
    return ",".join(dict.fromkeys([row.owner, row.plain]))


def _patterns(
    settings: BccSettings, site: sources.Site, kind: str, path: str, notes: list[str]
) -> Wanted:
    """A table of whole domains."""
    domains = settings.domains or tuple(
        d for d in site.destinations if not d.startswith("localhost")
    )
    excluded = [word for word in settings.exclude if word.find("@") > 0]
    excluded += [f"{w}@{d}" for w in settings.exclude if "@" not in w for d in domains]
    kept = [d for d in map(str.lower, domains) if f"@{d}" not in settings.exclude]
    text = tables.text_of_patterns(kept, excluded, site.delimiter)
    if settings.tagged:
        notes.append(f"a {kind} table holds whole domains: copies go without tags")
    rows = tuple([Row(f"@{domain}", "", f"*@{domain}", f"*@{domain}") for domain in kept])
    return Wanted(rows, (tables.Table(kind, path, text),), b"", (), tuple(notes))


def compare(wanted: Wanted, settings: BccSettings) -> Report:
    """What writing WANTED would change. Raises TableError where a file is somebody else's."""
    first = wanted.tables[0]
    pattern = tables.is_pattern(first.kind)
    before = tables.read_rows(first.path)
    after = {} if pattern else {row.key: row.target for row in wanted.rows}
    if pattern:
        before = {key: "" for key in before if not key.startswith(("if ", "endif"))}
        after = dict.fromkeys(_pattern_keys(first.text), "")
    for table in wanted.tables[1:]:
        tables.read_rows(table.path)
    both = before.keys() & after.keys()
    stale = not all(tables.is_fresh(table) for table in wanted.tables)
    if wanted.digests:
        stale |= durable.read_file(settings.tags, len(wanted.digests) + 1) != wanted.digests
    return Report(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(k for k in both if _untagged(before[k]) != _untagged(after[k]))),
        stale,
    )


def _pattern_keys(text: bytes) -> list[str]:
    lines = text[len(tables.HEAD) :].decode().split("\n")
    return [k for line in lines if (k := line.rpartition(" ")[0]) and not k.startswith("if ")]


def _untagged(target: str) -> str:
    """TARGET without what changes when keys are rotated."""
    before, mark, after = target.partition(MARK)
    return before + after[TAG_LENGTH:] if mark else target


def write(wanted: Wanted, settings: BccSettings, postfix: Postfix) -> None:
    """Make everything as WANTED has it."""
    if wanted.keys:
        durable.make_directory(os.path.dirname(settings.key), 0o755)
        durable.make_directory(os.path.dirname(settings.tags), 0o755)
        for path in (settings.key, settings.tags):
            remove_left_over(path)
        if not _has_keys(settings.key, wanted.keys):
            keyring.save_keys(settings.key, wanted.keys)
        if durable.read_file(settings.tags, len(wanted.digests) + 1) != wanted.digests:
            replace_file(settings.tags, wanted.digests, 0o644)
    for table in wanted.tables:
        remove_left_over(table.path)
        tables.write(table, postfix, secret=bool(wanted.keys))


def _has_keys(path: str, keys: tuple[Key, ...]) -> bool:
    """Whether PATH holds just KEYS, safe from others."""
    try:
        return keyring.load_keys(path) == list(keys)
    except keyring.KeysError:
        # Whoever was to see it has seen it: these keys are new (keys_for, forget).
        return False


def map_names(wanted: Wanted, settings: BccSettings) -> list[str]:
    """The maps as Postfix's settings name them."""
    if settings.serve:
        names = MAP_NAMES[: len(wanted.tables)]
        return [f"socketmap:{settings.serve}:{name}" for name in names]
    return [table.name for table in wanted.tables]


def keys_for(settings: BccSettings, now_s: int, *, rotate: bool, forget: bool) -> list[Key]:
    """The site's keys.

    rotate  with a new one
    forget  without the old ones: their tags end at once
    """
    keys = keyring.load_keys(settings.key) if not forget else []
    if rotate:
        keys = keyring.rotated(keys, now_s, settings.valid_days * _DAY_S)
    return keys


def locked_keys(settings: BccSettings, wait_s: float) -> AbstractContextManager[object]:
    """Nobody else makes or forgets keys meanwhile. Entering raises filelock.Timeout, OSError."""
    from contextlib import nullcontext

    from filelock import FileLock

    if not settings.tagged:
        return nullcontext()
    durable.make_directory(os.path.dirname(settings.key), 0o755)
    return FileLock(f"{settings.key}.lock", timeout=wait_s, mode=0o600)


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())
