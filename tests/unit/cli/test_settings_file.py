"""A settings file that is named must be there: mistyped, its name must not mean the defaults."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mdeliver import settings
from mdeliver.cli import COMMANDS, main
from mdeliver.lmtp.settings import load_lmtp
from mdeliver.outcome import Deferral
from mdeliver.popsync.settings import load_site_choices
from mdeliver.sent.settings import SettingsError, load_bcc_settings
from mdeliver.settings import load_site

ARGUMENTS = {
    "test": ["-"],
    "lmtp": ["--check"],
    "pop-sync": ["--once"],
    "bcc-maps": ["--dry-run"],
    "audit": ["--list"],
}


def takers() -> list[str]:
    """Commands that take --settings, but the delivery itself, which is no click command."""
    names = []
    for name, module in COMMANDS:
        command = import_module(module).command
        assert isinstance(command, click.Command)
        if name != "deliver" and any("--settings" in option.opts for option in command.params):
            names.append(name)
    return names


def test_all_that_take_it_are_tried() -> None:
    assert sorted(takers()) == sorted(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_missing_file_is_wrong_usage(name: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "mdeliver.tmol")
    command = [name, "--settings", missing, *ARGUMENTS[name]]
    environ = {"HOME": str(tmp_path), "USER": "ann"}
    done = CliRunner().invoke(main, command, input="\n", env=environ)
    assert done.exit_code == 2
    assert f"there is no file {missing}" in done.stderr
    assert done.stdout == ""


def test_a_delivery_waits_for_it(tmp_path: Path) -> None:
    missing = str(tmp_path / "mdeliver.tmol")
    deliver = [sys.executable, "-m", "mdeliver", "deliver", "--settings", missing]
    environ = {"HOME": str(tmp_path), "USER": "ann", "PATH": os.environ["PATH"]}
    done = subprocess.run(deliver, input=b"\n", env=environ, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 75
    assert done.stdout.decode() == f"4.3.5 {missing}: there is no such settings file\n"
    assert list(tmp_path.iterdir()) == []


READERS = (load_site, load_lmtp, load_site_choices, load_bcc_settings)


@pytest.mark.parametrize("load", READERS, ids=lambda load: load.__name__)
def test_only_the_default_may_be_absent(
    load: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "mdeliver.toml")
    with pytest.raises((Deferral, SettingsError), match="there is no such settings file"):
        load(missing)
    monkeypatch.setattr(settings, "SETTINGS_PATH", missing)
    load(missing)
