"""What a delivery leaves in the log, and that it never touches the delivery."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mdeliver import agent, limits, outcome
from mdeliver.agent import DeadlinePassed
from mdeliver.decision import load_rules
from mdeliver.envelope import Envelope, SentTag
from mdeliver.history import decisions
from mdeliver.history.account import Account, close_together
from mdeliver.letter import letter_of
from mdeliver.outcome import Deferral, Outcome
from mdeliver.settings import Site

MESSAGE = (
    b"From a@example.net  Mon Nov 23 10:00:00 2026\n"
    b"Return-Path: <a@example.net>\n"
    b"Received: from x (y [192.0.2.1]) by mx (Postfix) with ESMTPS id 4XyZ1k;\n"
    b"\tMon, 23 Nov 2026 10:00:00 +0000 (UTC)\n"
    b"Message-ID: <1@example.net>\nSubject: =?utf-8?q?caf=C3=A9?= \x1b[31m\n\nsecret words\n"
)
PLACES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
"""
RULES = f"""{PLACES}log "it is {{subject}}"
if subject contains "café":
    also file to imap/Work as flagged
mark seen
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with rules and a state directory."""
    (tmp_path / ".config" / "mdeliver").mkdir(parents=True)
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.write_text(RULES)
    rules.chmod(0o600)
    (tmp_path / "state").mkdir()
    return tmp_path


def site(**named: Any) -> Site:
    return Site(hostname="host", **{"syslog": ""} | named)


def envelope(home: Path, **named: Any) -> Envelope:
    given = {"sender": "a@example.net", "recipient": "ann@example.org"} | named
    return Envelope("ann", str(home), os.geteuid(), **given)


def deliver(home: Path, **named: Any) -> Outcome:
    program = load_rules(str(home), os.geteuid(), None).program
    assert program is not None
    letter = letter_of(MESSAGE)
    state = str(home / "state")
    return agent.deliver_letter(program, letter, envelope(home, **named), site(), state)


def logged(home: Path) -> Mapping[str, Any]:
    (line,) = (home / "state" / "log").read_text().splitlines()
    found: Mapping[str, Any] = json.loads(line)
    return found


def test_a_delivery_leaves_what_was_done_and_by_which_rule(home: Path) -> None:
    assert deliver(home).fate == "delivered"
    said = logged(home)
    rules = f"{home}/.config/mdeliver/rules"
    assert (said["outcome"], said["status"], said["rule"]) == ("delivered", "2.0.0", None)
    assert (said["sender"], said["recipient"]) == ("a@example.net", "ann@example.org")
    assert (said["message_id"], said["queue_id"]) == ("<1@example.net>", "4XyZ1k")
    assert said["subject"] == "café \x1b[31m"
    assert said["size"] == len(MESSAGE.partition(b"\n")[2])
    assert said["fired"] == [f"{rules}:4", f"{rules}:6", f"{rules}:7"]
    assert said["duration_s"] >= 0
    note, work, inbox, mbox = said["actions"]
    assert note == {"action": "log", "text": f"it is {said['subject']}", "rule": f"{rules}:4"}
    assert (work["folder"], work["flags"], work["rule"]) == ("Work", ["flagged"], f"{rules}:6")
    assert inbox["rule"] is None
    assert mbox["store"] == "mbox"


def test_both_copies_of_one_delivery_can_be_found(home: Path) -> None:
    deliver(home)
    *_, inbox, mbox = logged(home)["actions"]
    assert [p.name for p in (home / "Maildir" / "cur").iterdir()] == [f"{inbox['name']}:2,S"]
    octets = (home / "mbox").read_bytes()
    entry = octets[mbox["offset"] : mbox["offset"] + mbox["length"]]
    assert entry == octets
    assert entry.startswith(mbox["from_line"].encode() + b"\n")


def test_no_text_of_the_body_is_in_it(home: Path) -> None:
    deliver(home)
    assert "secret" not in (home / "state" / "log").read_text()
    assert "\x1b" not in (home / "state" / "log").read_text()


def test_what_could_not_be_delivered_is_told_too(home: Path) -> None:
    (home / "Maildir").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        deliver(home)
    said = logged(home)
    assert (said["outcome"], said["status"]) == ("deferred", "4.3.0")
    assert "Maildir" in said["text"]


def test_the_deadline_is_told_and_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_arguments: object, **_named: object) -> None:
        raise DeadlinePassed

    monkeypatch.setattr(agent, "carry_out", late)
    with pytest.raises(DeadlinePassed):
        deliver(home)
    assert logged(home)["text"] == "the delivery took too long"


@pytest.mark.parametrize(
    "trouble", [OSError("no"), Deferral("no"), MemoryError(), DeadlinePassed()]
)
def test_no_trouble_with_the_log_touches_the_delivery(
    home: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    def fail(*_arguments: object) -> None:
        raise trouble

    monkeypatch.setattr(decisions, "append", fail)
    assert deliver(home).fate == "delivered"
    assert not (home / "state" / "log").exists()


def test_the_site_may_want_no_log(home: Path) -> None:
    quiet = site(log_decisions=False)
    Account(envelope(home), None, quiet, str(home / "state")).close(outcome.delivered())
    assert list((home / "state").iterdir()) == []


def test_rules_with_an_error_leave_a_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = home / ".config" / "mdeliver" / "rules"
    rules.write_text("nonsense\n")
    done = agent.deliver([], {"HOME": str(home), "USER": "ann"})
    assert done.fate == "deferred"
    (line,) = (home / ".local/state/mdeliver/log").read_text().splitlines()
    assert json.loads(line)["status"] == "4.3.5"
    assert f"{rules}:1:" in json.loads(line)["text"]


@pytest.mark.parametrize("trouble", [agent.DeadlinePassed(), OSError("no")])
@pytest.mark.parametrize("late", ["agent.Passage.close", "agent.RulesCache.keep"])
def test_what_is_delivered_is_told_whatever_comes_then(
    home: Path, monkeypatch: pytest.MonkeyPatch, late: str, trouble: BaseException
) -> None:
    """So too the deadline's alarm: who fed us a file would bring it again."""

    def fail(*_arguments: object) -> None:
        raise trouble

    monkeypatch.setattr(f"mdeliver.{late}", fail)
    monkeypatch.setattr(agent, "read_letter", lambda *_arguments: letter_of(MESSAGE))
    done = agent.deliver([], {"HOME": str(home), "USER": "ann"})
    assert done.fate == "delivered"
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_secret_of_a_sent_address_is_left_out(home: Path) -> None:
    tag = "abcdefghijklmnopqrst"
    address = f"ann+sent-{tag.upper()}@example.org"
    tagged = envelope(home, recipient=address, sent_tag=SentTag(tag))
    opened = Account(tagged, letter_of(MESSAGE), site(), str(home / "state"))
    opened.close(outcome.delivered())
    assert logged(home)["recipient"] == "ann+sent@example.org"
    assert tag not in (home / "state" / "log").read_text().lower()


@pytest.mark.parametrize(
    ("received", "found"),
    [
        (b"from x by y (Postfix) with ESMTP id 4XyZ1k\n\tfor <a@b>; Mon", "4XyZ1k"),
        (b"from x id 1 (x [192.0.2.1])\n\tby y (Postfix) with SMTP id 4XyZ1k; Mon", "4XyZ1k"),
        (b"by y (Postfix, from userid 1000)\n\tid AB12CD; Mon", "AB12CD"),
        (b"from x by y; id no", ""),
        (b"from x by y id", ""),
        (b"from x by y id a=b\x1b; Mon", ""),
        (b"from x by y id " + b"a" * 33, ""),
    ],
)
def test_the_queue_id_is_that_of_the_first_received(
    home: Path, received: bytes, found: str
) -> None:
    message = b"Received: " + received + b"\nReceived: by z id OTHER; Mon\n\n"
    opened = Account(envelope(home), letter_of(message), site(), str(home / "state"))
    opened.close(outcome.delivered())
    assert logged(home)["queue_id"] == found


def test_what_the_mta_calls_it_goes_before(home: Path) -> None:
    deliver(home, queue_id="FROMLMTP")
    assert logged(home)["queue_id"] == "FROMLMTP"


def test_a_long_subject_is_cut(home: Path) -> None:
    message = b"Subject: " + b"x" * 10_000 + b"\n\n"
    opened = Account(envelope(home), letter_of(message), site(), str(home / "state"))
    opened.close(outcome.delivered())
    assert len(logged(home)["subject"]) < limits.LOG_TEXT


def test_a_place_that_an_earlier_attempt_had_planned_is_told(home: Path) -> None:
    opened = Account(envelope(home), letter_of(MESSAGE), site(), str(home / "state"))
    opened.done.places = (("maildir", "/m", "/m", "seen", "", "1.M2.host"),)
    opened.close(outcome.delivered())
    (action,) = logged(home)["actions"]
    assert (action["path"], action["name"], action["flags"]) == ("/m", "1.M2.host", ["seen"])


def test_no_message_makes_a_line_long(home: Path) -> None:
    rules = home / ".config" / "mdeliver" / "rules"
    deeds = 'add header "X-S: {subject}"\nrun "/bin/true" "{subject}" "{subject}"\n'
    rules.write_text(PLACES + deeds)
    program = load_rules(str(home), os.geteuid(), str(rules)).program
    assert program is not None
    state = str(home / "state")
    letter = letter_of(b"Subject: " + b"x" * 50_000 + b"\n\nhello\n")
    agent.deliver_letter(program, letter, envelope(home), site(), state)
    (line,) = (home / "state" / "log").read_bytes().splitlines()
    assert len(line) < 10_000
    assert json.loads(line)["actions"][1]["program"][0] == "/bin/true"


def test_accounts_that_are_closed_together_have_a_line_each(home: Path) -> None:
    state = str(home / "state")
    opened = [Account(envelope(home), letter_of(MESSAGE), site(), state) for _ in range(3)]
    close_together(
        [(account, outcome.discarded(f"number {n}")) for n, account in enumerate(opened)]
    )
    lines = Path(state, "log").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["number 0", "number 1", "number 2"]
