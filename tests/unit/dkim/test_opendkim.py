"""OpenDKIM's files: what they name, and that nothing gets into them but names."""

from __future__ import annotations

import ipaddress

from mdeliver.dkim import opendkim
from mdeliver.dkim.keys import Key
from mdeliver.dkim.senders import Senders

SENDERS = Senders(
    ("example.net", "example.org"),
    ("example.net", "example.org", "mail.example.org"),
    "mail.example.org",
    (ipaddress.ip_address("192.0.2.1"),),
    "",
)
KEYS = (
    Key("example.org", "old", "rsa", 2048, "retired", 0),
    Key("example.org", "now", "rsa", 2048, "signing", 1),
    Key("example.org", "next", "rsa", 2048, "new", 2),
    Key("example.org", "ed", "ed25519", 256, "signing", 1),
)


def files() -> dict[str, str]:
    networks = [
        "127.0.0.0/8",
        "[::1]/128",
        "!10.0.0.5",
        "10.0.0.0/24",
        "hash:/etc/x",
        "[fe80::]/64",
    ]
    made = opendkim.tables("/k", SENDERS, KEYS, networks)
    return {path.rpartition("/")[2]: text for path, text in made.items()}


def test_it_signs_with_rsa_keys_that_sign() -> None:
    rows = [line for line in files()["keytable"].splitlines() if not line.startswith("#")]
    assert rows == ["now._domainkey.example.org example.org:now:/k/example.org/now.pem"]


def test_names_below_a_domain_are_signed_by_its_key() -> None:
    entries = [
        line.strip() for line in files()["sign.lua"].splitlines() if line.startswith("    [")
    ]
    key = "now._domainkey.example.org"
    assert entries == [
        f'["example.org"] = {{ "{key}" }},',
        f'["mail.example.org"] = {{ "{key}" }},',
    ]


def test_networks_are_those_that_name_addresses() -> None:
    lines = files()["internal"].splitlines()[1:]
    assert lines == ["127.0.0.0/8", "::1/128", "!10.0.0.5/32", "10.0.0.0/24", "fe80::/64"]


def test_an_administrator_who_signs_is_seen() -> None:
    assert opendkim.is_foreign("Syslog yes\nkeyfile /x\nSelector s\n") == ["KeyFile", "Selector"]
    assert opendkim.is_foreign("# KeyFile /x\nSocket local:/x\n") == []
    assert opendkim.is_foreign(opendkim.configuration("/k", "/q")) == []
