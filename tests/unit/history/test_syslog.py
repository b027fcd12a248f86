"""The line for the MTA's log: sent without waiting, and read by what reads Postfix's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mdeliver import outcome
from mdeliver.envelope import Envelope
from mdeliver.history import syslog
from mdeliver.history.account import Account
from mdeliver.letter import letter_of
from mdeliver.outcome import Outcome
from mdeliver.plan import File, Forward, Plan, Verdict
from mdeliver.settings import Site
from tests.installation import lacking

# What pflogsumm, and much else that reads Postfix's log, looks for in a delivery.
DELIVERY = re.compile(
    r"to=<([^>]*)>, (?:orig_to=<[^>]*>, )?relay=([^,]+), (?:conn_use=[^,]+, )?delay=([^,]+), "
    r"(?:delays=[^,]+, )?(?:dsn=[^,]+, )?status=(\S+)(.*)$"
)

MESSAGE = b"Received: from x by y (Postfix) with ESMTP id 4XyZ1k; Mon\nSubject: hi\n\nhello\n"
LISTS = File("maildir", "/m/.Lists", "/m", "imap", "Lists", (), "/etc/mdeliver/rules:12")
INBOX = File("mbox", "/mbox", "/mbox", "pop3", None, (), None)
FORWARD = Forward(("b@example.net",), "r:3")


def plan(*actions: Any, fate: Any = "deliver", rule: str | None = None) -> Plan:
    return Plan(actions, Verdict(fate, "", "", rule))


def told(
    tmp_path: Path, planned: Plan | None, done: Outcome, **envelope: str
) -> tuple[str, list[bytes]]:
    """The line of a delivery, and the datagrams that a syslog of ours got."""
    path = tmp_path / "syslog"
    given = {"recipient": "ann@example.org"} | envelope
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.setblocking(False)
        site = Site(syslog=str(path))
        recipient = Envelope("ann", "/home/ann", 1).replace(**given)
        account = Account(recipient, letter_of(MESSAGE), site, "/x")
        account.plan = planned
        account.close(done)
        datagrams = []
        try:
            while True:
                datagrams.append(server.recv(8192))
        except BlockingIOError:
            pass
    path.unlink()
    text = datagrams[0].decode()
    return text.partition("]: ")[2], datagrams


def test_a_delivery_in_the_manner_of_postfix(tmp_path: Path) -> None:
    line, (datagram,) = told(tmp_path, plan(LISTS, INBOX), outcome.delivered("to 2 places"))
    head = rf"<22>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d mdeliver/local\[{os.getpid()}\]: 4XyZ1k: "
    assert re.match(head, datagram.decode())
    found = DELIVERY.search(line)
    assert found is not None
    address, relay, delay, status, rest = found.groups()
    assert (address, relay, status) == ("ann@example.org", "mdeliver", "sent")
    assert float(delay) >= 0
    assert rest == " (filed to imap/Lists by /etc/mdeliver/rules:12; filed to pop3 by no rule)"
    assert ", dsn=2.0.0, " in line


@pytest.mark.parametrize(
    ("planned", "done", "status", "words"),
    [
        (plan(FORWARD), outcome.delivered(), "sent", "forward to b@example.net by r:3"),
        (plan(fate="discard", rule="r:1"), outcome.discarded(), "sent", "discarded by r:1"),
        (plan(fate="reject", rule="r:2"), outcome.rejected("go away"), "bounced", "go away by r:2"),
        (None, outcome.deferred("disk full", "4.3.1"), "deferred", "disk full"),
    ],
)  # fmt: skip
def test_every_fate_has_a_status(
    tmp_path: Path, planned: Plan | None, done: Outcome, status: str, words: str
) -> None:
    line, _ = told(tmp_path, planned, done)
    found = DELIVERY.search(line)
    assert found is not None
    assert (found[4], found[5]) == (status, f" ({words})")


def test_the_address_before_aliases(tmp_path: Path) -> None:
    line, _ = told(tmp_path, plan(INBOX), outcome.delivered(), original_recipient="a@example.org")
    assert "to=<ann@example.org>, orig_to=<a@example.org>, relay=mdeliver, " in line
    assert DELIVERY.search(line)


def test_hostile_words_end_no_field_and_no_line(tmp_path: Path) -> None:
    address = 'x>, relay=evil, status=sent\n"<\x1b[2J\udcff@example.org'
    folder = LISTS.replace(folder="a\nb\x1b[2J" + "x" * 3000)
    line, (datagram,) = told(tmp_path, plan(folder), outcome.delivered(), recipient=address)
    found = DELIVERY.search(line)
    assert found is not None
    assert found[2] == "mdeliver"
    assert line.isprintable()
    assert len(datagram) < 1024
    assert line.endswith("…)")


def _fill(said: dict[str, Any], site: Site) -> None:
    for _ in range(100_000):
        syslog.send(said, None, site)


def test_a_syslog_that_takes_nothing_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "syslog"
    site = Site(syslog=str(path))
    account = Account(Envelope("ann", "/home/ann", 1), letter_of(MESSAGE), site, str(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        # Nobody reads: at some point the kernel takes no more.
        said = account._said(outcome.delivered())
        with pytest.raises(BlockingIOError):
            _fill(said, site)
        account.close(outcome.delivered())
    account.close(outcome.delivered())
    # The log has both, the lost lines and that of a syslog that has gone.
    assert len((tmp_path / "log").read_bytes().splitlines()) == 2


def test_pflogsumm_counts_it(tmp_path: Path) -> None:
    pflogsumm = shutil.which("pflogsumm", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if pflogsumm is None:
        lacking("pflogsumm is not installed")
        return
    _, (datagram,) = told(tmp_path, plan(LISTS), outcome.delivered())
    _, _, line = datagram.decode().partition(">")
    log = tmp_path / "mail.log"
    log.write_text(f"{line[:15]} host {line[16:]}\n")
    command = [pflogsumm, "--syslog-name=mdeliver", str(log)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^ +1 +delivered$", shown, re.MULTILINE)
    assert "ann@example.org" in shown
