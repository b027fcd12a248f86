"""What filters and programs say, as the rules get to know it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdeliver import limits
from mdeliver.deliver.outside import Surroundings
from mdeliver.envelope import Envelope
from mdeliver.outside import NOT_RUN

MESSAGE = b"Subject: hello\n\nHow are you?\n"


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Surroundings]:
    made = Surroundings(Envelope("ann", str(tmp_path), os.geteuid()), str(tmp_path))
    yield made
    made.close()


def filtered(around: Surroundings, script: str) -> tuple[bytes | None, str]:
    letter, how = around.filtered(("sh", "-c", script), [MESSAGE], len(MESSAGE))
    return None if letter is None else b"".join(letter.chunks()), how


@pytest.mark.parametrize(
    ("script", "gives"),
    [
        ("cat", MESSAGE),
        ("echo X: y; cat", b"X: y\n" + MESSAGE),
        ("printf 'From x y\\n'; cat", MESSAGE),
        ("printf '>From x y\\n'; cat", b">From x y\n" + MESSAGE),
        ("printf 'X: y\\r\\n\\r\\nbody'", b"X: y\r\n\r\nbody"),
        ("printf 'X: y\\n\\n'", b"X: y\n\n"),
    ],
)
def test_what_a_filter_gives_is_taken(around: Surroundings, script: str, gives: bytes) -> None:
    assert filtered(around, script) == (gives, "exit status 0")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cat; exit 1", "exit status 1"),
        ("cat; echo oh >&2; exit 75", "exit status 75: oh"),
        ("cat; kill -9 $$", "killed by signal 9"),
        ("true", "it gave nothing back"),
        ("printf 'From x y\\n'", "it gave nothing back"),
        ("echo cannot open file; cat", "it has no header"),
        ("echo Subject: x", "it has no header"),
        ("echo; cat", "it has no header"),
        ("printf 'a: b'", "it has no header"),
        ("no-such-program", "exit status 127"),
    ],
)
def test_a_filter_that_fails_gives_nothing(around: Surroundings, script: str, why: str) -> None:
    letter, how = filtered(around, script)
    assert letter is None
    assert why in how


def test_a_filter_that_gives_too_much_is_ended(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROGRAM_GROWTH_BYTES", 1000)
    assert filtered(around, "cat; head -c 1000 /dev/zero")[0] is not None
    assert filtered(around, "cat; cat /dev/zero") == (None, "it wrote too much")


def test_filters_that_hang_leave_time_for_the_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROGRAM_S", 0.2)
    monkeypatch.setattr(limits, "FILTERS_S", 0.3)
    around = Surroundings(Envelope("ann", str(tmp_path), os.geteuid()), str(tmp_path))
    said = [filtered(around, "exec sleep 9")[1] for _ in range(3)]
    assert said[0] == "still running after 0.2 s"
    # A busy machine may have spent all on the first.
    assert said[1].startswith(("still running after 0.", "not run: those before it"))
    assert said[2] == "not run: those before it took too long"
    assert filtered(around, "cat")[0] is None


def test_what_is_too_large_for_memory_is_on_disk_and_the_same(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEMORY_BYTES", 10)
    letter, _how = around.filtered(("sh", "-c", "printf 'From x\\n'; cat"), [MESSAGE], len(MESSAGE))
    assert letter is not None
    assert letter.memory is None
    for _again in range(2):
        assert b"".join(letter.chunks()) == MESSAGE
    assert (letter.size, letter.head) == (len(MESSAGE), b"Subject: hello\n\n")


@pytest.mark.parametrize(
    ("status", "answer"), [(0, True), (1, False), (2, False), (75, None), (126, None), (127, None)]
)
def test_what_a_program_says(around: Surroundings, status: int, answer: bool | None) -> None:
    said, how = around.succeeds(("sh", "-c", f"exit {status}"), [MESSAGE])
    assert (said, how) == (answer, f"exit status {status}")


def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    dry = Surroundings(Envelope("ann", str(tmp_path), os.geteuid()), None, run_programs=False)
    assert dry.succeeds(("touch", "x"), [MESSAGE]) == (None, NOT_RUN)
    assert dry.filtered(("touch", "x"), [MESSAGE], 9) == (None, NOT_RUN)
    assert list(tmp_path.iterdir()) == []
