"""Names in DNS: servers that do not answer, files that are none; keys and policies elsewhere."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mdeliver.audit import transport
from mdeliver.audit.host import Given, Host
from mdeliver.audit.identity import Identity
from mdeliver.audit.names import Live, NamesError, ZoneFiles
from mdeliver.audit.signers import rspamd_keys, signing_keys
from mdeliver.postfix.configuration import Postfix
from mdeliver.sent.settings import BccSettings
from mdeliver.settings import Site
from tests.servers.zone import served
from tests.unit.audit.soundbox import SoundBox, certificate


def test_a_server_that_never_answers_costs_no_more_than_the_limit() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        names = Live(f"127.0.0.1:{silent.getsockname()[1]}", 0.3)
        answers = [names.ask(f"n{n}.example.org", "A") for n in range(50)]
    assert {answer.state for answer in answers} == {"trouble"}
    assert answers[0].why == "no name server answers in time"
    assert answers[-1].why == "the time for questions is up"


def test_a_real_server() -> None:
    zone = "a.example A 192.0.2.1\na.example TXT v=spf1 -all\nbroken.example broken\n"
    with served(zone) as address:
        names = Live(address, 20)
        assert names.ask("A.example.", "A").values == ("192.0.2.1",)
        assert names.ask("a.example", "TXT").values == ("v=spf1 -all",)
        assert names.ask("a.example", "MX").state == "nothing"
        assert names.ask("b.example", "A").state == "no name"
        assert names.ask("broken.example", "A").state == "trouble"
        assert names.exists("a.example") is True
        assert names.exists("broken.example") is None


@pytest.mark.parametrize("server", ["example.org", "192.0.2.1:x", "192.0.2.1:0", ""])
def test_what_is_no_server(server: str) -> None:
    with pytest.raises(NamesError, match="is no name server"):
        Live(server, 1)


def test_wildcards_aliases_and_names_that_no_file_knows() -> None:
    text = "$ORIGIN a.example.\n@ SOA ns h 1 1 1 1 1\n* A 192.0.2.1\nx.y TXT z\nloop CNAME loop\n"
    names = ZoneFiles(["zone"], [text])
    assert names.ask("any.a.example", "A").values == ("192.0.2.1",)
    assert names.ask("y.a.example", "A").state == "nothing"
    assert names.ask("z.y.a.example", "A").state == "no name"
    assert names.ask("b.example", "A").state == "trouble"
    assert names.ask("loop.a.example", "A").state == "trouble"
    assert names.below("a.example") == ["loop.a.example", "x.y.a.example"]


def test_options_that_are_wrong(tmp_path: Path) -> None:
    box = SoundBox(tmp_path, certificate(tmp_path))
    for words, status, said in (
        (["--zone", str(tmp_path / "no")], 78, "there is no such file"),
        (["--resolver", "127.0.0.1"], 2, "--zone asks no name server"),
        (["--address", "x"], 2, "x is no address"),
        (["--dkim", "example.org"], 2, "DOMAIN:SELECTOR"),
        (["--skip", "no-such"], 2, "there is no check no-such"),
        (["--timeout", "0"], 2, "0"),
        (["--postfix", str(tmp_path / "no")], 78, "postconf"),
    ):
        done = box.run(*words)
        assert (done.exit_code, said in done.stderr) == (status, True), done.output
    assert box.run("helo").stdout.endswith("\n1 fine\n")
    assert box.run("--only", "helo,spf", "--skip", "spf").stdout.endswith("\n1 fine\n")
    box.zone.write_text("\nmail.example.org. BLUB 10\n")
    assert "zone:2: " in box.run().stderr


def host(etc: Path, zone: str = "") -> Host:
    names = ZoneFiles(["zone"], [zone])
    made = Host(Postfix("/x"), Site(), BccSettings(), "", names, Given(etc=str(etc)))
    made.identity = Identity((), ("mail.example.org",), ("example.org",), "")
    return made


def test_keys_of_milters(tmp_path: Path) -> None:
    (tmp_path / "opendkim.conf").write_text(
        "# Selector old\nDomain example.org, example.net\nSelector  s1\nKeyFile\t/k/s1.pem\n"
        f"KeyTable refile:{tmp_path}/keytable\n"
    )
    (tmp_path / "keytable").write_text("one example.com:s2:/k/s2.pem\nany %:s3:/k/s3.pem\n")
    (tmp_path / "dkimpy-milter").mkdir()
    (tmp_path / "dkimpy-milter" / "dkimpy-milter.conf").write_text(
        "Domain example.org\nSelectorEd25519 e1\nKeyFileEd25519 /k/e1\n"
    )
    found = {(key.name, key.path, key.by) for key in signing_keys(host(tmp_path))}
    assert found == {
        ("s2._domainkey.example.com", "/k/s2.pem", "OpenDKIM"),
        ("s1._domainkey.example.org", "/k/s1.pem", "OpenDKIM"),
        ("s1._domainkey.example.net", "/k/s1.pem", "OpenDKIM"),
        ("e1._domainkey.example.org", "/k/e1", "dkimpy-milter"),
    }
    settings = {"selector": "d", "domain": {"example.org": {"path": "/k/$domain.$selector"}}}
    (key,) = rspamd_keys(settings, [])
    assert (key.name, key.path) == ("d._domainkey.example.org", "/k/example.org.d")
    assert rspamd_keys({"selector": "d"}, ["example.org"]) == []


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
def test_a_selector_that_no_file_is_named_by_hides_no_other(odd: str) -> None:
    settings = {"selector": odd, "domain": {"a.example": {}, "b.example": {"path": "/k/b"}}}
    (key,) = rspamd_keys(settings, [])
    assert key.path == "/k/b"


STS = 'example.org. MX 10 mail.example.org.\n_mta-sts.example.org. TXT "v=STSv1; id=1"\n'


@pytest.mark.parametrize(
    ("policy", "level", "words"),
    [
        ("version: STSv1\nmode: enforce\nmx: mail.example.org\nmax_age: 604800\n", "fine", "names"),
        ("version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmax_age: 604800\r\n", "fine", ""),
        ("version: STSv1\nmode: enforce\nmx: *.org\nmax_age: 604800\n", "failure", "not name mail"),
        ("version: STSv1\nmode: testing\nmx: mx.example\nmax_age: 9\n", "warning", "not name mail"),
        ("version: STSv1\nmode: enforce\nmx: mail.example.org\nmax_age: 60\n", "advice", "60 s"),
        ("mode: enforce\nmx: mail.example.org\n", "failure", "is missing"),
        ("version: STSv1\nmode: enforce\nmx: a\nmax_age: \u00b2\n", "failure", "is missing"),
        (f"version: STSv1\nmode: none\nmax_age: {'9' * 5000}\n", "failure", "is missing"),
        ("<html>\x1b[2J", "failure", "is missing"),
        (None, "warning", "cannot be fetched"),
    ],
)  # fmt: skip
def test_policies_of_mta_sts(tmp_path: Path, policy: str | None, level: str, words: str) -> None:
    def fetch(domain: str) -> str:
        assert domain == "example.org"
        if policy is None:
            raise transport.FetchError("no route")
        return policy

    checked = host(tmp_path, STS)
    checked.fetch_policy = fetch
    first = next(iter(transport.mta_sts_is_true(checked)))
    assert (first.level, words in first.what) == (level, True), first


def test_a_policy_that_cannot_be_fetched_is_an_error_and_no_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_arguments: object, **_options: object) -> socket.socket:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(transport.FetchError, match=r"https://mta-sts\.example\.org: refused"):
        transport.fetch_policy("example.org")
