"""The key file: who may see it, and what rotation keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.sent.keys import (
    Key,
    KeysError,
    digest_table,
    ends_s,
    load_keys,
    make_tag,
    new_key,
    rotated,
    save_keys,
)

DAY_S = 86400


def test_keys_are_written_for_their_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys = [new_key(5), new_key(9)]
    save_keys(str(path), keys)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keys(str(path)) == keys
    assert [p.name for p in tmp_path.iterdir()] == ["keys"]
    assert load_keys(str(tmp_path / "none")) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    save_keys(str(path), [new_key(5)])
    path.chmod(mode)
    with pytest.raises(KeysError, match=r"others can read .*--rotate --forget"):
        load_keys(str(path))


def test_links_and_fifos_are_refused(tmp_path: Path) -> None:
    save_keys(str(tmp_path / "keys"), [new_key(5)])
    (tmp_path / "link").symlink_to("keys")
    with pytest.raises(KeysError, match="cannot read"):
        load_keys(str(tmp_path / "link"))
    import os

    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeysError, match="not a plain file"):
        load_keys(str(tmp_path / "fifo"))


@pytest.mark.parametrize("line", ["x", "5 zz", "5 aabb", "5", f"9 {'a' * 64}\n5 {'a' * 64}"])
def test_a_damaged_key_file_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    path.write_text(line + "\n")
    path.chmod(0o600)
    with pytest.raises(KeysError, match=r"keys:\d"):
        load_keys(str(path))


def test_rotation_keeps_old_keys_for_a_time_and_a_while_longer_to_tell_old_from_forged() -> None:
    keys = [new_key(0)]
    keys = rotated(keys, 10 * DAY_S, 30 * DAY_S)
    assert [ends_s(keys, n, 30 * DAY_S) for n in range(2)] == [40 * DAY_S, 0]
    assert len(rotated(keys, 60 * DAY_S, 30 * DAY_S)) == 3
    assert len(rotated(keys, 71 * DAY_S, 30 * DAY_S)) == 2


def test_tags_differ_by_owner_and_by_key() -> None:
    one, two = Key(0, b"1" * 32), Key(0, b"2" * 32)
    tags = {make_tag(key, owner) for key in (one, two) for owner in ("ann", "bob", "Ann")}
    assert len(tags) == 6
    assert all(len(tag) == 20 and tag == tag.lower() for tag in tags)


def test_the_tables_lines_are_sorted_and_name_odd_owners_in_one_word() -> None:
    lines = (
        digest_table([Key(0, b"1" * 32)], [("ann", "a@x.org"), ("jörg x@example.org",)], 1)
        .decode()
        .split("\n")
    )
    assert lines == [*sorted(lines[:-1]), ""]
    assert {line.split(" ", 2)[2] for line in lines[:-1]} == {
        "ann a@x.org",
        "j%C3%B6rg%20x@example.org",
    }
