"""The model of procmail: what only a person thinks of; tests/processes/test_procmail.py asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.procmail.fate import Fate
from mdeliver.procmail.machine import run_procmailrc
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.world import World

MESSAGE = b"From a@example.org  Mon Nov 23 10:00:00 2026\nSubject: x\nList-Id: <u.org>\n\nbody\n"


def _run(tmp_path: Path, rules: str, message: bytes = MESSAGE) -> Fate:
    text = f"MAILDIR={tmp_path}\nDEFAULT={tmp_path}/inbox\n{rules}"
    world = World(str(tmp_path), "ann", default=str(tmp_path / "orgmail"))
    return run_procmailrc(parse_procmailrc(text, "rc"), message, world)


def _places(tmp_path: Path, rules: str, message: bytes = MESSAGE) -> list[str]:
    fate = _run(tmp_path, rules, message)
    assert not fate.unknown
    return [str(Path(d.path).relative_to(tmp_path)) for d in fate.deliveries]


@pytest.mark.parametrize(
    ("rules", "places"),
    [
        ("", ["inbox"]),
        (":0\nnodir/x\n", ["inbox"]),
        (":0c\na\n:0\nb\n", ["a", "b"]),
        (":0A\na\n", ["inbox"]),
        (":0E\na\n", ["a"]),
        (":0\n{\n:0E\na\n}\n", ["inbox"]),
        (":0c\n{\n}\n", ["inbox", "inbox"]),
        (":0\n* ! 1^0 ^List-Id:.*<\\/[^>]*\n{ }\n:0\n$MATCH\n", ["u.org"]),
        (":0\n* ! ^List-Id:.*<\\/[^>]*\na\n:0\n$MATCH\n", ["u.org"]),
        (":0\n* B ?? ^^body\nx/\n", ["x"]),
        (":0\n{ DEFAULT=other }\n", ["other"]),
        ("INCLUDERC=missing\n", ["inbox"]),
        (":0i\nnodir/x\n", ["nodir/x"]),
        (":0i\nnodir/x/\n", ["nodir/x"]),
        ("SWITCHRC=\n:0\na\n", ["inbox"]),
    ],
)
def test_where_it_goes(rules: str, places: list[str], tmp_path: Path) -> None:
    assert _places(tmp_path, rules) == places


def test_an_included_file_is_run_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "inc").write_text(":0c\na\n")
    assert _places(tmp_path, "INCLUDERC=inc\n:0\nb\n") == ["a", "b"]


def test_a_program_is_not_run_unless_asked(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    fate = _run(tmp_path, f":0\n* ? touch {mark}\na\n")
    assert "--run-programs" in fate.unknown
    assert not mark.exists()


def test_exitcode_overrides(tmp_path: Path) -> None:
    assert _run(tmp_path, "EXITCODE=67\nHOST\n").status == 67
    assert _run(tmp_path, "HOST=another\n").deliveries == ()


def test_a_file_that_goes_in_circles_ends(tmp_path: Path) -> None:
    (tmp_path / "self").write_text(f"INCLUDERC={tmp_path}/self\n")
    assert _places(tmp_path, f"INCLUDERC={tmp_path}/self\n") == ["inbox"]


@pytest.mark.parametrize("octets", [b"", b"\n\n", b"\0\n", b"From \n", b"Content-Length: 9", b"a"])
def test_any_message_has_a_fate(octets: bytes, tmp_path: Path) -> None:
    assert _places(tmp_path, ":0\n* nothing\na\n", octets) == ["inbox"]
    assert _run(tmp_path, "", octets).deliveries[0].stored().endswith(b"\n")
