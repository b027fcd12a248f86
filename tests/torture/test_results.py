"""The tables at the end: what they count, and that every kind of fault is tried everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.calls import Calls
from tests.faults.strace import ALWAYS, points_of
from tests.faults.subjects import SUBJECTS
from tests.torture.results import FAULTS, Results, fault_of


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("12 ENOSPC", "ENOSPC"),
        ("0 kill before", "kill"),
        ("3 alarm after", "alarm after"),
        ("7 done, EIO", "done, EIO"),
        ("openat#12:SIGKILL", "kill"),
        ("worker pwrite64#1:EDQUOT", "EDQUOT"),
        ("24 left", ""),
        ("135: after 22, lost nothing", ""),
        ("round 3", ""),
    ],
)
def test_the_fault_of_a_case(case: str, fault: str) -> None:
    assert fault_of(case) == fault


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_kind_of_fault_is_tried_inside(subject: str, tmp_path: Path) -> None:
    story = Calls(subject, tmp_path / "home")
    tried = {(case.split()[0], fault_of(case)) for case in story.cases}
    missing = {(str(n), fault) for n in range(len(story.calls)) for fault in FAULTS} - tried
    assert not missing


def test_every_kind_of_fault_is_tried_outside() -> None:
    assert {*ALWAYS, "kill"} == set(FAULTS)
    points = points_of("7 fsync(3) = 0\n7 ioctl(3) = 0\n8 fsync(3) = 0\n", more=ALWAYS)
    for call in ("fsync#1", "ioctl#1"):
        tried = {fault_of(str(point)) for point in points if str(point).startswith(call)}
        assert set(FAULTS) <= tried


def test_tables_count_each_case_once_in_each_column(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    results.keep("a", "1 EIO", [])
    results.keep("a", "2 EIO", ["lost mbox: message 0", "lost Maildir: message 0", "torn mbox: x"])
    results.keep("b", "round 1", ["it broke"])
    results.missing["c"] = "no such thing here"
    head, *rows = [
        [cell.strip() for cell in row.split("|")]
        for row in results.table(["a", "b", "c"]).splitlines()
    ]
    told = {row[0]: dict(zip(head, row, strict=False)) for row in rows}
    assert {name: told["a"][name] for name in ("runs", "lost", "torn", "stuck")} == {
        "runs": "2",
        "lost": "1",
        "torn": "1",
        "stuck": "0",
    }
    assert (told["b"]["runs"], told["b"]["stuck"]) == ("1", "1")
    assert told["c"]["runs"] == "cannot be had: no such thing here"
    assert (told["all"]["runs"], told["all"]["lost"]) == ("3", "1")
    kinds, *of = results.faults(["a", "b"]).splitlines()
    assert [line.split("|")[0].strip() for line in of] == ["a"]
    assert of[0].split("|")[1 + FAULTS.index("EIO")].strip() == "2"
    assert [cell.strip() for cell in kinds.split("|")][1:-1] == list(FAULTS)
