"""What was found out is stored as it was, though by the next attempt the DNS says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver import agent
from mdeliver.authentication.lookups import ZoneFile
from mdeliver.deliver.mbox import MboxCopy
from mdeliver.envelope import Envelope
from mdeliver.language.compile import Source, compile_rules
from mdeliver.letter import read_letter
from mdeliver.outcome import Outcome
from mdeliver.settings import Checking, Site
from tests.mboxreader import read_mbox

MESSAGE = b"From a@bank.example Mon Nov 23 10:00:00 2026\nFrom: a@bank.example\n\nhello\n"
RULES = """\
if spf fail:
    file to maildir "~/Maildir", mbox "~/mbox"
file to maildir "~/Elsewhere"
"""


class Killed(BaseException):
    """No exception that a delivery forgives."""


def deliver(home: Path, monkeypatch: pytest.MonkeyPatch, record: str) -> Outcome:
    """One attempt, while the DNS has RECORD."""
    zone = ZoneFile(f'bank.example TXT "{record}"\n')
    monkeypatch.setattr(agent, "dns_for", lambda _site: lambda: zone)
    program = compile_rules([Source("rules", RULES)], str).program
    assert program is not None
    envelope = Envelope(
        "ann", str(home), os.geteuid(), sender="a@bank.example", client_address="192.0.2.1"
    )
    site = Site(hostname="mail.example.org", checking=Checking(compute="asked"), syslog="")
    (home / "incoming").write_bytes(MESSAGE)
    fd = os.open(home / "incoming", os.O_RDONLY)
    letter = read_letter(fd, str(home))
    os.close(fd)
    return agent.deliver_letter(program, letter, envelope, site, str(home / "state"))


def test_a_retry_completes_with_the_results_of_the_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()

    def die(*_arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(MboxCopy, "commit", die)
        # As after SIGKILL: nothing is taken back.
        dying.setattr("mdeliver.deliver.steps.Transaction.roll_back", lambda *_: None)
        with pytest.raises(Killed):
            deliver(tmp_path, monkeypatch, "v=spf1 -all")
    assert deliver(tmp_path, monkeypatch, "v=spf1 +all").exit_status == 0
    (path,) = (tmp_path / "Maildir" / "new").iterdir()
    (stored,) = read_mbox((tmp_path / "mbox").read_bytes())
    assert path.read_bytes() == stored.message
    assert stored.message.startswith(b"Authentication-Results: mail.example.org;\n\tspf=fail (")
    assert not (tmp_path / "Elsewhere").exists()
