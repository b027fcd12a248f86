"""`mdeliver audit` judges relaying as a real Postfix does: list by list, table by table."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from click.testing import CliRunner

from mdeliver.cli.audit import command
from tests.installation import lacking
from tests.servers.gatekeeper import Client
from tests.servers.plainbox import PlainBox, plain_box
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

# What one service sets, and from which sender a stranger tries.
SERVICES: tuple[tuple[str, ...], ...] = (
    ("smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",),
    ("smtpd_relay_restrictions = permit_mynetworks, permit_auth_destination, reject",),
    ("smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination, permit",),
    (
        "smtpd_relay_restrictions =",
        "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, permit",
    ),
    (
        "smtpd_relay_restrictions = permit",
        "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination",
    ),
    ("relay_recipient_maps =",),
    ("relay_recipient_maps = static:all",),
    ("relay_recipient_maps = static:all", "smtpd_reject_unlisted_recipient = no"),
    # It is not smtpd that is asked whose a domain is.
    ("relay_domains = static:all", "relay_recipient_maps ="),
    (
        "relay_recipient_maps =",
        "smtpd_relay_restrictions = check_recipient_access inline:{ example.org=OK }, reject",
    ),
    (
        "smtpd_relay_restrictions = check_client_access cidr:{ {0.0.0.0/0 OK} },"
        " reject_unauth_destination",
    ),
    (
        "smtpd_relay_restrictions = check_sender_access inline:{ eve@example.net=OK },"
        " reject_unauth_destination",
    ),
    (
        "smtpd_sender_restrictions = check_sender_access inline:{ eve@example.net=OK }",
        "smtpd_client_restrictions = permit",
    ),
    (
        "smtpd_restriction_classes = lax",
        "lax = permit",
        "smtpd_relay_restrictions = permit_mynetworks, lax, reject_unauth_destination",
    ),
    (
        "smtpd_restriction_classes = strict",
        "strict = reject_unauth_destination",
        "smtpd_relay_restrictions = permit_mynetworks, strict",
    ),
)

# With these smtpd does not run: it misses a word that refuses.
REFUSED: tuple[tuple[str, ...], ...] = (
    ("smtpd_relay_restrictions = permit",),
    (
        "smtpd_relay_restrictions =",
        "smtpd_recipient_restrictions = permit_mynetworks, permit, reject_unauth_destination",
    ),
    ("smtpd_relay_restrictions = permit_mynetworks, warn_if_reject reject_unauth_destination",),
    ("smtpd_relay_restrictions = permit_mynetworks, reject_rbl_client dnsbl.test",),
)
_MISSES = "specify at least one working instance of"
_FIRST_PORT = 2601


@pytest.fixture
def box() -> Iterator[PlainBox]:
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        lacking("a private Postfix is started by root")
    if shutil.which("postfix") is None:
        lacking("postfix is not installed")
    with plain_box() as made:
        yield made


def _takes_mail_for_others(box: PlainBox, port: int) -> bool:
    with Client(port, server=box.address) as client:
        return client.try_to_send(to="somebody@example.com") == 250


def _services(box: PlainBox) -> list[str]:
    """Add every service to master.cf; their ports."""
    every = (*SERVICES, *REFUSED)
    ports = [str(_FIRST_PORT + n) for n in range(len(every))]
    with (box.configuration / "master.cf").open("a") as master:
        for port, lines in zip(ports, every, strict=True):
            options = "".join(f"  -o {{ {line} }}\n" for line in lines)
            master.write(f"{port} inet n - n - - smtpd\n{options}")
    return ports


def _start_again(box: PlainBox, ports: list[str]) -> None:
    box.stop()
    box.start()
    for port in ports:
        wait_for(partial(box.listens, int(port)), f"port {port}\n{box.log[-3000:]}")


def _called(box: PlainBox) -> list[str]:
    """What the audit says of services that relay for strangers, or for nobody."""
    words = ["relay", "--json", "--postfix", str(box.configuration), "--zone", "/dev/null"]
    done = CliRunner().invoke(command, [*words, "--settings", "/dev/null"])
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [finding["what"] for finding in said if finding["level"] == "failure"]


def test_an_open_relay_is_called_one_and_no_other_is(box: PlainBox) -> None:
    ports = _services(box)
    counts = []
    # As it is, and where every domain is one to relay to.
    for relay_domains in ("relay.example.org", "static:all"):
        box.run("postconf", "-e", f"relay_domains = {relay_domains}")
        _start_again(box, ports)
        failed = _called(box)
        dead = {what.split("/")[0] for what in failed if "takes no mail" in what}
        alive = [port for port in ports if port not in dead]
        opened = {port for port in alive if _takes_mail_for_others(box, int(port))}
        called = {what.split("/")[0] for what in failed} - dead - {"smtp"}
        assert called == opened, (failed, box.log[-3000:])
        assert dead == set(ports[len(SERVICES) :])
        counts.append(len(opened))
    assert 0 < counts[0] < counts[1] < len(SERVICES)
    with ExitStack() as connections:
        for port in ports[len(SERVICES) :]:
            connections.enter_context(socket.create_connection((box.address, int(port))))
        wait_for(lambda: box.log.count(_MISSES) >= len(REFUSED), f"refusals\n{box.log[-3000:]}")
