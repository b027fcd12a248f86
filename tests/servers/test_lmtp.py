"""Postfix and others bring mail by LMTP: people's stories, and what happens under kills."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import smtplib
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from grp import getgrnam
from pathlib import Path

import pytest

from tests.installation import lacking, open_directory
from tests.lmtpserver import Server
from tests.local8 import Person
from tests.mboxreader import read_mbox
from tests.servers.conftest import Box
from tests.servers.dovecot import Dovecot
from tests.servers.mailclients import address, by_imap, by_pop3, letter, send_from_outside
from tests.servers.people import SPOOL, write_rules
from tests.servers.postfix import Postfix
from tests.waiting import wait_for

pytestmark = pytest.mark.servers

LOAD = 200


@pytest.fixture(scope="module")
def routed(box: Box) -> Iterator[Path]:
    """Postfix hands all local mail to a socket; the directory that it is in."""
    top = open_directory("lmtp")
    try:
        box.postfix.use_settings(
            f"mailbox_transport = lmtp:unix:{top}/lmtp.sock",
            "lmtp_send_xforward_command = yes",
            "lmtp_destination_recipient_limit = 50",
            # What fails is tried again when the test says so, at once.
            "transport_retry_time = 1s",
            "destination_concurrency_failed_cohort_limit = 0",
            "lmtp_destination_concurrency_failed_cohort_limit = 1000",
        )
        yield top
    finally:
        box.postfix.use_settings()
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def server(routed: Path) -> Iterator[Server]:
    """The server, as an administrator would start it."""
    made = Server(routed, users="system", socket_user="postfix", slow_s=250)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            assert made.stop() == 0


def subjects(person: Person) -> tuple[Counter[bytes], Counter[bytes]]:
    """Message ids in the person's mbox and Maildir."""
    mbox = [stored.message for stored in read_mbox((SPOOL / person.name).read_bytes())]
    maildir = [path.read_bytes() for path in (person.home / "Maildir" / "new").glob("*")]
    found = re.compile(rb"^Message-I[Dd]: *(\S+)", re.MULTILINE)
    counted = [Counter(_first(found, octets) for octets in place) for place in (mbox, maildir)]
    return counted[0], counted[1]


def _first(pattern: re.Pattern[bytes], octets: bytes) -> bytes:
    found = pattern.search(octets)
    assert found is not None, octets
    return found[1]


def test_a_letter_through_postfix(
    server: Server, postfix: Postfix, dovecot: Dovecot, ann: Person
) -> None:
    message = letter("by LMTP", to=address(ann))
    queue_id = send_from_outside(postfix, message, to=address(ann, "+lists"))
    postfix.wait_until_delivered(queue_id)

    (downloaded,) = by_pop3(dovecot, ann)
    (read,) = by_imap(dovecot, ann)

    assert downloaded.endswith(message)
    assert read.message.endswith(message)
    lines = read.message.split(b"\n")
    assert lines[0] == b"Return-Path: <eve@example.net>"
    assert f"Delivered-To: {address(ann, '+lists')}".encode() in lines[:3]
    (sent,) = [line for line in postfix.lines_about(queue_id) if "status=sent" in line]
    assert "250 2.0.0 delivered to 2 places" in sent


def test_rules_see_the_client(server: Server, postfix: Postfix, ann: Person) -> None:
    write_rules(
        ann,
        'mailbox imap = maildir "~/Maildir"\n'
        'if extension is "x" and sender is "eve@example.net":\n    file to imap/X\n',
    )
    message = letter("sorted", to=address(ann))
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann, "+x")))
    assert len(list((ann.home / "Maildir" / ".X" / "new").iterdir())) == 1


def test_the_mbox_is_made_where_users_may_make_none(
    server: Server, postfix: Postfix, ann: Person
) -> None:
    spool = SPOOL / ann.name
    spool.unlink()
    status = SPOOL.stat()
    assert status.st_uid != ann.uid
    message = letter("first of all", to=address(ann))
    postfix.wait_until_delivered(send_from_outside(postfix, message, to=address(ann)))
    made = spool.stat()
    assert (made.st_uid, made.st_mode & 0o777) == (ann.uid, 0o600)
    assert not (SPOOL / f"{ann.name}.lock").exists()


def test_another_users_mbox_is_not_made(server: Server, ann: Person, bob: Person) -> None:
    """The mail group is lent for one's own mbox, whatever the rules say."""
    spool = SPOOL / f"{bob.name}x"
    write_rules(ann, f'mailbox other = mbox "{spool}"\nfile to other\n')
    with server.client() as client:
        (reply,) = client.deliver(address(ann))
    assert (reply.code, reply.text[:5]) == (451, "4.3.0")
    assert not spool.exists()
    assert not (SPOOL / f"{spool.name}.lock").exists()


def test_a_dotlock_in_the_spool_is_honoured_and_made(server: Server, ann: Person) -> None:
    lock = SPOOL / f"{ann.name}.lock"
    lock.write_text("another program")
    try:
        with server.client() as client:
            client.start_message(address(ann))
            tmp = ann.home / "Maildir" / "tmp"
            wait_for(lambda: tmp.exists() and any(tmp.iterdir()), "the delivery to be under way")
            assert (SPOOL / ann.name).stat().st_size == 0
            lock.unlink()
            assert client.reply().code == 250
    finally:
        lock.unlink(missing_ok=True)
    assert not lock.exists()


def test_rules_read_nothing_that_their_owner_may_not(server: Server, ann: Person) -> None:
    write_rules(ann, 'let secret = lines of "/etc/shadow"\nif subject is secret: discard\n')
    with server.client() as client:
        (reply,) = client.deliver(address(ann))
    assert reply.code == 451
    assert "shadow" in reply.text


def test_who_the_processes_are(server: Server, ann: Person) -> None:
    with server.client() as client:
        assert client.deliver(address(ann))[0].code == 250
        front, worker = [_status(pid) for pid in server.children()]
        # Nobody else of the same uid looks into them, or takes what they have at hand: ptrace(2).
        owners = {Path(f"/proc/{pid}/mem").stat().st_uid for pid in server.children()}
    assert owners == {0}
    nobody = pwd.getpwnam("nobody")
    assert front["Uid"] == [str(nobody.pw_uid)] * 4
    assert front["Gid"] == [str(nobody.pw_gid)] * 4
    assert front["Groups"] == []
    assert front["CapEff"] == front["CapPrm"] == worker["CapEff"] == worker["CapPrm"] == ["0" * 16]
    assert front["NoNewPrivs"] == ["1"]
    assert worker["Uid"] == [str(ann.uid)] * 4
    # Real, effective, saved, file system: the mail group is only at hand.
    mail = getgrnam("mail").gr_gid
    assert worker["Gid"] == [str(ann.gid), str(ann.gid), str(mail), str(ann.gid)]
    assert str(mail) not in worker["Groups"]


def _status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def test_smtp_source(server: Server, ann: Person) -> None:
    command = ["smtp-source", "-L", "-d", "-s", "8", "-m", "120", "-l", "4096"]
    command += ["-f", "eve@example.net", "-t", address(ann), f"unix:{server.path}"]
    subprocess.run(command, check=True, timeout=300)
    mbox, maildir = subjects(ann)
    assert len(mbox) == len(maildir) == 120
    assert mbox == maildir


def test_swaks(server: Server, ann: Person, bob: Person) -> None:
    if shutil.which("swaks") is None:
        lacking("swaks is not installed")
    command = ["swaks", "--protocol", "LMTP", "--socket", str(server.path), "--pipeline"]
    command += ["--timeout", "300s"]
    command += ["--from", "eve@example.net", "--to", f"{address(ann)},{address(bob)}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("250 2.0.0 delivered to 2 places") == 2
    for person in (ann, bob):
        assert [sum(place.values()) for place in subjects(person)] == [1, 1]


def test_smtplib(server: Server, ann: Person, bob: Person) -> None:
    with smtplib.LMTP(str(server.path)) as client:
        for person in (ann, bob):
            message = letter("from a program", to=address(person))
            assert client.sendmail("eve@example.net", [address(person)], message) == {}
    assert sum(subjects(bob)[0].values()) == 1


def test_kills_under_load(server: Server, postfix: Postfix, ann: Person, bob: Person) -> None:
    """Workers, the front and all of it are killed while mail comes: nothing lost or doubled."""
    sent = killed = 0
    brought: set[str] = set()
    # Where all is delivered before the kills come, once more.
    while killed < 3:
        assert server.stop() == 0
        queue_ids = _bring(postfix, (ann, bob), range(sent, sent + LOAD // 2))
        sent += LOAD // 2
        brought.update(queue_ids)
        server.start()
        for victim in ("worker", "front", "worker", "all", "worker"):
            _wait_for_some(postfix, queue_ids, LOAD // 10)
            if victim == "all":
                server.kill()
                server.start()
            else:
                _kill_one(server, 0 if victim == "front" else -1)
            killed += bool(postfix.in_queue())

    def drained() -> bool:
        postfix.flush()
        return brought <= _logged(postfix, r"removed")

    wait_for(drained, "all to be delivered", deadline_s=600)
    for person in (ann, bob):
        mbox, maildir = subjects(person)
        expected = Counter(f"<n{n}@example.net>".encode() for n in range(sent))
        assert mbox == expected
        assert maildir == expected


def _kill_one(server: Server, which: int) -> None:
    """Kill the front, which is the first, or the last, which is a worker if there is one."""

    def killed() -> bool:
        pids = server.children()
        try:
            os.kill(pids[which], signal.SIGKILL)
        except (IndexError, ProcessLookupError):
            return False  # a front that was killed is made anew some time later
        return True

    wait_for(killed, "somebody to kill")


def _logged(postfix: Postfix, what: str) -> set[str]:
    """Queue ids of the messages of which the log says WHAT, a regular expression."""
    return set(re.findall(rf"\]: (\w+): {what}", postfix.log))


def _bring(postfix: Postfix, people: Sequence[Person], numbers: range) -> list[str]:
    """Messages with these numbers for each of PEOPLE, for whom there is no server now."""
    queue_ids = [
        send_from_outside(postfix, letter(f"n{n}", to=address(person)), to=address(person))
        for n in numbers
        for person in people
    ]
    wanted = set(queue_ids)
    wait_for(lambda: wanted <= _logged(postfix, r".*status=deferred"), "all to be deferred")
    return queue_ids


def _wait_for_some(postfix: Postfix, queue_ids: list[str], count: int) -> None:
    """Have about COUNT more of these messages delivered, if there are so many left."""

    def left() -> int:
        return len(set(queue_ids).intersection(postfix.in_queue()))

    wanted = max(left() - count, 0)

    def fewer() -> bool:
        postfix.flush()
        return left() <= wanted

    wait_for(fewer, f"{count} deliveries")
