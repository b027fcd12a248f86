"""Which rules files there are, and which are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdeliver import limits, rulesfile
from mdeliver.rulesfile import Untrusted, read_rules, reader, rules_paths

UID = os.getuid()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules"
    path.write_text("keep\n")
    path.chmod(0o644)
    return path


def test_reads_a_file_of_ones_own(rules: Path) -> None:
    assert read_rules(str(rules), UID) == "keep\n"


def test_follows_a_link_as_dotfiles_need_it(rules: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(rules)
    assert read_rules(str(link), UID) == "keep\n"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o602])
def test_refuses_what_others_can_write(rules: Path, mode: int) -> None:
    rules.chmod(mode)
    with pytest.raises(Untrusted, match="can be written by others: chmod go-w it"):
        read_rules(str(rules), UID)


def test_refuses_what_somebody_else_owns(rules: Path) -> None:
    if UID:
        # Nobody but root can give a file away: look at it with another user's eyes.
        with pytest.raises(Untrusted, match=f"is owned by user id {UID}"):
            read_rules(str(rules), UID + 1)
        return
    os.chown(rules, 4711, -1)
    with pytest.raises(Untrusted, match="is owned by user id 4711"):
        read_rules(str(rules), 1000)
    assert read_rules(str(rules), 4711) == "keep\n"


def test_refuses_a_directory_and_a_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo):
        with pytest.raises(Untrusted, match="is not a regular file"):
            read_rules(str(path), UID)


def test_refuses_what_is_not_utf8_and_names_the_line(rules: Path) -> None:
    rules.write_bytes(b"# one\n# gr\xfc\xdfe\n")
    with pytest.raises(Untrusted, match=r"rules:2 is not UTF-8"):
        read_rules(str(rules), UID)


def test_refuses_what_is_too_large(rules: Path) -> None:
    with rules.open("wb") as file:
        file.truncate(limits.RULES_BYTES + 1)
    with pytest.raises(Untrusted, match="is larger than 4 MB"):
        read_rules(str(rules), UID)


def test_a_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_rules(str(tmp_path / "none"), UID)


def test_every_refusal_is_one_line(rules: Path, tmp_path: Path) -> None:
    rules.chmod(0o666)
    for path in (rules, tmp_path):
        with pytest.raises(Untrusted) as refused:
            read_rules(str(path), UID)
        assert "\n" not in str(refused.value)
        assert str(path) in str(refused.value)


def test_reader_knows_the_home(rules: Path, tmp_path: Path) -> None:
    read_file = reader(str(tmp_path), UID)
    assert read_file("~/rules") == "keep\n"
    assert read_file(str(rules)) == "keep\n"


# --- which files ---------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "site-rules"
    monkeypatch.setattr(rulesfile, "SITE_RULES", str(path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return path


def user_rules(home: Path) -> Path:
    path = home / ".config/mdeliver/rules"
    path.parent.mkdir(parents=True)
    path.write_text("")
    return path


def test_site_comes_before_user(site: Path, tmp_path: Path) -> None:
    site.write_text("")
    user = user_rules(tmp_path)
    assert rules_paths(str(tmp_path), None) == [str(site), str(user)]


def test_only_files_that_exist(site: Path, tmp_path: Path) -> None:
    assert rules_paths(str(tmp_path), None) == []
    user = user_rules(tmp_path)
    assert rules_paths(str(tmp_path), None) == [str(user)]


def test_a_broken_link_is_not_overlooked(site: Path, tmp_path: Path) -> None:
    site.symlink_to(tmp_path / "gone")
    assert rules_paths(str(tmp_path), None) == [str(site)]


def test_xdg_config_home_only_if_absolute(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = user_rules(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", "elsewhere")
    assert rules_paths(str(tmp_path), None) == [str(user)]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert rules_paths(str(tmp_path), None) == []


def test_an_override_replaces_both(site: Path, tmp_path: Path) -> None:
    site.write_text("")
    assert rules_paths(str(tmp_path), "/some/rules") == ["/some/rules"]
