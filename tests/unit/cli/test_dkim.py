"""`mdeliver dkim`: what it prints can be published, and what it reads harms no terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.dkim import command
from mdeliver.dkim import keys
from tests.installation import lacking

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.example.org
mydomain = example.org
mydestination = $mydomain, $myhostname, localhost, other.example, box.local
mynetworks = 127.0.0.0/8
"""
MASTER_CF = """\
smtp inet n - y - - smtpd
10025 inet n - y - - smtpd
submission inet n - y - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_milters=inet:localhost:1
127.0.0.1:10026 inet n - y - - smtpd
smtp unix - - y - - smtp
"""


class Host:
    """A configuration of Postfix, and keys beside it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.keys = top / "dkim"
        (top / "main.cf").write_text(MAIN_CF)
        (top / "master.cf").write_text(MASTER_CF)

    def run(self, *words: str) -> Result:
        where = ["--postfix", str(self.top), "--directory", str(self.keys)]
        where += ["--opendkim", str(self.top / "opendkim.conf"), "--address", "192.0.2.1"]
        return CliRunner().invoke(command, [*where, *words])

    def zone(self, text: str) -> str:
        path = self.top / "zone"
        path.write_text(text)
        return str(path)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    if shutil.which("postconf", path="/usr/sbin:/usr/bin") is None:
        lacking("Postfix is not installed")
    return Host(tmp_path)


def test_what_it_prints_is_what_it_wants_to_find(host: Host) -> None:
    assert "there is no key yet" in host.run().output
    assert host.run("--make", "--algorithm", "ed25519").exit_code == 0
    made = keys.registered(str(host.keys))
    assert [key.domain for key in made] == ["example.org", "other.example"]
    known = [key._replace(state="signing") for key in made]
    keys.register(str(host.keys), known)
    printed = host.run("--records")
    assert printed.exit_code == 0, printed.output
    checked = host.run("--check", "--zone", host.zone(printed.output))
    assert checked.exit_code == 0, checked.output
    assert "failure" not in checked.output
    assert "mail.example.org: the SPF record names every address" in checked.output


def test_nothing_published_is_a_failure_with_what_to_paste(host: Host) -> None:
    host.run("--make", "example.org")
    checked = host.run("--check", "--json", "--zone", host.zone("a.example. IN A 192.0.2.9\n"))
    assert checked.exit_code == 1
    said = [json.loads(line) for line in checked.output.splitlines()]
    assert {one["name"] for one in said if one["level"] == "failure"} == {
        *("example.org", "_dmarc.example.org", "mail.example.org", "other.example"),
        "_dmarc.other.example",
    }
    (paste,) = {tuple(one["setting"]) for one in said if one["name"] == "_dmarc.example.org"}
    assert paste[0].startswith('_dmarc.example.org. IN TXT "v=DMARC1; p=none;')


def test_hostile_answers_reach_no_terminal(host: Host) -> None:
    host.run("--make", "example.org")
    (key,) = keys.registered(str(host.keys))
    evil = r"\027[2J\007\226\128\174"
    zone = "".join(
        f'{name}. IN TXT "{text}"\n'
        for name, text in (
            (key.name, f"v=DKIM1; k={evil}; p=AAAA"),
            ("example.org", f"v=spf1 ip4:{evil} -all"),
            ("_dmarc.example.org", f"v=DMARC1; p={evil}"),
        )
    )
    for words in (["--check"], ["--rotate"]):
        shown = host.run(*words, "example.org", "--zone", host.zone(zone))
        assert shown.exit_code == 1, shown.output
        assert all(line.isprintable() for line in shown.output.splitlines()), ascii(shown.output)


def test_what_a_milter_lacks_is_shown(host: Host) -> None:
    host.run("--make", "example.org")
    (key,) = keys.registered(str(host.keys))
    keys.register(str(host.keys), [key._replace(state="signing")])
    steps = host.run("example.org").output
    for service in ("smtp/inet", "10025/inet", "submission/inet"):
        assert f"{service}: smtpd_milters with $mdeliver_signing" in steps
    assert "127.0.0.1:10026" not in steps  # there a content filter brings mail back
    (host.top / "opendkim.conf").write_text("KeyFile /etc/mine\n")
    refused = host.run("--apply", "example.org")
    assert refused.exit_code == 78
    assert "signs already, by KeyFile: it is left as it is" in refused.output


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--make", "--check"], 2, "one at a time"),
        (["--zone", "/x", "--resolver", "127.0.0.1"], 2, "in the place of"),
        (["--rotate", "--older-than", "soon"], 2, "is no number of days"),
        (["--make", "no domain"], 78, "is no domain"),
        (["--make", "--bits", "1024"], 78, "2048 to 4096"),
        (["--check", "--zone", "/nowhere/zone"], 78, "/nowhere/zone: No such file"),
        (["--revert"], 78, "there is nothing to undo"),
        (["--records", "--address", "here"], 78, "here is no address"),
    ],
)
def test_mistakes(host: Host, words: list[str], status: int, said: str) -> None:
    done = host.run(*words)
    assert (done.exit_code, said in done.output) == (status, True), done.output
