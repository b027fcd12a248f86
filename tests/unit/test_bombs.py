"""Nothing that strangers, users or crashes write takes time or memory out of proportion."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.bombs.table import BOMBS
from tests.fuzz.target import TESTS


@pytest.mark.parametrize("name", BOMBS)
def test_it_stays_within_its_limits(name: str) -> None:
    bomb = BOMBS[name]
    command = [sys.executable, "-m", "tests.bombs", name]
    with subprocess.Popen(command, cwd=TESTS.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert used.ru_utime + used.ru_stime < bomb.seconds
    assert int(said.split()[-1]) >> 10 < bomb.megabytes
