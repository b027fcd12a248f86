"""The site's settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.outcome import Deferral
from mdeliver.settings import Site, load_site


def load(tmp_path: Path, text: str) -> Site:
    path = tmp_path / "mdeliver.toml"
    path.write_text(text)
    return load_site(str(path))


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    site = load_site(str(tmp_path / "mdeliver.toml"))
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
    """
    site = load(tmp_path, text)
    assert site.domains == ("example.org", "example.net")
    assert (site.hostname, site.recipient_delimiter) == ("mail.example.org", "-")
    assert (site.on_rules_error, site.cases_required) == ("inbox", True)
    assert (site.log_decisions, site.log_kilobytes, site.log_files) == (False, 10, 2)
    assert (site.syslog, site.syslog_name) == ("", "mda/local")
    assert site.sendmail == "/opt/bin/sendmail"
    assert (site.srs_domain, site.srs_secret) == ("example.org", "tell nobody")


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
        ("[rules]\ncases = 'must'\n", 'rules.cases is "optional" or "required", not "must"'),
    ],
)
def test_what_cannot_be_meant_defers(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Deferral, match=said) as refused:
        load(tmp_path, text)
    assert refused.value.status == "4.3.5"
    assert str(tmp_path / "mdeliver.toml") in refused.value.text
