"""A fault at every system call of a delivery by rules that remember and forward.

The message goes into three places and to somebody else, unless it was delivered before. After the
fault comes the MTA's retry, and then another copy of the same message, which must be known.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mdeliver import agent
from mdeliver.language.compile import Source, compile_rules
from mdeliver.letter import Letter
from mdeliver.outcome import Deferral
from mdeliver.settings import Site
from tests.faults.box import FROM_FIRST, FROM_RETRY, Box
from tests.faults.seam import DONE, Fault, Kind
from tests.faults.test_seam import EARLIER, SHARE

pytestmark = pytest.mark.faults

RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3, imap/Work
if duplicate within 7d: discard
also forward to "boss@example.net"
"""

COPY = b"""\
Received: from mx1.example.net by host; Tue, 14 Nov 2023 22:13:20 +0000
From: a@example.net
Date: Tue, 14 Nov 2023 22:13:19 +0000
Message-ID: <1@example.net>
Subject: once

hello
"""
OTHER_COPY = COPY.replace(b"mx1", b"mx2")

SENDMAIL = '#!/bin/sh\ncat >"$HOME/begun.$$" && mv "$HOME/begun.$$" "$HOME/sent.$$"\n'

SHARES: dict[Kind, int] = {"kill after": SHARE, "EIO": 2 * SHARE, "ENOSPC": 3 * SHARE}


class SendingBox(Box):
    """A home with rules, and a sendmail that writes down what it gets."""

    def __init__(self, home: Path, mailer: Path) -> None:
        super().__init__(home, COPY)
        self.site = Site(hostname="host", sendmail=str(mailer), log_decisions=False, syslog="")
        self.mbox.write_bytes(EARLIER)
        program = compile_rules([Source("rules", RULES)], str).program
        assert program is not None
        self.program = program

    def carry_out(self, letter: Letter) -> None:
        """As the agent does it, from the rules on."""
        done = agent.deliver_letter(self.program, letter, self.envelope, self.site, str(self.state))
        if done.exit_status:
            raise Deferral(done.text)

    def sent(self) -> int:
        """How often it was sent on, whole."""
        wanted = b"X-Mdeliver-Forwarded: ann@host\n" + COPY
        files = list(self.home.glob("sent.*"))
        assert all(path.read_bytes() == wanted for path in files)
        return len(files)

    def copies(self) -> int:
        """How many other copies got into the mbox."""
        return self.mbox.read_bytes().count(b"mx2.example.net")

    def remove(self) -> None:
        # A killed delivery's sendmail may still be at work in it.
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The sendmail."""
    path = tmp_path / "sendmail"
    path.write_text(SENDMAIL)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("boot", ["", "another boot"], ids=["same boot", "reboot"])
def test_one_fault_with_a_memory_and_a_forward(home: Path, program: Path, boot: str) -> None:
    clean = SendingBox(home / "clean", program)
    state, calls = clean.deliver(FROM_FIRST)
    assert (state, clean.sent(), clean.faults_found()) == (DONE, 1, [])
    begins = calls.index("fork")
    marked = calls.index("fdatasync", begins)
    wrong = []
    for kind, share in SHARES.items():
        for number in range(len(boot) % share, len(calls), share):
            box = SendingBox(home / f"{kind}.{number}", program)
            first, _ = box.deliver(FROM_FIRST, Fault(number, kind))
            last = first
            if first != DONE:
                last, _ = box.deliver(FROM_RETRY, boot=boot)
            found = box.faults_found()
            times = box.sent()
            # At work, or done and not yet marked: it is sent again. Reads of what sendmail says
            # are not as many on each run.
            if times == 0 or (times > 1 and not begins - 4 <= number <= marked + 4):
                found.append(f"sent on {times} times")
            again, _ = box.deliver(FROM_FIRST, message=OTHER_COPY)
            # What cannot be written down once the message is delivered does not defer it.
            if again != DONE or (box.copies() and not (kind != "kill after" and number > marked)):
                found.append(f"the other copy: {again}, {box.copies()} times")
            if last != DONE or found:
                wrong.append(f"{kind} at call {number} ({calls[number]}): {last} {found}")
            box.remove()
    assert wrong == []
