"""A start looks at those with whom anything has changed, and believes nothing but that."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.popsync.asbefore import FILES, AsBefore
from mdeliver.popsync.watch import look_of

SETTINGS = ("settings",)


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    path = tmp_path / "mbox"
    path.write_text("one")
    return path


def look_at(*paths: Path) -> dict[str, object]:
    return {"files": {str(path): look_of(str(path)) for path in paths}, "watch": [str(paths[0])]}


@pytest.fixture
def kept(tmp_path: Path, mbox: Path) -> str:
    """What was remembered of ann, who has an mbox and no rules."""
    path = str(tmp_path / "looks")
    before = AsBefore(path, SETTINGS)
    before.note("ann", look_at(mbox, tmp_path / "rules"))
    before.keep()
    return path


def test_all_is_as_before(kept: str, mbox: Path) -> None:
    found = AsBefore(kept, SETTINGS).look("ann")
    assert found is not None
    assert found["watch"] == [str(mbox)]
    assert AsBefore(kept, SETTINGS).look("bob") is None
    assert Path(kept).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["mbox", "rules"])
def test_a_file_that_has_changed_or_is_new(kept: str, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("one and two")
    assert AsBefore(kept, SETTINGS).look("ann") is None


def test_other_settings(kept: str, mbox: Path) -> None:
    assert AsBefore(kept, ("others",)).look("ann") is None
    before = AsBefore(kept, SETTINGS)
    before.settle(("others",))
    assert before.look("ann") is None


def test_a_look_that_began_counts_for_nothing(kept: str) -> None:
    """It may have been killed in the middle."""
    before = AsBefore(kept, SETTINGS)
    before.note("ann", None)
    before.keep()
    assert AsBefore(kept, SETTINGS).look("ann") is None


def test_without_a_path_nothing_is_remembered(mbox: Path) -> None:
    before = AsBefore("", SETTINGS)
    before.note("ann", look_at(mbox))
    before.keep()
    assert before.look("ann") is None


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"files": {}},
        {"files": {"mbox": []}, "watch": []},
        {"files": {"/mbox": [1]}, "watch": []},
        {"files": {"/mbox": ["1", 2, 3, 4]}, "watch": []},
        {"files": {"/m\0": []}, "watch": []},
        {"files": {"/mbox": []}, "watch": ["/other"]},
        {"files": {"/mbox": []}, "watch": [["/mbox"]]},
        {"files": {f"/{n}": [] for n in range(FILES + 1)}, "watch": []},
    ],
)
def test_nonsense_of_a_process_is_not_remembered(tmp_path: Path, said: object) -> None:
    before = AsBefore(str(tmp_path / "looks"), SETTINGS)
    before.note("ann", said)
    assert before.look("ann") is None


@pytest.mark.parametrize(
    "look",
    ["", "{", "[]", "[" * 100_000, '{"files": 1, "watch": 2}', "\udcff", "\tann\t{}"],
    ids=range(7),
)
def test_a_damaged_file_is_none(kept: str, look: str) -> None:
    settings = Path(kept).read_bytes().partition(b"\n")[0]
    octets = look.encode("utf-8", "surrogateescape")
    for text in (octets, settings + b"\nann\t" + octets + b"\n", settings + b"\n" + octets):
        Path(kept).write_bytes(text)
        assert AsBefore(kept, SETTINGS).look("ann") is None


def test_a_file_of_others_is_not_believed(kept: str) -> None:
    path = Path(kept)
    path.rename(f"{kept}.theirs")
    path.symlink_to(f"{kept}.theirs")
    assert AsBefore(kept, SETTINGS).look("ann") is None
