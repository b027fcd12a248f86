"""What a failed test leaves open fails no other test: tests/conftest.py, in a run of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent.parent / "conftest.py"

LEAVES_A_SOCKET = """\
import gc, socket, subprocess, sys
import pytest

class Session:
    def __init__(self):
        self.itself = self  # a cycle: it is collected when the collector comes by
        self.socket = socket.socket()

def leave():
    held = Session()
    file = open(__file__)
    process = subprocess.Popen([sys.executable, "-c", ""])
    assert process.wait() == 1
"""

FAILS = (
    LEAVES_A_SOCKET
    + """
@pytest.fixture(scope="module")
def never_made():
    leave()

def test_fails():
    leave()

def test_after_it():
    gc.collect()

def test_cannot_begin(never_made):
    pass

def test_after_that():
    gc.collect()
"""
)

PASSES = (
    LEAVES_A_SOCKET
    + """
def test_forgets():
    held = Session()

def test_is_told():
    gc.collect()
"""
)


def run(tmp_path: Path, tests: str) -> dict[str, str]:
    """What becomes of TESTS under the conftest.py of all tests and the filter of pyproject.toml."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(tests)
    words = ["-m", "pytest", "-W", "error", "-v", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, *words, "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = re.findall(r"^test_it\.py::(\w+) (PASSED|FAILED|ERROR)", done.stdout, re.MULTILINE)
    assert told, done.stdout + done.stderr
    return dict(told)


def test_what_a_failed_test_leaves_open_fails_no_other(tmp_path: Path) -> None:
    assert run(tmp_path, FAILS) == {
        "test_fails": "FAILED",
        "test_after_it": "PASSED",
        "test_cannot_begin": "ERROR",
        "test_after_that": "PASSED",
    }


def test_what_a_passed_test_leaves_open_is_heard_as_ever(tmp_path: Path) -> None:
    assert "FAILED" in run(tmp_path, PASSES).values()
