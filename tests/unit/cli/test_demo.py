"""`mdeliver demo`: everything arrives, nothing is left behind, and a failure is not hidden."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mdeliver.cli.demo import command, stage
from tests.installation import lacking, open_directory

COPIES_AT_THE_END = 10


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary homes are made; deliveries are made by the modules under test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(stage, "launcher", lambda: None)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_every_message_arrives_and_nothing_is_left_behind(temporary: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert "Every message arrived where it should, once." in result.output
    assert "\x1b" not in result.output
    assert list(temporary.iterdir()) == []


def test_one_message_for_two_comes_by_lmtp(monkeypatch: pytest.MonkeyPatch) -> None:
    # As root the mailboxes are nobody's, who cannot enter pytest's own directories.
    top = open_directory("demo")
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(top))
        monkeypatch.setattr(stage, "launcher", lambda: None)
        result = run()
        assert result.exit_code == 0, result.output
        for person in ("ann", "bob"):
            assert f"~/lmtp/{person}/mbox\n" in result.output
            assert f"~/lmtp/{person}/Maildir/new\n" in result.output
        assert list(top.iterdir()) == []
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_the_kept_home_holds_what_was_shown(temporary: Path) -> None:
    result = run("--keep")
    assert result.exit_code == 0, result.output
    (home,) = temporary.iterdir()
    assert str(home) in result.output
    mbox = (home / "mbox").read_bytes()
    letters = (b"From juergen@", b"From billing@", b"From bob@")
    assert [mbox.count(b"\n" + x) + mbox.startswith(x) for x in letters] == [1, 1, 1]
    assert b"\n>From tomorrow on" in mbox
    in_maildir = [
        path.relative_to(home / "Maildir")
        for path in home.glob("Maildir/**/*")
        if path.is_file() and path.parent.name in ("new", "cur")
    ]
    assert len(in_maildir) + 3 == COPIES_AT_THE_END
    # All but the message that came last, with the broken rules, are listed.
    assert sum(f"~/Maildir/{path}\n" in result.output for path in in_maildir) == len(in_maildir) - 1


def test_each_bundled_message_is_delivered() -> None:
    delivered = [delivery.name for delivery in (*stage.DELIVERIES, stage.LATE)]
    assert sorted(path.name for path in (stage.HERE / "messages").iterdir()) == delivered


@pytest.mark.parametrize("agent", ["true", "false"])
def test_an_agent_that_delivers_nothing_is_found_out(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    monkeypatch.setattr(stage, "delivery_command", lambda: [agent])
    result = run()
    assert result.exit_code == 1
    assert "not as it should be: 1-letter.eml is in no place" in result.output
    assert "Every message arrived" not in result.output
    assert list(temporary.iterdir()) == []


def test_an_agent_that_delivers_twice_is_found_out(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = temporary / "twice"
    again.write_text(
        '#!/bin/sh\ncat >"$HOME/all"\n'
        f'cd "$HOME" && {sys.executable} -m mdeliver deliver "$@" <all\nstatus=$?\n'
        'for copy in Maildir/new/*; do cp "$copy" "$copy.again"; done\nexit $status\n'
    )
    again.chmod(0o700)
    monkeypatch.setattr(stage, "delivery_command", lambda: [str(again)])
    result = run()
    assert result.exit_code == 1
    assert "1-letter.eml is in Maildir/new, Maildir/new, mbox" in result.output


@pytest.mark.slow
def test_the_installed_command_as_a_user_runs_it(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "mdeliver"
    if not program.exists() or stage.launcher() is None:
        lacking("mdeliver is not installed beside this Python (make install)")
    done = subprocess.run(
        [program, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "LC_ALL": "C"},
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
    assert b"mdeliver-lda" in done.stdout
    assert list(tmp_path.iterdir()) == []
