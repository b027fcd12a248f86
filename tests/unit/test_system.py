"""Paths and environment without os: the same as os has them."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mdeliver import system

STEPS = st.sampled_from(["a", "b.c", "..", ".", "", "~", " "])
PATHS = st.builds(
    lambda start, steps: start + "/".join(steps), st.sampled_from(["", "/"]), st.lists(STEPS)
)


@given(PATHS)
def test_normal_is_normpath(path: str) -> None:
    # POSIX leaves two slashes at the start to the system, and so does posixpath; Linux does not.
    assert system.normal(path) == "/" * path.startswith("/") + posixpath.normpath(path).lstrip("/")


@given(PATHS.filter(bool), st.lists(STEPS.filter(bool), max_size=3))
def test_join_is_join(path: str, names: list[str]) -> None:
    assert system.join(path, *names) == posixpath.join(path, *names)


@given(PATHS)
def test_dirname_is_where_the_name_is(path: str) -> None:
    assert system.dirname(path) == (path.rpartition("/")[0] or posixpath.dirname(path) or ".")


@given(st.binary())
def test_octets_survive(octets: bytes) -> None:
    assert system.to_octets(system.from_octets(octets)) == octets


def test_the_environment_is_ours() -> None:
    assert system.environment()["PATH"] == os.environ["PATH"]


def test_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    assert system.exists(str(tmp_path / "file"))
    assert system.exists(str(tmp_path / "broken"))
    assert not system.exists(str(tmp_path / "nothing"))
    assert not system.exists(str(tmp_path / "file" / "beneath"))
    assert system.is_directory(str(tmp_path))
    assert not system.is_directory(str(tmp_path / "file"))
    assert not system.is_directory(str(tmp_path / "broken"))
