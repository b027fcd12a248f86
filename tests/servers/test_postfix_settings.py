"""`mdeliver postfix` sets up a real Postfix: who breaks a rule is refused, all others pass."""

from __future__ import annotations

import imaplib
import json
import os
import re
import shutil
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from click.testing import CliRunner

from mdeliver.cli.audit import command as audit
from mdeliver.cli.rejects import command as rejects
from tests.installation import lacking
from tests.servers.gatekeeper import Client
from tests.servers.plainbox import PlainBox, plain_box
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

NAMELESS = {"name": "[UNAVAILABLE]", "reverse": "host9.example.net"}

# What a client does wrong and nothing else, and which check sees it.
WRONG: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
    ("reject_unknown_client_hostname", NAMELESS, {}),
    ("reject_invalid_helo_hostname", {}, {"helo": "foo_bar..x"}),
    ("reject_non_fqdn_helo_hostname", {}, {"helo": "laptop"}),
    ("check_helo_access", {}, {"helo": "mail.example.org"}),
    ("check_helo_access", {}, {"helo": "OWN ADDRESS"}),
    ("reject_unknown_helo_hostname", {}, {"helo": "nowhere.example.net"}),
    ("reject_non_fqdn_sender", {}, {"sender": "eve"}),
    ("reject_unknown_sender_domain", {}, {"sender": "eve@nowhere.example"}),
    ("reject_non_fqdn_recipient", {}, {"to": "root"}),
    ("reject_unknown_recipient_domain", {}, {"to": "known@relay.example.org"}),
)


@pytest.fixture
def boxed() -> Iterator[Callable[[str], PlainBox]]:
    """Start a Postfix with further lines in its main.cf."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        lacking("a private Postfix is started by root")
    if shutil.which("postfix") is None:
        lacking("postfix is not installed")
    running = []

    def start(further: str) -> PlainBox:
        running.append(plain_box(further))
        return running[-1].__enter__()

    try:
        yield start
    finally:
        for one in running:
            one.__exit__(None, None, None)


@pytest.fixture
def box(boxed: Callable[[str], PlainBox]) -> PlainBox:
    """One as it was installed."""
    return boxed("")


def attempts(box: PlainBox, first: int = 20) -> list[tuple[str, str, int, list[tuple[str, str]]]]:
    """Do everything wrong once, each from its own address, at the same time.

    first  the last number of the first address: who comes a second time comes from another
    For each: check, address, the code of the reply, and what `mdeliver rejects` says of the log:
    checks and actions.
    """

    def attempt(number: int) -> int:
        _check, who, what = WRONG[number]
        helo = what.get("helo", "mx.example.net").replace("OWN ADDRESS", f"[{box.address}]")
        with Client(25, address(first + number), server=box.address, **who) as client:
            return client.try_to_send(**{**what, "helo": helo})

    numbers = range(len(WRONG))
    with ThreadPoolExecutor(len(WRONG)) as pool:
        codes = list(pool.map(attempt, numbers))
    found = [said_of(box, address(first + number)) for number in numbers]
    return [(WRONG[n][0], address(first + n), codes[n], found[n]) for n in numbers]


def address(number: int) -> str:
    return f"198.51.100.{number}"


def said_of(box: PlainBox, about: str) -> list[tuple[str, str]]:
    """What `mdeliver rejects` makes of the lines about one client: checks and actions."""

    def lines() -> list[str]:
        return [x for x in box.log.splitlines() if f"[{about}]: " in x and "reject" in x]

    wait_for(lines, f"a line about {about}\n{box.log[-3000:]}")
    # Of whoever has got an answer nothing is missing in the complete log.
    box.complete_log()
    path = box.top / f"lines-{about}"
    path.write_text("".join(f"{line}\n" for line in lines()))
    done = CliRunner().invoke(rejects, [str(path), "--json"])
    assert done.exit_code == 0, done.output
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [(one["check"], one["action"]) for one in said]


def early_talker(box: PlainBox) -> bytes:
    """What somebody hears who says all at once before the greeting, up to the last word.

    smtpd looks who has spoken when it takes the connection, and with each command after that: who
    is a moment late is refused at DATA.
    """
    lines = ("HELO fast.example.net", "MAIL FROM:<eve@example.net>")
    more = ("RCPT TO:<root@example.org>", "DATA", "Subject: x", "", "x", ".", "QUIT")
    words = "".join(f"{line}\r\n" for line in (*lines, *more)).encode()
    with socket.create_connection((box.address, 25), timeout=120) as client:
        client.sendall(words)
        return b"".join(iter(lambda: client.recv(4096), b""))


def _refuses_early_talkers(box: PlainBox) -> None:
    heard = early_talker(box)
    assert b"503 5.5.0" in heard, (heard, box.log[-3000:])
    assert b"354 " not in heard, (heard, box.log[-3000:])


def passes(box: PlainBox) -> None:
    """A correct client and one of our own network are let through."""
    with Client(25, server=box.address) as client:
        assert client.try_to_send() == 250
    with Client(25, "127.255.255.254", server=box.address, **NAMELESS) as own:
        assert own.try_to_send(helo="laptop", sender="root") == 250


def audited(box: PlainBox, *skip: str) -> list[str]:
    """The checks of `mdeliver audit` that fail or warn; not of this machine's mailboxes."""
    words = ["--json", "--postfix", str(box.configuration), "--resolver", box.name_server]
    words += ["--settings", "/dev/null", "--dovecot", str(box.top / "dovecot.conf")]
    words += ["--skip", ",".join(["mailboxes", *skip])]
    done = CliRunner().invoke(audit, words)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found, done.output
    return [one["check"] for one in found if one["level"] in ("failure", "warning")]


def test_who_breaks_a_rule_is_refused_and_everybody_else_passes(box: PlainBox) -> None:
    box.set_up()
    for check, about, code, said in attempts(box):
        assert 450 <= code < 600, (check, about, box.log[-3000:])
        assert said == [(check, "refused")]
    _refuses_early_talkers(box)
    passes(box)

    with Client(25, "198.51.100.60", server=box.address) as client:
        assert client.say("MAIL FROM:<eve@example.net>") == 503
    with Client(25, "198.51.100.61", server=box.address) as client:
        for line in ("EHLO mx.example.net", "MAIL FROM:<>", "RCPT TO:<root@example.org>"):
            client.say(line)
        client.say("RCPT TO:<mail@example.org>")
        assert client.say("DATA") == 550
    assert said_of(box, "198.51.100.61") == [("reject_multi_recipient_bounce", "refused")]
    with Client(25, "198.51.100.62", server=box.address) as client:
        client.say("HELO mx.example.net")
        ahead = ("MAIL FROM:<eve@example.net>", "RCPT TO:<root@example.org>", "DATA", "Subject: x")
        client.send("".join(f"{line}\r\n" for line in ahead).encode())
        assert said_of(box, "198.51.100.62") == [("reject_unauth_pipelining", "refused")]
        client.close()
    with Client(25, "198.51.100.63", server=box.address) as client:
        assert client.try_to_send(to="somebody@example.com") == 454  # no relay
    # No Dovecot runs here.
    assert audited(box, "dovecot", "passwords") == []


def test_each_check_can_be_tried_first(box: PlainBox) -> None:
    box.set_up("--try")
    for check, about, code, said in attempts(box):
        assert code == 250, (check, about, box.log[-3000:])
        assert (check, "warned") in said
        assert {action for _check, action in said} == {"warned"}
    assert b"\r\n354 " in early_talker(box)
    warned = "Improper use of SMTP command pipelining"
    wait_for(lambda: f"rejected: {warned}" in box.log, "a warning of the early talker")

    tried = box.settings
    box.set_up("--try")
    assert box.settings == tried
    box.set_up()
    states = {x["what"]: x["state"] for x in json.loads(box.mdeliver("--json").stdout)["steps"]}
    assert states["reject_unknown_sender_domain"] == "trial"

    box.set_up("--enforce")
    for check, about, code, said in attempts(box, 80):
        assert 450 <= code < 600, (check, about, box.log[-3000:])
        assert (check, "refused") in said
    _refuses_early_talkers(box)


def test_what_is_set_is_not_set_again_and_can_be_taken_back(box: PlainBox) -> None:
    before = box.settings
    assert box.mdeliver("--check").exit_code == 1
    assert box.settings == before
    box.set_up("--try", "helo", "sender")
    box.set_up()
    after = box.settings
    assert after != before
    assert "nothing is lacking" in box.set_up().output
    assert box.settings == after
    assert box.mdeliver("--check").exit_code == 0
    box.mdeliver("--revert")
    assert box.settings == before

    def as_before() -> bool:
        # A server that waits for its next client has the settings of when it began.
        with Client(25, "198.51.100.70", server=box.address) as client:
            return client.try_to_send(helo="laptop") == 250

    wait_for(as_before, "the old settings")


def test_postscreen_lets_strangers_wait(boxed: Callable[[str], PlainBox]) -> None:
    box = boxed("postscreen_greet_wait = 8s\n")
    box.set_up("--greeting", "postscreen")
    assert "503" not in (heard := early_talker(box).decode())
    assert heard.startswith(("220-", "521 ", "550 ")), heard
    early = re.compile(r"PREGREET .* from (\[.*\]:\d+): ")
    talker = wait_for(lambda: early.search(box.log), "postscreen to say so")
    # Others have come and gone too: who looked whether Postfix is up.
    wait_for(lambda: f"DISCONNECT {talker[1]}\n" in box.log, "the session's end")
    (box.top / "screened").write_text(box.log)
    done = CliRunner().invoke(rejects, [str(box.top / "screened"), "--json"])
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(x["check"], x["client_address"]) for x in said] == [
        ("postscreen_greet_action", box.address)
    ]
    # Who waits is passed on to smtpd, with all its checks.
    passes(box)
    with Client(25, "198.51.100.90", server=box.address) as client:
        assert client.try_to_send(helo="laptop") == 504
    assert "nothing is lacking" in box.set_up("--greeting", "postscreen").output


def test_what_the_administrator_has_set_stays(boxed: Callable[[str], PlainBox]) -> None:
    box = boxed(
        "smtpd_recipient_restrictions = permit_mynetworks,\n"
        "  check_sender_access inline:{ { friend@nowhere.example = OK }, { foe@example.net ="
        " REJECT } }\n"
        "  # the last\n"
        "  permit\n"
        "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname\n"
        "mailbox_size_limit = 123456789\n"
    )
    box.set_up()
    with Client(25, "198.51.100.71", server=box.address) as client:
        assert client.try_to_send(sender="foe@example.net") == 554
    with Client(25, "198.51.100.72", server=box.address) as client:
        assert (
            client.try_to_send(sender="friend@nowhere.example", helo="nowhere.example.net") == 250
        )
    with Client(25, "198.51.100.73", server=box.address) as client:
        assert client.try_to_send(sender="eve@nowhere.example") == 450
    steps = {x["what"]: x for x in json.loads(box.mdeliver("--json").stdout)["steps"]}
    assert steps["reject_non_fqdn_helo_hostname"]["state"] == "set"
    assert steps["mailbox_size_limit = 0"]["state"] == "kept"
    assert box.run("postconf", "-h", "mailbox_size_limit").strip() == "123456789"


def test_users_send_through_submission_with_the_passwords_of_dovecot(box: PlainBox) -> None:
    if shutil.which("dovecot") is None:
        lacking("dovecot is not installed")
    box.set_up()
    with box.dovecot("ann", "secret"):
        trust = ssl._create_unverified_context()
        with smtplib.SMTP(box.address, 587, "laptop", timeout=120) as client:
            client.ehlo()
            assert not client.has_extn("auth")
            client.starttls(context=trust)
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("eve@example.net", ["root@example.org"], b"\r\n")
        with smtplib.SMTP(box.address, 587, "laptop", timeout=120) as client:
            client.starttls(context=trust)
            client.login("ann", "secret")
            # A mail program may be behind any address and greet with any name.
            client.sendmail("ann@nowhere.example", ["bob@example.com"], b"Subject: a\r\n\r\nb\r\n")
        with smtplib.SMTP_SSL(box.address, 465, "laptop", timeout=120, context=trust) as client:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("eve@example.net", ["root@example.org"], b"\r\n")
        with smtplib.SMTP(box.address, 25, "mx.example.net", timeout=120) as client:
            client.starttls(context=trust)
            client.ehlo()
            assert not client.has_extn("auth")
        _special_folders(box)
        # This Dovecot has no TLS, and takes passwords in the clear.
        assert audited(box) == ["logins"]


def _special_folders(box: PlainBox) -> None:
    with imaplib.IMAP4(box.address) as imap:
        imap.login("ann", "secret")
        _status, listed = imap.list('""', '"*"')
        folders: list[Any] = [line.decode() for line in listed if isinstance(line, bytes)]
    for use in ("Sent", "Drafts", "Junk", "Trash", "Archive"):
        assert any(f"\\{use}" in line and line.endswith(use) for line in folders), folders
