"""Maildir++ quota."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdeliver.deliver import quota
from mdeliver.outcome import Deferral


def maildir(tmp_path: Path, maildirsize: str, held: int = 0, folder: str = "") -> str:
    (tmp_path / folder / "cur").mkdir(parents=True, exist_ok=True)
    for number in range(held):
        (tmp_path / folder / "cur" / f"{number}.x,S=100:2,S").write_bytes(b"x")
    if maildirsize:
        (tmp_path / "maildirsize").write_text(maildirsize)
    return str(tmp_path)


def test_without_a_quota_everything_fits(tmp_path: Path) -> None:
    quota.refuse_if_full(maildir(tmp_path, ""), 1 << 40)
    quota.refuse_if_full(maildir(tmp_path, "no quota at all\n"), 1 << 40)


@pytest.mark.parametrize("limits", ["1000S", "1000S,100C", "20C,1000S"])
def test_what_fits_is_let_in(tmp_path: Path, limits: str) -> None:
    quota.refuse_if_full(maildir(tmp_path, f"{limits}\n400 4\n100 1\n"), 500)


def test_what_does_not_fit_is_deferred_once_it_was_counted_afresh(tmp_path: Path) -> None:
    root = maildir(tmp_path, "1000S\n900 9\n", held=9)
    with pytest.raises(Deferral, match="over quota") as refused:
        quota.refuse_if_full(root, 101)
    assert refused.value.status == "4.2.2"
    quota.refuse_if_full(root, 100)


def test_a_sum_that_nobody_corrected_keeps_no_mail_out(tmp_path: Path) -> None:
    quota.refuse_if_full(maildir(tmp_path, "1000S\n99999 9\n", held=1), 500)


def test_messages_are_counted_too_and_the_trash_is_not(tmp_path: Path) -> None:
    root = maildir(tmp_path, "3C\n0 9\n", held=2)
    maildir(tmp_path, "", held=5, folder=".Trash")
    quota.refuse_if_full(root, 1)
    maildir(tmp_path, "", held=1, folder=".Work")
    with pytest.raises(Deferral):
        quota.refuse_if_full(root, 1)


def test_a_delivery_is_counted(tmp_path: Path) -> None:
    root = maildir(tmp_path, "1000S\n")
    quota.count(root, 42)
    assert (tmp_path / "maildirsize").read_text() == "1000S\n42 1\n"


def test_without_a_quota_nothing_is_made(tmp_path: Path) -> None:
    quota.count(maildir(tmp_path, ""), 42)
    assert not (tmp_path / "maildirsize").exists()


def test_whether_anything_is_counted(tmp_path: Path) -> None:
    """Who is told that there is no quota file need not look for it again."""
    assert not quota.refuse_if_full(maildir(tmp_path, ""), 42)
    assert quota.refuse_if_full(maildir(tmp_path, "no limit\n"), 42)
    assert quota.refuse_if_full(maildir(tmp_path, "1000S\n"), 42)
