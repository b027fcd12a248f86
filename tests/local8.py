"""Postfix's local(8) without Postfix: what it hands to a mailbox_command, how it reads the answer.

Input        a From_ line, Return-Path, X-Original-To and Delivered-To, then the message
Environment  what local(8) exports, and nothing else
Verdict      as pipe_command(3) and sys_exits(3): "D.S.N text" in the output decides on a non-zero
             exit, then 71 and 75 defer, all other statuses bounce; killed by a signal defers
See also     local(8) EXTERNAL COMMAND DELIVERY; Postfix src/global/pipe_command.c, sys_exits.c
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict

Verdict = Literal["sent", "deferred", "bounced"]

EX_OSERR = 71
EX_TEMPFAIL = 75

_ENHANCED = re.compile(rb"([245])\.\d{1,3}\.\d{1,3}(\s|\Z)")


class Person(NamedTuple):
    """Whom a delivery is for."""

    name: str
    home: Path
    uid: int
    gid: int


class Identity(TypedDict, total=False):
    """Keyword arguments of subprocess that choose a user."""

    user: int
    group: int
    extra_groups: list[int]


class Answer(NamedTuple):
    """What came back from the delivery agent.

    status  exit status; negative: the signal that killed it
    output  standard output and standard error together, as Postfix reads them
    """

    status: int
    output: bytes

    @property
    def verdict(self) -> Verdict:
        """What local(8) does with the message."""
        if self.status == 0:
            return "sent"
        if self.status < 0:
            return "deferred"
        enhanced = _ENHANCED.match(self.output)
        if enhanced and enhanced[1] in (b"4", b"5"):
            return "deferred" if enhanced[1] == b"4" else "bounced"
        return "deferred" if self.status in (EX_OSERR, EX_TEMPFAIL) else "bounced"


def environment(person: Person, **changes: str) -> dict[str, str]:
    """The environment that local(8) makes; CHANGES are further or other variables."""
    name = person.name
    return {
        "PATH": "/usr/bin:/bin",
        "USER": name,
        "LOGNAME": name,
        "HOME": str(person.home),
        "SHELL": "/bin/sh",
        "DOMAIN": "example.org",
        "LOCAL": name,
        "RECIPIENT": f"{name}@example.org",
        "ORIGINAL_RECIPIENT": f"{name}@example.org",
        "SENDER": "sender@example.net",
        "CLIENT_ADDRESS": "192.0.2.7",
        "CLIENT_HELO": "client.example.net",
        "CLIENT_HOSTNAME": "unknown",
        "CLIENT_PROTOCOL": "ESMTP",
    } | changes


def from_line(sender: str = "sender@example.net", at: float = 1_700_000_000) -> bytes:
    """The From_ line that local(8) puts first; AT, the time of the attempt, tells retries apart."""
    return f"From {sender or 'MAILER-DAEMON'}  {time.asctime(time.gmtime(at))}\n".encode()


def as_handed_over(message: bytes, person: Person, *, sender: str = "sender@example.net") -> bytes:
    """MESSAGE with the header lines that local(8) puts before it, without the From_ line."""
    address = f"{person.name}@example.org"
    added = f"Return-Path: <{sender}>\nX-Original-To: {address}\nDelivered-To: {address}\n"
    return added.encode() + message


def hand_over(
    command: Sequence[str],
    standard_input: bytes,
    environ: Mapping[str, str],
    person: Person,
    *,
    cwd: str = "/",
    timeout_s: float = 300,
) -> Answer:
    """Run a mailbox_command as PERSON, with STANDARD_INPUT through a pipe, and read the answer.

    As root it changes to the person's user and group without supplementary groups, as local(8)
    does; otherwise the person must be who runs the tests.
    """
    done = subprocess.run(
        list(command),
        input=standard_input,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environ),
        cwd=cwd,
        timeout=timeout_s,
        check=False,
        **identity(person),
    )
    return Answer(done.returncode, done.stdout)


def identity(person: Person) -> Identity:
    """Arguments for subprocess that make the child run as PERSON; none if we already do."""
    if os.geteuid() != 0 or person.uid == 0:
        return {}
    return {"user": person.uid, "group": person.gid, "extra_groups": []}
