"""State files of processes that have no decision log: what the administrator is told of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from click.testing import CliRunner

from mdeliver.cli.apply import command as apply_command
from mdeliver.history import records
from mdeliver.popsync import links
from mdeliver.popsync.asbefore import AsBefore
from mdeliver.popsync.ledger import NAME as LEDGER
from mdeliver.popsync.ledger import Ledger, LedgerError
from mdeliver.postfix import changes
from mdeliver.postfix.configuration import Postfix
from tests.unit.test_damaged_state import garbage, zeros_behind


class Kept(NamedTuple):
    """A state file of a process without a decision log: what it says of a damaged one.

    make   makes it at a path
    read   reads it there; what the administrator is told
    stays  whether it is left as it is
    """

    make: Callable[[Path], None]
    read: Callable[[Path], str]
    stays: bool


def _make_ledger(path: Path) -> None:
    Ledger(str(path.parent), keep=True).close()


def _read_ledger(path: Path) -> str:
    try:
        Ledger(str(path.parent), keep=True).close()
    except LedgerError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def _make_looks(path: Path) -> None:
    before = AsBefore(str(path), "settings")
    before.note("ann", {"files": {"/m": []}, "watch": ["/m"]})
    before.keep()


def _read_looks(path: Path) -> str:
    before = AsBefore(str(path), "settings")
    before.keep()
    return before.trouble


def _make_record(path: Path) -> None:
    applied = records.begin(str(path.parent.parent), "INBOX")
    os.rename(applied.path, path)


def _read_record(path: Path) -> str:
    return "\n".join(records.troubles(str(path.parent.parent)))


def _make_undo(path: Path) -> None:
    changes._keep(str(path), {"/etc/postfix/main.cf": {"before": "a", "after": "b"}})


def _read_undo(path: Path) -> str:
    try:
        changes.undo(str(path))
    except changes.SetupError as error:
        return str(error)
    return ""


KEPT = {
    LEDGER: Kept(_make_ledger, _read_ledger, True),
    "pop-sync.looks": Kept(_make_looks, _read_looks, False),
    "applied/20260101-000000": Kept(_make_record, _read_record, True),
    "bcc-maps.undo": Kept(_make_undo, _read_undo, True),
}


@pytest.mark.parametrize("spoil", [garbage, zeros_behind])
@pytest.mark.parametrize("name", KEPT)
def test_other_processes_say_which_file_it_is(
    tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    path, kept = tmp_path / name, KEPT[name]
    path.parent.mkdir(exist_ok=True)
    kept.make(path)
    spoil(path)
    was = path.read_bytes()
    said = kept.read(path)
    if spoil is zeros_behind and name == LEDGER:
        assert said == ""  # SQLite knows how long its file is
        return
    assert str(path) in said
    if kept.stays:
        assert path.read_bytes() == was
    else:
        assert kept.read(path) == ""
        assert Path(f"{path}.damaged").read_bytes() == was


def test_nothing_is_changed_where_what_was_kept_before_is_damaged(tmp_path: Path) -> None:
    """It may be all that is left of the settings that were there first."""
    keep = tmp_path / "mdeliver-postfix.undo"
    keep.write_text('{"/etc/postfix/main.cf": {"before": ')
    for file in ("main.cf", "master.cf"):
        (tmp_path / file).write_text("as it was\n")

    class Fine:
        directory = str(tmp_path)

        def run(self, *_command: str) -> str:
            return ""

    with pytest.raises(changes.SetupError, match=r"undo is damaged"):
        changes.make([], cast("Postfix", Fine()), str(keep), write=lambda: None)
    assert keep.read_text().endswith('before": ')
    assert (tmp_path / "main.cf").read_text() == "as it was\n"


def test_a_log_without_end_does_not_stop_pop_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "LOG_BYTES", 4096)
    (tmp_path / "log").write_bytes(b'{"time": 1}\n')
    os.truncate(tmp_path / "log", 1 << 40)
    with (tmp_path / "log").open("ab") as log:
        log.write(b'\n{"time": 2}\n')
    ledger = Ledger(str(tmp_path), keep=True)
    with ledger.transaction():
        links.take_over(str(tmp_path), ledger, ["/mbox"])
    assert ledger.taken()[1] == (tmp_path / "log").stat().st_size
    ledger.close()


@pytest.mark.parametrize("options", [["--list"], []])
def test_undo_says_which_record_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    state = tmp_path / ".local" / "state" / "mdeliver"
    (state / "applied").mkdir(parents=True)
    path = Path(records.begin(str(state), "INBOX").path)
    path.write_bytes(path.read_bytes() + b"not ours\n\x1b[2J\n" + b'{"torn')
    arguments = ["--undo", *options, "--home", str(tmp_path), "--user", "ann"]
    said = CliRunner().invoke(apply_command, arguments)
    words = "is damaged: lines that cannot be read, and are left out: 2"
    assert said.stderr.splitlines()[0] == f"mdeliver apply: {path} {words}"
    assert said.exit_code == 0
