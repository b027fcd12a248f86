"""What stands in logs, where strangers can write much: Postfix's, and our own after a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from mdeliver.authentication import tallytext
from mdeliver.authentication.tally import Tallies
from mdeliver.cli.log import _lines, _with_damage
from mdeliver.cli.report import _row
from mdeliver.history import recall, records
from mdeliver.postfix import rejects, rejectstext
from mdeliver.postfix.events import events
from mdeliver.postfix.history import History
from mdeliver.postfix.judgement import judge
from mdeliver.postfix.logfiles import Block
from mdeliver.postfix.maillog import Clock
from mdeliver.postfix.readlogs import events_of
from tests.fuzz.target import Target, case_texts, directory, is_printable, write

_WRITTEN_S = 1_796_040_000.0


def maillog(octets: bytes) -> None:
    """Postfix's log: whatever stands there, a report that a terminal may be shown."""
    history = History()
    for event in events(octets, Clock(_WRITTEN_S)):
        refusal = history.add(event)
        if refusal is not None:
            attempt = history.attempt_of(refusal)
            for line in rejectstext.live_line(rejects.Case(attempt, judge(attempt, history))):
                assert is_printable(line), line
    found = rejects.find(history)
    for line in rejectstext.report(found, lambda _colour, words: words, 3, every=True):
        assert is_printable(line), line
    json.dumps([rejects.case_as_object(case) for case in found.every])
    events_of(Block(octets, _WRITTEN_S, 0))


def decisions(octets: bytes) -> None:
    """The decision log: every line that can be read can be asked for, counted and shown."""
    with directory() as state:
        write(f"{state}/log", octets)
        found = list(recall.deliveries(state))
        for question in (("<1@a>", "rules", 1.0), (None, "rules:3", None), ("4F", None, 0.5)):
            list(recall.matching(found, recall.Question(*question)))
        recall.hits(found, ())
        told = recall.everything(state)
        assert json.dumps(told.deliveries) == json.dumps(found)
        lines = [line for line in octets.splitlines() if line]
        assert len(lines) == len(found) + len(told.damage) + sum(told.unread.values())
        for said in [*_with_damage(found, told.damage, None), *told.damage]:
            json.dumps(said)
            for line in _lines(said, lambda _colour, words: words):
                assert is_printable(line), line


def reported(octets: bytes) -> None:
    """The report on senders: every message that came is counted once, and each line can be shown.

    Octets are a decision log, and what a user's process says of it to root's.
    """
    with directory() as state:
        write(f"{state}/log", octets)
        rows = [said for said in recall.deliveries(state) if "client" in said]
    rows += [said for said in map(_row, octets.splitlines()) if said is not None]
    tallies, came, seen = Tallies(), 0, set()
    for said in rows:
        tallies.take(said)
        message = (str(said["queue_id"]), str(said["message_id"]))
        if said["outcome"] != "deferred" and (message == ("", "") or message not in seen):
            seen.add(message)
            came += 1
    shown = tallies.ordered()
    assert sum(tally.messages for tally in shown) + tallies.unchecked == came
    for tally in shown:
        assert tally.would_fail + tally.passing.total() <= tally.messages
        assert sum(map(sum, tally.days.values())) <= tally.messages
        assert set(tallies.ordered([tally.domain])) <= set(shown)
        json.loads(json.dumps(tallytext.as_object(tallies, tally)))
    for line in tallytext.report(tallies, shown, lambda _colour, words: words, 3):
        assert is_printable(line), line


def applied(octets: bytes) -> None:
    """The records of `mdeliver apply`: what can be read has steps that can be done."""
    with directory() as state:
        os.mkdir(f"{state}/applied", 0o700)
        write(f"{state}/applied/20260101-000000", octets)
        for record in records.records(state):
            assert isinstance(record.folder, str)
            for step in record.steps:
                for name, value in step._asdict().items():
                    kinds = {"number": (int,), "flags": (tuple,), "arrived_s": (int, float)}
                    assert isinstance(value, kinds.get(name, (str,))), step
            for copied in record.copied.values():
                assert all(isinstance(word, str) for place in copied.places for word in place)


_SAID = {
    "time": 1.5, "duration_s": 0.1, "user": "ann", "sender": "a@b", "recipient": "c@d",
    "original_recipient": "", "queue_id": "4F", "message_id": "<1@a>", "subject": "s", "size": 1,
    "digest": "", "outcome": "delivered", "status": "2.0.0", "text": "x", "rule": "/r/rules:3",
    "fired": ["/r/rules:3"],
    "actions": [
        {"action": "file", "store": "maildir", "mailbox": "imap", "folder": "A", "path": "/p",
         "flags": ["seen"], "rule": "/r/rules:3"},
        {"action": "pipe", "argv": ["a"], "rule": None},
    ],
}  # fmt: skip

_DAMAGED = {"time": 2, "damaged": "/s/journal", "kept": None, "text": "it was damaged"}

REPORTED: list[Mapping[str, object]] = [
    {
        **_SAID,
        "queue_id": f"4F{number}", "client": f"192.0.2.{number}", "recipient": "a@b.example",
        "authentication": f"spf={spf} smtp.mailfrom=x.example; dkim={dkim} header.d=m.x.example;"
        f" dmarc={dmarc} header.from=x.example policy.dmarc=none",
    }
    for number, (spf, dkim, dmarc) in enumerate(
        [("pass", "none", "pass"), ("fail", "pass", "pass"), ("fail", "fail", "fail"),
         ("temperror", "none", "temperror")]
    )
]  # fmt: skip

_DEEDS: list[Mapping[str, object]] = [
    {"applied": "20260101-000000", "time": 1.5, "folder": "INBOX"},
    {"deed": "make", "number": 1, "path": "/m/.A", "root": "/m"},
    {"deed": "move", "number": 2, "source": "/m/new/1", "target": "/m/.A/cur/1:2,S",
     "source_root": "/m", "target_root": "/m"},
    {"deed": "copy", "number": 3, "source": "/m/new/1", "store": "mbox", "path": "/b", "root": "",
     "flags": ["seen"], "sender": "a@b", "arrived_s": 1.5},
    {"copied": 3, "places": [["mbox", "/b", ""]], "from_line": "From a"},
    {"skipped": 2, "why": "gone"}, {"undoing": 1}, {"undone": 1}, {"finished": 1},
]  # fmt: skip


def _logs() -> Iterator[bytes]:
    yield from case_texts("rejects")
    yield b'{"__REALTIME_TIMESTAMP": "1", "SYSLOG_IDENTIFIER": "postfix/smtpd", "MESSAGE": [78]}\n'


def _lines_of(objects: Sequence[Mapping[str, object]]) -> bytes:
    return b"".join(json.dumps(said).encode() + b"\n" for said in objects)


TARGETS = {
    "maillog": Target(
        maillog,
        _logs,
        (
            b"Nov 22 10:00:00 mail postfix/smtpd[1]: ", b"NOQUEUE: reject: RCPT from ",
            b"[192.0.2.1]",
            b"; from=<", b"> to=<", b"> proto=ESMTP helo=<", b" rejected: ", b" status=sent (",
            b"postfix/qmgr[1]: ", b"postfix/cleanup[1]: ", b"milter-reject: ", b"warning: ",
            b"\x1b",
            b"2026-11-22T10:00:00.1+01:00 ", b"\0", b"\xe2\x80\xae", b'{"MESSAGE":', b"unknown[",
        ),
    ),
    "decisions": Target(
        decisions,
        lambda: [
            _lines_of([_SAID]),
            _lines_of([_SAID])[:-20] + b"\0" * 30 + _lines_of([_SAID, _DAMAGED]),
        ],
        (b'"damaged": ', b'"kept": ', b'"rule": ',
         b"[]", b"{}", b"null", b"1e999", b"NaN", b"-1", b"true", b'"\\u001b"', b"\n"),
    ),
    "reported": Target(
        reported,
        lambda: [
            _lines_of(REPORTED),
            _lines_of(REPORTED[1:] * 2).replace(b"x.example", b"b.example"),
        ],
        (b'"client": "', b'"authentication": "', b"spf=pass", b"dkim=pass", b"dmarc=fail", b"; ",
         b'"', b" smtp.mailfrom=", b" header.from=", b"\\u001b", b"null", b"1e999",
         b"NaN", b"[]", b"\n"),
    ),
    "applied": Target(
        applied,
        lambda: [_lines_of(_DEEDS)],
        (b"[]", b"{}", b"null", b"1e999", b"NaN", b"-1", b"true", b'"', b"\n", b'{"deed": "move"'),
    ),
}  # fmt: skip
