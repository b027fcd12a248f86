"""Gaps are filled: what is made then stands side by side."""

from __future__ import annotations

import os
import subprocess
import sys

# In processes of their own: other tests make gaps meanwhile.
_SCATTERED = """
from mdeliver.lmtp.gaps import gaps_filled
before = [bytes(167) for _ in range(5000)]
del before[::40]
def pools():
    made = [bytes(167) for _ in range(70)]
    return len({id(one) >> 14 for one in made})
print(pools())
with gaps_filled():
    print(pools())
"""
_ENDS = """
from mdeliver.lmtp.gaps import gaps_filled
with gaps_filled():
    print("done")
"""


def run(program: str, **environment: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, env={**os.environ, **environment}, text=True)


def test_new_objects_stand_side_by_side() -> None:
    without, within = map(int, run(_SCATTERED, PYTHONMALLOC="pymalloc").split())
    assert without > 10
    assert within <= 2


def test_another_allocator_does_not_make_it_go_on_for_ever() -> None:
    assert run(_ENDS, PYTHONMALLOC="malloc") == "done\n"
