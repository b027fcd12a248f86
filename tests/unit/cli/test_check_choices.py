"""`mdeliver check` looks at the user's pop-sync.toml too: with a mistake in it, mail may wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver import rulesfile
from tests.unit.cli.test_check import check, write


@pytest.fixture
def choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rulesfile, "SITE_RULES", str(tmp_path / "site"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".config" / "mdeliver" / "pop-sync.toml"


WRONG = """\
downloaded = "burn"
colour = "red"  # no such key
poll_s = 3
archive = "Old/{year}"
"""


def test_every_mistake_is_shown(choices: Path) -> None:
    write(choices.parent / "rules", "keep\n")
    write(choices, WRONG)
    done = check()
    assert done.exit_code == 1
    assert (
        done.stdout
        == f"""\
{choices}:1:1: error P102: downloaded is "keep" or "read" or "archive" or "delete"
    downloaded = "burn"
    ^^^^^^^^^^
{choices}:2:1: error P102: there is no key colour; there are pop3_gets, downloaded, archive, \
mark_read, trash, both_ways
    colour = "red"  # no such key
    ^^^^^^
{choices}:3:1: error P103: poll_s is for the site to say, in /etc/mdeliver/mdeliver.toml
    poll_s = 3
    ^^^^^^
3 errors in 1 file
"""
    )


def test_without_rules_too(choices: Path) -> None:
    write(choices, "downloaded = \n")
    done = check()
    assert done.exit_code == 1
    assert f"{choices}:1:14: error P101: Invalid value" in done.stdout
    write(choices, 'downloaded = "read"\n')
    done = check()
    assert (done.exit_code, done.stdout) == (
        0,
        f"no rules file: mail is delivered by the built-in rules\n{choices}: no errors\n",
    )


def test_that_it_cannot_be_trusted(choices: Path) -> None:
    write(choices, "").chmod(0o666)
    done = check()
    assert done.exit_code == 1
    assert f"{choices}:1:1: error E317: " in done.stdout
    assert "can be written by others" in done.stdout


def test_by_its_name(choices: Path) -> None:
    write(choices, "mark_read = 1\n")
    done = check(str(choices))
    assert done.exit_code == 1
    assert "P102: mark_read is true or false" in done.stdout
