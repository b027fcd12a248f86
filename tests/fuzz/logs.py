"""What stands in logs, where strangers can write much: Postfix's, and our own after a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from mdeliver.cli.log import _lines
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
        for said in found:
            json.dumps(said)
            for line in _lines(said, lambda _colour, words: words):
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
        lambda: [_lines_of([_SAID]), _lines_of([_SAID])[:-20] + b"\0" * 30 + _lines_of([_SAID])],
        (b'"rule": ', b"[]", b"{}", b"null", b"1e999", b"NaN", b"-1", b"true", b'"\\u001b"', b"\n"),
    ),
    "applied": Target(
        applied,
        lambda: [_lines_of(_DEEDS)],
        (b"[]", b"{}", b"null", b"1e999", b"NaN", b"-1", b"true", b'"', b"\n", b'{"deed": "move"'),
    ),
}  # fmt: skip
