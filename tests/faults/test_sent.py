"""A note to oneself, with a fault at every system call: in the inbox once, in the mbox once, in
Sent once after the retry, though what is in Sent already is looked for before it is filed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver import agent
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.prelude import SENT_COPIES
from mdeliver.letter import Letter
from mdeliver.settings import Site
from tests.faults.box import FROM_FIRST, FROM_RETRY, Box
from tests.faults.seam import DONE, Fault, Kind

pytestmark = pytest.mark.faults

RULES = (
    'mailbox imap = maildir "~/Maildir"\nmailbox pop3 = mbox "~/mbox"\ninbox = imap, pop3\n'
    f'me = "ann@example.org"\n{SENT_COPIES}'
)
NOTE = b"To: ann@example.org\nMessage-ID: <note@x>\nReceived: by h id 1; now\n\nremember\n"
KINDS: tuple[Kind, ...] = ("kill before", "kill after", "EIO", "ENOSPC")


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

    def carry_out(self, letter: Letter) -> None:
        """As the agent does it, from the rules on."""
        site = Site(hostname="host", syslog="")
        agent.deliver_letter(self.program, letter, self.envelope, site, str(self.state))


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
