"""OpenDKIM's files: which messages it signs, and with which key.

Chosen      of Debian's three that sign. It is small, it refuses keys that others can read, it reads
            its table of keys again on a signal, and a script of ours decides what it signs. Its
            one limit is that it signs by one algorithm, so by RSA, which everybody verifies.
            dkimpy-milter signs by Ed25519 as well, but whatever is submitted on this host,
            mail that only passes through among it. Rspamd signs as well as it filters
            spam: whoever has it for that should have it sign, too.
Signs       what is from one of our domains and comes
              - from a user who has authenticated, or through a service for users (ORIGINATING)
              - from another host of mynetworks
              - from this host, unless it has a Received field: then it has come from elsewhere, and
                is forwarded. With our signature, a forged message would become a genuine one.
Key         RSA keys that are in state signing
See also    opendkim.conf(5), opendkim-lua(3); setup.py, which tells Postfix
"""

from __future__ import annotations

import ipaddress

from mdeliver.dkim.keys import Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdeliver.dkim.senders import Senders

HEAD = "Made by mdeliver dkim --apply; what is changed here is lost at its next run."
CONFIGURATION = "/etc/opendkim.conf"
USER = "opendkim"
SOCKET = "opendkim/opendkim.sock"
"""Below Postfix's queue directory, where its daemons reach it from their chroot."""

OWN_SETTINGS = ("Domain", "KeyFile", "Selector", "KeyTable", "SigningTable", "SetupPolicyScript")
"""What Debian's opendkim.conf leaves out, and an administrator who signs has set."""

_CONFIGURATION = """\
# {head}
Syslog                yes
SyslogSuccess         yes
UserID                {user}
# Who is in the socket's group, which is Postfix's, may connect.
UMask                 007
Socket                local:{queue}/{socket}
PidFile               /run/opendkim/opendkim.pid
Mode                  s
Canonicalization      relaxed/relaxed
SignatureAlgorithm    rsa-sha256
# A second From below the first would be shown by some, and be signed by nobody.
OversignHeaders       From
RequireSafeKeys       yes
KeyTable              file:{directory}/keytable
SetupPolicyScript     {directory}/sign.lua
InternalHosts         file:{directory}/internal
"""

_SCRIPT = """\
-- {head}
local keys = {{
{keys}
}}
local from = string.lower(odkim.get_fromdomain(ctx) or "")
local mine = keys[from]
if mine == nil then
    return nil
end

local address = odkim.get_clientip(ctx) or ""
local here = address == "::1" or string.find(address, "^127%.") ~= nil
local user = odkim.get_mtasymbol(ctx, "{{auth_authen}}") or ""
local service = odkim.get_mtasymbol(ctx, "{{daemon_name}}")
local ours = user ~= "" or service == "ORIGINATING"
if not ours and here then
    -- What has come through a server before is forwarded, not written here.
    ours = odkim.get_header(ctx, "Received", 0) == nil
elseif not ours then
    ours = odkim.internal_ip(ctx) == 1
end

if ours then
    for _, name in ipairs(mine) do
        odkim.sign(ctx, name)
    end
end
return nil
"""


def configuration(directory: str, queue: str) -> str:
    """opendkim.conf, for keys in DIRECTORY and Postfix's QUEUE directory."""
    return _CONFIGURATION.format(
        head=HEAD,
        user=USER,
        socket=SOCKET,
        directory=directory,
        queue=queue,
    )


def signing(known: Sequence[Key]) -> list[Key]:
    """Those of KNOWN that OpenDKIM signs with."""
    return [key for key in known if key.state == "signing" and key.algorithm == "rsa"]


def tables(
    directory: str, senders: Senders, known: Sequence[Key], networks: Sequence[str]
) -> dict[str, str]:
    """The files of DIRECTORY that opendkim.conf names, and their texts.

    networks  mynetworks
    """
    chosen = signing(known)
    rows = [f"{key.name} {key.domain}:{key.selector}:{key.path(directory)}\n" for key in chosen]
    by_name = {}
    for name in senders.names:
        domain = senders.domain_of(name)
        by_name[name] = [key.name for key in chosen if key.domain == domain]
    entries = [
        "    [{}] = {{ {} }},".format(_lua(name), ", ".join(_lua(key) for key in used))
        for name, used in by_name.items()
        if used
    ]
    script = _SCRIPT.format(head=HEAD, keys="\n".join(entries))
    return {
        f"{directory}/keytable": f"# {HEAD}\n{''.join(rows)}",
        f"{directory}/sign.lua": script,
        f"{directory}/internal": f"# {HEAD}\n" + "".join(f"{n}\n" for n in _internal(networks)),
    }


def _lua(name: str) -> str:
    # Names are letters, digits, dots, hyphens and underscores; see keys.name_of.
    return f'"{name}"'


def _internal(networks: Sequence[str]) -> list[str]:
    """Of mynetworks what names addresses; tables cannot be read by OpenDKIM."""
    found = []
    for word in networks:
        bare = word.removeprefix("!")
        try:
            network = ipaddress.ip_network(bare.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            continue
        found.append(f"{'!' if bare != word else ''}{network}")
    return found


def is_foreign(text: str) -> list[str]:
    """The settings of an opendkim.conf by which an administrator signs already; [] if none does."""
    if text.startswith(f"# {HEAD}"):
        return []
    names = {line.split()[0].lower() for line in text.splitlines() if line.strip()}
    return [name for name in OWN_SETTINGS if name.lower() in names]
