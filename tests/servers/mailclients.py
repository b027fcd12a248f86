"""What a person's mail programs do: submit by SMTP, download by POP3, read by IMAP."""

from __future__ import annotations

import imaplib
import poplib
import re
import smtplib
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tests.local8 import Person
from tests.servers.dovecot import Dovecot
from tests.servers.people import PASSWORD
from tests.servers.postfix import Postfix
from tests.waiting import wait_for


def address(person: Person, extension: str = "") -> str:
    """The person's mail address."""
    return f"{person.name}{extension}@example.org"


def letter(subject: str, *, to: str, sender: str = "eve@example.net", body: str = "") -> bytes:
    """A small message with LF line ends; its Message-ID is the subject's."""
    text = body or f"This is {subject}.\n"
    name = re.sub(r"\W", "-", subject)
    return (
        f"From: <{sender}>\nTo: <{to}>\nSubject: {subject}\n"
        f"Message-ID: <{name}@example.net>\nDate: Mon, 3 Aug 2026 10:00:00 +0000\n\n{text}"
    ).encode()


def _send(server: smtplib.SMTP, sender: str, recipients: Sequence[str], message: bytes) -> str:
    """One transaction; returns Postfix's queue id."""
    for code, reply in (server.mail(sender), *(server.rcpt(to) for to in recipients)):
        assert code == 250, reply
    code, reply = server.data(message.replace(b"\n", b"\r\n"))
    queued = re.search(rb"queued as (\w+)", reply)
    assert code == 250, reply
    assert queued is not None, reply
    return queued[1].decode()


def send_from_outside(
    postfix: Postfix,
    message: bytes,
    *,
    to: str,
    sender: str = "eve@example.net",
    client: str = "198.51.100.7",
) -> str:
    """Bring MESSAGE as a stranger's mail server would; returns the queue id.

    client  address the stranger seems to come from; "" for plain loopback
    """
    with smtplib.SMTP("127.0.0.1", postfix.outside, "mx.example.net", timeout=120) as server:
        server.ehlo()
        if client:
            code, reply = server.docmd("XCLIENT", f"ADDR={client} NAME=mx.example.net")
            assert code == 220, reply
            server.ehlo()
        return _send(server, sender, [to], message)


@contextmanager
def authenticated(postfix: Postfix, person: Person) -> Iterator[smtplib.SMTP]:
    """A session of PERSON's mail program: STARTTLS, AUTH."""
    trusted = ssl.create_default_context(cafile=str(postfix.top / "tls.crt"))
    with smtplib.SMTP("127.0.0.1", postfix.submission, "laptop.example.org", timeout=120) as server:
        server.starttls(context=trusted)
        server.login(person.name, PASSWORD)
        yield server


def submit(
    postfix: Postfix, person: Person, message: bytes, *, to: Sequence[str], sender: str = ""
) -> str:
    """Submit MESSAGE as PERSON's mail program does; returns the queue id.

    sender  the envelope sender, if it is not the person's main address
    """
    with authenticated(postfix, person) as server:
        return _send(server, sender or address(person), to, message)


def sendmail(postfix: Postfix, person: Person, message: bytes, *, to: Sequence[str]) -> str:
    """Let PERSON run sendmail on this host; returns the queue id.

    For all but root sendmail believes in /etc/postfix alone: the person gets a view of the file
    system where our configuration stands there.
    """
    before = len(postfix.complete_log())
    in_place = f'mount --bind "{postfix.configuration}" /etc/postfix && exec "$@"'
    become = f"setpriv --reuid {person.uid} --regid {person.gid} --clear-groups".split()
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            in_place,
            "sh",
            *become,
            "/usr/sbin/sendmail",
            "-i",
            *to,
        ],
        input=message,
        capture_output=True,
        timeout=300,
        check=False,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "USER": person.name,
            "HOME": str(person.home),
        },
    )
    assert done.returncode == 0, done.stderr
    picked_up = re.compile(rf"pickup\[\d+\]: (\w+): uid={person.uid} ")

    def taken() -> re.Match[str] | None:
        return picked_up.search(postfix.log[before:])

    return wait_for(taken, "pickup to take the message")[1]


@contextmanager
def pop3_session(dovecot: Dovecot, person: Person) -> Iterator[poplib.POP3]:
    """A POP3 session, logged in; ended by QUIT unless it was closed or broke."""
    session = poplib.POP3("127.0.0.1", dovecot.pop3, timeout=120)
    try:
        session.user(person.name)
        session.pass_(PASSWORD)
        yield session
        if session.sock is not None:
            session.quit()
    finally:
        session.close()


def by_pop3(dovecot: Dovecot, person: Person) -> list[bytes]:
    """All messages as POP3 shows them, with LF line ends."""
    with pop3_session(dovecot, person) as session:
        count = len(session.list()[1])
        return [
            b"".join(line + b"\n" for line in session.retr(number)[1])
            for number in range(1, count + 1)
        ]


class Seen(NamedTuple):
    """A message as IMAP shows it: its flags, and its bytes with LF line ends."""

    flags: frozenset[str]
    message: bytes


@contextmanager
def imap_session(dovecot: Dovecot, person: Person) -> Iterator[imaplib.IMAP4]:
    """An IMAP session, logged in; ended by LOGOUT unless it broke."""
    session = imaplib.IMAP4("127.0.0.1", dovecot.imap, timeout=120)
    try:
        session.login(person.name, PASSWORD)
        yield session
        session.logout()
    except BaseException:
        session.shutdown()
        raise


def by_imap(dovecot: Dovecot, person: Person, folder: str = "INBOX") -> list[Seen]:
    """All messages of a folder as IMAP shows them; none if there is no such folder."""
    with imap_session(dovecot, person) as session:
        status, exists = session.select(f'"{folder}"', readonly=True)
        if status != "OK" or exists == [b"0"]:
            return []
        _, fetched = session.fetch("1:*", "(FLAGS BODY.PEEK[])")
        seen = []
        for part in fetched:
            if isinstance(part, tuple):
                flags = re.search(rb"FLAGS \(([^)]*)\)", part[0])
                assert flags is not None, part[0]
                names = frozenset(flags[1].decode().split()) - {r"\Recent"}
                seen.append(Seen(names, part[1].replace(b"\r\n", b"\n")))
        session.close()
        return seen


def subject_of(message: bytes) -> str:
    """The Subject line's text, "" if there is none."""
    found = re.search(rb"^Subject: (.*)$", message, re.MULTILINE)
    return found[1].decode() if found else ""


def body_of(message: bytes) -> bytes:
    """What follows the first empty line."""
    return message.partition(b"\n\n")[2]
