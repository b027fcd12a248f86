"""Folder names as Dovecot 2.3 has them on disk."""

from __future__ import annotations

import pytest

from mdeliver import limits
from mdeliver.folders import decode_name, encode_name, maildirpp_name, safe_step


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 5.1.3
        ("Entwürfe", "Entw&APw-rfe"),
        ("R&D", "R&-D"),
        ("a&b-c", "a&-b-c"),
        ("🎉", "&2DzfiQ-"),
        ("éé é", "&AOkA6Q- &AOk-"),
        ("", ""),
    ],
)
def test_modified_utf7(name: str, encoded: str) -> None:
    assert encode_name(name) == encoded
    assert decode_name(encoded) == name


@pytest.mark.parametrize("name", ["&", "&open", "a&!!-", "&AA-"])
def test_what_is_no_utf7_stays(name: str) -> None:
    assert decode_name(name) == name


@pytest.mark.parametrize(
    ("step", "maildirpp", "directory"),
    [
        ("postfix", "postfix", "postfix"),
        ("a b", "a b", "a b"),
        ("../../etc", "______etc", "_._.._etc"),
        (".hidden", "_hidden", "_hidden"),
        ("a.b/c", "a_b_c", "a.b_c"),
        ("", "_", "_"),
        ("a\0\r\nb\x7f\x85", "a___b__", "a___b__"),
        ("\u202egpj", "_gpj", "_gpj"),
        ("~ann", "_ann", "_ann"),
        ("new", "new", "_new"),
        ("box.lock", "box_lock", "box_lock"),
        ("dovecot.index.log", "dovecot_index_log", "_dovecot.index.log"),
        ("\udcff", "_", "_"),
    ],
)
def test_steps_are_made_harmless(step: str, maildirpp: str, directory: str) -> None:
    assert safe_step(step, dots=False) == maildirpp
    assert safe_step(step, dots=True) == directory


def test_long_names_are_cut_between_characters() -> None:
    step = safe_step("é" * 500, dots=False)
    assert limits.FOLDER_STEP_BYTES - 8 <= len(encode_name(step)) <= limits.FOLDER_STEP_BYTES
    assert decode_name(encode_name(step)) == step
    assert len(maildirpp_name([step] * 4)) <= 255
