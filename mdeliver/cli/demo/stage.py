"""The demonstration's stage: a temporary home, messages as Postfix hands them over, and what comes.

Deliveries  run the real thing, mdeliver-lda beside this interpreter, in a process of its own with
            local(8)'s environment and nothing else; `mdeliver deliver` where no launcher is there.
Looking     is done with other means than delivering: Python's own mailbox module reads the mbox,
            and the Maildir is listed.
See also    local(8), EXTERNAL COMMAND DELIVERY
"""

from __future__ import annotations

import mailbox
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
TIMEOUT_S = 300
RETRY_AFTER_S = 300
"""Postfix's minimal_backoff_time: the From_ line of a second attempt is that much later."""

_FLAGS = {"D": "draft", "F": "flagged", "R": "answered", "S": "seen"}


class Delivery(NamedTuple):
    """One message of the demonstration and what must become of it.

    name      of its file
    sender    envelope sender
    extension what followed the "+" in the recipient's address
    login     SASL_USERNAME, "" where nobody authenticated
    client    CLIENT_ADDRESS
    status    exit status that mdeliver-lda must have
    places    where it must be then: paths below the home directory, with flags
    """

    name: str
    sender: str
    client: str
    places: tuple[str, ...]
    extension: str = ""
    login: str = ""
    status: int = 0


INBOX = ("Maildir/new", "mbox")
DELIVERIES = (
    Delivery("1-letter.eml", "juergen@example.net", "192.0.2.7", INBOX),
    Delivery(
        "2-list.eml",
        "postfix-users-bounces@lists.example.org",
        "198.51.100.20",
        ("Maildir/.Lists.postfix-users/new",),
    ),
    Delivery("3-spam.eml", "winner@host.invalid", "203.0.113.66", ("Maildir/.Junk/new",)),
    Delivery(
        "4-bill.eml",
        "billing@power.example",
        "198.51.100.41",
        ("Maildir/.Bills/cur flagged", *INBOX),
    ),
    Delivery(
        "5-sent.eml", "ann@example.org", "203.0.113.5", ("Maildir/.Sent/cur seen",), login="ann"
    ),
    Delivery(
        "6-old-address.eml",
        "offers@shop.example",
        "192.0.2.99",
        (),
        extension="webshop",
        status=77,
    ),
)
LATE = Delivery("7-minutes.eml", "bob@example.com", "198.51.100.77", INBOX)
"""Comes while the rules have a mistake."""


class Answer(NamedTuple):
    """What mdeliver-lda told Postfix."""

    status: int
    line: str


class Stage:
    """A temporary home with rules and messages in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.rules = home / "rules"
        self._copy(HERE / "rules", self.rules)
        self.messages = home / "messages"
        self.messages.mkdir()
        for path in sorted((HERE / "messages").iterdir()):
            self._copy(path, self.messages / path.name)

    def _copy(self, source: Path, target: Path) -> None:
        shutil.copyfile(source, target)
        target.chmod(0o600)

    # --- running mdeliver --------------------------------------------------------------------

    def deliver(self, delivery: Delivery, *, attempt: int = 1) -> Answer:
        """Hand DELIVERY over as local(8) does; the From_ line tells of a later ATTEMPT."""
        at_s = time.time() + (attempt - 1) * RETRY_AFTER_S
        from_line = f"From {delivery.sender}  {time.asctime(time.gmtime(at_s))}\n"
        done = subprocess.run(
            [*delivery_command(), "--rules", str(self.rules)],
            input=from_line.encode() + self.handed_over(delivery),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(delivery),
            cwd="/",
            timeout=TIMEOUT_S,
            check=False,
        )
        return Answer(done.returncode, self.short(done.stdout.decode(errors="replace").strip()))

    def explain(self, delivery: Delivery) -> list[str]:
        """What `mdeliver test` says of DELIVERY."""
        message = f"{self.messages.name}/{delivery.name}"
        done = subprocess.run(
            [sys.executable, "-m", "mdeliver", "test", "--rules", self.rules.name, message],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(delivery) | {"PYTHONIOENCODING": "utf-8"},
            cwd=self.home,
            timeout=TIMEOUT_S,
            check=False,
        )
        return self.short(done.stdout.decode(errors="replace")).splitlines()

    def handed_over(self, delivery: Delivery) -> bytes:
        """The message with the lines that local(8) puts before it, without the From_ line."""
        address = _address(delivery)
        added = f"Return-Path: <{delivery.sender}>\nX-Original-To: {address}\n"
        message = (self.messages / delivery.name).read_bytes()
        return f"{added}Delivered-To: {address}\n".encode() + message

    def _environment(self, delivery: Delivery) -> dict[str, str]:
        """What local(8) exports; PYTHONPATH so that a clone works without being installed."""
        made = {
            "PATH": "/usr/bin:/bin",
            "USER": "ann",
            "LOGNAME": "ann",
            "HOME": str(self.home),
            "SHELL": "/bin/sh",
            "DOMAIN": "example.org",
            "LOCAL": _address(delivery).partition("@")[0],
            "RECIPIENT": _address(delivery),
            "ORIGINAL_RECIPIENT": _address(delivery),
            "EXTENSION": delivery.extension,
            "SENDER": delivery.sender,
            "CLIENT_ADDRESS": delivery.client,
            "CLIENT_HELO": "client.example",
            "CLIENT_HOSTNAME": "unknown",
            "CLIENT_PROTOCOL": "ESMTP",
            "PYTHONPATH": str(HERE.parents[2]),
        }
        if delivery.login:
            made |= {"SASL_USERNAME": delivery.login, "SASL_METHOD": "PLAIN"}
        return made

    # --- looking -----------------------------------------------------------------------------

    def places(self, delivery: Delivery) -> tuple[str, ...]:
        """Where DELIVERY's message is, octet for octet, once for each copy."""
        message = self.handed_over(delivery)
        found = [place for place, octets in self._copies() if octets == message]
        return tuple(sorted(found))

    def copies(self) -> int:
        """How many copies of anything are in the stores."""
        return sum(1 for _ in self._copies())

    def leftovers(self) -> list[str]:
        """Lock files and temporary files, of which a delivery leaves none."""
        found = [*self.home.glob("*.lock*"), *self.home.glob("Maildir/**/tmp/*")]
        return [self.short(str(path)) for path in found]

    def _copies(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.home.glob("Maildir/**/*")):
            if path.parent.name in ("new", "cur") and path.is_file():
                letters = path.name.partition(":2,")[2]
                flags = "".join(f" {_FLAGS[letter]}" for letter in letters)
                yield f"{path.parent.relative_to(self.home)}{flags}", path.read_bytes()
        if self.mbox.exists():
            box = mailbox.mbox(self.mbox, create=False)
            try:
                for key in box.iterkeys():
                    quoted = box.get_bytes(key)
                    yield "mbox", re.sub(rb"(?m)^>(>*From )", rb"\1", quoted)
            finally:
                box.close()

    @property
    def mbox(self) -> Path:
        """The mbox of the demonstration's rules."""
        return self.home / "mbox"

    def short(self, text: str) -> str:
        """TEXT with `~` for the temporary home."""
        return text.replace(str(self.home), "~")


def _address(delivery: Delivery) -> str:
    return f"ann+{delivery.extension}@example.org" if delivery.extension else "ann@example.org"


def launcher() -> Path | None:
    """mdeliver-lda beside this interpreter, if it is there."""
    path = Path(sys.executable).parent / "mdeliver-lda"
    return path if os.access(path, os.X_OK) else None


def delivery_command() -> list[str]:
    """What Postfix would run."""
    path = launcher()
    return [str(path)] if path else [sys.executable, "-m", "mdeliver", "deliver"]
