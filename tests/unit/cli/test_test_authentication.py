"""`mdeliver test` where rules ask for SPF, DKIM, DMARC or ARC: clients, zones, cases of both."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.test import command

ZONE = 'bank.example TXT "v=spf1 ip4:192.0.2.1 -all"\n_dmarc.bank.example TXT "v=DMARC1; p=none"\n'
MESSAGE = "Return-Path: <ann@bank.example>\nFrom: ann@bank.example\nSubject: hi\n\nhello\n"
RULES = (
    'if spf fail:\n    file to maildir "~/Forged"\nif dmarc pass:\n    file to maildir "~/Right"\n'
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with rules, a message and a zone."""
    (tmp_path / "rules").write_text(RULES)
    (tmp_path / "message").write_text(MESSAGE)
    (tmp_path / "zone").write_text(ZONE)
    (tmp_path / "mdeliver.toml").touch()
    return tmp_path


def run(home: Path, *arguments: str | Path) -> Result:
    clean = {name: None for name in os.environ if name.isupper() and name != "PATH"}
    options = ["--rules", str(home / "rules"), "--settings", str(home / "mdeliver.toml")]
    words = [*options, *map(str, arguments)]
    return CliRunner().invoke(command, words, env=clean | {"HOME": str(home), "USER": "ann"})


def place(home: Path, *arguments: str | Path) -> str:
    result = run(home, "--json", *arguments, home / "message")
    (action,) = [a for a in json.loads(result.stdout)["actions"] if a["action"] == "file"][:1]
    return Path(action["path"]).name


def test_a_zone_file_answers_for_the_dns(home: Path) -> None:
    assert place(home, "--zone", home / "zone", "--client", "198.51.100.9") == "Forged"
    assert place(home, "--zone", home / "zone", "--client", "192.0.2.1") == "Right"
    # Without a client there is nobody to judge, without a zone nobody says so.
    assert place(home, "--zone", home / "zone") == "Maildir"
    assert place(home, "--client", "198.51.100.9") == "Maildir"


def test_a_client_is_an_address(home: Path) -> None:
    result = run(home, "--zone", home / "zone", "--client", "mx.bank.example", home / "message")
    assert (result.exit_code, "mx.bank.example is no address" in result.output) == (2, True)


def test_it_says_what_was_found_out_about_whom(home: Path) -> None:
    said = run(home, "--zone", home / "zone", "--client", "198.51.100.9", home / "message").stdout
    assert "spf is fail: 198.51.100.9 is not among those that send for bank.example" in said
    assert "prepend header Authentication-Results: " in said
    said = run(home, "--zone", home / "zone", home / "message").stdout
    assert "spf is none: its client is not known" in said


def test_it_says_which_setting_would_find_it_out(home: Path) -> None:
    said = run(home, "--client", "198.51.100.9", home / "message").stdout
    nothing = "spf is none: no Authentication-Results that can be believed"
    assert f'{nothing}, and authentication.compute is "never"' in " ".join(said.split())
    (home / "mdeliver.toml").write_text('[authentication]\ncompute = "asked"\n')
    said = run(home, "--client", "198.51.100.9", "--zone", home / "zone", home / "message").stdout
    assert "authentication.compute" not in said


def test_helo_stands_for_the_null_sender(home: Path) -> None:
    (home / "message").write_text(MESSAGE.replace("ann@bank", "", 1).replace("<.example>", "<>"))
    options = ("--zone", home / "zone", "--client", "198.51.100.9", "--sender", "")
    assert place(home, *options, "--helo", "bank.example") == "Forged"
    assert place(home, *options, "--helo", "other.example") == "Maildir"


@pytest.mark.parametrize(("name", "said"), [("no-zone", "No such file"), ("rules", "no zone file")])
def test_a_zone_that_is_none(home: Path, name: str, said: str) -> None:
    result = run(home, "--zone", home / name, home / "message")
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


CASES = """\
rules "rules"
zone "zone"

message "forged":
    From: ann@bank.example
client "198.51.100.9"
files to maildir "~/Forged"

message "right":
    From: ann@bank.example
client "192.0.2.1"
helo "mail.bank.example"
files to maildir "~/Right"
adds header "Authentication-Results: anything"
"""


def test_cases_have_clients_and_zones_of_their_own(home: Path) -> None:
    (home / "cases").write_text(CASES)
    result = run(home, "--cases", home / "cases")
    assert result.stdout.endswith("2 cases, 1 failed\n")
    (home / "cases").write_text(CASES.rpartition("adds")[0])
    assert run(home, "--cases", home / "cases").stdout.endswith("2 cases, none failed\n")


def test_cases_with_a_zone_that_is_none(home: Path) -> None:
    (home / "cases").write_text(CASES.replace('"zone"', '"rules"'))
    result = run(home, "--cases", home / "cases")
    assert (result.exit_code, "rules: no zone file" in result.stderr) == (2, True)


def test_cases_without_a_zone_ask_nobody(home: Path) -> None:
    (home / "mdeliver.toml").write_text('[authentication]\ncompute = "always"\n')
    (home / "cases").write_text(CASES.replace('zone "zone"\n', "").rpartition("adds")[0])
    assert run(home, "--cases", home / "cases").stdout.endswith("2 cases, 2 failed\n")
