"""The decision log, read and counted."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from mdeliver.decision import load_rules
from mdeliver.history import recall
from mdeliver.history.recall import Question

SAID: dict[str, Any] = {
    "time": 1000.0,
    "duration_s": 0.01,
    "user": "ann",
    "sender": "a@example.net",
    "recipient": "ann@example.org",
    "original_recipient": "",
    "queue_id": "4XyZ",
    "message_id": "<1@example.net>",
    "subject": "hi",
    "size": 10,
    "digest": "",
    "outcome": "delivered",
    "status": "2.0.0",
    "text": "delivered",
    "rule": None,
    "fired": [],
    "actions": [],
}


def write(tmp_path: Path, *said: dict[str, Any]) -> str:
    text = "".join(json.dumps(SAID | one) + "\n" for one in said)
    (tmp_path / "log").write_text(text)
    return str(tmp_path)


def times(state: str, **question: Any) -> list[float]:
    asked = Question(**question)
    return [said["time"] for said in recall.matching(recall.deliveries(state), asked)]


def test_older_logs_come_first(tmp_path: Path) -> None:
    for number, name in enumerate(("log.10", "log.2", "log")):
        (tmp_path / name).write_text(json.dumps(SAID | {"time": number}) + "\n")
    assert times(str(tmp_path)) == [0, 1, 2]


@pytest.mark.parametrize(
    "line",
    [
        "", "{", "[]", "null", '{"time": 1}', "\x00" * 100, "[" * 100_000,
        json.dumps(SAID | {"time": "now"}), json.dumps(SAID | {"actions": [1]}),
        json.dumps(SAID | {"fired": [None]}), json.dumps(SAID | {"subject": None}),
    ],
)  # fmt: skip
def test_what_is_no_line_of_ours_is_left_out(tmp_path: Path, line: str) -> None:
    whole = json.dumps(SAID)
    (tmp_path / "log").write_text(f"{line}\n{whole}\n")
    assert times(str(tmp_path)) == [1000.0]


def test_a_line_that_follows_a_cut_one_is_found(tmp_path: Path) -> None:
    whole = json.dumps(SAID | {"subject": '{"time": 5'})
    (tmp_path / "log").write_text(whole[:40] + whole + "\n")
    assert times(str(tmp_path)) == [1000.0]


@pytest.mark.parametrize("asked", ["<1@example.net>", "1@example.net", " <1@example.net> ", "4XyZ"])
def test_a_message_is_known_by_its_id_or_the_queues(tmp_path: Path, asked: str) -> None:
    state = write(tmp_path, {}, {"time": 1, "message_id": "<2@example.net>", "queue_id": ""})
    assert times(state, message=asked) == [1000.0]
    assert times(state, message="example.net") == []
    assert times(state, message="<>") == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("/home/ann/rules:3", [1]), ("rules:3", [1]), ("ann/rules:3", [1]), ("rules", [1, 2]),
        ("ules:3", []), ("rules:33", []), ("other:1", [2]), ("rules:4", [2]),
    ],
)  # fmt: skip
def test_a_rule_is_known_by_the_end_of_its_name(
    tmp_path: Path, asked: str, found: list[float]
) -> None:
    one = {"time": 1, "fired": ["/home/ann/rules:3"]}
    two = {"time": 2, "rule": "/home/ann/rules:4", "actions": [{"rule": "/etc/other:1"}]}
    assert times(write(tmp_path, one, two), rule=asked) == found


def test_since(tmp_path: Path) -> None:
    state = write(tmp_path, {"time": 1}, {"time": 2}, {"time": 3})
    assert times(state, since_s=2.0) == [2, 3]


def test_times_that_people_write() -> None:
    now = time.time()
    for text, ago_s in (("90s", 90), ("5m", 300), ("3h", 10800), ("2d", 172800), ("1w", 604800)):
        assert abs(now - ago_s - recall.seconds_of(text)) < 60
    assert recall.seconds_of("2026-08-01") == time.mktime((2026, 8, 1, 0, 0, 0, 0, 0, -1))
    assert recall.seconds_of("2026-08-01 12:30") == time.mktime((2026, 8, 1, 12, 30, 0, 0, 0, -1))
    for text in ("", "yesterday", "3 h", "-3h", "3y", "2026-13-01"):
        with pytest.raises(ValueError, match=r"\w"):
            recall.seconds_of(text)


def test_hits_are_counted_since_the_rules_were_changed(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text(
        'if subject contains "a":\n    also file to imap/A\n    mark seen\n'
        'elif subject contains "b":\n    discard\nelse:\n    defer "later"\n'
    )
    rules.chmod(0o600)
    changed = time.time() - 1000
    os.utime(rules, (changed, changed))
    program = load_rules(str(tmp_path), os.geteuid(), str(rules)).program
    assert program is not None
    fired = [f"{rules}:2", f"{rules}:3"]
    state = write(
        tmp_path,
        {"time": changed - 10, "fired": [f"{rules}:5"]},
        {"time": changed + 10, "fired": fired},
        {"time": changed + 20, "fired": fired},
        # What was deferred comes again: only the rule that deferred it had its way.
        {"time": changed + 30, "fired": [*fired, f"{rules}:7"], "outcome": "deferred",
         "rule": f"{rules}:7"},
    )  # fmt: skip
    counted = recall.hits(recall.deliveries(state), program.statements)
    mine = [(h.rule.rpartition(":")[2], h.times, h.words) for h in counted if str(rules) in h.rule]
    assert mine == [
        ("2", 2, "also file to imap/A"),
        ("3", 2, "mark as seen"),
        ("5", 0, "discard"),
        ("7", 1, 'defer "later"'),
    ]
    assert [h.last_s for h in counted if h.times == 0] == [None]
    assert all(h.since_s == changed for h in counted if str(rules) in h.rule)
