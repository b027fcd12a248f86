"""A real Postfix refuses by every check that loopback can reach; `mdeliver rejects` tells which."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mdeliver.cli.rejects import command
from mdeliver.postfix.logfiles import with_rotated
from tests.installation import lacking
from tests.servers.gatekeeper import Client, Gatekeeper, gatekeeper
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

# What a client does wrong, and nothing else, and which check sees it.
WRONG: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
    ("check_client_access", {"client": "198.51.100.50"}, {}),
    (
        "reject_unknown_reverse_client_hostname",
        {"client": "198.51.100.8", "name": "[UNAVAILABLE]"},
        {},
    ),
    (
        "reject_unknown_client_hostname",
        {"client": "198.51.100.9", "name": "[UNAVAILABLE]", "reverse": "host9.example.net"},
        {},
    ),
    ("reject_invalid_helo_hostname", {}, {"helo": "foo_bar..x"}),
    ("reject_invalid_helo_hostname", {}, {"helo": "x\x1b[31mred"}),
    ("reject_non_fqdn_helo_hostname", {}, {"helo": "laptop"}),
    ("check_helo_access", {}, {"helo": "mail.example.org"}),
    ("reject_unknown_helo_hostname", {}, {"helo": "nowhere.example.net"}),
    ("reject_non_fqdn_sender", {}, {"sender": "eve"}),
    ("reject_unknown_sender_domain", {}, {"sender": "eve@nowhere.example"}),
    ("reject_unknown_sender_domain", {}, {"sender": "eve@slow.example.net"}),
    ("check_sender_access", {}, {"sender": "blocked@example.net"}),
    ("reject_non_fqdn_recipient", {}, {"to": "bob"}),
    ("reject_unknown_recipient_domain", {}, {"to": "known@relay.example.org"}),
    ("reject_unlisted_recipient", {}, {"to": "nobodyatall@example.org"}),
    ("reject_rbl_client", {"client": "198.51.100.99"}, {}),
    ("reject_rhsbl_sender", {}, {"sender": "eve@spammer.example.net"}),
)
# These are not asked by warn_if_reject: the relay stays closed, and content is not a restriction.
FOR_GOOD: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
    ("own configuration", {}, {"sender": "trouble@example.net"}),
    ("reject_unauth_destination", {}, {"to": "bob@example.com"}),
    ("header_checks", {}, {"message": "Subject: win the lottery\r\n\r\nhi\r\n"}),
    ("body_checks", {}, {"message": "Subject: a\r\n\r\ncheap pills\r\n"}),
)
HOSTILE = '"x; from=<good@bank.example> to=<root@example.org> proto=SMTP helo=<a>"@nowhere.example'


@pytest.fixture(scope="module")
def gate() -> Iterator[Gatekeeper]:
    """The server with all the checks."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        lacking("a private Postfix is started by root")
    if shutil.which("postfix") is None:
        lacking("postfix is not installed")
    with gatekeeper() as running:
        yield running


def rejects(gate: Gatekeeper, *arguments: str) -> list[dict[str, Any]]:
    """What `mdeliver rejects --json` says of the log so far."""
    log = gate.top / "so-far"
    log.write_text(gate.complete_log())
    result = CliRunner().invoke(command, [str(log), "--json", *arguments])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def seen(gate: Gatekeeper, about: str) -> dict[str, Any]:
    """The one attempt that is about this."""

    def looked() -> list[dict[str, Any]]:
        return rejects(gate, "--about", about)

    (found,) = wait_for(looked, f"a line about {about}\n{gate.log[-3000:]}")
    return found


def refused_by(gate: Gatekeeper, port: int, wrong: Any) -> dict[str, Any]:
    """Do what is wrong once; the attempt that the log has of it."""
    before = len(gate.complete_log())
    _check, who, what = wrong
    with Client(port, **who) as client:
        client.try_to_send(**what)
    logged = gate.complete_log()[before:]
    line = [x for x in logged.splitlines() if "eject" in x or "hold: " in x]
    assert line, logged
    (gate.top / "line").write_text(line[0] + "\n")
    result = CliRunner().invoke(command, [str(gate.top / "line"), "--json"])
    return dict(json.loads(result.stdout.splitlines()[0]))


def test_every_check_is_told_by_the_log(gate: Gatekeeper) -> None:
    for wrong in (*WRONG, *FOR_GOOD):
        said = refused_by(gate, gate.checks, wrong)
        _check, who, what = wrong
        assert (said["check"], said["action"]) == (wrong[0], "refused"), said
        assert said["client_address"] == who.get("client", "198.51.100.7")
        assert said["sender"] == what.get("sender", "eve@example.net")
        assert said["recipient"] == what.get("to", "root@example.org")
        assert "\x1b" not in json.dumps(said)


def test_what_is_tried_with_warn_if_reject_passes_and_is_listed(gate: Gatekeeper) -> None:
    for wrong in WRONG:
        if wrong[0] == "reject_unlisted_recipient":
            continue  # Postfix asks for the recipient once more, without the warning
        said = refused_by(gate, gate.warns, wrong)
        assert (said["check"], said["action"]) == (wrong[0], "warned"), said
    with Client(gate.warns) as client:
        assert client.try_to_send(helo="laptop.local", to="root@example.org") == 250


def test_a_stranger_cannot_speak_for_another_sender(gate: Gatekeeper) -> None:
    said = refused_by(gate, gate.checks, ("", {}, {"sender": HOSTILE}))
    assert said["sender"] == HOSTILE
    assert said["check"] == "reject_unknown_sender_domain"
    assert said["line"] == "198.51.100.7/32 OK"


def test_data_and_size(gate: Gatekeeper) -> None:
    with Client(gate.checks, "198.51.100.21") as client:
        for line in ("EHLO mx.example.net", "MAIL FROM:<>", "RCPT TO:<root@example.org>"):
            client.say(line)
        client.say("RCPT TO:<mail@example.org>")
        assert client.say("DATA") == 550
    assert seen(gate, "198.51.100.21")["check"] == "reject_multi_recipient_bounce"

    with closing(Client(gate.checks, "198.51.100.22")) as client:
        client.say("HELO mx.example.net")
        ahead = ("MAIL FROM:<eve@example.net>", "RCPT TO:<root@example.org>", "DATA", "Subject: x")
        client.send("".join(f"{line}\r\n" for line in ahead).encode())
        client.getreply()
        assert seen(gate, "198.51.100.22")["check"] == "reject_unauth_pipelining"

    with Client(gate.checks, "198.51.100.23") as client:
        client.say("EHLO mx.example.net")
        assert client.say("MAIL FROM:<eve@example.net> SIZE=99999999") == 552
    assert seen(gate, "198.51.100.23")["check"] == "message_size_limit"

    with Client(gate.checks, "198.51.100.24") as client:
        client.try_to_send(to="held@example.org")
    said = seen(gate, "198.51.100.24")
    assert (said["check"], said["action"]) == ("check_recipient_access", "held")

    with Client(gate.checks, "198.51.100.25") as client:
        client.try_to_send(message="Subject: vanish\r\n\r\nhi\r\n")
    said = seen(gate, "198.51.100.25")
    assert (said["check"], said["action"]) == ("header_checks", "discarded")


def test_before_the_recipient_is_known(gate: Gatekeeper) -> None:
    with socket.create_connection(("127.0.0.1", gate.early)) as client:
        client.recv(100)
        client.sendall(b"EHLO laptop\r\n")
        assert client.recv(100).startswith(b"504")
    (said,) = wait_for(
        lambda: [x for x in rejects(gate) if x["stage"] == "EHLO"], f"a refusal\n{gate.log[-3000:]}"
    )
    assert said["check"] == "reject_non_fqdn_helo_hostname"
    assert (said["sender"], said["recipient"]) == (None, None)


def test_who_does_not_wait_for_the_greeting(gate: Gatekeeper) -> None:
    # smtpd looks once, when it takes the connection: on a busy machine a client may be late.
    assert any(_heard_at_once(gate).startswith(b"503") for _ in range(50))
    said = wait_for(
        lambda: [x for x in rejects(gate) if x["stage"] == "CONNECT" and x["reply"][:3] == "503"],
        f"a refusal\n{gate.log[-3000:]}",
    )
    assert said[0]["check"] == "reject_unauth_pipelining"


def _heard_at_once(gate: Gatekeeper) -> bytes:
    """The first words to a client that has spoken before the greeting."""
    with socket.create_connection(("127.0.0.1", gate.early)) as client:
        client.sendall(b"HELO fast.example.net\r\nMAIL FROM:<eve@example.net>\r\n")
        return client.recv(100)


def test_milters(gate: Gatekeeper) -> None:
    with Client(gate.milter, "198.51.100.31") as client:
        client.try_to_send(to="milter-hard@example.org")
    with Client(gate.milter, "198.51.100.32") as client:
        client.try_to_send(to="milter-soft@example.org")
    with Client(gate.milter, "198.51.100.33") as client:
        client.try_to_send(message="X-Thing: milter-body\r\n\r\nhi\r\n")
    assert seen(gate, "198.51.100.31")["reply"].startswith("550 5.7.1")
    assert seen(gate, "198.51.100.32")["reply"].startswith("451 4.7.1")
    assert seen(gate, "198.51.100.33")["stage"] == "END-OF-MESSAGE"
    assert {seen(gate, f"198.51.100.3{n}")["check"] for n in (1, 2, 3)} == {"milter"}


def test_limits(gate: Gatekeeper) -> None:
    def refused() -> bool:
        # Who may say XCLIENT is not limited.
        source = ("127.0.0.9", 0)
        with socket.create_connection(("127.0.0.1", gate.limited), None, source) as client:
            return client.recv(100).startswith(b"421 ")

    assert not refused()
    # Within a minute of the first one: whoever is later begins a minute anew.
    wait_for(refused, "a second visit within a minute")
    assert seen(gate, "rate limit exceeded")["check"] == "client limits"


def test_a_log_is_followed_where_postfix_rotates_it(gate: Gatekeeper) -> None:
    log = str(gate.top / "maillog")
    # Where the tests run in the background of a shell they have SIGINT ignored, and so had it.
    plain = ("env", "--default-signal=INT")
    # By itself it shows what happens from its start on, before which the first may have happened.
    words = [*plain, sys.executable, "-m", "mdeliver", "rejects"]
    words += ["--follow", "--since", "1h", "--json", log]
    followed = gate.top / "followed"
    with (
        followed.open("wb") as said,
        subprocess.Popen(words, stdout=said) as follower,
    ):
        try:
            for address in ("198.51.100.41", "198.51.100.42"):
                with Client(gate.checks, address) as client:
                    client.try_to_send(helo="laptop")
                tried = f'"client_address": "{address}"'
                wait_for(partial(_stands_in, followed, tried), f"{address} to be shown")
                gate.rotate_log()
        finally:
            follower.send_signal(signal.SIGINT)
    assert follower.returncode == 0
    with Client(gate.checks, "198.51.100.43") as client:
        client.try_to_send(helo="laptop")
    seen(gate, "198.51.100.43")
    paths = with_rotated(log)
    assert any(path.endswith(".gz") for path in paths), paths
    result = CliRunner().invoke(command, ["--json", "--about", "198.51.100.4", *paths])
    found = {json.loads(line)["client_address"] for line in result.stdout.splitlines()}
    # Tries of one network belong together; the last of them names it.
    assert found == {"198.51.100.43"}


def _stands_in(path: Path, words: str) -> bool:
    return words in path.read_text()


TALK = (
    b"EHLO mx.example.net\r\n",
    b"MAIL FROM:<eve@example.net>\r\n",
    b"RCPT TO:<root@example.org>\r\n",
    b"QUIT\r\n",
)
# Source address, what is said and whether before the greeting, and what postscreen makes of it.
SCREENED: tuple[tuple[str, tuple[bytes, ...], bool, str], ...] = (
    ("127.7.7.99", TALK, False, "postscreen_dnsbl_sites"),
    ("127.7.7.1", (b"".join(TALK),), True, "postscreen_greet_action"),
    ("127.66.66.66", (), False, "postscreen_access_list"),
    ("127.7.7.2", (TALK[0], b"GET / HTTP/1.0\r\n"), False, "postscreen_non_smtp_command_action"),
    (
        "127.7.7.3",
        (TALK[0], b"MAIL FROM:<eve@example.net>\n", *TALK[2:]),
        False,
        "postscreen_bare_newline_action",
    ),
    ("127.7.7.4", (TALK[0], TALK[1] + TALK[2]), False, "postscreen_pipelining_action"),
    ("127.7.7.5", TALK, False, "postscreen first visit"),
)


def test_postscreen(gate: Gatekeeper) -> None:
    with ExitStack() as connections:
        clients = []
        for address, lines, early, _check in SCREENED:
            client = connections.enter_context(socket.socket())
            client.settimeout(120)
            client.bind((address, 0))
            client.connect(("127.0.0.1", gate.screen))
            if early:
                client.sendall(lines[0])
            clients.append(client)
        # All wait for the greeting at the same time: it takes postscreen_greet_wait.
        for client, (address, lines, early, check) in zip(clients, SCREENED, strict=True):
            with client, client.makefile("rb") as replies:
                if not early:
                    _reply(replies)
                    for line in lines:
                        client.sendall(line)
                        _reply(replies)
                else:
                    replies.read()
            said = seen(gate, address)
            assert (said["check"], said["client_address"]) == (check, address)


def _reply(replies: Any) -> None:
    while replies.readline()[3:4] == b"-":
        pass
