"""A note to oneself, with a fault at every system call: in the inbox once, in the mbox once, in
Sent once after the retry, though what is in Sent already is looked for before it is filed."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from mdeliver import agent, system
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.prelude import SENT_COPIES
from mdeliver.letter import read_letter
from mdeliver.sent import evidence, filing
from mdeliver.settings import Site
from tests.faults.seam import (
    DONE,
    FAILED,
    FROM_FIRST,
    FROM_RETRY,
    Box,
    Fault,
    Kind,
    _Counted,
)

pytestmark = pytest.mark.faults

RULES = (
    'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n'
    f'me = "ann@example.org"\n{SENT_COPIES}'
)
NOTE = b"To: ann@example.org\nMessage-ID: <note@x>\nReceived: by h id 1; now\n\nremember\n"
KINDS: tuple[Kind, ...] = ("kill before", "kill after", "EIO", "ENOSPC")

# They are imported where they are needed; the stand-ins must find them.
LOADED = (evidence, filing)


class SentBox(Box):
    """Ann's home, to which her own note comes by the whole way of a delivery."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, NOTE)
        self.folder = self.maildir / ".Sent"
        self.envelope = self.envelope.replace(
            sender="ann@example.org", recipient="ann@example.org", sasl_username="ann"
        )
        program = compile_rules([Source("rules", RULES)], str).program
        assert program is not None
        self.program = program

    def _attempt(
        self, from_line: bytes, fault: Fault | None, boot: str, report: int, message: bytes
    ) -> int:
        incoming = os.memfd_create("message")
        os.write(incoming, from_line + message)
        os.lseek(incoming, 0, os.SEEK_SET)
        calls: list[str] = []
        for of, module in list(sys.modules.items()):
            if of.startswith("mdeliver."):
                for name, wanted in (("system", system), ("fcntl", fcntl)):
                    if getattr(module, name, None) is wanted:
                        setattr(module, name, _Counted(wanted, calls, fault))
        try:
            letter = read_letter(incoming, str(self.state))
            site = Site(hostname="host")
            agent.deliver_letter(self.program, letter, self.envelope, site, str(self.state))
        except Exception:
            os.write(report, " ".join(calls).encode())
            return FAILED
        os.write(report, " ".join(calls).encode())
        return DONE


def test_a_note_to_oneself_survives_every_fault(tmp_path: Path) -> None:
    whole = SentBox(tmp_path / "whole")
    status, calls = whole.deliver(FROM_FIRST)
    assert (status, whole.faults_found()) == (DONE, [])
    found = []
    share = 1 if os.environ.get("MDELIVER_FAULTS") == "all" else 5
    for number in range(0, len(calls), share):
        # Each call gets one of the kinds, and its neighbours the others.
        fault = Fault(number, KINDS[number % len(KINDS)])
        box = SentBox(tmp_path / f"{number}")
        box.deliver(FROM_FIRST, fault)
        status, _ = box.deliver(FROM_RETRY)
        wrong = box.faults_found() + ([] if status == DONE else [f"status {status}"])
        found += [f"{fault} at {calls[number]}: {what}" for what in wrong]
        box.remove()
    assert found == []
