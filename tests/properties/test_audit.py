"""The audit on whatever DNS, zone files, Dovecot and MTA-STS say: findings, never an exception."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdeliver.audit import doveconf
from mdeliver.audit.checks import chosen, run_check
from mdeliver.audit.host import Given, Host
from mdeliver.audit.identity import Identity
from mdeliver.audit.names import Answer, Names, NamesError, ZoneFiles
from mdeliver.audit.signers import rspamd_keys
from mdeliver.audit.transport import FetchError
from mdeliver.outcome import one_line
from mdeliver.postfix import restrictions
from mdeliver.postfix.configuration import Postfix, Service, split_list
from mdeliver.postfix.step import Box
from mdeliver.sent.settings import BccSettings
from mdeliver.settings import Site

if TYPE_CHECKING:
    from mdeliver.audit.names import State

# Pieces of what stands in records, and of what should not.
_PIECES = st.sampled_from(
    [
        *("v=spf1", "v=DMARC1", "v=DKIM1", "v=STSv1", "v=TLSRPTv1", "p=", "p=none", "p=reject"),
        *(
            "rua=mailto:a@example.net",
            "sp=",
            "t=y",
            "psd=y",
            "k=ed25519",
            "id=1",
            ";",
            " ",
            "=",
            "!",
        ),
        *(
            "include:example.org",
            "redirect=mail.example.org",
            "a",
            "mx",
            "mx/24//64",
            "ptr",
            "-all",
        ),
        *(
            "exists:%{ir}.%{v}.example.org",
            "ip4:192.0.2.25",
            "ip6:::1",
            "ip4:999",
            "a:",
            "%{",
            "%%",
        ),
        *(
            "\x1b[2J",
            "\x9b31m",
            "\x00",
            "ä",
            "\udc80".encode("utf-8", "replace").decode(),
            "x" * 300,
        ),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=8).map(" ".join) | st.lists(_PIECES, max_size=8).map("".join)
_HOSTS = st.sampled_from(
    ["mail.example.org", "", "example.org", "a\\000b.example", "x" * 64, "1.2.3.4"]
)
_VALUES = {
    "A": st.sampled_from(["192.0.2.25", "203.0.113.9", "10.0.0.1"]),
    "AAAA": st.sampled_from(["2001:db8::25", "::1"]),
    "TXT": _TEXTS,
    "MX": st.builds("{} {}".format, st.integers(0, 65535), _HOSTS),
    "PTR": _HOSTS,
    "CNAME": _HOSTS,
    "TLSA": st.sampled_from(["3 1 1 " + "00" * 32, "2 0 2 " + "ff" * 64, "9 9 9 00", "3 1 1"]),
}


_STATES: list[State] = ["found", "found", "nothing", "no name", "trouble"]


class _Anything(Names):
    """Answers whatever hypothesis thinks of, and always the same."""

    def __init__(self, data: st.DataObject) -> None:
        super().__init__()
        self._data = data

    def _ask(self, name: dns.name.Name, kind: object) -> Answer:
        word = getattr(kind, "name", str(kind))
        state = self._data.draw(st.sampled_from(_STATES))
        values: tuple[str, ...] = ()
        if state == "found":
            values = tuple(self._data.draw(st.lists(_VALUES[word], min_size=1, max_size=3)))
        return Answer(state, values, "\x1b]0;x\x07" if state == "trouble" else "")


class _Told(Box):
    """Settings that no Postfix was asked for."""

    services: list[Service] = []  # noqa: RUF012  # in the place of a property

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(Postfix("/nonexistent"))
        self._told = values

    def value(self, name: str) -> str:
        """What was told."""
        return self._told.get(name, "")


def _policy(_domain: str) -> str:
    raise FetchError("\x1b[0m")


def _findings(names: Names) -> Iterator[str]:
    """All that DNS checks print of NAMES."""
    keys = ("example.org:k1", "example.org:k2:/nonexistent")
    host = Host(
        Postfix("/nonexistent"), Site(), BccSettings(), "", names, Given(dkim=keys, etc="/x")
    )
    host.fetch_policy = _policy
    host.box = _Told({"myorigin": "example.org", "myhostname": "mail.example.org"})
    here = (ip_address("192.0.2.25"), ip_address("2001:db8::25"))
    host.identity = Identity(here, ("mail.example.org",), ("example.org",), "")
    for check in chosen(["dns"]):
        for finding in run_check(check, host):
            assert finding.level in ("failure", "warning", "advice", "fine")
            yield from (finding.what, finding.why, finding.how, *finding.setting)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_dns_says_there_are_findings(data: st.DataObject) -> None:
    printed = [one_line(text) for text in _findings(_Anything(data))]
    assert printed
    assert all(text.isprintable() for text in printed)


_LINES = st.lists(
    st.sampled_from(
        [
            *("$ORIGIN example.org.", "$TTL x", "$INCLUDE /etc/passwd", "@ SOA ns h 1 1 1 1 1"),
            *("@ MX 10 mail", "mail A 192.0.2.25", "mail CNAME mail", "a CNAME b", "b CNAME a"),
            *(
                "* TXT x",
                '@ TXT "',
                "( ",
                ")",
                "; x",
                "\x00",
                "@ TLSA 3 1 1 0",
                "$GENERATE 1-3 a$ A 1.2.3.$",
            ),
        ]
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=150)
@given(_LINES.map("\n".join) | st.text(max_size=60))
def test_a_zone_file_is_read_or_refused_with_its_line(text: str) -> None:
    why, names = "", ZoneFiles([], [])
    try:
        names = ZoneFiles(["zone"], [text])
    except NamesError as error:
        why = str(error)
    if why:
        assert why.startswith("zone")
        return
    for name in ("example.org", "a.example.org", "mail.example.org", "x.y.example.org", "."):
        for kind in ("A", "MX", "TXT"):
            assert names.ask(name, kind).state in ("found", "nothing", "no name", "trouble")


@given(st.text(alphabet='ab={} "\n#\x1b', max_size=80))
def test_whatever_doveconf_prints(text: str) -> None:
    settings_ = doveconf.parsed(text)
    list(doveconf.folders(settings_))
    doveconf.locks(settings_, "a")
    assert isinstance(doveconf.location(settings_), str)


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["domain", "path", "selector", "selectors", "enabled", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(_JSON)
def test_whatever_rspamd_has_set(said: object) -> None:
    for key in rspamd_keys(said, ["example.org"]):
        assert isinstance(key.path, str)


@given(st.text(alphabet="ab ,{}\t\n", max_size=60))
def test_lists_of_postfix_lose_nothing_but_what_parts_them(value: str) -> None:
    parts = split_list(value)
    assert all(parts)
    assert "".join("".join(parts).split()).replace(",", "") == "".join(value.split()).replace(
        ",", ""
    )
    assert split_list(" ".join(parts)) == parts or "{" in value
    restrictions.parsed(value)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".org", "." * 300, "ä\udc80.org", ""])
def test_a_name_that_is_none(name: str) -> None:
    answer = ZoneFiles(["zone"], ["example.org. A 192.0.2.1"]).ask(name, "A")
    assert answer.state in ("no name", "nothing")
