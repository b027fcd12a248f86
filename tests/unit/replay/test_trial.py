"""Cases against rules: which expectations hold, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.envelope import Envelope
from mdeliver.replay.expectations import Failure
from mdeliver.replay.trial import Trial, load_trial, try_case
from mdeliver.settings import Site

RULES = """\
mailbox work = maildir "~/Work"
if subject contains "junk": file to imap/Junk as seen
if subject contains "copy": also file to work/{year}
if subject contains "bad": reject "5.7.1 not here"
if subject contains "drop":
    also file to work
    discard
if subject contains "wait": defer
if size > 1M: file to imap/Big
if sent by me: file to imap/Sent
if subject contains "tag":
    set header "X-Folder: {subject}"
    add header "X-Seen: by {user}"
    remove header "X-Spam"
    log "tagged {subject}"
if sender is "boss@example.org": keep as flagged
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "my.rules").write_text(RULES)
    (tmp_path / "my.rules").chmod(0o644)
    (tmp_path / "junk.eml").write_bytes(b"Return-Path: <boss@example.org>\nSubject: junk\n\n")
    return tmp_path


def load(home: Path, text: str) -> Trial:
    (home / "my.cases").write_text('rules "my.rules"\n' + text)
    return load_trial(str(home / "my.cases"), str(home), os.geteuid(), None)


def failures(home: Path, text: str) -> list[Failure]:
    trial = load(home, text)
    assert [finding.line for finding in trial.findings] == []
    asker = Envelope("ann", str(home), os.geteuid())
    tried = [try_case(trial, case, asker, Site()) for case in trial.cases]
    return [failure for one in tried for failure in one.failures]


def case(subject: str, *lines: str) -> str:
    return f'message "x":\n    Subject: {subject}\n' + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("subject", "lines"),
    [
        ("junk", ["files to imap/Junk"]),
        ("junk", ["files to imap/Junk as seen"]),
        ("junk", ["also files to imap/Junk", "does not keep", "does not reject"]),
        ("copy", ["also files to work/{year}", "also keeps"]),
        ("copy", ["files to work/{year}, inbox"]),
        ("copy", ["files to work/2020", "keeps", "arrived 2020-01-01"]),
        ("bad", ["rejects"]),
        ("bad", ['rejects "5.7.1"', "does not file to imap"]),
        ("drop", ["discards", "also files to work"]),
        ("wait", ["defers", "does not keep"]),
        ("x", ["keeps", "does not discard"]),
        ("x", ['files to maildir "~/Maildir", pop3']),
        ("x", ["files to imap/Big", "size 2M"]),
        ("x", ["files to imap/Sent", 'sender "ann@x"', 'submitted by "ann"']),
        ("x\n    From: boss@example.org", ["keeps as flagged"]),
        ("tag", ["keeps", 'sets header "X-Folder: {subject}"', 'logs "tagged"', "logs"]),
        ("tag", ['adds header "x-seen: by ann"', 'removes header "X-Spam"  # and no more']),
        ("tag", ['does not set header "X-Folder: x"', 'does not log "other"', "does not reply"]),
        ("tag", ['does not remove header "X-Folder"', "also logs"]),
        ("x", ["does not log", "does not forward", "does not pipe", "does not run"]),
    ],
)
def test_what_holds(home: Path, subject: str, lines: list[str]) -> None:
    assert failures(home, case(subject, *lines)) == []


@pytest.mark.parametrize(
    ("subject", "line", "instead"),
    [
        ("junk", "keeps", "imap/Junk as seen"),
        ("junk", "files to imap/Junk as flagged", "imap/Junk as seen"),
        ("junk", "does not file to imap/Junk", "imap/Junk as seen"),
        ("junk", "rejects", "imap/Junk as seen"),
        ("copy", "keeps", "was not expected"),
        ("copy", "files to work/{year}", "imap, pop3 was not expected"),
        ("bad", 'rejects "5.1.1"', "rejected 5.7.1 not here"),
        ("bad", "does not reject", "rejected 5.7.1 not here"),
        ("bad", "keeps", "rejected"),
        ("drop", "discards", "work was not expected"),
        ("wait", "also keeps", "deferred 4.3.0"),
        ("x", "does not keep", "imap, pop3"),
        ("x", "files to imap", "pop3 was not expected"),
        ("x", "replies", "imap, pop3"),
        ("x", "forwards", "imap, pop3"),
        ("x", "logs", "imap, pop3"),
        ("tag", 'logs "other"', 'log "tagged tag"'),
        ("tag", 'sets header "X-Folder: other"', "set header X-Folder: tag"),
        ("tag", 'does not set header "X-Folder: {subject}"', "set header X-Folder: tag"),
        ("tag", "does not log", 'log "tagged tag"'),
    ],
)
def test_what_does_not_hold(home: Path, subject: str, line: str, instead: str) -> None:
    (failure,) = failures(home, case(subject, line))
    assert failure.expected.words == line
    assert failure.expected.line == 4
    assert instead in failure.instead


def test_a_message_from_a_file(home: Path) -> None:
    text = 'message "x" in "junk.eml"\nfiles to imap/Junk\n'
    assert failures(home, text) == []
    with pytest.raises(FileNotFoundError):
        failures(home, text.replace("junk.eml", "nowhere.eml"))


def test_mistakes_in_targets_are_shown_as_written(home: Path) -> None:
    for line, wrong in (("files to nowhere/Big", "nowhere"), ("does not keep as read", "read")):
        trial = load(home, case("x", "keeps", line))
        assert trial.program is None
        (finding,) = trial.findings
        assert (finding.place.line, finding.source) == (5, line)
        assert line[finding.place.column - 1 :].startswith(wrong)
        assert finding.hint


def test_rules_with_an_error_are_not_tried(home: Path) -> None:
    (home / "my.rules").write_text("nonsense\n")
    assert load(home, case("x", "keeps")).program is None
