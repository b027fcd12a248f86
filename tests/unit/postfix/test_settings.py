"""What is proposed for a configuration, without a server; tests/servers sets up a real one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.postfix import command
from mdeliver.postfix import changes, ownnames, settings
from mdeliver.postfix.configuration import Postfix
from mdeliver.postfix.step import Box, Wish
from tests.installation import lacking

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.example.org
mydomain = example.org
mydestination = $mydomain, $myhostname
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
proxy_interfaces = 192.0.2.99, nat.example.org
"""
MASTER_CF = """\
smtp       inet n - y - - smtpd
127.0.0.1:10025 inet n - y - - smtpd
pickup     unix n - y 60 1 pickup
cleanup    unix n - y - 0 cleanup
lmtp       unix - - y - - lmtp
"""


class Host:
    """A configuration, and what is proposed for it."""

    def __init__(self, etc: Path) -> None:
        self.etc = etc
        self.say("", MAIN_CF)
        (etc / "master.cf").write_text(MASTER_CF)

    def say(self, text: str, before: str = "") -> None:
        """Add lines to main.cf."""
        with (self.etc / "main.cf").open("a") as main:
            main.write(before + text)

    def service_says(self, name: str, value: str) -> None:
        """Set something in master.cf."""
        Postfix(str(self.etc)).run("postconf", "-P", f"{name}={value}")

    def plan(self, *parts: str, **wishes: object) -> settings.Plan:
        return settings.plan(Box(Postfix(str(self.etc))), Wish(**wishes), parts)  # type: ignore[arg-type]

    def apply(self, *parts: str, **wishes: object) -> None:
        """Make the changes, without `postfix check`, which wants queues and root."""
        postfix = Postfix(str(self.etc))
        for change in self.plan(*parts, **wishes).changes:
            postfix.run("postconf", change.flag, f"{change.name}={change.value}")

    def value(self, name: str) -> str:
        return Postfix(str(self.etc)).run("postconf", "-h", name).strip()

    def service(self, name: str) -> dict[str, str]:
        (found,) = [s for s in Postfix(str(self.etc)).services() if s.name == name]
        return {**found.settings, "command": found.command, "chroot": found.chroot}

    def command(self, *words: str) -> Result:
        return CliRunner().invoke(command, ["--postfix", str(self.etc), *words])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    if shutil.which("postconf", path="/usr/sbin:/usr/bin") is None:
        lacking("Postfix is not installed")
    return Host(tmp_path)


def states(plan: settings.Plan) -> dict[str, str]:
    return {step.what: step.state for step in plan.steps}


def test_a_part_alone_is_set_alone(host: Host) -> None:
    assert [c.name for c in host.plan("sender").changes] == ["smtpd_recipient_restrictions"]
    host.apply("sender")
    assert host.value("smtpd_recipient_restrictions") == (
        "permit_mynetworks, permit_sasl_authenticated, reject_non_fqdn_sender, "
        "reject_unknown_sender_domain"
    )
    assert not host.plan("sender").changes
    host.apply("recipient", trying=True)
    assert "domain, warn_if_reject reject_non" in host.value("smtpd_recipient_restrictions")
    host.apply(enforce=True)
    assert "warn_if_reject" not in host.value("smtpd_recipient_restrictions")


def test_paths_are_where_daemons_find_them(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(host.etc)
    arguments = ["--postfix", ".", "--certificate", "key.pem,chain.pem", "--json"]
    result = CliRunner().invoke(command, arguments)
    assert (result.exit_code, f"{host.etc}/key.pem: there is no such" in result.output) == (2, True)
    for name in ("key.pem", "chain.pem"):
        (host.etc / name).touch()
    said = CliRunner().invoke(command, arguments).stdout
    assert f":{host.etc}/mdeliver_helo_access" in said
    assert f"chain_files={host.etc}/key.pem,{host.etc}/chain.pem" in said


def test_the_relay_stays_closed_where_this_list_closes_it(host: Host) -> None:
    host.say(
        "smtpd_relay_restrictions =\n"
        "smtpd_recipient_restrictions = permit_sasl_authenticated, reject_unauth_destination\n"
    )
    host.apply("client")
    assert host.value("smtpd_recipient_restrictions") == (
        "permit_sasl_authenticated, reject_unauth_destination, permit_mynetworks, "
        "reject_unknown_client_hostname"
    )


def test_a_list_with_its_end_in_another_setting_stays(host: Host) -> None:
    host.say("theirs = permit_mynetworks, permit\nsmtpd_recipient_restrictions = $theirs\n")
    plan = host.plan("client")
    assert not plan.changes
    assert states(plan) == {"reject_unknown_client_hostname": "kept"}


def test_a_check_after_permit_is_none(host: Host) -> None:
    host.say("smtpd_recipient_restrictions = permit, reject_unknown_client_hostname\n")
    assert states(host.plan("client")) == {"reject_unknown_client_hostname": "lacking"}


def test_a_service_with_a_list_of_its_own_is_told(host: Host) -> None:
    host.service_says("smtp/inet/smtpd_recipient_restrictions", "reject_non_fqdn_sender,permit")
    told = {s.what: s for s in host.plan("sender").steps if s.what.startswith("smtp/inet: ")}
    assert list(told) == ["smtp/inet: reject_unknown_sender_domain"]
    (step,) = told.values()
    assert step.state == "kept"
    assert "of its own, without this check" in step.note


def test_dovecot_in_the_words_of_each_version(host: Host) -> None:
    older = host.command("--dovecot", "--dovecot-version", "2.3").output
    newer = host.command("--dovecot", "--dovecot-version", "2.4").output
    assert "mail_location = maildir:~/Maildir" in older
    assert "mail_path = ~/Maildir" in newer
    assert not {"mail_location", "%u"} & set(newer.replace("=", " ").split())
    assert {line for line in older.splitlines() if "special_use" in line} == {
        line for line in newer.splitlines() if "special_use" in line
    }


def test_only_the_service_for_strangers_waits(host: Host) -> None:
    host.apply("greeting")
    own = host.service("smtp/inet")
    assert own["smtpd_delay_reject"] == "no"
    assert own["smtpd_client_restrictions"].startswith("permit_mynetworks, sleep 1,")
    assert "smtpd_delay_reject" not in host.service("127.0.0.1:10025/inet")
    assert not host.plan("greeting").changes
    assert set(states(host.plan("greeting")).values()) == {"set"}


@pytest.mark.parametrize(
    "line",
    [
        "smtpd_client_restrictions = permit_sasl_authenticated, reject_rbl_client x.test\n",
        "smtpd_sender_restrictions = check_recipient_access hash:/x\n",
        "smtpd_sasl_auth_enable = yes\n",
        "smtpd_restriction_classes = mine\nmine = permit\nsmtpd_helo_restrictions = mine\n",
    ],
)
def test_nobody_waits_where_users_would_be_refused(host: Host, line: str) -> None:
    host.say(line)
    plan = host.plan("greeting")
    assert not plan.changes
    assert set(states(plan).values()) == {"kept"}


def test_the_administrators_checks_of_clients_are_asked_before_the_wait(host: Host) -> None:
    host.say("smtpd_client_restrictions = check_client_access hash:/x\n")
    host.apply("greeting")
    own = host.service("smtp/inet")["smtpd_client_restrictions"]
    assert own.startswith("check_client_access hash:/x, permit_mynetworks, sleep 1,")
    assert not host.plan("greeting").changes


def test_postscreen_on_demand_and_where_it_is(host: Host) -> None:
    host.apply("greeting", greeting="postscreen")
    assert host.service("smtp/inet")["command"] == "postscreen"
    assert host.service("smtpd/pass")["command"] == "smtpd"
    assert host.service("dnsblog/unix")["chroot"] == "y"
    assert host.value("postscreen_greet_action") == "enforce"
    assert not host.plan("greeting").changes


def test_submission(host: Host) -> None:
    assert not host.plan("submission").changes  # there is no certificate
    host.apply("submission", certificate="/key.pem,/certificates.pem")
    own = host.service("submission/inet")
    assert own["smtpd_tls_security_level"] == "encrypt"
    assert own["smtpd_relay_restrictions"] == "permit_sasl_authenticated,reject"
    assert host.service("submissions/inet")["smtpd_tls_wrappermode"] == "yes"
    assert host.value("smtpd_tls_security_level") == "may"
    assert not host.plan("submission").changes


def test_a_submission_that_is_there_gets_what_it_lacks(host: Host) -> None:
    host.say("smtpd_tls_chain_files = /x.pem\n")
    with (host.etc / "master.cf").open("a") as master:
        master.write("192.0.2.1:587 inet n - n - - smtpd\n  -o smtpd_tls_security_level=may\n")
        master.write("465 inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n")
        master.write("  -o smtpd_tls_wrappermode=yes\n  -o smtpd_recipient_restrictions=reject\n")
    host.apply("submission")
    own = host.service("192.0.2.1:587/inet")
    assert own["smtpd_tls_security_level"] == "may"
    assert own["smtpd_relay_restrictions"] == "permit_sasl_authenticated,reject"
    assert not host.plan("submission").changes
    assert states(host.plan("submission"))["192.0.2.1:587/inet"] == "kept"
    assert states(host.plan("submission"))["465/inet"] == "set"


def test_ways_to_mdeliver(host: Host) -> None:
    host.say("mailbox_command = procmail\n")
    assert not [c for c in host.plan("delivery").changes if c.name.startswith("mailbox_c")]
    host.apply("delivery", deliver="command", launcher="/x/bin/mdeliver-lda")
    assert host.value("mailbox_command") == "/x/bin/mdeliver-lda"
    assert (host.value("mailbox_size_limit"), host.value("recipient_delimiter")) == ("0", "+")
    assert not host.plan("delivery").changes
    host.apply("delivery", deliver="lmtp")
    assert host.value("mailbox_transport") == "lmtp:unix:/run/mdeliver/lmtp"
    assert host.service("lmtp/unix")["chroot"] == "n"
    assert not host.plan("delivery").changes


def test_own_names_and_addresses(host: Host) -> None:
    table = ownnames.table(Box(Postfix(str(host.etc))), ["MX.Example.ORG."])
    keys = [line.split()[0] for line in table.text.decode().splitlines()[1:]]
    own = ["localhost", "localhost.example.org", "localhost.localdomain", "mail.example.org"]
    assert {*own, "mx.example.org", "[192.0.2.99]", "192.0.2.99", "[127.0.0.1]"} <= set(keys)
    # Postfix looks parent domains up: other hosts of the domain must not be refused.
    assert "example.org" not in keys
    assert os.uname().nodename.lower() in keys


def test_the_command(host: Host) -> None:
    assert host.command("--check").exit_code == 1
    shown = json.loads(host.command("--json").stdout)
    assert {"part", "what", "why", "state", "note"} == set(shown["steps"][0])
    assert shown["table_stale"] is True
    assert "smtpd_helo_required=yes" in host.command("helo").stdout
    assert "special_use = \\Sent" in host.command("--dovecot").stdout
    assert host.command("nonsense").exit_code == 2
    assert host.command("--try", "--enforce").exit_code == 2
    assert host.command("--revert", "--apply").exit_code == 2
    refused = host.command("--revert")
    assert (refused.exit_code, "nothing to undo" in refused.output) == (78, True)
    assert CliRunner().invoke(command, ["--list"]).stdout.count("\n") == len(settings.PARTS)


def test_a_table_of_somebody_else_stays(host: Host) -> None:
    (host.etc / ownnames.FILE).write_text("mail.example.org OK\n")
    box = Box(Postfix(str(host.etc)))
    with pytest.raises(changes.SetupError, match="was not made by mdeliver postfix"):
        settings.apply(settings.plan(box, Wish(), ["helo"]), box)
