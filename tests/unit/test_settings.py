"""The site's settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.outcome import Deferral
from mdeliver.settings import Checking, Site, load_site, split_server


def load(tmp_path: Path, text: str) -> Site:
    path = tmp_path / "mdeliver.toml"
    path.write_text(text)
    return load_site(str(path))


def test_without_anything_said_there_are_defaults() -> None:
    site = load_site("/dev/null")
    assert site == Site(hostname=os.uname().nodename)
    assert (site.domains, site.recipient_delimiter, site.on_rules_error) == ((), "+", "defer")


def test_every_key_is_read(tmp_path: Path) -> None:
    text = """
        [site]
        domains = ["Example.org", "example.net"]
        hostname = "mail.example.org"
        recipient_delimiter = "-"
        sendmail = "/opt/bin/sendmail"
        [rules]
        on_error = "inbox"
        cases = "required"
        [forward]
        srs_domain = "Example.org"
        srs_secret = "tell nobody"
        [log]
        decisions = false
        kilobytes = 10
        files = 2
        syslog = ""
        syslog_name = "mda/local"
        [authentication]
        compute = "always"
        resolver = ["127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:53"]
        seconds = 5
        wait_s = 0
        header = false
        forwarders = ["Alumni.example.edu", "192.0.2.0/24"]
        sealers = ["Lists.example"]
        own_networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]
        dkim_bits = 2048
    """
    site = load(tmp_path, text)
    assert site.domains == ("example.org", "example.net")
    assert (site.hostname, site.recipient_delimiter) == ("mail.example.org", "-")
    assert (site.on_rules_error, site.cases_required) == ("inbox", True)
    assert (site.log_decisions, site.log_kilobytes, site.log_files) == (False, 10, 2)
    assert (site.syslog, site.syslog_name) == ("", "mda/local")
    assert site.sendmail == "/opt/bin/sendmail"
    assert (site.srs_domain, site.srs_secret) == ("example.org", "tell nobody")
    assert site.checking == Checking(
        "always",
        ("127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:53"),
        5,
        0,
        False,
        ("alumni.example.edu", "192.0.2.0/24"),
        ("lists.example",),
        ("10.0.0.0/8", "2001:db8::/32", "192.0.2.1"),
        2048,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[site\n", "line 1"),
        ("[sites]\n", r"there is no table \[sites\]"),
        ("site = 1\n", "site is a table"),
        ("[site]\ndomain = []\n", "there is no key site.domain"),
        ("[site]\ndomains = 'example.org'\n", "site.domains is a list of texts"),
        ("[site]\nhostname = 1\n", "site.hostname is a text"),
        ("[site]\nsendmail = 'sendmail'\n", "site.sendmail is the whole path of a program"),
        ("[forward]\nsrs_domain = 'example.org'\n", "set both or neither"),
        ("[forward]\nsrs = true\n", "there is no key forward.srs"),
        ("[log]\nfiles = 0\n", "log.files is a whole number from 1 on"),
        ("[log]\nkilobytes = true\n", "log.kilobytes is a whole number from 1 on"),
        ("[rules]\non_error = 'bounce'\n", 'rules.on_error is "defer" or "inbox"'),
        ("[rules]\ncases = true\n", "rules.cases is a text"),
        ("[authentication]\ncompute = true\n", "authentication.compute is a text"),
        ("[authentication]\ncompute = 'yes'\n", '"never" or "asked" or "always", not "yes"'),
        ("[authentication]\nresolver = ['ns.example.org']\n", 'not "ns.example.org"'),
        ("[authentication]\nresolver = ['127.0.0.1:dns']\n", 'not "127.0.0.1:dns"'),
        ("[authentication]\nresolver = ['127.0.0.1:99999']\n", "is a list of addresses"),
        ("[authentication]\nresolver = ['[::1']\n", "is a list of addresses"),
        (f"[authentication]\nresolver = ['::1]:{'9' * 5000}']\n", "is a list of addresses"),
        (f"[authentication]\nresolver = ['127.0.0.1:{'9' * 5000}']\n", "is a list of addresses"),
        (f"[authentication]\nown_networks = ['10.0.0.0/{'9' * 5000}']\n", "is a list of networks"),
        ("[authentication]\nresolver = ['10.0.0.0/8']\n", "is a list of addresses"),
        ("[authentication]\nseconds = 0\n", "a whole number from 1 on"),
        ("[authentication]\nwait_s = -1\n", "a whole number from 0 on"),
        ("[authentication]\nheader = 'no'\n", "authentication.header is true or false"),
        ("[authentication]\nown_networks = ['10.0.0.0/33']\n", 'not "10.0.0.0/33"'),
        ("[authentication]\nown_networks = ['lan']\n", "is a list of networks"),
        ("[authentication]\nspf = true\n", "there is no key authentication.spf"),
        ("[rules]\ncases = 'must'\n", 'rules.cases is "optional" or "required", not "must"'),
    ],
)
def test_what_cannot_be_meant_defers(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Deferral, match=said) as refused:
        load(tmp_path, text)
    assert refused.value.status == "4.3.5"
    assert str(tmp_path / "mdeliver.toml") in refused.value.text


@pytest.mark.parametrize(
    ("written", "server_and_port"),
    [
        ("192.0.2.1", ("192.0.2.1", "53")),
        ("192.0.2.1:5353", ("192.0.2.1", "5353")),
        ("2001:db8::1", ("2001:db8::1", "53")),
        ("[2001:db8::1]", ("2001:db8::1", "53")),
        ("[2001:db8::1]:5353", ("2001:db8::1", "5353")),
    ],
)
def test_servers_as_settings_write_them(written: str, server_and_port: tuple[str, str]) -> None:
    assert split_server(written) == server_and_port
