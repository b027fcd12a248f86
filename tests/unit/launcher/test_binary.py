"""The native launcher has nothing that could fail before its first instruction."""

from __future__ import annotations

import platform
import struct
from pathlib import Path

import pytest

from tests.launchers import build, session_directory

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_TLS = 1, 2, 3, 7
PF_X, PF_R = 1, 4


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="libc is used here")
def test_no_loader_no_relocation_no_thread_storage_no_variables(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    launcher: Path = build("raw", session_directory(tmp_path_factory))
    image = launcher.read_bytes()
    assert image[:5] == b"\x7fELF\x02"
    table, entry_size, entries = (
        *struct.unpack_from("<Q", image, 32),
        *struct.unpack_from("<HH", image, 54),
    )
    heads = [struct.unpack_from("<II", image, table + n * entry_size) for n in range(entries)]
    kinds = [kind for kind, _flags in heads]
    assert [flags for kind, flags in heads if kind == PT_LOAD] == [PF_R | PF_X]
    assert not {PT_INTERP, PT_DYNAMIC, PT_TLS} & set(kinds)
    assert len(image) < 16384
