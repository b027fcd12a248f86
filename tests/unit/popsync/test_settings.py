"""The choices of site and user, and what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver.outcome import Deferral
from mdeliver.popsync.settings import PopSync, load_site_choices, with_users_choices


def site(tmp_path: Path, text: str) -> PopSync:
    path = tmp_path / "mdeliver.toml"
    path.write_text(text)
    return load_site_choices(str(path))


def users(home: Path, text: str) -> None:
    path = home / ".config" / "mdeliver" / "pop-sync.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)


def test_where_nothing_is_said_mail_is_kept_as_it_is() -> None:
    assert load_site_choices("/dev/null") == PopSync()
    assert PopSync().downloaded == "keep"


def test_the_users_choice_goes_before_the_sites(tmp_path: Path) -> None:
    users(tmp_path, 'downloaded = "archive"\n')
    of_site = site(tmp_path, '[pop_sync]\ndownloaded = "read"\narchive = "Old/{year}"\n')
    mine = with_users_choices(of_site, str(tmp_path), os.getuid())
    assert (mine.downloaded, mine.archive) == ("archive", "Old/{year}")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('downloaded = "burn"', 'pop_sync.downloaded is "keep" or "read" or "archive" or "delete"'),
        ("mark_read = 1", "pop_sync.mark_read is true or false"),
        ("both_ways = 1", "pop_sync.both_ways is true or false"),
        ('pop3_gets = "some"', 'pop3_gets is "mail from now on" or "all mail" or "nothing"'),
        ('archive = "a//b"', "pop_sync.archive is a folder's name"),
        ("workers = true", "pop_sync.workers is a whole number from 1 on"),
        ('remember = "x"', 'pop_sync.remember is a whole path, or ""'),
        ('users = "ann"', "pop_sync.users is a list of login names"),
        ("color = 1", "there is no key pop_sync.color"),
        ("x = ", "mdeliver.toml: "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(Deferral) as refused:
        site(tmp_path, f"[pop_sync]\n{line}\n")
    assert words in refused.value.text


def test_a_user_is_told_of_the_users_keys(tmp_path: Path) -> None:
    users(tmp_path, "colour = 1\n")
    with pytest.raises(Deferral, match=r"no key colour; there are pop3_gets, .*both_ways$"):
        with_users_choices(PopSync(), str(tmp_path), os.getuid())


def test_the_daemon_is_the_sites(tmp_path: Path) -> None:
    users(tmp_path, "workers = 1000\n")
    with pytest.raises(Deferral, match="workers is for the site to say"):
        with_users_choices(PopSync(), str(tmp_path), os.getuid())


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    users(tmp_path, 'downloaded = "delete"\n')
    (tmp_path / ".config/mdeliver/pop-sync.toml").chmod(0o666)
    with pytest.raises(Deferral, match="can be written by others"):
        with_users_choices(PopSync(), str(tmp_path), os.getuid())
