"""What Dovecot's letters for keywords mean, whatever stands in its list."""

from __future__ import annotations

from pathlib import Path

from mdeliver.history.keywords import keywords_of, translated


def test_letters_are_counted_from_a(tmp_path: Path) -> None:
    (tmp_path / "dovecot-keywords").write_text("0 $Label1\n25 Junk\n26 too many\n")
    assert keywords_of(str(tmp_path)) == {"a": "$Label1", "z": "Junk"}
    assert translated("Saz", {"a": "$Label1", "z": "Junk"}, {"b": "Junk"}) == "Sb"


def test_what_is_no_line_of_dovecots_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "dovecot-keywords").write_bytes(
        b"9" * 5000 + b" x\n\xff\n\0\n-1 y\n\xc2\xb2 z\n1\n2 \xe2\x80\xa8name\n"
    )
    assert keywords_of(str(tmp_path)) == {"c": "\u2028name"}
