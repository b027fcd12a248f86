"""Which DKIM keys the milters of this host sign with: read from their settings.

mdeliver    /etc/mdeliver/dkim, and what `mdeliver dkim` has told OpenDKIM
OpenDKIM    Domain, Selector and KeyFile, or a KeyTable that is a file
dkimpy      the same names, and SelectorEd25519 and KeyFileEd25519
rspamd      asked with rspamadm: selector, path, and those of each domain
Not read    tables in databases, keys in Redis or Vault: name those keys with --dkim
See also    opendkim.conf(5), dkimpy-milter.conf(5); rspamd's module dkim_signing
"""

from __future__ import annotations

import json
import shutil
import subprocess

from mdeliver import durable
from mdeliver.dkim import keys
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mdeliver.audit.host import Host

GIVEN = "--dkim"
"""Who says so of keys that the administrator names: others than milters of this host may sign."""

_BYTES = 4 << 20
_LIMIT_S = 30
_RSPAMD_PATH = "/var/lib/rspamd/dkim/$domain.$selector.key"


class SigningKey(Record):
    """A key that is signed with.

    domain    that it signs for; "*" for whatever is sent from
    selector  its name there
    path      the private key; "" where that is not known
    by        who says so
    """

    domain: str
    selector: str
    path: str
    by: str

    @property
    def name(self) -> str:
        """Where its record is in DNS."""
        return f"{self.selector}._domainkey.{self.domain}"


def signing_keys(host: Host) -> list[SigningKey]:
    """All that are known. Raises DkimError, OSError."""
    etc = host.given.etc
    found = [*_given(host.given.dkim), *_own(f"{etc}/mdeliver/dkim")]
    found += _conf(f"{etc}/opendkim.conf", "OpenDKIM")
    found += _conf(f"{etc}/dkimpy-milter/dkimpy-milter.conf", "dkimpy-milter")
    if durable.exists(f"{etc}/rspamd") and _asks_milters(host):
        found += _rspamd(host.identity.domains)
    known: dict[str, SigningKey] = {}
    for key in found:
        # Who names a key on the command line, or made it, knows best.
        if key.name not in known or (key.path and not known[key.name].path):
            known[key.name] = key
    return list(known.values())


def _asks_milters(host: Host) -> bool:
    values = [host.value_for(service, "smtpd_milters") for service in host.services]
    return any([host.value("smtpd_milters"), host.value("non_smtpd_milters"), *values])


def _given(words: Iterable[str]) -> Iterator[SigningKey]:
    for word in words:
        domain, selector, path = (*word.split(":", 2), "")[:3]
        yield SigningKey(domain.lower(), selector.lower(), path, GIVEN)


def _own(directory: str) -> Iterator[SigningKey]:
    for key in keys.registered(directory):
        if key.state == "signing":
            yield SigningKey(key.domain, key.selector, key.path(directory), "mdeliver dkim")


# --- OpenDKIM and dkimpy-milter --------------------------------------------------------------


def _conf(path: str, by: str) -> Iterator[SigningKey]:
    said = {}
    for line in _lines(path):
        name, _, value = line.partition(" ")
        said[name.lower()] = value.strip()
    for table in ("keytable", "keytableed25519"):
        yield from _table(said.get(table, ""), by)
    for end in ("", "ed25519"):
        selector, key = said.get(f"selector{end}", ""), said.get(f"keyfile{end}", "")
        for domain in said.get("domain", "").replace(",", " ").split():
            if selector and key and "/" not in domain:
                yield SigningKey(domain.lower(), selector.lower(), key, by)


def _table(table: str, by: str) -> Iterator[SigningKey]:
    """Rows of a KeyTable: `NAME DOMAIN:SELECTOR:PATH`."""
    path = table.removeprefix("refile:").removeprefix("file:")
    if not path.startswith("/"):
        return
    for line in _lines(path):
        parts = line.split(None, 1)[-1].split(":", 2)
        if len(parts) == 3 and "%" not in parts[0]:
            domain, selector, key = (part.strip() for part in parts)
            yield SigningKey(domain.lower(), selector.lower(), key, by)


def _lines(path: str) -> list[str]:
    """The lines of a file with settings, without comments; [] where there is none."""
    text = durable.read_file(path, _BYTES).decode("utf-8", "replace")
    lines = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
    return [line for line in lines if line]


# --- rspamd ----------------------------------------------------------------------------------


def _rspamd(domains: Iterable[str]) -> list[SigningKey]:
    program = shutil.which("rspamadm")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, "configdump", "-j", "dkim_signing"],
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
        return rspamd_keys(json.loads(done.stdout), domains)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []


def rspamd_keys(settings: object, domains: Iterable[str]) -> list[SigningKey]:
    """The keys in rspamd's SETTINGS of dkim_signing; without a list of domains for DOMAINS."""
    if not isinstance(settings, dict) or settings.get("enabled") is False:
        return []
    path, selector = settings.get("path", _RSPAMD_PATH), settings.get("selector", "dkim")
    of_domains = settings.get("domain")
    if not isinstance(of_domains, dict):
        of_domains = {domain: {} for domain in domains}
    found = []
    for domain, own in of_domains.items():
        own = own if isinstance(own, dict) else {}
        several = own.get("selectors")
        for entry in several if isinstance(several, list) else [own]:
            entry = entry if isinstance(entry, dict) else {}
            its = str(entry.get("selector", selector))
            place = str(entry.get("path", path))
            place = place.replace("$domain", str(domain)).replace("$selector", its)
            # The default has no effect where there is no such file; what was set has to be there.
            if own or "path" in settings or _exists(place):
                found.append(SigningKey(str(domain).lower(), its.lower(), place, "rspamd"))
    return found


def _exists(path: str) -> bool:
    try:
        return durable.exists(path)
    except ValueError:
        return False  # JSON can say what no file is named: NUL, half of a pair of surrogates
