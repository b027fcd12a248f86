"""A worker's journal is damaged: each message has its answer, and it is told once."""

from __future__ import annotations

import json
from pathlib import Path

from mdeliver.lmtp.rounds import Kept
from tests.unit.lmtp.test_rounds import Task, answers, go_round, home, subjects

__all__ = ["home"]


def told(home: Path) -> list[str]:
    """Which files the decision log says were damaged."""
    lines = map(json.loads, (home / "state" / "log").read_text().splitlines())
    return [said["damaged"] for said in lines if "damaged" in said]


def test_it_is_mended_between_rounds_and_told_once(home: Path) -> None:
    kept, log = Kept(), list[str]()
    go_round(kept, *[Task(home, name, log) for name in ("1", "2")])
    journal = home / "state" / "journal"
    with journal.open("ab") as file:
        file.write(bytes(4096))
    for names in (("3", "4"), ("5", "6"), ("7", "8")):
        go_round(kept, *[Task(home, name, log) for name in names])
    assert answers(log) == [f"{number} delivered" for number in range(1, 9)]
    assert subjects(home) == [str(number) for number in range(1, 9)]
    assert told(home) == [str(journal)]
    assert b"\0" not in journal.read_bytes()


def test_what_was_delivered_before_is_still_known(home: Path) -> None:
    kept, log = Kept(), list[str]()
    go_round(kept, *[Task(home, name, log) for name in ("1", "2")])
    kept.journal(str(home / "state")).close()
    journal = home / "state" / "journal"
    journal.write_bytes(b"not ours\n" + journal.read_bytes() + b"nor this\n")
    for _round in range(2):
        go_round(Kept(), *[Task(home, name, log) for name in ("1", "2")])
    assert subjects(home) == ["1", "2"]
    assert told(home) == [str(journal)]
